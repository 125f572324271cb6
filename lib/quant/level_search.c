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
    const float largest = fmaxf(fabsf(block->lowest[row]), fabsf(block->highest[row]));
    if (!(largest >= SMALLEST_MAGNITUDE && largest <= LARGEST_MAGNITUDE)) return 0.0f;
    int exponent;
    (void)frexpf(largest, &exponent);
    return ldexpf(1.0f, -exponent);
}

static void spread_values(const struct sinq_group_block *block, size_t first, float *values, float *weights) {
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const float *const x = block->x + (first + l) * block->stride;
        const float unit = find_unit(block, first + l);
        for (size_t j = 0; j < block->cols; j++) {
            values[SINQ_LANES * j + l] = unit > 0 ? x[j] * unit : 0.0f;
            weights[SINQ_LANES * j + l] = 1.0f;
        }
    }
}

static struct sinq_lane_groups get_groups(const struct sinq_group_block *block, size_t first, const float *values) {
    const float *const weights = values + SINQ_SCALE_BLOCK_ROWS * block->cols;
    return (struct sinq_lane_groups){values + first * block->cols, weights, block->cols};
}

/* Where the largest magnitude is put, in levels: at the last one divided by a factor. */
static size_t space_steps(enum sinq_effort effort, unsigned bits, const struct sinq_byte_levels *levels, float *steps) {
    const size_t count = effort == SINQ_EFFORT_FAST ? 4 : effort == SINQ_EFFORT_BEST ? MOST_STEPS - 1 : 6;
    const float from = bits == 2 ? 0.55f : bits == 3 ? 0.8f : 0.9f, to = bits == 2 ? 0.95f : 1.15f;
    const float last = fmaxf(levels->above_centre.level[15], -levels->above_centre.level[0]);
    for (size_t i = 0; i < count; i++) {
        steps[i] = last / (from + (to - from) * ((float)i / (float)(count - 1)));
    }
    steps[count] = last; /* what there is without a search: never worse than that */
    return count + 1;
}

void sinq_search_signed_scales(enum sinq_effort effort, unsigned bits, const struct sinq_byte_levels *levels,
                               const struct sinq_group_block *block, float *values, float *scale) {
    float steps[MOST_STEPS], *const weights = values + SINQ_SCALE_BLOCK_ROWS * block->cols;
    const size_t count = space_steps(effort, bits, levels, steps);
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        spread_values(block, first, values + first * block->cols, weights);
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

void sinq_choose_stored_scales(const struct sinq_byte_levels *levels, const struct sinq_signed_range *range,
                               const struct sinq_group_block *block, const float *values, float *scale, uint8_t *code) {
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        const struct sinq_lane_groups groups = get_groups(block, first, values);
        const size_t rows = block->rows - first < SINQ_LANES ? block->rows - first : SINQ_LANES;
        float least[SINQ_LANES], nearest[SINQ_LANES], best[SINQ_LANES] = {0};
        for (size_t l = 0; l < rows; l++) {
            const float magnitude = fabsf(scale[first + l]) / range->unit[first + l];
            nearest[l] = rintf(fminf(fmaxf((magnitude - range->low) / range->step, 0.0f), range->most));
            least[l] = INFINITY;
        }
        for (int c = 0; c < 3; c++) {
            const float off = c == 0 ? 0.0f : c == 1 ? -1.0f : 1.0f; /* the nearest wins ties */
            float stored[SINQ_LANES] = {0}, error[SINQ_LANES];
            for (size_t l = 0; l < rows; l++) {
                const float place = fminf(fmaxf(nearest[l] + off, 0.0f), range->most);
                const float value = (range->low + place * range->step) * range->unit[first + l];
                stored[l] = copysignf(value, scale[first + l]) * find_unit(block, first + l);
            }
            sinq_get_quantize_kernels()->round_levels(&groups, &levels->above_centre, stored, NULL, error);
            for (size_t l = 0; l < rows; l++) {
                if (!(error[l] < least[l])) continue;
                least[l] = error[l];
                best[l] = fminf(fmaxf(nearest[l] + off, 0.0f), range->most);
            }
        }
        for (size_t l = 0; l < rows; l++) {
            code[first + l] = (uint8_t)best[l];
            scale[first + l] =
                copysignf((range->low + best[l] * range->step) * range->unit[first + l], scale[first + l]);
        }
    }
}
