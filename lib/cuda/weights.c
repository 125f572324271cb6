/* weights.c: weights as the device holds them: their bytes as they lie in the file, in large blocks of its memory. */
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "cuda/cuda_backend.h"
#include "model/device_plan.h"

/* Of blocks besides the first, which holds all that was expected. */
#define BLOCK_BYTES ((uint64_t)16 << 20)

static int add_block(struct sinq_cuda_backend *backend, uint64_t size, struct sinq_cuda_block **added,
                     struct sinq_error *error) {
    struct sinq_cuda_block *const first = backend->blocks, *const block = calloc(1, sizeof *block);
    if (block == NULL) return sinq_fail_memory(error, "a block of weights", sizeof *block);
    block->size = sinq_round_up(first == NULL ? size : sinq_max_u64(size, BLOCK_BYTES), SINQ_DEVICE_PAGE);
    const int status = sinq_cuda_allocate(backend, block->size, "weights", &block->bytes, error);
    if (status != SINQ_OK) {
        free(block);
        return status;
    }
    /* The first one is what the next weights are cut from: it stays where more of it will be left. */
    if (first != NULL && first->size - first->used >= block->size - size) {
        block->next = first->next;
        first->next = block;
    } else {
        block->next = first;
        backend->blocks = block;
    }
    *added = block;
    return SINQ_OK;
}

int sinq_cuda_expect_weights(struct sinq_backend *base, uint64_t bytes, struct sinq_error *error) {
    struct sinq_cuda_block *block;
    return bytes == 0 ? SINQ_OK : add_block(sinq_cuda_of(base), bytes, &block, error);
}

/* Room for `bytes`; freed with all others. */
static int take_memory(struct sinq_cuda_backend *backend, uint64_t bytes, uint8_t **memory, struct sinq_error *error) {
    struct sinq_cuda_block *block = backend->blocks;
    const uint64_t size = sinq_round_up(bytes, SINQ_DEVICE_ALIGNMENT);
    if (block == NULL || block->size - block->used < size) {
        const int status = add_block(backend, size, &block, error);
        if (status != SINQ_OK) return status;
    }
    *memory = block->bytes + block->used;
    block->used += size;
    return SINQ_OK;
}

void sinq_cuda_free_blocks(struct sinq_cuda_backend *backend) {
    while (backend->blocks != NULL) {
        struct sinq_cuda_block *const block = backend->blocks;
        backend->blocks = block->next;
        sinq_cuda_free(backend, block->bytes, block->size);
        free(block);
    }
}

static int copy_bytes(struct sinq_cuda_backend *backend, const void *bytes, uint64_t size, uint8_t **copy,
                      struct sinq_error *error) {
    const int status = take_memory(backend, size, copy, error);
    return status == SINQ_OK ? sinq_cuda_add_upload(backend, *copy, bytes, size, error) : status;
}

static void describe_quantized(const struct sinq_weight *weight, const uint8_t *blob, struct sinq_cuda_matrix *matrix) {
    const struct sinq_dual_scale *const m = &weight->matrix;
    const struct sinq_dual_scale_sizes *const s = &weight->sizes;
    matrix->panels = (uint32_t)s->panels;
    matrix->column_blocks = (uint32_t)s->column_blocks;
    matrix->groups = (uint32_t)s->groups;
    matrix->group_size = m->group_size;
    matrix->bits = m->bits;
    matrix->factor = m->factor;
    matrix->zero_low = m->zero_low;
    matrix->zero_step = m->zero_step;
    matrix->scales_are_f16 = m->scale_type == SINQ_AUX_F16;
    matrix->zeros_are_f16 = m->zero_type == SINQ_AUX_F16;
    matrix->codes = blob + s->code_offset;
    matrix->scales = blob + s->scale_offset;
    matrix->scales_are_i8 = m->scale_type == SINQ_AUX_I8;
    matrix->zeros_are_i8 = m->zero_type == SINQ_AUX_I8;
    matrix->scales_are_u6 = m->scale_type == SINQ_AUX_U6;
    matrix->zeros_are_u6 = m->zero_type == SINQ_AUX_U6;
    if (m->scale_signed) matrix->scale_sign = matrix->scales_are_u6 ? 0x20 : 0x80;
    matrix->has_byte_levels = m->levels == SINQ_LEVELS_BYTES;
    matrix->has_minima = m->has_minima;
    matrix->supers = (uint32_t)s->supers;
    if (m->zero_type != SINQ_AUX_NONE) matrix->zeros = blob + s->zero_offset;
    if (!matrix->scales_are_f16) matrix->scale_ranges = blob + s->scale_range_offset;
    if (m->has_column_scale) matrix->column_scale = blob + s->column_scale_offset;
    if (m->levels != SINQ_LEVELS_UNIFORM) matrix->levels = blob + s->levels_offset;
    if (m->zero_per_block || matrix->zeros_are_i8) matrix->zero_ranges = blob + s->zero_range_offset;
}

static int copy_block_scales(struct sinq_cuda_backend *backend, const struct sinq_weight *weight,
                             struct sinq_cuda_matrix *matrix, struct sinq_error *error) {
    uint8_t *copy = NULL;
    if (weight->block_scales == NULL) return SINQ_OK;
    const uint64_t count = sinq_divide_up(weight->rows, weight->block_rows) * weight->scale_cols;
    const int status = copy_bytes(backend, weight->block_scales, count * sizeof(float), &copy, error);
    matrix->block_scales = (const float *)(const void *)copy;
    matrix->block_rows = (uint32_t)weight->block_rows;
    matrix->block_cols = (uint32_t)weight->block_cols;
    matrix->scale_cols = (uint32_t)weight->scale_cols;
    return status;
}

static int fill_matrix(struct sinq_cuda_backend *backend, const struct sinq_weight *weight,
                       struct sinq_cuda_matrix *matrix, struct sinq_error *error) {
    if (weight->rows > INT32_MAX || weight->cols > INT32_MAX) {
        return sinq_fail(error, SINQ_FAILED, "CUDA: a matrix of %llu x %llu is more than a device is asked to hold",
                         (unsigned long long)weight->rows, (unsigned long long)weight->cols);
    }
    const bool is_quantized = weight->dtype == SINQ_DUAL_SCALE;
    *matrix = (struct sinq_cuda_matrix){
        .rows = (uint32_t)weight->rows, .cols = (uint32_t)weight->cols, .dtype = (int)weight->dtype, .factor = 1.0f};
    if (!is_quantized || weight->bytes != backend->last_bytes) {
        const int status = copy_bytes(backend, weight->bytes, weight->size, &backend->last_copy, error);
        backend->last_bytes = status == SINQ_OK && is_quantized ? weight->bytes : NULL;
        if (status != SINQ_OK) return status;
    }
    if (is_quantized) {
        describe_quantized(weight, backend->last_copy, matrix);
        return SINQ_OK;
    }
    matrix->elements = backend->last_copy;
    return copy_block_scales(backend, weight, matrix, error);
}

int sinq_cuda_hold_weight(struct sinq_backend *base, uint32_t number, const struct sinq_weight *weight,
                          struct sinq_held **held, struct sinq_error *error) {
    (void)number;
    struct sinq_held *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a weight", sizeof *made);
    const int status = fill_matrix(sinq_cuda_of(base), weight, &made->matrix, error);
    if (status == SINQ_OK) {
        *held = made;
    } else {
        free(made);
    }
    return status;
}

/* The device's memory goes when the backend does. Other bytes may come where the weight's were. */
void sinq_cuda_release_weight(struct sinq_backend *backend, struct sinq_held *held) {
    sinq_cuda_of(backend)->last_bytes = NULL;
    free(held);
}
