#include "quant/recipe/peak_memory.h"

#include "base/checked.h"
#include "quant/matrix/matrix.h"
#include "quant/matrix/rounding.h"
#include "quant/recipe/settings.h"
#include "tensor/dual_scale.h"

/* Of struct sinq_loader, a thread: a MiB as stored and what it becomes in f32, a row at least. */
#define READ_BYTES ((uint64_t)5 << 20)

uint64_t sinq_estimate_peak_memory(uint64_t rows, uint64_t cols, uint64_t element_bytes, uint32_t group_size,
                                   uint64_t blob_bytes, unsigned threads) {
    if (rows > UINT64_MAX / 4 || cols > UINT64_MAX / 4) return UINT64_MAX;
    rows = sinq_round_up(rows, SINQ_UNIT_ROW_MULTIPLE);
    cols = sinq_round_up(cols, SINQ_BLOCK_COLUMNS);
    const uint64_t group = group_size == SINQ_GROUP_ROW ? sinq_max_u64(cols, 1) : group_size;
    const uint64_t unit = sinq_max_u64(group, SINQ_BLOCK_COLUMNS), units = sinq_divide_up(cols, unit);
    const uint64_t groups = sinq_divide_up(cols, group), workers = sinq_min_u64(threads, units);
    const uint64_t values = sinq_multiply_saturating(sinq_multiply_saturating(rows, cols), element_bytes);
    const uint64_t matrix = sinq_add_saturating(values, blob_bytes);
    const uint64_t two = threads > 1 ? sinq_min_u64(sinq_multiply_saturating(2, matrix), SINQ_OVERLAP_MEMORY) : 0;
    const uint64_t parts[] = {
        sinq_max_u64(matrix, two),
        sinq_multiply_saturating(units, 512),
        sinq_multiply_saturating(sinq_multiply_saturating(rows, groups), 8),
        sinq_multiply_saturating(cols, 4),
        sinq_multiply_saturating(sinq_multiply_saturating(workers, sinq_add_saturating(rows, unit)), 256),
        sinq_multiply_saturating(
            threads, sinq_add_saturating(READ_BYTES, sinq_multiply_saturating(sinq_max_u64(rows, cols), 12))),
    };
    uint64_t bytes = SINQ_BASE_MEMORY;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) bytes = sinq_add_saturating(bytes, parts[i]);
    return bytes;
}

/*
 * In feedback.c: E[x x^T] and the factor in f32, two triangles in f64; for each thread 32 rows three times in f32, their codes and lines,
 * and three times what a group has of them, which is no more than a row.
 */
uint64_t sinq_estimate_feedback_memory(uint64_t cols, unsigned threads) {
    const uint64_t square = sinq_multiply_saturating(cols, cols);
    const uint64_t rows = sinq_multiply_saturating(sinq_multiply_saturating(cols, SINQ_SCALE_BLOCK_ROWS), 26);
    return sinq_add_saturating(sinq_multiply_saturating(square, 24), sinq_multiply_saturating(threads, rows));
}

uint64_t sinq_held_bytes(enum sinq_dtype dtype) {
    if (dtype == SINQ_BF16) return 2;
    if (dtype == SINQ_DUAL_SCALE) return 2 * sizeof(float);
    return sinq_max_u64(sinq_dtype_size(dtype), sizeof(float));
}

uint64_t sinq_matrix_memory(uint64_t rows, uint64_t cols, enum sinq_dtype dtype, uint64_t blob_bytes) {
    return sinq_add_saturating(sinq_multiply_saturating(sinq_multiply_saturating(rows, cols), sinq_held_bytes(dtype)),
                               blob_bytes);
}
