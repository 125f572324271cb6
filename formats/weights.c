#include "weights.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"

#define MAX_SIDECAR_BYTES ((uint64_t)256 << 20)

/* ---- the source's operations ---- */

static int read_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    const struct sinq_weights *const weights = (const struct sinq_weights *)source;
    const struct sinq_tensor *const t = &source->tensors[tensor];
    return sinq_shards_read(&weights->shards, t->shard, t->offset + offset, size, out, error);
}

static int read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    char *const path = sinq_join_path(source->path, source->sidecars[index]);
    if (path == NULL) return sinq_fail_memory(error, source->sidecars[index], 0);
    const int status = sinq_read_file(path, MAX_SIDECAR_BYTES, data, size, error);
    free(path);
    return status;
}

static int map_tensor(const struct sinq_source *source, size_t tensor, const uint8_t **bytes,
                      struct sinq_error *error) {
    /* A source is const to its readers; what changes here is only which files are mapped, under a lock. */
    struct sinq_weights *const weights = (struct sinq_weights *)(uintptr_t)source;
    const struct sinq_tensor *const t = &source->tensors[tensor];
    const int status = sinq_shards_map(&weights->shards, t->shard, bytes, error);
    if (status == SINQ_OK) *bytes += t->offset;
    return status;
}

static void forget(const struct sinq_source *source) {
    struct sinq_weights *const weights = (struct sinq_weights *)(uintptr_t)source; /* as above */
    sinq_shards_forget(&weights->shards);
}

static void close_weights(struct sinq_source *source) {
    struct sinq_weights *const weights = (struct sinq_weights *)source;
    sinq_shards_free(&weights->shards);
    for (size_t i = 0; i < source->sidecar_count; i++) free(source->sidecars[i]);
    sinq_tensor_list_free(&weights->list);
    sinq_name_index_free(source->names);
    free(weights->header_quantization);
    free(source->sidecars);
    free(source->config);
    free(source->model_type);
    free(source->quantization);
    free(source->path);
    free(weights);
}

static const struct sinq_source_ops weights_ops = {.read_bytes = read_bytes,
                                                   .read_sidecar = read_sidecar,
                                                   .close = close_weights,
                                                   .map = map_tensor,
                                                   .forget = forget};

/* ---- building it ---- */

struct sinq_weights *sinq_weights_create(const char *path, const char *format, bool is_directory) {
    struct sinq_weights *const weights = calloc(1, sizeof *weights);
    if (weights == NULL) return NULL;
    weights->base.ops = &weights_ops;
    weights->base.format = format;
    weights->base.is_directory = is_directory;
    weights->base.path = strdup(path);
    sinq_shards_init(&weights->shards, &weights->base);
    if (weights->base.path != NULL) return weights;
    sinq_shards_free(&weights->shards);
    free(weights);
    return NULL;
}

static int list_shard(struct sinq_weights *weights, struct sinq_error *error) {
    const size_t i = weights->base.shard_count - 1;
    struct sinq_shard *const shard = &weights->base.shards[i];
    struct sinq_header_facts facts;
    const int status = sinq_list_safetensors(&weights->shards.inputs[i], (uint32_t)i, &weights->list, &facts, error);
    memcpy(shard->header_hash, facts.hash, sizeof shard->header_hash);
    free(weights->header_quantization);
    weights->header_quantization = facts.quantization;
    sinq_shards_settle(&weights->shards);
    return status;
}

int sinq_weights_add_memory(struct sinq_weights *weights, const char *path, const uint8_t *bytes, size_t size,
                            struct sinq_error *error) {
    const int status = sinq_shards_add_memory(&weights->shards, path, bytes, size, error);
    return status == SINQ_OK ? list_shard(weights, error) : status;
}

int sinq_weights_add_shard(struct sinq_weights *weights, const char *path, struct sinq_error *error) {
    const int status = sinq_shards_add_file(&weights->shards, path, error);
    return status == SINQ_OK ? list_shard(weights, error) : status;
}

int sinq_weights_finish(struct sinq_weights *weights, struct sinq_error *error) {
    struct sinq_source *const source = &weights->base;
    source->tensors = weights->list.tensors;
    source->tensor_count = weights->list.count;
    source->checksums = weights->list.checksums;
    source->names = sinq_name_index_create(source->tensor_count);
    if (source->names == NULL) return sinq_fail_memory(error, source->path, 32 * (uint64_t)source->tensor_count);
    for (size_t i = 0; i < source->tensor_count; i++) {
        const struct sinq_tensor *const tensor = &source->tensors[i];
        if (sinq_name_index_add(source->names, tensor->name, i)) continue;
        const int64_t other = sinq_name_index_find(source->names, tensor->name);
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: %s has a tensor of that name too",
                         source->shards[tensor->shard].path, tensor->name,
                         other < 0 ? "another file" : source->shards[source->tensors[other].shard].path);
    }
    return sinq_pair_block_scales(source, weights->scale_block, error);
}
