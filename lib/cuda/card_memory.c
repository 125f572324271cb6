/*
 * card_memory.c: how much of the device's memory this process takes, as the driver reports it: context, code and recorded graphs included.
 * What others take is read from the driver's management library before this process has a context; without that library all
 * counts as ours.
 */
#include <dlfcn.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "cuda/cuda_backend.h"

/* NVML's nvmlMemory_v2_t: `used` leaves out what the driver reserves on every device. */
struct card_memory {
    unsigned version;
    unsigned long long total, reserved, free, used;
};
#define CARD_MEMORY_VERSION ((unsigned)sizeof(struct card_memory) | 2u << 24)

typedef int start_fn(void);
typedef int find_card_fn(const char *bus, void **card);
typedef int read_memory_fn(void *card, struct card_memory *memory);

/* C has no other way from an object's address to a function's. */
static bool find_function(void *library, const char *name, void *function) {
    void *const symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol);
    return symbol != NULL;
}

static uint64_t read_card(void *library, const char *bus) {
    start_fn *start, *stop;
    find_card_fn *find_card;
    read_memory_fn *read_memory;
    struct card_memory memory = {.version = CARD_MEMORY_VERSION};
    void *card;
    if (!find_function(library, "nvmlInit_v2", &start) || !find_function(library, "nvmlShutdown", &stop) ||
        !find_function(library, "nvmlDeviceGetHandleByPciBusId_v2", &find_card) ||
        !find_function(library, "nvmlDeviceGetMemoryInfo_v2", &read_memory) || start() != 0) {
        return 0;
    }
    const bool is_read = find_card(bus, &card) == 0 && read_memory(card, &memory) == 0;
    (void)stop();
    return is_read ? memory.used : 0;
}

uint64_t sinq_cuda_find_used(int device) {
    char bus[32];
    if (cudaDeviceGetPCIBusId(bus, sizeof bus, device) != cudaSuccess) return 0;
    void *const library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return 0;
    const uint64_t used = read_card(library, bus);
    (void)dlclose(library);
    return used;
}

uint64_t sinq_cuda_read_used(struct sinq_cuda_backend *backend) {
    size_t left = 0, total = 0;
    if (cudaMemGetInfo(&left, &total) != cudaSuccess) {
        (void)cudaGetLastError();
        return backend->memory_used;
    }
    const uint64_t all = total - left, used = all > backend->others ? all - backend->others : 0;
    backend->total = total;
    backend->peak = sinq_max_u64(backend->peak, used);
    return used;
}

int sinq_cuda_check_limit(struct sinq_cuda_backend *backend, struct sinq_error *error) {
    const uint64_t used = sinq_cuda_read_used(backend);
    if (backend->memory_limit == 0 || used <= backend->memory_limit) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "CUDA device %d: %llu bytes are in use, beyond the limit of %llu",
                     backend->device, (unsigned long long)used, (unsigned long long)backend->memory_limit);
}

void sinq_cuda_measure_memory(struct sinq_backend *base, struct sinq_device_memory *memory) {
    struct sinq_cuda_backend *const backend = sinq_cuda_of(base);
    (void)cudaSetDevice(backend->device);
    memory->used = sinq_cuda_read_used(backend);
    memory->total = backend->total > backend->others ? backend->total - backend->others : 0;
    memory->limit = backend->memory_limit;
    memory->start = backend->start;
    memory->peak = backend->peak;
}
