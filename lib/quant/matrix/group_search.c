#include "quant/matrix/group_search.h"

#include <math.h>

#include "kernels/quantize.h"

/* Groups narrower than this are left to min-max rounding: the inverse of their width might overflow. */
#define NARROWEST_RANGE 0x1p-100f
/* So are groups further from zero than this in steps: there every zero point is equally good. */
#define FARTHEST_ZERO 1000.0f
/* A stored zero point that is off by more has met the end of what can be stored: the scale has to cover the values anew. */
#define LARGEST_ZERO_ERROR 0.5f

#define MOST_SHRINKS 24

/* What is tried: shrunken ranges, the ends by factors of their own. Few bits gain by clipping more. */
struct plan {
    float shrinks[MOST_SHRINKS][2];
    size_t count;
    unsigned each, last;
};

/* The factors of one end: docs/rounding.md tells how they were chosen. */
static const float *get_factors(unsigned bits) {
    static const float wide[5] = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f}, four[5] = {1.0f, 0.92f, 0.84f, 0.76f, 0.68f},
                       three[5] = {1.0f, 0.9f, 0.8f, 0.7f, 0.6f}, two[5] = {0.88f, 0.76f, 0.64f, 0.52f, 0.4f};
    return bits == 2 ? two : bits == 3 ? three : bits == 4 ? four : wide;
}

static void make_plan(enum sinq_effort effort, unsigned bits, struct plan *plan) {
    const float *const factors = get_factors(bits);
    *plan = (struct plan){.each = effort == SINQ_EFFORT_BEST ? 2 : 0, .last = effort == SINQ_EFFORT_FAST ? 2 : 3};
    for (size_t a = 0; a < 5; a++) {
        for (size_t c = 0; c < 5 && plan->count < MOST_SHRINKS; c++) {
            const size_t apart = a > c ? a - c : c - a;
            if (effort == SINQ_EFFORT_FAST && apart != 0) continue;
            if (effort == SINQ_EFFORT_DEFAULT && apart > 1) continue;
            plan->shrinks[plan->count][0] = factors[a];
            plan->shrinks[plan->count++][1] = factors[c];
        }
    }
}

/* What a group is divided by so that its values reach from 0 to 1; 0: it is not searched. */
static float find_inverse(const struct sinq_group_block *block, const struct sinq_group_parameters *parameters,
                          size_t row) {
    if (row >= block->rows) return 0.0f;
    const float range = block->highest[row] - block->lowest[row];
    const bool is_near = fabsf(parameters->zero[row]) <= FARTHEST_ZERO;
    const bool is_fit = range >= NARROWEST_RANGE && range <= 1.0f / NARROWEST_RANGE;
    return is_fit && is_near && parameters->scale[row] > 0 && !parameters->is_constant[row] ? 1.0f / range : 0.0f;
}

static void spread_values(const struct sinq_group_block *block, size_t first, const float inverse[SINQ_LANES],
                          float *values) {
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const float *const x = block->x + (first + l) * block->stride;
        const float lowest = inverse[l] > 0 ? block->lowest[first + l] : 0.0f;
        for (size_t j = 0; j < block->cols; j++) {
            values[SINQ_LANES * j + l] = inverse[l] > 0 ? (x[j] - lowest) * inverse[l] : 0.0f;
        }
    }
}

static void search_rows(const struct plan *plan, const struct sinq_group_block *block, size_t first, float top,
                        float *values, struct sinq_group_parameters *parameters) {
    float inverse[SINQ_LANES];
    struct sinq_lane_line line;
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const size_t r = first + l;
        inverse[l] = find_inverse(block, parameters, r);
        const bool is_searched = inverse[l] > 0;
        if (r < block->rows) parameters->is_searched[r] = is_searched;
        line.scale[l] = is_searched ? parameters->scale[r] * inverse[l] : 0.0f;
        line.base[l] =
            is_searched ? (-parameters->zero[r] * parameters->scale[r] - block->lowest[r]) * inverse[l] : 0.0f;
    }
    spread_values(block, first, inverse, values);
    const struct sinq_lane_line_search search = {.values = values,
                                                 .count = block->cols,
                                                 .top = top,
                                                 .shrinks = plan->shrinks,
                                                 .shrink_count = plan->count,
                                                 .each = plan->each,
                                                 .last = plan->last};
    sinq_get_quantize_kernels()->search_line(&search, &line);
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const size_t r = first + l;
        const float range = inverse[l] > 0 ? block->highest[r] - block->lowest[r] : 0.0f;
        const float scale = line.scale[l] * range, zero = -(block->lowest[r] + line.base[l] * range) / scale;
        if (!(scale > 0) || !(fabsf(zero) <= SINQ_LARGEST_ZERO)) continue;
        parameters->scale[r] = scale;
        parameters->zero[r] = zero + 0.0f;
    }
}

void sinq_search_parameters(enum sinq_effort effort, unsigned bits, const struct sinq_group_block *block, float *values,
                            struct sinq_group_parameters *parameters) {
    const float top = (float)((1u << bits) - 1u);
    struct plan plan;
    make_plan(effort, bits, &plan);
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        search_rows(&plan, block, first, top, values + first * block->cols, parameters);
    }
}

/* Where the zero point could not be stored: a step that covers the values from the one there is. */
static float cover_values(const struct sinq_group_block *block, size_t row, float top, float zero) {
    const float above = zero < top ? block->highest[row] / (top - zero) : 0.0f;
    const float below = zero > 0 ? -block->lowest[row] / zero : 0.0f;
    return fmaxf(above, below);
}

static void refit_rows(const struct sinq_group_block *block, size_t first, float top, const float *values,
                       const float *zero, struct sinq_group_parameters *parameters) {
    float lowest[SINQ_LANES], zeros[SINQ_LANES], inverse[SINQ_LANES];
    struct sinq_lane_line line = {.base = {0}};
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const size_t r = first + l;
        const bool is_row = r < block->rows;
        const bool is_searched = is_row && parameters->is_searched[r];
        inverse[l] = is_searched ? 1.0f / (block->highest[r] - block->lowest[r]) : 0.0f;
        lowest[l] = is_searched ? block->lowest[r] * inverse[l] : 0.0f;
        zeros[l] = is_row ? zero[r] : 0.0f;
        const bool is_off = is_row && fabsf(zero[r] - parameters->zero[r]) > LARGEST_ZERO_ERROR;
        if (is_off && !parameters->is_constant[r]) parameters->scale[r] = cover_values(block, r, top, zero[r]);
        line.scale[l] = is_searched ? parameters->scale[r] * inverse[l] : 0.0f;
    }
    const struct sinq_lane_line_search search = {.values = values, .count = block->cols, .top = top, .last = 1};
    sinq_get_quantize_kernels()->refit_scale(&search, lowest, zeros, &line);
    for (size_t l = 0; l < SINQ_LANES && first + l < block->rows; l++) {
        const size_t r = first + l;
        const float scale = inverse[l] > 0 ? line.scale[l] * (block->highest[r] - block->lowest[r]) : 0.0f;
        if (scale > 0) parameters->scale[r] = scale;
        parameters->zero[r] = zero[r];
    }
}

void sinq_refit_scales(unsigned bits, const struct sinq_group_block *block, const float *values, const float *zero,
                       struct sinq_group_parameters *parameters) {
    const float top = (float)((1u << bits) - 1u);
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        refit_rows(block, first, top, values + first * block->cols, zero, parameters);
    }
}

/* ---- what can be stored ---- */

static float hold_within(float value, float most) { return value < 0.0f ? 0.0f : value > most ? most : value; }

/* One lane's group as round_codes has it: value + minimum ~= scale * code. */
static void set_lane(const struct sinq_group_block *block, size_t row, float scale, float zero, size_t lane,
                     struct sinq_lane_codes *codes) {
    const float range = block->highest[row] - block->lowest[row], inverse = range > 0 ? 1.0f / range : 0.0f;
    codes->scale[lane] = scale * inverse;
    codes->minimum[lane] = block->lowest[row] * inverse + scale * inverse * zero;
}

static void choose_steps(float top, const struct sinq_step_range *range, const struct sinq_group_block *block,
                         size_t first, const float *values, const float *weights, const float *zero, float *scale,
                         uint8_t *code) {
    static const float offsets[3] = {0.0f, -1.0f, 1.0f}; /* the nearest wins ties */
    const struct sinq_lane_groups groups = {values, weights, block->cols};
    const size_t rows = block->rows - first < SINQ_LANES ? block->rows - first : SINQ_LANES;
    struct sinq_lane_codes codes = {.highest = top};
    float least[SINQ_LANES], place[SINQ_LANES], best[SINQ_LANES];
    for (size_t l = 0; l < rows; l++) {
        const float wished = scale[first + l] / range->unit[first + l];
        best[l] = place[l] = rintf(hold_within((wished - range->low) / range->step, range->most));
        least[l] = INFINITY;
    }
    for (size_t c = 0; c < sizeof offsets / sizeof offsets[0]; c++) {
        float error[SINQ_LANES];
        for (size_t l = 0; l < rows; l++) {
            const float stored = range->low + hold_within(place[l] + offsets[c], range->most) * range->step;
            set_lane(block, first + l, stored * range->unit[first + l], zero[first + l], l, &codes);
        }
        sinq_get_quantize_kernels()->round_codes(&groups, &codes, NULL, error, NULL, NULL);
        for (size_t l = 0; l < rows; l++) {
            if (!(error[l] < least[l])) continue;
            least[l] = error[l];
            best[l] = hold_within(place[l] + offsets[c], range->most);
        }
    }
    for (size_t l = 0; l < rows; l++) {
        const size_t r = first + l;
        code[r] = (uint8_t)best[l];
        if (scale[r] > 0) scale[r] = (range->low + best[l] * range->step) * range->unit[r];
    }
}

void sinq_choose_stored_steps(unsigned bits, const struct sinq_step_range *range, const struct sinq_group_block *block,
                              float *values, const float *zero, float *scale, uint8_t *code) {
    float *const weights = values + SINQ_SCALE_BLOCK_ROWS * block->cols;
    for (size_t i = 0; i < SINQ_LANES * block->cols; i++) weights[i] = 1.0f;
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        choose_steps((float)((1u << bits) - 1u), range, block, first, values + first * block->cols, weights, zero,
                     scale, code);
    }
}
