#include "checkpoint/source.h"

#include "base/checked.h"
#include "base/error.h"

const char *sinq_source_path(const struct sinq_source *source) { return source->path; }
const char *sinq_source_format(const struct sinq_source *source) { return source->format; }
bool sinq_source_is_directory(const struct sinq_source *source) { return source->is_directory; }
size_t sinq_source_tensor_count(const struct sinq_source *source) { return source->tensor_count; }

const struct sinq_tensor *sinq_source_tensor(const struct sinq_source *source, size_t index) {
    return index < source->tensor_count ? &source->tensors[index] : NULL;
}

const struct sinq_tensor *sinq_source_origin(const struct sinq_source *source, size_t index) {
    if (index >= source->tensor_count || source->ops->origin == NULL) return sinq_source_tensor(source, index);
    return source->ops->origin(source, index);
}

int64_t sinq_source_find(const struct sinq_source *source, const char *name) {
    return sinq_name_index_find(source->names, name);
}

size_t sinq_source_shard_count(const struct sinq_source *source) { return source->shard_count; }

const char *sinq_source_shard_path(const struct sinq_source *source, size_t shard) {
    return shard < source->shard_count ? source->shards[shard].path : NULL;
}

uint64_t sinq_source_shard_bytes(const struct sinq_source *source, size_t shard) {
    return shard < source->shard_count ? source->shards[shard].bytes : 0;
}

const char *sinq_source_config(const struct sinq_source *source) { return source->config; }
const char *sinq_source_model_type(const struct sinq_source *source) { return source->model_type; }
const char *sinq_source_quantization(const struct sinq_source *source) { return source->quantization; }
size_t sinq_source_sidecar_count(const struct sinq_source *source) { return source->sidecar_count; }

const char *sinq_source_sidecar_name(const struct sinq_source *source, size_t index) {
    return index < source->sidecar_count ? source->sidecars[index] : NULL;
}

int sinq_source_read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                             struct sinq_error *error) {
    *data = NULL;
    *size = 0;
    if (index >= source->sidecar_count) {
        return sinq_fail(error, SINQ_USAGE, "%s: sidecar %zu of %zu", source->path, index, source->sidecar_count);
    }
    return source->ops->read_sidecar(source, index, data, size, error);
}

int sinq_read_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                    struct sinq_error *error) {
    if (tensor >= source->tensor_count) {
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %zu of %zu", source->path, tensor, source->tensor_count);
    }
    const struct sinq_tensor *const t = &source->tensors[tensor];
    if (offset > t->bytes || size > t->bytes - offset) {
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %.300s: bytes %llu to %llu of %llu", source->path, t->name,
                         (unsigned long long)offset, (unsigned long long)(offset + size), (unsigned long long)t->bytes);
    }
    return size == 0 ? SINQ_OK : source->ops->read_bytes(source, tensor, offset, size, out, error);
}

int sinq_map_tensor(const struct sinq_source *source, size_t tensor, const uint8_t **bytes, struct sinq_error *error) {
    *bytes = NULL;
    return source->ops->map == NULL ? SINQ_OK : source->ops->map(source, tensor, bytes, error);
}

uint64_t sinq_count_values(const struct sinq_tensor *tensor) {
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) count = sinq_multiply_saturating(count, tensor->shape[i]);
    return count;
}

struct sinq_matrix_shape sinq_tensor_matrix_shape(const struct sinq_tensor *tensor) {
    struct sinq_matrix_shape shape = {1, 1, 1};
    if (tensor->rank >= 1) shape.cols = tensor->shape[tensor->rank - 1];
    if (tensor->rank >= 2) shape.rows = tensor->shape[tensor->rank - 2];
    for (uint32_t i = 0; i + 2 < tensor->rank; i++) shape.count *= tensor->shape[i];
    return shape;
}

void sinq_source_close(struct sinq_source *source) {
    if (source != NULL) source->ops->close(source);
}
