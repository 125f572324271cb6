#include <math.h>
#include <string.h>

#include "quant/matrix/group_search.h"
#include "quant/matrix/storage.h"
#include "quant/matrix/unit_block.h"
#include "tensor/dtype.h"

#define BLOCK_ROWS SINQ_SCALE_BLOCK_ROWS

/* A scale stored too small clips the ends of its groups: by this many steps at most, else it is stored too large. */
#define ALLOWED_CLIPPING 0.25f

void sinq_store_kept_scales(const struct sinq_unit_job *job, const struct sinq_unit_block *block) {
    float wished[BLOCK_ROWS];
    uint16_t halves[BLOCK_ROWS];
    const float unit = ldexpf(1.0f, -job->scale_exponent);
    for (size_t r = 0; r < block->rows; r++) wished[r] = block->parameters.scale[r] * block->row_scale[r] * unit;
    sinq_store_halves(wished, block->rows, halves);
    sinq_write_halves(job->sizes, halves, block->first, block->rows, block->group->index, job->sizes->scale_offset,
                      job->blob);
}

float sinq_store_block_scales(const struct sinq_unit_job *job, struct sinq_unit_block *block) {
    float wished[BLOCK_ROWS], deviation = 0.0f;
    bool is_free[BLOCK_ROWS];
    const float unit = ldexpf(1.0f, -job->scale_exponent);
    for (size_t r = 0; r < block->rows; r++) {
        wished[r] = block->parameters.scale[r] * block->row_scale[r] * unit;
        is_free[r] = block->parameters.scale[r] == 0.0f;
    }
    struct sinq_stored_column stored;
    /* What is searched clips on purpose. */
    const bool is_searched = sinq_method_is_searched(job->method);
    const float shortfall = is_searched ? INFINITY : ALLOWED_CLIPPING / (float)((1u << job->bits) - 1u);
    sinq_store_column(job->description->scale_type, wished, is_free, block->rows, shortfall, &stored);
    sinq_write_column(job->sizes, job->description->scale_type, &stored, block->first, block->rows, block->group->index,
                      job->sizes->scale_offset, job->sizes->scale_range_offset, job->blob);
    for (size_t r = 0; r < block->rows; r++) {
        block->scale[r] = is_free[r] ? 0.0f : stored.value[r] / unit / block->row_scale[r];
        const float relative = is_free[r] ? 0.0f : fabsf(stored.value[r] - wished[r]) / wished[r];
        deviation = relative > deviation ? relative : deviation;
    }
    return deviation;
}

/* 6-bit codes of scales for the zero points as stored: of the nearest and those beside it the best. */
static void store_best_scales(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                              struct sinq_unit_block *block) {
    const float most = (float)sinq_most_entry(SINQ_AUX_U6, false), unit = ldexpf(1.0f, -job->scale_exponent);
    float wished[BLOCK_ROWS], by_row[BLOCK_ROWS];
    bool is_free[BLOCK_ROWS];
    struct sinq_stored_column stored;
    for (size_t r = 0; r < block->rows; r++) {
        by_row[r] = 1.0f / (block->row_scale[r] * unit);
        wished[r] = block->parameters.scale[r] * block->row_scale[r] * unit;
        is_free[r] = wished[r] == 0.0f;
    }
    sinq_choose_range(wished, is_free, block->rows, most, stored.range);
    const struct sinq_step_range range = {.low = sinq_half_to_float(stored.range[0]),
                                          .step = sinq_half_to_float(stored.range[1]),
                                          .most = most,
                                          .unit = by_row};
    memcpy(block->scale, block->parameters.scale, sizeof block->scale);
    sinq_choose_stored_steps(job->bits, &range, &block->values, work->values, block->zero, block->scale, stored.code);
    sinq_write_range(job->sizes, stored.range, block->first, block->group->index, job->sizes->scale_range_offset,
                     job->blob);
    sinq_put_codes(job->sizes, stored.code, block->first, block->rows, block->group->index, job->scale_entries);
}

static void store_zero_entries(const struct sinq_unit_job *job, struct sinq_unit_block *block) {
    const struct sinq_dual_scale *const description = job->description;
    const float highest = description->zero_low + description->zero_step * (float)sinq_most_entry(SINQ_AUX_U6, false);
    struct sinq_stored_column stored;
    for (size_t r = 0; r < block->rows; r++) block->zero[r] = fminf(block->parameters.zero[r], highest);
    sinq_store_codes(block->zero, block->rows, description->zero_low, description->zero_step, &stored);
    sinq_put_codes(job->sizes, stored.code, block->first, block->rows, block->group->index, job->zero_entries);
    memcpy(block->zero, stored.value, sizeof block->zero);
}

/* Searched zero points as they are stored, then the best scales for those. */
static void store_searched_zeros(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                                 struct sinq_unit_block *block) {
    const struct sinq_dual_scale *const description = job->description;
    const bool none_free[BLOCK_ROWS] = {false};
    struct sinq_stored_column stored;
    if (description->zero_type == SINQ_AUX_U6) {
        store_zero_entries(job, block);
        sinq_refit_scales(job->bits, &block->values, work->values, block->zero, &block->parameters);
        return;
    }
    if (description->zero_type == SINQ_AUX_U8 && !description->zero_per_block) {
        sinq_store_codes(block->parameters.zero, block->rows, description->zero_low, description->zero_step, &stored);
    } else {
        sinq_store_column(description->zero_type, block->parameters.zero, none_free, block->rows, INFINITY, &stored);
    }
    sinq_write_column(job->sizes, description->zero_type, &stored, block->first, block->rows, block->group->index,
                      job->sizes->zero_offset,
                      description->zero_per_block ? job->sizes->zero_range_offset : SINQ_NO_RANGES, job->blob);
    for (size_t r = 0; r < block->rows; r++) block->zero[r] = stored.value[r];
    sinq_refit_scales(job->bits, &block->values, work->values, block->zero, &block->parameters);
}

/* Integer zeros, which f16 holds, or which become codes when all of them are known. */
static void store_integer_zeros(const struct sinq_unit_job *job, const struct sinq_unit_block *block) {
    if (job->integer_zeros == NULL) {
        uint16_t halves[BLOCK_ROWS];
        sinq_store_halves(block->zero, block->rows, halves);
        sinq_write_halves(job->sizes, halves, block->first, block->rows, block->group->index, job->sizes->zero_offset,
                          job->blob);
        return;
    }
    for (size_t r = 0; r < block->rows; r++) {
        job->integer_zeros[sinq_locate_entry(job->sizes, block->first + r, block->group->index)] =
            (int16_t)block->zero[r];
    }
}

void sinq_store_block_zeros(const struct sinq_unit_job *job, struct sinq_unit_block *block) {
    const bool is_integer = sinq_method_has_integer_zeros(job->method);
    const bool is_kept = job->description->scale_type == SINQ_AUX_F16;
    const bool none_free[BLOCK_ROWS] = {false};
    memcpy(block->zero, block->parameters.zero, sizeof block->zero);
    if (sinq_method_is_symmetric(job->method)) return;
    for (size_t r = 0; is_integer && !is_kept && r < block->rows; r++) {
        if (block->scale[r] > 0 && !block->parameters.is_constant[r]) {
            block->zero[r] = sinq_place_zero(block->values.lowest[r], block->scale[r]);
        }
    }
    if (is_integer) {
        store_integer_zeros(job, block);
        return;
    }
    struct sinq_stored_column stored;
    sinq_store_column(job->description->zero_type, block->zero, none_free, block->rows, INFINITY, &stored);
    sinq_write_column(job->sizes, job->description->zero_type, &stored, block->first, block->rows, block->group->index,
                      job->sizes->zero_offset, job->sizes->zero_range_offset, job->blob);
    for (size_t r = 0; r < block->rows; r++) block->zero[r] = stored.value[r];
}

void sinq_store_searched_block(const struct sinq_unit_job *job, const struct sinq_unit_work *work,
                               struct sinq_unit_block *block) {
    store_searched_zeros(job, work, block);
    if (job->scale_entries != NULL) {
        store_best_scales(job, work, block);
    } else {
        (void)sinq_store_block_scales(job, block);
    }
}
