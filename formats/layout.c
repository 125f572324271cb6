#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/name_index.h"
#include "tensor/dual_scale.h"

/* Sizes beyond it are nobody's; below it they pass through JSON numbers exactly. */
#define LARGEST_CHECKPOINT ((uint64_t)1 << 53)

static bool is_quantized(const struct sinq_layout_tensor *tensor) { return tensor->planned.dtype == SINQ_DUAL_SCALE; }

static int check_planned(const struct sinq_sink_tensor *tensor, uint64_t *total, struct sinq_error *error) {
    if (tensor->rank > SINQ_MAX_RANK || (unsigned)tensor->dtype >= SINQ_DTYPE_COUNT) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: rank %u or type %u cannot be written", tensor->name,
                         (unsigned)tensor->rank, (unsigned)tensor->dtype);
    }
    uint64_t values = 1, bytes = 0;
    bool fits = sinq_add_u64(*total, tensor->bytes, total) && *total < LARGEST_CHECKPOINT;
    for (uint32_t i = 0; i < tensor->rank; i++) fits = fits && sinq_multiply_u64(values, tensor->shape[i], &values);
    struct sinq_reference_parts parts;
    if (tensor->reference != NULL) {
        fits = fits && sinq_find_reference_obstacle(tensor->reference) == NULL;
        if (fits) sinq_measure_reference(tensor->reference, &parts);
        bytes = fits ? parts.bytes : 0;
    } else if (tensor->block != NULL) {
        fits = fits && sinq_measure_block_row(tensor->block, values, &bytes);
    } else {
        fits = fits && sinq_multiply_u64(sinq_dtype_size(tensor->dtype), values, &bytes);
    }
    if (!fits || (tensor->dtype != SINQ_DUAL_SCALE && bytes != tensor->bytes)) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: %llu bytes planned, expected what its shape and type %s give",
                         tensor->name, (unsigned long long)tensor->bytes,
                         tensor->block != NULL ? tensor->block->name : sinq_dtype_name(tensor->dtype));
    }
    return SINQ_OK;
}

static int copy_tensor(struct sinq_layout *layout, const struct sinq_sink_tensor *planned, struct sinq_error *error) {
    struct sinq_layout_tensor *const tensor = &layout->tensors[layout->count];
    const char *const suffix = planned->dtype == SINQ_DUAL_SCALE ? SINQ_DUAL_SCALE_SUFFIX : "";
    const size_t size = strlen(planned->name) + 1;
    char *const names = malloc(2 * size + strlen(suffix));
    if (names == NULL) return sinq_fail_memory(error, "names of tensors", 2 * size);
    layout->count++;
    memcpy(names, planned->name, size);
    memcpy(names + size, planned->name, size);
    memcpy(names + 2 * size - 1, suffix, strlen(suffix) + 1);
    tensor->name = names;
    tensor->file_name = names + size;
    tensor->planned = *planned;
    tensor->planned.name = tensor->name;
    return layout->ops->prepare(layout, tensor, error);
}

static int check_names(const struct sinq_layout *layout, struct sinq_error *error) {
    struct sinq_name_index *const names = sinq_name_index_create(layout->count);
    int status = names == NULL ? sinq_fail_memory(error, "names of tensors", layout->count) : SINQ_OK;
    for (size_t i = 0; i < layout->count && status == SINQ_OK; i++) {
        const char *const name = layout->tensors[i].file_name;
        if (sinq_name_index_add(names, name, i)) continue;
        status = sinq_fail(error, SINQ_FAILED, "tensor %s: two tensors would have that name in the output", name);
    }
    sinq_name_index_free(names);
    return status;
}

int sinq_layout_create(const struct sinq_sink_plan *plan, const struct sinq_layout_options *options,
                       struct sinq_layout **layout, struct sinq_error *error) {
    struct sinq_layout *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "the output's layout", sizeof *made);
    made->ops = options->ops;
    made->facts = options->facts;
    made->max_shard_bytes = options->max_shard_bytes;
    made->single_file = options->single_file;
    /* Never more shards than tensors, but for the empty one. */
    made->tensors = calloc(plan->count + 1, sizeof *made->tensors);
    made->shards = calloc(plan->count + 1, sizeof *made->shards);
    int status = SINQ_OK;
    if (made->tensors == NULL || made->shards == NULL) {
        status = sinq_fail_memory(error, "the output's layout", plan->count * sizeof *made->tensors);
    }
    uint64_t total = 0;
    for (size_t i = 0; i < plan->count && status == SINQ_OK; i++) {
        status = check_planned(&plan->tensors[i], &total, error);
        if (status == SINQ_OK) status = copy_tensor(made, &plan->tensors[i], error);
    }
    if (status == SINQ_OK) status = check_names(made, error);
    if (status != SINQ_OK) {
        sinq_layout_free(made);
        return status;
    }
    *layout = made;
    return SINQ_OK;
}

void sinq_layout_free(struct sinq_layout *layout) {
    if (layout == NULL) return;
    for (size_t i = 0; layout->tensors != NULL && i < layout->count; i++) free((char *)layout->tensors[i].name);
    free(layout->tensors);
    free(layout->shards);
    free(layout);
}

int sinq_layout_require_shard(struct sinq_layout *layout, struct sinq_error *error) {
    return layout->shard_count > 0 ? SINQ_OK : layout->ops->begin_shard(layout, error);
}

uint64_t sinq_layout_padding(const struct sinq_layout *layout, uint64_t bytes) {
    return sinq_round_up(bytes, layout->ops->alignment) - bytes;
}

static bool fits_shard(const struct sinq_layout *layout, const struct sinq_layout_shard *shard,
                       const struct sinq_layout_tensor *tensor) {
    return shard->count == 0 || layout->single_file || layout->ops->fits_shard(layout, shard, tensor);
}

int sinq_layout_place(struct sinq_layout *layout, struct sinq_error *error) {
    struct sinq_layout_tensor *const tensor = &layout->tensors[layout->finished];
    if (layout->shard_count == 0 || !fits_shard(layout, &layout->shards[layout->shard_count - 1], tensor)) {
        const int status = layout->ops->begin_shard(layout, error);
        if (status != SINQ_OK) return status;
    }
    const struct sinq_layout_shard *const shard = &layout->shards[layout->shard_count - 1];
    if (is_quantized(tensor) && shard->bytes % SINQ_SHARD_ALIGNMENT != 0) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: quantized tensors must come before others to be aligned",
                         tensor->name);
    }
    tensor->shard = layout->shard_count - 1;
    tensor->offset = shard->bytes;
    return SINQ_OK;
}

int sinq_layout_finish(struct sinq_layout *layout, uint64_t bytes, struct sinq_hash checksum,
                       struct sinq_error *error) {
    struct sinq_layout_tensor *const tensor = &layout->tensors[layout->finished];
    struct sinq_layout_shard *const shard = &layout->shards[tensor->shard];
    const bool right = is_quantized(tensor) ? bytes % SINQ_SHARD_ALIGNMENT == 0 : bytes == tensor->planned.bytes;
    uint64_t total;
    const uint64_t padding = sinq_layout_padding(layout, bytes);
    if (!right || !sinq_add_u64(shard->bytes, bytes + padding, &total) || total >= LARGEST_CHECKPOINT) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: %llu bytes, expected %s%llu", tensor->name,
                         (unsigned long long)bytes, is_quantized(tensor) ? "a multiple of 64 near " : "",
                         (unsigned long long)tensor->planned.bytes);
    }
    tensor->bytes = bytes;
    tensor->checksum = checksum;
    shard->bytes = total;
    shard->header_bound += tensor->header_bound;
    shard->count++;
    layout->finished++;
    return SINQ_OK;
}

uint64_t sinq_layout_predict_bytes(const struct sinq_layout *layout) {
    uint64_t total = 0;
    for (size_t i = 0; i < layout->shard_count; i++) total += layout->shards[i].data_start + layout->shards[i].bytes;
    for (size_t i = layout->finished; i < layout->count;) {
        total += layout->ops->measure_shard(layout, i, &i);
    }
    return total;
}

void sinq_shard_growing_name(size_t shard, char name[SINQ_SHARD_NAME_BYTES]) {
    (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "shard-%05zu", shard + 1);
}
