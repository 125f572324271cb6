#define _XOPEN_SOURCE 700 /* realpath */
#include "identity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

static bool is_same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the directory `path`, or one above it, is `folder`. */
static bool is_below(const char *path, const struct stat *folder) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat here;
    struct stat below = {0};
    bool found = false;
    bool first = true;
    while (fd >= 0 && fstat(fd, &here) == 0) {
        found = is_same(&here, folder);
        /* The root is its own parent. */
        if (found || (!first && is_same(&here, &below))) break;
        first = false;
        below = here;
        const int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(fd);
        fd = parent;
    }
    if (fd >= 0) close(fd);
    return found;
}

/* Whether the file that `path` leads to, every link followed, is `folder` or lies below it. */
static bool leads_below(const char *path, const struct stat *folder) {
    char *const real = realpath(path, NULL);
    if (real == NULL) return false;
    struct stat status;
    bool below = stat(real, &status) == 0 && S_ISDIR(status.st_mode) && is_below(real, folder);
    char *const slash = strrchr(real, '/');
    if (!below && slash != NULL) {
        slash[slash == real ? 1 : 0] = '\0';
        below = is_below(real, folder);
    }
    free(real);
    return below;
}

static bool source_leads_below(const struct sinq_source *source, const struct stat *folder) {
    if (leads_below(source->path, folder)) return true;
    for (size_t i = 0; i < source->shard_count; i++) {
        if (leads_below(source->shards[i].path, folder)) return true;
    }
    bool found = false;
    for (size_t i = 0; i < source->sidecar_count && source->is_directory && !found; i++) {
        char *const path = sinq_join_path(source->path, source->sidecars[i]);
        found = path != NULL && leads_below(path, folder);
        free(path);
    }
    return found;
}

static bool is_part_of_source(const struct sinq_source *source, const struct stat *output) {
    struct stat status;
    if (stat(source->path, &status) == 0 && is_same(&status, output)) return true;
    for (size_t i = 0; i < source->shard_count; i++) {
        if (stat(source->shards[i].path, &status) == 0 && is_same(&status, output)) return true;
    }
    return false;
}

static bool is_inside_source(const struct sinq_source *source, const char *path) {
    struct stat folder;
    if (!source->is_directory || stat(source->path, &folder) != 0) return false;
    char *const parent = strdup(path);
    char *const slash = parent == NULL ? NULL : strrchr(parent, '/');
    if (slash != NULL) slash[slash == parent ? 1 : 0] = '\0';
    const bool inside = parent != NULL && is_below(slash == NULL ? "." : parent, &folder);
    free(parent);
    return inside;
}

int sinq_check_apart(const struct sinq_source *source, const char *path, struct sinq_error *error) {
    struct stat output;
    const bool exists = stat(path, &output) == 0;
    if (exists && is_part_of_source(source, &output)) {
        return sinq_fail(error, SINQ_USAGE, "%s: is the input itself, %s; write somewhere else", path, source->path);
    }
    if (exists && S_ISDIR(output.st_mode) && source_leads_below(source, &output)) {
        return sinq_fail(error, SINQ_USAGE, "%s: holds files of the input %s; write somewhere else", path,
                         source->path);
    }
    if (is_inside_source(source, path)) {
        return sinq_fail(error, SINQ_USAGE, "%s: is inside the input directory %s; write somewhere else", path,
                         source->path);
    }
    return SINQ_OK;
}
