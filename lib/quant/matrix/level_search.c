#include "quant/matrix/level_search.h"

#include <math.h>
#include <string.h>

#include "kernels/quantize.h"

/* Magnitudes outside are left to a scale of 0: their powers of two might leave the range of f32. */
#define SMALLEST_MAGNITUDE 0x1p-100f
#define LARGEST_MAGNITUDE  0x1p100f

#define MOST_STEPS 11u

struct table {
    float centre;
    uint8_t level[16];
};

static const struct table two_bits[3] = {
    {55.5f, {17, 48, 75, 113}}, {55.5f, {9, 46, 78, 121}}, {55.5f, {17, 47, 73, 106}}};
static const struct table three_bits[3] = {{55.0f, {1, 24, 39, 52, 64, 77, 93, 116}},
                                           {55.0f, {4, 24, 39, 52, 64, 77, 93, 117}},
                                           {55.5f, {7, 26, 40, 52, 64, 77, 92, 116}}};
static const struct table four_bits[3] = {{60.75f, {0, 11, 21, 30, 37, 44, 50, 56, 62, 68, 74, 81, 88, 96, 106, 121}},
                                          {61.25f, {0, 13, 23, 31, 38, 45, 51, 57, 63, 69, 75, 81, 88, 96, 106, 121}},
                                          {62.0f, {0, 15, 25, 33, 40, 46, 52, 58, 63, 69, 75, 81, 88, 96, 106, 120}}};

void sinq_find_byte_levels(unsigned bits, uint32_t group_size, struct sinq_byte_levels *levels) {
    const struct table *const of_bits = bits == 2 ? two_bits : bits == 3 ? three_bits : four_bits;
    const struct table *const table = &of_bits[group_size == 16 ? 0 : group_size == 32 ? 1 : 2];
    const unsigned count = 1u << (bits < 4 ? bits : 4);
    levels->centre = table->centre;
    float above_centre[16];
    for (unsigned k = 0; k < 16; k++) {
        levels->level[k] = table->level[k < count ? k : count - 1];
        above_centre[k] = (float)levels->level[k] - table->centre;
    }
    sinq_make_level_table(above_centre, count, &levels->above_centre);
}

/* ---- search ---- */

/* The power of two that brings a row's values to magnitudes below 1; 0: it is not searched. Exact, so nothing is lost. */
static float find_unit(const struct sinq_group_block *block, size_t row) {
    if (row >= block->rows) return 0.0f;
    const float low = fabsf(block->lowest[row]), high = fabsf(block->highest[row]), largest = low > high ? low : high;
    if (!(largest >= SMALLEST_MAGNITUDE && largest <= LARGEST_MAGNITUDE)) return 0.0f;
    uint32_t bits;
    memcpy(&bits, &largest, sizeof bits);
    bits = (253u << 23) - (bits & 0xff800000u); /* 2^-(e + 1) of 2^e <= largest < 2^(e + 1) */
    float unit;
    memcpy(&unit, &bits, sizeof unit);
    return unit;
}

static void find_units(const struct sinq_group_block *block, size_t first, float unit[SINQ_LANES]) {
    for (size_t l = 0; l < SINQ_LANES; l++) unit[l] = find_unit(block, first + l);
}

static struct sinq_lane_groups get_groups(const struct sinq_group_block *block, size_t first, const float *values) {
    const float *const weights = block->weights == NULL ? NULL : values + SINQ_SCALE_BLOCK_ROWS * block->cols;
    return (struct sinq_lane_groups){values + first * block->cols, weights, block->cols};
}

/* What the largest magnitude is divided by before it is put at the outer level. 1 is always among them: no search. */
struct factors {
    unsigned count;
    float by[MOST_STEPS];
};
static const struct factors fast_factors[3] = {{2, {0.7f, 1.0f}}, {2, {0.88f, 1.0f}}, {2, {0.95f, 1.0f}}},
                            usual_factors[3] = {{4, {0.6f, 0.73f, 0.86f, 1.0f}},
                                                {4, {0.8f, 0.9f, 1.0f, 1.1f}},
                                                {4, {0.93f, 1.0f, 1.07f, 1.14f}}},
                            best_factors[3] = {
                                {11, {0.5f, 0.55f, 0.6f, 0.65f, 0.7f, 0.75f, 0.8f, 0.85f, 0.9f, 0.95f, 1.0f}},
                                {9, {0.75f, 0.8f, 0.85f, 0.9f, 0.95f, 1.0f, 1.05f, 1.1f, 1.15f}},
                                {11, {0.9f, 0.925f, 0.95f, 0.975f, 1.0f, 1.025f, 1.05f, 1.075f, 1.1f, 1.125f, 1.15f}}};

static size_t space_steps(enum sinq_effort effort, unsigned bits, const struct sinq_byte_levels *levels, float *steps) {
    const struct factors *const factors = effort == SINQ_EFFORT_FAST   ? &fast_factors[bits - 2]
                                          : effort == SINQ_EFFORT_BEST ? &best_factors[bits - 2]
                                                                       : &usual_factors[bits - 2];
    const float last = fmaxf(levels->above_centre.level[15], -levels->above_centre.level[0]);
    for (size_t i = 0; i < factors->count; i++) steps[i] = last / factors->by[i];
    return factors->count;
}

void sinq_search_signed_scales(enum sinq_effort effort, unsigned bits, const struct sinq_byte_levels *levels,
                               const struct sinq_group_block *block, float *values, float *scale, float *error) {
    float steps[MOST_STEPS], *const weights = values + SINQ_SCALE_BLOCK_ROWS * block->cols;
    const size_t count = space_steps(effort, bits, levels, steps);
    for (size_t i = 0; block->weights != NULL && i < SINQ_LANES * block->cols; i++) {
        weights[i] = block->weights[i / SINQ_LANES];
    }
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        float unit[SINQ_LANES], found[SINQ_LANES];
        find_units(block, first, unit);
        kernels->spread_rows(block->x + first * block->stride, block->stride, block->cols, unit,
                             values + first * block->cols);
        const struct sinq_lane_groups groups = get_groups(block, first, values);
        kernels->search_levels(&groups, &levels->above_centre, steps, count, found,
                               error == NULL ? NULL : error + first);
        for (size_t l = 0; l < SINQ_LANES; l++) scale[first + l] = unit[l] > 0 ? found[l] / unit[l] : 0.0f;
    }
}

/* ---- what can be stored ---- */

void sinq_choose_stored_scales(const struct sinq_byte_levels *levels, const struct sinq_signed_range *range,
                               const struct sinq_group_block *block, const float *values, float *scale, uint8_t *code,
                               float *error) {
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        const struct sinq_lane_groups groups = get_groups(block, first, values);
        struct sinq_lane_range in_lanes = {.low = range->low, .step = range->step, .most = range->most};
        struct sinq_lane_choice choice;
        find_units(block, first, in_lanes.by);
        memcpy(in_lanes.unit, range->unit + first, sizeof in_lanes.unit);
        memcpy(choice.scale, scale + first, sizeof choice.scale);
        sinq_get_quantize_kernels()->choose_level_scale(&groups, &levels->above_centre, &in_lanes, &choice);
        memcpy(scale + first, choice.scale, sizeof choice.scale);
        memcpy(error + first, choice.error, sizeof choice.error);
        for (size_t l = 0; l < SINQ_LANES; l++) code[first + l] = (uint8_t)choice.code[l];
    }
}
