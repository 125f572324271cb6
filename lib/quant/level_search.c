#include "quant/level_search.h"

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

/* Values of sixteen rows, a lane each. */
static void spread_values(const struct sinq_group_block *block, size_t first, float *values) {
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const float *const x = block->x + (first + l) * block->stride;
        const float unit = find_unit(block, first + l);
        for (size_t j = 0; j < block->cols; j++) values[SINQ_LANES * j + l] = unit > 0 ? x[j] * unit : 0.0f;
    }
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
                               const struct sinq_group_block *block, float *values, float *scale) {
    float steps[MOST_STEPS], *const weights = values + SINQ_SCALE_BLOCK_ROWS * block->cols;
    const size_t count = space_steps(effort, bits, levels, steps);
    for (size_t i = 0; block->weights != NULL && i < SINQ_LANES * block->cols; i++) {
        weights[i] = block->weights[i / SINQ_LANES];
    }
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        spread_values(block, first, values + first * block->cols);
        const struct sinq_lane_groups groups = get_groups(block, first, values);
        float found[SINQ_LANES];
        sinq_get_quantize_kernels()->search_levels(&groups, &levels->above_centre, steps, count, found);
        for (size_t l = 0; l < SINQ_LANES && first + l < block->rows; l++) {
            const float unit = find_unit(block, first + l);
            scale[first + l] = unit > 0 ? found[l] / unit : 0.0f;
        }
    }
}

/* ---- what can be stored ---- */

static float hold_within(float value, float most) { return value < 0.0f ? 0.0f : value > most ? most : value; }

/* As rintf has it, which is a call where all processors are to run this. */
static float round_code(float value) {
    const float rounded = value + 0x1.8p23f;
    return rounded - 0x1.8p23f;
}

void sinq_choose_stored_scales(const struct sinq_byte_levels *levels, const struct sinq_signed_range *range,
                               const struct sinq_group_block *block, const float *values, float *scale, uint8_t *code) {
    static const float offsets[3] = {0.0f, -1.0f, 1.0f}; /* the nearest wins ties */
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        const struct sinq_lane_groups groups = get_groups(block, first, values);
        const size_t rows = block->rows - first < SINQ_LANES ? block->rows - first : SINQ_LANES;
        float least[SINQ_LANES], place[SINQ_LANES], unit[SINQ_LANES], best[SINQ_LANES] = {0}, stored[SINQ_LANES] = {0};
        for (size_t l = 0; l < rows; l++) {
            const float magnitude = fabsf(scale[first + l]) / range->unit[first + l];
            place[l] = round_code(hold_within((magnitude - range->low) / range->step, range->most));
            unit[l] = copysignf(range->unit[first + l] * find_unit(block, first + l), scale[first + l]);
            least[l] = INFINITY;
        }
        for (size_t c = 0; c < sizeof offsets / sizeof offsets[0]; c++) {
            float error[SINQ_LANES], tried[SINQ_LANES];
            for (size_t l = 0; l < rows; l++) {
                tried[l] = hold_within(place[l] + offsets[c], range->most);
                stored[l] = (range->low + tried[l] * range->step) * unit[l];
            }
            sinq_get_quantize_kernels()->round_levels(&groups, &levels->above_centre, stored, NULL, error);
            for (size_t l = 0; l < rows; l++) {
                best[l] = error[l] < least[l] ? tried[l] : best[l];
                least[l] = error[l] < least[l] ? error[l] : least[l];
            }
        }
        for (size_t l = 0; l < rows; l++) {
            code[first + l] = (uint8_t)best[l];
            scale[first + l] =
                copysignf((range->low + best[l] * range->step) * range->unit[first + l], scale[first + l]);
        }
    }
}
