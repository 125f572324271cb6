/* sidecars.c: which files of a directory belong to the model. */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "directory.h"
#include "reference_sidecar.h"

#define INDEX_NAME "model.safetensors.index.json"
#define MAX_NAMES  ((size_t)10000)

/* The first pattern that matches decides. */
static const struct {
    const char *pattern;
    bool is_sidecar;
} sidecar_patterns[] = {
    {".*", false},
    {"*.index.json", false},
    /* How someone else quantized the source: no longer true of what is made from it. */
    {"quantization_config.json", false},
    {"quantize_config.json", false},
    {"hf_quant_config.json", false},
    {"config.json", true},
    {"*_config.json", true},
    {"tokenizer*", true},
    {"special_tokens_map.json", true},
    {"added_tokens.json", true},
    {"chat_template*", true},
    {"vocab.*", true},
    {"merges.txt", true},
    {"*.model", true},
    {"*.tiktoken", true},
};

bool sinq_is_sidecar_name(const char *name) {
    for (size_t i = 0; i < sizeof sidecar_patterns / sizeof sidecar_patterns[0]; i++) {
        if (fnmatch(sidecar_patterns[i].pattern, name, 0) == 0) return sidecar_patterns[i].is_sidecar;
    }
    return false;
}

static bool matches_any(const char *name, const char *const *patterns) {
    for (; *patterns != NULL; patterns++) {
        if (fnmatch(*patterns, name, FNM_PERIOD) == 0) return true;
    }
    return false;
}

static void free_names(char **names, size_t count) {
    for (size_t i = 0; i < count; i++) free(names[i]);
    free(names);
}

void sinq_directory_free(struct sinq_directory *directory) {
    free_names(directory->weights, directory->weight_count);
    free_names(directory->sidecars, directory->sidecar_count);
    free(directory->other_weights);
    *directory = (struct sinq_directory){0};
}

static int add_name(const char *path, char ***names, size_t *count, const char *name, struct sinq_error *error) {
    if (*count == MAX_NAMES) {
        return sinq_fail(error, SINQ_FAILED, "%s: more than %zu files of one kind", path, MAX_NAMES);
    }
    char **const more = realloc(*names, (*count + 1) * sizeof *more);
    if (more == NULL) return sinq_fail_memory(error, path, *count * sizeof *more);
    *names = more;
    more[*count] = strdup(name);
    if (more[*count] == NULL) return sinq_fail_memory(error, path, strlen(name));
    ++*count;
    return SINQ_OK;
}

/* Symbolic links are followed: caches of downloads consist of them. One that leads nowhere must not be lost silently. */
static int check_kind(const char *path, const char *name, bool *is_file, struct sinq_error *error) {
    struct stat facts;
    char *const full = sinq_join_path(path, name);
    if (full == NULL) return sinq_fail_memory(error, path, strlen(name));
    const bool is_known = stat(full, &facts) == 0;
    const int status = is_known ? SINQ_OK : sinq_fail_errno(error, "%s: cannot read", full);
    *is_file = is_known && S_ISREG(facts.st_mode);
    free(full);
    return status;
}

/* The first file that may hold weights in another format is named where there are none that can be read. */
static int note_other_weights(const char *path, struct sinq_directory *d, const char *name, struct sinq_error *error) {
    static const char *const patterns[] = {"*.gguf", "*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", NULL};
    if (d->other_weights != NULL || !matches_any(name, patterns)) return SINQ_OK;
    d->other_weights = strdup(name);
    return d->other_weights != NULL ? SINQ_OK : sinq_fail_memory(error, path, strlen(name));
}

static int add_entry(const char *path, struct sinq_directory *d, const char *name, struct sinq_error *error) {
    static const char *const weight_patterns[] = {"*.safetensors", NULL};
    const bool is_index = strcmp(name, INDEX_NAME) == 0, is_reference = strcmp(name, SINQ_REFERENCE_SIDECAR) == 0;
    const bool is_weight = matches_any(name, weight_patterns), is_sidecar = sinq_is_sidecar_name(name);
    bool is_file = false;
    if (!is_index && !is_reference && !is_weight && !is_sidecar) return note_other_weights(path, d, name, error);
    const int status = check_kind(path, name, &is_file, error);
    /* A weight file or index that is no file is not passed over: opening it will say so. */
    if (status != SINQ_OK || (!is_file && is_sidecar)) return status;
    d->has_index = d->has_index || is_index;
    d->has_reference_sidecar = d->has_reference_sidecar || is_reference;
    if (is_index || is_reference) return SINQ_OK;
    if (is_weight) return add_name(path, &d->weights, &d->weight_count, name, error);
    d->has_config = d->has_config || strcmp(name, "config.json") == 0;
    return add_name(path, &d->sidecars, &d->sidecar_count, name, error);
}

static int compare_names(const void *left, const void *right) {
    char *const *const a = left, *const *const b = right;
    return strcmp(*a, *b);
}

int sinq_scan_directory(const char *path, struct sinq_directory *directory, struct sinq_error *error) {
    *directory = (struct sinq_directory){0};
    DIR *const handle = opendir(path);
    if (handle == NULL) return sinq_fail_errno(error, "%s: cannot open", path);
    int status = SINQ_OK;
    while (status == SINQ_OK) {
        errno = 0;
        const struct dirent *const entry = readdir(handle);
        if (entry == NULL) {
            if (errno != 0) status = sinq_fail_errno(error, "%s: cannot read", path);
            break;
        }
        status = add_entry(path, directory, entry->d_name, error);
    }
    closedir(handle);
    if (directory->weight_count > 0) {
        qsort(directory->weights, directory->weight_count, sizeof *directory->weights, compare_names);
    }
    if (directory->sidecar_count > 0) {
        qsort(directory->sidecars, directory->sidecar_count, sizeof *directory->sidecars, compare_names);
    }
    return status;
}
