/* gguf_open.c: opening a GGUF file, or all parts of a split one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "gguf_source.h"
#include "model/gguf_config.h"

#define MAX_FILES UINT16_MAX /* split.count is of 16 bits */

/* ---- the source's operations ---- */

static int read_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                     struct sinq_error *error) {
    return sinq_read_gguf_rows((const struct sinq_gguf_source *)source, tensor, first, count, out, error);
}

static int map_tensor(const struct sinq_source *base, size_t tensor, const uint8_t **bytes, struct sinq_error *error) {
    /* A source is const to its readers; what changes here is only which files are mapped, under a lock. */
    struct sinq_gguf_source *const source = (struct sinq_gguf_source *)(uintptr_t)base;
    const struct sinq_tensor *const t = &base->tensors[tensor];
    *bytes = NULL;
    if (source->views[tensor].reading != SINQ_GGUF_IN_PLACE) return SINQ_OK;
    const int status = sinq_shards_map(&source->shards, t->shard, bytes, error);
    if (status == SINQ_OK) *bytes += t->offset;
    return status;
}

static void forget(const struct sinq_source *base) {
    struct sinq_gguf_source *const source = (struct sinq_gguf_source *)(uintptr_t)base; /* as above */
    sinq_shards_forget(&source->shards);
}

static void close_gguf(struct sinq_source *base) {
    struct sinq_gguf_source *const source = (struct sinq_gguf_source *)base;
    sinq_shards_free(&source->shards);
    for (size_t i = 0; i < source->file_count; i++) sinq_gguf_file_free(&source->files[i]);
    for (size_t i = 0; i < base->sidecar_count; i++) free(base->sidecars[i]);
    free(source->files);
    free(source->parts);
    free(source->views);
    sinq_name_index_free(source->part_names);
    sinq_name_index_free(base->names);
    sinq_arena_free(&source->names);
    free(base->tensors);
    free(base->checksums);
    free(base->sidecars);
    free(base->config);
    free(base->model_type);
    free(base->path);
    free(source);
}

static const struct sinq_source_ops gguf_ops = {.read_bytes = sinq_read_gguf_bytes,
                                                .read_sidecar = sinq_read_gguf_sidecar,
                                                .close = close_gguf,
                                                .read_rows = read_rows,
                                                .matrix_info = sinq_describe_gguf_matrix,
                                                .map = map_tensor,
                                                .forget = forget,
                                                .read_matrix = sinq_read_gguf_matrix};

static struct sinq_gguf_source *create(const char *path, struct sinq_error *error) {
    struct sinq_gguf_source *const source = calloc(1, sizeof *source);
    char *const copy = strdup(path);
    if (source == NULL || copy == NULL) {
        free(source);
        free(copy);
        (void)sinq_fail_memory(error, path, sizeof *source);
        return NULL;
    }
    source->base.ops = &gguf_ops;
    source->base.format = "GGUF file";
    /* Written anew it becomes a directory, which has room for the sidecars. */
    source->base.is_directory = true;
    source->base.path = copy;
    sinq_shards_init(&source->shards, &source->base);
    return source;
}

/* ---- files ---- */

/* Reads the header of the shard that was added last. */
static int add_file(struct sinq_gguf_source *source, struct sinq_error *error) {
    const size_t i = source->base.shard_count - 1;
    struct sinq_gguf_file *const files = realloc(source->files, (i + 1) * sizeof *files);
    if (files == NULL) return sinq_fail_memory(error, source->base.path, (i + 1) * sizeof *files);
    source->files = files;
    source->file_count = i + 1;
    const int status = sinq_read_gguf_file(&source->shards.inputs[i], &files[i], error);
    if (status != SINQ_OK) {
        sinq_gguf_file_free(&files[i]);
        return status;
    }
    memcpy(source->base.shards[i].header_hash, files[i].hash, sizeof files[i].hash);
    sinq_shards_settle(&source->shards);
    return SINQ_OK;
}

/* ---- parts of a split file ---- */

struct split {
    uint64_t number, count, tensors;
};

/* False where the file is whole. */
static bool read_split(const struct sinq_gguf_file *file, struct split *split) {
    *split = (struct split){0, 1, 0};
    (void)sinq_gguf_get_u64(sinq_gguf_find(&file->values, "split.no"), &split->number);
    (void)sinq_gguf_get_u64(sinq_gguf_find(&file->values, "split.tensors.count"), &split->tensors);
    return sinq_gguf_get_u64(sinq_gguf_find(&file->values, "split.count"), &split->count) && split->count > 1;
}

/* The path of part `number`, counted from 0, in place of the first one's; malloc'ed, or NULL where its name is no part's. */
static char *name_part(const char *path, uint64_t number, uint64_t count) {
    char tail[40];
    const size_t length = strlen(path);
    (void)snprintf(tail, sizeof tail, "-00001-of-%05u.gguf", (unsigned)count);
    const size_t size = strlen(tail);
    if (length <= size || strcmp(path + length - size, tail) != 0) return NULL;
    char *const name = strdup(path);
    if (name != NULL)
        (void)snprintf(name + length - size, size + 1, "-%05u-of-%05u.gguf", (unsigned)number + 1, (unsigned)count);
    return name;
}

static int check_part(const struct sinq_gguf_source *source, uint64_t number, const struct split *first,
                      struct sinq_error *error) {
    struct split split;
    const char *const path = source->base.shards[number].path;
    (void)read_split(&source->files[number], &split);
    if (split.number == number && split.count == first->count) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: says that it is part %llu of %llu, expected %llu of %llu", path,
                     (unsigned long long)split.number + 1, (unsigned long long)split.count,
                     (unsigned long long)number + 1, (unsigned long long)first->count);
}

static int add_parts(struct sinq_gguf_source *source, const struct split *first, struct sinq_error *error) {
    const char *const path = source->base.path;
    if (first->count > MAX_FILES) {
        return sinq_fail(error, SINQ_FAILED, "%s: metadata: split.count is %llu, expected at most %u", path,
                         (unsigned long long)first->count, (unsigned)MAX_FILES);
    }
    if (first->number != 0) {
        return sinq_fail(error, SINQ_FAILED, "%s: is part %llu of %llu of a split GGUF file; open the first part", path,
                         (unsigned long long)first->number + 1, (unsigned long long)first->count);
    }
    for (uint64_t i = 1; i < first->count; i++) {
        char *const name = name_part(path, i, first->count);
        if (name == NULL) {
            return sinq_fail(error, SINQ_FAILED,
                             "%s: is the first of %llu parts, whose names would be known if its own ended in "
                             "-00001-of-%05u.gguf",
                             path, (unsigned long long)first->count, (unsigned)first->count);
        }
        int status = sinq_shards_add_file(&source->shards, name, error);
        free(name);
        if (status == SINQ_OK) status = add_file(source, error);
        if (status == SINQ_OK) status = check_part(source, i, first, error);
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

/* ---- all parts together ---- */

static int list_parts(struct sinq_gguf_source *source, struct sinq_error *error) {
    size_t count = 0;
    for (size_t i = 0; i < source->file_count; i++) count += source->files[i].tensor_count;
    source->parts = calloc(count + 1, sizeof *source->parts);
    source->part_names = sinq_name_index_create(count);
    if (source->parts == NULL || source->part_names == NULL) {
        return sinq_fail_memory(error, source->base.path, count * sizeof *source->parts);
    }
    for (size_t i = 0; i < source->file_count; i++) {
        for (size_t t = 0; t < source->files[i].tensor_count; t++) {
            const struct sinq_gguf_tensor *const tensor = &source->files[i].tensors[t];
            if (!sinq_name_index_add(source->part_names, tensor->name, source->part_count)) {
                return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: an earlier part has a tensor of that name too",
                                 source->base.shards[i].path, tensor->name);
            }
            source->parts[source->part_count++] = (struct sinq_gguf_part){.tensor = tensor, .shard = (uint32_t)i};
        }
    }
    return SINQ_OK;
}

static int check_total(const struct sinq_gguf_source *source, const struct split *split, struct sinq_error *error) {
    if (split->tensors == 0 || split->tensors == source->part_count) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: the parts have %zu tensors, the first one says %llu", source->base.path,
                     source->part_count, (unsigned long long)split->tensors);
}

/* All files' headers have been read. */
static int finish(struct sinq_gguf_source *source, const struct split *split, struct sinq_error *error) {
    char name[64];
    int status = list_parts(source, error);
    if (status == SINQ_OK) status = check_total(source, split, error);
    if (status != SINQ_OK) return status;
    source->family = sinq_find_gguf_family(sinq_find_gguf_model_type(&source->files[0].values, name));
    status = sinq_make_gguf_views(source, error);
    return status == SINQ_OK ? sinq_make_gguf_config_text(source, error) : status;
}

static int hand_over(struct sinq_gguf_source *made, int status, struct sinq_source **source) {
    if (status == SINQ_OK) *source = &made->base;
    if (status != SINQ_OK) sinq_source_close(&made->base);
    return status;
}

int sinq_open_gguf_memory(const char *path, const uint8_t *bytes, size_t size, struct sinq_source **source,
                          struct sinq_error *error) {
    struct sinq_gguf_source *const made = create(path, error);
    const struct split whole = {0, 1, 0};
    if (made == NULL) return SINQ_FAILED;
    int status = sinq_shards_add_memory(&made->shards, path, bytes, size, error);
    if (status == SINQ_OK) status = add_file(made, error);
    if (status == SINQ_OK) status = finish(made, &whole, error);
    return hand_over(made, status, source);
}

int sinq_open_gguf(const char *path, struct sinq_source **source, struct sinq_error *error) {
    struct sinq_gguf_source *const made = create(path, error);
    struct split split = {0, 1, 0};
    if (made == NULL) return SINQ_FAILED;
    int status = sinq_shards_add_file(&made->shards, path, error);
    if (status == SINQ_OK) status = add_file(made, error);
    if (status == SINQ_OK && read_split(&made->files[0], &split)) status = add_parts(made, &split, error);
    if (status == SINQ_OK) status = finish(made, &split, error);
    return hand_over(made, status, source);
}
