#include "model/open_device.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "model/plugin.h"

#define PLUGIN_FILE  "libsinq-cuda.so"
#define MOST_DEVICES 1024

/* The folder of the running program, without its last slash. */
static bool find_program_folder(char *folder, size_t size) {
    const ssize_t length = readlink("/proc/self/exe", folder, size - 1);
    if (length <= 0 || (size_t)length == size - 1) return false; /* nothing, or cut off */
    folder[length] = '\0';
    char *const slash = strrchr(folder, '/');
    if (slash == NULL) return false;
    *slash = '\0';
    return true;
}

/*
 * Beside the program, where `make` leaves it; in ../lib/sinq, where `make install` puts it; else where the system looks, which is not
 * the current folder. One that is there but cannot be loaded is an error, not a reason to look further. It stays loaded: what a driver
 * starts is not stopped by unloading.
 */
static void *load_plugin(struct sinq_error *error) {
    static const char *const places[] = {"", "/../lib/sinq"};
    char folder[3000], path[3100] = PLUGIN_FILE;
    const bool has_folder = find_program_folder(folder, sizeof folder);
    for (size_t i = 0; has_folder && i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(path, sizeof path, "%s%s/" PLUGIN_FILE, folder, places[i]);
        if (access(path, F_OK) == 0) break;
        (void)snprintf(path, sizeof path, PLUGIN_FILE);
    }
    void *const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library != NULL) return library;
    const char *const reason = dlerror();
    (void)sinq_fail(error, SINQ_FAILED, "no CUDA plug-in: %s", reason == NULL ? path : reason);
    return NULL;
}

static int open_cuda(int device, uint64_t memory_limit, struct sinq_backend **backend, struct sinq_device_names *names,
                     struct sinq_error *error) {
    const struct sinq_plugin_options options = {.interface = SINQ_PLUGIN_INTERFACE,
                                                .layout = sinq_plugin_layout(),
                                                .device = device,
                                                .memory_limit = memory_limit};
    void *const library = load_plugin(error);
    if (library == NULL) return SINQ_FAILED;
    sinq_open_plugin_fn *open_plugin = NULL;
    void *const symbol = dlsym(library, SINQ_PLUGIN_FUNCTION);
    memcpy(&open_plugin, &symbol, sizeof symbol); /* C has no other way from an object's address to a function's */
    if (open_plugin == NULL) return sinq_fail(error, SINQ_FAILED, PLUGIN_FILE " is no plug-in of this program");
    char name[SINQ_PLUGIN_NAME_BYTES] = "";
    const int status = open_plugin(&options, backend, name, error);
    (void)snprintf(names->device, sizeof names->device, "%s", name);
    return status;
}

/* -1: not of the form cuda or cuda:N. */
static int parse_number(const char *device) {
    char *end;
    if (strcmp(device, "cuda") == 0) return 0;
    if (strncmp(device, "cuda:", 5) != 0 || device[5] < '0' || device[5] > '9') return -1;
    const long number = strtol(device + 5, &end, 10);
    return *end == '\0' && number < MOST_DEVICES ? (int)number : -1;
}

static int open_cpu(struct sinq_backend **backend, struct sinq_device_names *names, struct sinq_error *error) {
    (void)snprintf(names->device, sizeof names->device, "cpu");
    return sinq_open_cpu_backend(backend, error);
}

int sinq_open_device(const struct sinq_device_options *options, struct sinq_backend **backend,
                     struct sinq_device_names *names, struct sinq_error *error) {
    const char *const device = options->device == NULL ? "cpu" : options->device;
    struct sinq_error reason = {.status = 0};
    *names = (struct sinq_device_names){.device = {0}};
    if (strcmp(device, "cpu") == 0) return open_cpu(backend, names, error);
    if (strcmp(device, "auto") == 0) {
        if (open_cuda(0, options->memory_limit, backend, names, &reason) == SINQ_OK) return SINQ_OK;
        (void)snprintf(names->reason, sizeof names->reason, "%.390s", reason.message);
        return open_cpu(backend, names, error);
    }
    const int number = parse_number(device);
    if (number < 0) {
        return sinq_fail(error, SINQ_USAGE, "no device is called '%.100s', expected auto, cpu, cuda or cuda:N", device);
    }
    return open_cuda(number, options->memory_limit, backend, names, error);
}
