/* For realpath, which POSIX calls an extension. */
#define _XOPEN_SOURCE 700

#include "output_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "memory.h"

bool sinq_is_directory(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

/* "." and ".." name a directory without having a name of their own. */
static char *resolve_path(const char *path) {
    const size_t length = strlen(path);
    const char *const slash = strrchr(path, '/');
    const char *const last = slash != NULL ? slash + 1 : path;
    if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        char *const resolved = realpath(path, NULL);
        if (resolved != NULL) return resolved;
    }
    char *const copy = sinq_format("%s", path);
    for (size_t i = length; i > 1 && copy[i - 1] == '/'; i--) copy[i - 1] = '\0';
    return copy;
}

/* How many bytes of a name are left without the end, or all where it ends otherwise. '#' stands for a digit. */
static size_t drop_end(const char *name, size_t length, const char *end) {
    const size_t size = strlen(end);
    if (length <= size) return length;
    for (size_t i = 0; i < size; i++) {
        const char c = name[length - size + i];
        if (end[i] == '#' ? c < '0' || c > '9' : c != end[i]) return length;
    }
    return length - size;
}

#define CODING_SIZE 40

/* What a name says of the recipe: "sinq-4bit-g64", "sinq-3.50bpw", or a type. */
static void name_coding(const struct sinq_recipe_summary *recipe, char coding[CODING_SIZE]) {
    const char *const layout = recipe->format == SINQ_FORMAT_REFERENCE ? "sinq-reference" : "sinq";
    if (recipe->type != NULL) {
        snprintf(coding, CODING_SIZE, "%s", recipe->type);
    } else if (recipe->has_budget) {
        snprintf(coding, CODING_SIZE, "%s-%.2fbpw", layout, recipe->overall_bits_per_weight);
    } else if (recipe->group_size == SINQ_GROUP_ROW) {
        snprintf(coding, CODING_SIZE, "%s-%dbit-grow", layout, recipe->bits);
    } else {
        snprintf(coding, CODING_SIZE, "%s-%dbit-g%u", layout, recipe->bits, (unsigned)recipe->group_size);
    }
}

char *sinq_default_output_path(const char *model, bool is_directory, const struct sinq_recipe_summary *recipe,
                               const char *folder) {
    static const char suffix[] = ".safetensors";
    char *path = resolve_path(model);
    /* "model/." and "model/.//" end in a dot only after the slashes are gone. */
    char *const again = resolve_path(path);
    free(path);
    path = again;
    const char *const slash = strrchr(path, '/');
    const char *const name = slash != NULL ? slash + 1 : path;
    size_t length = strlen(name);
    if (length == 0) {
        free(path);
        return NULL;
    }
    const size_t whole = length;
    length = drop_end(name, length, is_directory ? ".gguf" : suffix);
    if (is_directory && length < whole) length = drop_end(name, length, "-#####-of-#####");
    char coding[CODING_SIZE];
    const bool makes_folder = is_directory || recipe->format == SINQ_FORMAT_REFERENCE;
    const char *const end = recipe->format == SINQ_FORMAT_GGUF ? ".gguf" : makes_folder ? "" : suffix;
    const int parent = slash != NULL && folder == NULL ? (int)(slash - path + 1) : 0;
    name_coding(recipe, coding);
    char *const output = sinq_format("%s%s%.*s%.*s-%s%s", folder != NULL ? folder : "", folder != NULL ? "/" : "",
                                     parent, path, (int)length, name, coding, end);
    free(path);
    return output;
}
