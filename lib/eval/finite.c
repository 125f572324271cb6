#include "eval/finite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "tensor/dtype.h"

/* Bounds that hold for all of a matrix. */
struct bounds {
    float lowest_level, highest_level;
    float *column; /* per group: the largest magnitude of its column scales; infinite where one is not finite */
};

static void find_levels(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                        const uint8_t *blob, struct bounds *bounds) {
    float levels[256];
    sinq_dual_scale_levels(matrix, sizes, blob, levels);
    bounds->lowest_level = INFINITY;
    bounds->highest_level = -INFINITY;
    for (unsigned code = 0; code < 1u << matrix->bits; code++) {
        /* Whatever a NaN is compared with, it must not be lost. */
        const float level = isfinite(levels[code]) ? levels[code] : INFINITY;
        bounds->lowest_level = fminf(bounds->lowest_level, level);
        bounds->highest_level = fmaxf(bounds->highest_level, level);
    }
}

static void find_columns(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                         const uint8_t *blob, struct bounds *bounds) {
    const uint64_t width = matrix->group_size == 0 ? matrix->cols : matrix->group_size;
    for (uint64_t group = 0; group < sizes->groups; group++) bounds->column[group] = 0.0f;
    for (uint64_t k = 0; k < matrix->cols; k++) {
        float scale = 1.0f;
        if (matrix->has_column_scale) {
            uint16_t half;
            memcpy(&half, blob + sizes->column_scale_offset + 2 * k, sizeof half);
            scale = fabsf(sinq_half_to_float(half));
        }
        if (!isfinite(scale)) scale = INFINITY;
        bounds->column[k / width] = fmaxf(bounds->column[k / width], scale);
    }
}

static float apply_scale(const struct sinq_dual_scale *matrix, float scale, float zero, float level) {
    return matrix->factor * (matrix->has_minima ? scale * level - zero : scale * (level - zero));
}

/*
 * Rounding is monotone, so the value of largest magnitude in a group is that of an outermost level and the largest column
 * scale, computed as the decoder does.
 */
static bool is_row_bounded(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                           const uint8_t *blob, const struct bounds *bounds, uint64_t row) {
    const uint64_t used = matrix->group_size == 0 ? 1 : sinq_divide_up(matrix->cols, matrix->group_size);
    for (uint64_t group = 0; group < used; group++) {
        const float scale = sinq_dual_scale_scale(matrix, sizes, blob, row, group);
        const float zero = sinq_dual_scale_zero(matrix, sizes, blob, row, group);
        const float value = fmaxf(fabsf(apply_scale(matrix, scale, zero, bounds->lowest_level)),
                                  fabsf(apply_scale(matrix, scale, zero, bounds->highest_level)));
        if (!isfinite(scale) || !isfinite(zero) || !isfinite(value) || !isfinite(value * bounds->column[group])) {
            return false;
        }
    }
    return true;
}

/* Rebuilds the row to see; the column of the first value that is not finite, or -1. */
static int64_t search_row(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                          const uint8_t *blob, uint64_t row, float *values) {
    sinq_dual_scale_decode(matrix, sizes, blob, row, 1, values);
    return sinq_find_nonfinite(SINQ_F32, values, (size_t)matrix->cols);
}

#define ROWS_AT_ONCE 64u

struct row_job {
    const struct sinq_dual_scale *matrix;
    const struct sinq_dual_scale_sizes *sizes;
    const uint8_t *blob;
    const struct bounds *bounds;
    uint8_t *is_bounded; /* of each row */
};

static void bound_rows(void *context, uint64_t item, unsigned worker) {
    const struct row_job *const job = context;
    const uint64_t end = sinq_min_u64(job->matrix->rows, (item + 1) * ROWS_AT_ONCE);
    (void)worker;
    for (uint64_t row = item * ROWS_AT_ONCE; row < end; row++) {
        job->is_bounded[row] = is_row_bounded(job->matrix, job->sizes, job->blob, job->bounds, row);
    }
}

int sinq_is_blob_finite(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                        const uint8_t *blob, unsigned threads, bool *is_finite, struct sinq_position *bad,
                        struct sinq_error *error) {
    struct bounds bounds = {.column = malloc((size_t)sizes->groups * sizeof(float))};
    uint8_t *const is_bounded = malloc((size_t)matrix->rows);
    float *const values = malloc((size_t)matrix->cols * sizeof *values);
    int status = SINQ_OK;
    *is_finite = true;
    if (bounds.column == NULL || is_bounded == NULL || values == NULL) {
        status = sinq_fail_memory(error, "checking a quantized matrix", matrix->rows + matrix->cols * sizeof *values);
        goto done;
    }
    find_levels(matrix, sizes, blob, &bounds);
    find_columns(matrix, sizes, blob, &bounds);
    struct row_job job = {matrix, sizes, blob, &bounds, is_bounded};
    sinq_parallel_for(threads, sinq_divide_up(matrix->rows, ROWS_AT_ONCE), bound_rows, &job);
    for (uint64_t row = 0; row < matrix->rows && *is_finite; row++) {
        if (is_bounded[row]) continue;
        const int64_t col = search_row(matrix, sizes, blob, row, values);
        if (col < 0) continue;
        *bad = (struct sinq_position){row, (uint64_t)col};
        *is_finite = false;
    }
done:
    free(bounds.column);
    free(is_bounded);
    free(values);
    return status;
}
