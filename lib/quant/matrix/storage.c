#include "quant/matrix/storage.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/quantize.h"
#include "tensor/dtype.h"

/* The smallest f16 above zero: the step of a range whose values are all equal. */
#define SMALLEST_HALF 5.9604645e-8f

/* In place of fminf and fmaxf, which are calls. */
static inline float hold_in_byte(float place) { return place < 0.0f ? 0.0f : place > 255.0f ? 255.0f : place; }

void sinq_store_halves(const float *values, size_t rows, uint16_t *halves) {
    const size_t whole = rows - rows % SINQ_LANES;
    sinq_get_quantize_kernels()->store_halves(values, whole, halves);
    for (size_t r = whole; r < rows; r++) halves[r] = sinq_float_to_half(values[r]);
}

void sinq_choose_range(const float *values, const bool *is_free, size_t rows, float most, uint16_t range[2]) {
    float lowest = INFINITY, highest = -INFINITY;
    for (size_t r = 0; r < rows; r++) {
        if (is_free[r]) continue;
        lowest = values[r] < lowest ? values[r] : lowest;
        highest = values[r] > highest ? values[r] : highest;
    }
    if (highest < lowest) lowest = highest = 0.0f;
    range[0] = sinq_float_to_half(lowest);
    const float step = (highest - sinq_half_to_float(range[0])) / most;
    range[1] = sinq_float_to_half(fmaxf(step, SMALLEST_HALF));
    /* Rounded down, the last code would fall short of the highest value. */
    if (sinq_half_to_float(range[0]) + most * sinq_half_to_float(range[1]) < highest) range[1]++;
}

void sinq_store_column(enum sinq_aux_type type, const float *values, const bool *is_free, size_t rows, float shortfall,
                       struct sinq_stored_column *stored) {
    if (type == SINQ_AUX_F16) {
        sinq_store_halves(values, rows, stored->half);
        for (size_t r = 0; r < rows; r++) stored->value[r] = sinq_half_to_float(stored->half[r]);
        return;
    }
    sinq_choose_range(values, is_free, rows, 255.0f, stored->range);
    const float low = sinq_half_to_float(stored->range[0]), step = sinq_half_to_float(stored->range[1]);
    for (size_t r = 0; r < rows; r++) {
        const float place = is_free[r] ? 0.0f : hold_in_byte((values[r] - low) / step);
        float code = (place + 8388608.0f) - 8388608.0f;
        const bool falls_short = values[r] - (low + code * step) > shortfall * fabsf(values[r]);
        if (!is_free[r] && falls_short && code < 255.0f) code += 1.0f;
        stored->code[r] = (uint8_t)code;
        stored->value[r] = low + code * step;
    }
}

void sinq_store_codes(const float *values, size_t rows, float low, float step, struct sinq_stored_column *stored) {
    for (size_t r = 0; r < rows; r++) {
        const float place = hold_in_byte((values[r] - low) / step);
        const float code = (place + 8388608.0f) - 8388608.0f;
        stored->code[r] = (uint8_t)code;
        stored->value[r] = low + code * step;
    }
}

static void put_half(uint8_t *to, uint16_t half) {
    to[0] = (uint8_t)(half & 0xff);
    to[1] = (uint8_t)(half >> 8);
}

static uint8_t *locate_range(const struct sinq_dual_scale_sizes *sizes, uint64_t row, uint64_t group, uint64_t offset,
                             uint8_t *blob) {
    return blob + offset + (row / SINQ_SCALE_BLOCK_ROWS * sizes->groups + group) * 4;
}

void sinq_write_range(const struct sinq_dual_scale_sizes *sizes, const uint16_t range[2], uint64_t row, uint64_t group,
                      uint64_t range_offset, uint8_t *blob) {
    uint8_t *const to = locate_range(sizes, row, group, range_offset, blob);
    put_half(to, range[0]);
    put_half(to + 2, range[1]);
}

/* Entries of `size` bytes: those of a panel's rows lie side by side. */
static void write_entries(const struct sinq_dual_scale_sizes *sizes, const uint8_t *entries, size_t size,
                          uint64_t first_row, size_t rows, uint64_t group, uint8_t *section) {
    for (size_t r = 0; r < rows;) {
        const uint64_t row = first_row + r;
        const size_t in_panel = (size_t)sinq_min_u64(rows - r, SINQ_PANEL_ROWS - row % SINQ_PANEL_ROWS);
        memcpy(section + sinq_locate_entry(sizes, row, group) * size, entries + r * size, in_panel * size);
        r += in_panel;
    }
}

/* In the order of bytes that the layout has and all processors this is made for. */
void sinq_write_halves(const struct sinq_dual_scale_sizes *sizes, const uint16_t *halves, uint64_t first_row,
                       size_t rows, uint64_t group, uint64_t offset, uint8_t *blob) {
    write_entries(sizes, (const uint8_t *)halves, sizeof *halves, first_row, rows, group, blob + offset);
}

void sinq_write_column(const struct sinq_dual_scale_sizes *sizes, enum sinq_aux_type type,
                       const struct sinq_stored_column *stored, uint64_t first_row, size_t rows, uint64_t group,
                       uint64_t offset, uint64_t range_offset, uint8_t *blob) {
    if (type == SINQ_AUX_F16) {
        sinq_write_halves(sizes, stored->half, first_row, rows, group, offset, blob);
        return;
    }
    write_entries(sizes, stored->code, 1, first_row, rows, group, blob + offset);
    if (range_offset == SINQ_NO_RANGES) return;
    sinq_write_range(sizes, stored->range, first_row, group, range_offset, blob);
}

/* ---- integer zeros ---- */

struct span {
    int lowest, highest;
};

static struct span widen(struct span a, struct span b) {
    return (struct span){a.lowest < b.lowest ? a.lowest : b.lowest, a.highest > b.highest ? a.highest : b.highest};
}

/* Extremes of the zeros of rows [first, first + count) of one group. */
static struct span find_span(const struct sinq_dual_scale_sizes *sizes, const int16_t *zero, uint64_t first,
                             uint64_t count, uint64_t group) {
    struct span span = {INT16_MAX, INT16_MIN};
    for (uint64_t row = first; row < first + count; row++) {
        const int z = zero[sinq_locate_entry(sizes, row, group)];
        span = widen(span, (struct span){z, z});
    }
    return span;
}

/* Extremes over the matrix, and the widest extent of any block of 32 rows. */
static struct span survey_zeros(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                                const int16_t *zero, int *widest_block) {
    struct span all = {INT16_MAX, INT16_MIN};
    *widest_block = 0;
    for (uint64_t row = 0; row < matrix->rows; row += SINQ_SCALE_BLOCK_ROWS) {
        const uint64_t count = sinq_min_u64(SINQ_SCALE_BLOCK_ROWS, matrix->rows - row);
        for (uint64_t group = 0; group < sizes->groups; group++) {
            const struct span block = find_span(sizes, zero, row, count, group);
            all = widen(all, block);
            if (block.highest - block.lowest > *widest_block) *widest_block = block.highest - block.lowest;
        }
    }
    return all;
}

static void write_block_zeros(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                              const int16_t *zero, uint8_t *blob) {
    for (uint64_t row = 0; row < matrix->rows; row += SINQ_SCALE_BLOCK_ROWS) {
        const uint64_t count = sinq_min_u64(SINQ_SCALE_BLOCK_ROWS, matrix->rows - row);
        for (uint64_t group = 0; group < sizes->groups; group++) {
            const int low = find_span(sizes, zero, row, count, group).lowest;
            uint8_t *const range = locate_range(sizes, row, group, sizes->zero_range_offset, blob);
            put_half(range, sinq_float_to_half((float)low));
            put_half(range + 2, sinq_float_to_half(1.0f));
            for (uint64_t r = row; r < row + count; r++) {
                const uint64_t entry = sinq_locate_entry(sizes, r, group);
                blob[sizes->zero_offset + entry] = (uint8_t)(zero[entry] - low);
            }
        }
    }
}

void sinq_put_codes(const struct sinq_dual_scale_sizes *sizes, const uint8_t *code, uint64_t first_row, size_t rows,
                    uint64_t group, uint8_t *entries) {
    for (size_t r = 0; r < rows; r++) {
        const uint64_t row = first_row + r;
        entries[(row / SINQ_PANEL_ROWS * sizes->groups + group) * SINQ_PANEL_ROWS + row % SINQ_PANEL_ROWS] = code[r];
    }
}

void sinq_write_integer_zeros(struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes, const int16_t *zero,
                              uint8_t *blob) {
    int widest_block = 0;
    const struct span all = survey_zeros(matrix, sizes, zero, &widest_block);
    const bool fits_matrix = all.highest - all.lowest <= 255;
    matrix->zero_per_block = !fits_matrix && widest_block <= 255;
    matrix->zero_type = fits_matrix || matrix->zero_per_block ? SINQ_AUX_U8 : SINQ_AUX_F16;
    matrix->zero_low = fits_matrix ? (float)all.lowest : 0.0f;
    matrix->zero_step = fits_matrix ? 1.0f : 0.0f;
    const bool measured = sinq_dual_scale_measure(matrix, sizes);
    if (!measured) return; /* it was measured before with another type of zeros: it fits */
    memset(blob + sizes->zero_offset, 0, (size_t)(sizes->bytes - sizes->zero_offset));
    if (matrix->zero_per_block) {
        write_block_zeros(matrix, sizes, zero, blob);
        return;
    }
    for (uint64_t row = 0; row < matrix->rows; row++) {
        for (uint64_t group = 0; group < sizes->groups; group++) {
            const uint64_t entry = sinq_locate_entry(sizes, row, group);
            if (fits_matrix) {
                blob[sizes->zero_offset + entry] = (uint8_t)(zero[entry] - all.lowest);
            } else {
                put_half(blob + sizes->zero_offset + 2 * entry, sinq_float_to_half((float)zero[entry]));
            }
        }
    }
}
