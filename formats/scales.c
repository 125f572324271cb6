/* scales.c: pairing FP8 tensors with the tensors that hold their scales. */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/text.h"
#include "weights.h"

/*
 * Names of scales, behind the name of the tensor they belong to. Blocks of 128 x 128 come as "_scale_inv" (DeepSeek-V3,
 * Qwen3-FP8), one scale a tensor or a row as "_scale". In spite of the name both are multiplied with.
 */
static const struct {
    const char *suffix;
    bool may_be_coarse; /* one scale for all or one a row, besides blocks */
} companions[] = {{"_scale_inv", false}, {"_scale", true}};

#define DEFAULT_BLOCK 128u

/* Whether `scale` holds one value a block: its shape is that of the blocks of each matrix of `tensor`. */
static bool is_shape_of_blocks(const struct sinq_tensor *tensor, const struct sinq_tensor *scale,
                               const uint64_t block[2]) {
    if (scale->rank != tensor->rank) return false;
    const uint32_t last = tensor->rank - 1;
    return (tensor->rank == 2 || scale->shape[0] == tensor->shape[0]) &&
           scale->shape[last - 1] == sinq_divide_up(tensor->shape[last - 1], block[0]) &&
           scale->shape[last] == sinq_divide_up(tensor->shape[last], block[1]);
}

static bool has_one_value(const struct sinq_tensor *scale) {
    for (uint32_t i = 0; i < scale->rank; i++) {
        if (scale->shape[i] != 1) return false;
    }
    return true;
}

/* The block that the scales' shape stands for, into tensor->scale_block. */
static bool find_block(struct sinq_tensor *tensor, const struct sinq_tensor *scale, const uint64_t block[2],
                       bool may_be_coarse) {
    const uint64_t rows = tensor->shape[tensor->rank - 2], cols = tensor->shape[tensor->rank - 1];
    const uint64_t whole[2] = {sinq_max_u64(rows, 1), sinq_max_u64(cols, 1)}, row[2] = {1, whole[1]};
    const bool is_row_list = tensor->rank == 2 && scale->rank == 1 && scale->shape[0] == rows;
    const uint64_t *found = NULL;
    if (is_shape_of_blocks(tensor, scale, block)) {
        found = block;
    } else if (may_be_coarse && (has_one_value(scale) || is_shape_of_blocks(tensor, scale, whole))) {
        found = whole;
    } else if (may_be_coarse && (is_row_list || is_shape_of_blocks(tensor, scale, row))) {
        found = row;
    }
    if (found != NULL) memcpy(tensor->scale_block, found, sizeof tensor->scale_block);
    return found != NULL;
}

static int pair_tensor(struct sinq_source *source, size_t index, size_t companion, const uint64_t block[2],
                       bool may_be_coarse, struct sinq_error *error) {
    struct sinq_tensor *const tensor = &source->tensors[index], *const scale = &source->tensors[companion];
    const char *const path = source->shards[scale->shard].path;
    const bool is_float = scale->dtype == SINQ_F32 || scale->dtype == SINQ_BF16 || scale->dtype == SINQ_F16;
    if (!is_float || (tensor->rank != 2 && tensor->rank != 3)) {
        return sinq_fail(
            error, SINQ_FAILED,
            "%s: tensor %.300s: %s scales of a tensor of %u dimensions, expected F32, F16 or BF16 and 2 or 3", path,
            scale->name, sinq_dtype_name(scale->dtype), tensor->rank);
    }
    if (!find_block(tensor, scale, block, may_be_coarse)) {
        return sinq_fail(
            error, SINQ_FAILED,
            "%s: tensor %.300s: its shape does not fit the %llu x %llu weights it scales in blocks of %llu x %llu",
            path, scale->name, (unsigned long long)tensor->shape[tensor->rank - 2],
            (unsigned long long)tensor->shape[tensor->rank - 1], (unsigned long long)block[0],
            (unsigned long long)block[1]);
    }
    tensor->scale_tensor = (int64_t)companion;
    scale->is_block_scale = true;
    return SINQ_OK;
}

int sinq_pair_block_scales(struct sinq_source *source, const uint64_t block[2], struct sinq_error *error) {
    static const uint64_t default_block[2] = {DEFAULT_BLOCK, DEFAULT_BLOCK};
    const uint64_t *const used = block[0] != 0 && block[1] != 0 ? block : default_block;
    struct sinq_text name = {0};
    int status = SINQ_OK;
    for (size_t i = 0; i < source->tensor_count && status == SINQ_OK; i++) {
        struct sinq_tensor *const tensor = &source->tensors[i];
        if (tensor->dtype != SINQ_F8_E4M3 && tensor->dtype != SINQ_F8_E5M2) continue;
        for (size_t c = 0; c < sizeof companions / sizeof companions[0] && tensor->scale_tensor < 0; c++) {
            name.size = 0;
            sinq_text_add(&name, tensor->name);
            sinq_text_add(&name, companions[c].suffix);
            if (name.failed) status = sinq_fail_memory(error, tensor->name, strlen(tensor->name));
            const int64_t found = name.failed ? -1 : sinq_name_index_find(source->names, name.data);
            if (found < 0 || status != SINQ_OK) continue;
            status = pair_tensor(source, i, (size_t)found, used, companions[c].may_be_coarse, error);
            if (status != SINQ_OK) break;
        }
    }
    sinq_text_free(&name);
    return status;
}
