#include "quant/matrix/signed_scales.h"

#include <math.h>

#include "quant/matrix/storage.h"
#include "tensor/dtype.h"

#define ROWS SINQ_SCALE_BLOCK_ROWS

static void store_halves(const struct sinq_unit_job *job, const struct sinq_signed_column *column,
                         const float *magnitude, const float *by_row, size_t rows, float *scale) {
    const bool none_free[ROWS] = {false};
    float signed_scale[ROWS] = {0};
    struct sinq_stored_column stored;
    for (size_t r = 0; r < rows; r++) signed_scale[r] = copysignf(magnitude[r], scale[r]);
    sinq_store_column(SINQ_AUX_F16, signed_scale, none_free, rows, INFINITY, &stored);
    sinq_write_column(job->sizes, SINQ_AUX_F16, &stored, column->first_row, rows, column->group,
                      job->sizes->scale_offset, SINQ_NO_RANGES, job->blob);
    for (size_t r = 0; r < rows; r++) scale[r] = stored.value[r] * by_row[r];
}

void sinq_store_signed_scales(const struct sinq_unit_job *job, const struct sinq_signed_column *column,
                              const struct sinq_group_block *block, const float *values, float *scale, float *error) {
    const struct sinq_dual_scale_sizes *const sizes = job->sizes;
    const enum sinq_aux_type type = job->description->scale_type;
    const float unit = ldexpf(1.0f, -job->scale_exponent);
    float magnitude[ROWS] = {0}, by_row[ROWS];
    const bool none_free[ROWS] = {false}; /* a group of zeros needs a scale of 0: it has no zero point */
    for (size_t r = 0; r < ROWS; r++) by_row[r] = 1.0f;
    for (size_t r = 0; r < block->rows; r++) {
        by_row[r] = 1.0f / (column->row_scale[r] * unit);
        magnitude[r] = fabsf(scale[r]) * column->row_scale[r] * unit;
    }
    if (type == SINQ_AUX_F16) {
        store_halves(job, column, magnitude, by_row, block->rows, scale);
        return;
    }
    const unsigned most = sinq_most_entry(type, true);
    struct sinq_stored_column stored;
    sinq_choose_range(magnitude, none_free, block->rows, (float)most, stored.range);
    const struct sinq_signed_range range = {.low = sinq_half_to_float(stored.range[0]),
                                            .step = sinq_half_to_float(stored.range[1]),
                                            .most = (float)most,
                                            .unit = by_row};
    sinq_choose_stored_scales(&job->byte_levels, &range, block, values, scale, stored.code, error);
    sinq_write_range(sizes, stored.range, column->first_row, column->group, sizes->scale_range_offset, job->blob);
    for (size_t r = 0; r < block->rows; r++) stored.code[r] |= scale[r] < 0 ? (uint8_t)(most + 1) : 0;
    sinq_put_codes(sizes, stored.code, column->first_row, block->rows, column->group,
                   job->scale_entries != NULL ? job->scale_entries : job->blob + sizes->scale_offset);
}
