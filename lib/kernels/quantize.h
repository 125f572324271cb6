/*
 * quantize.h: the inner loops of the quantizer, one version an instruction set, all with the same results to the last bit.
 *
 * Sixteen lanes everywhere: lane l of a sum over columns takes columns l, l + 16, ..., then lanes are folded l + 8, l + 4,
 * l + 2, l + 1. No fused multiply-add, no approximate reciprocals. The plain-C version has the same sixteen lanes.
 *
 * A strip is up to SINQ_STRIP_COLUMNS columns of a tile, a multiple of 16: `vectors` counts the sixteens. Rows come in
 * sixteens too; the caller pads (see quant/matrix/tile.h).
 */
#ifndef SINQ_KERNELS_QUANTIZE_H
#define SINQ_KERNELS_QUANTIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/level_table.h"

#define SINQ_LANES         16u
#define SINQ_STRIP_VECTORS 4u
#define SINQ_STRIP_COLUMNS (SINQ_LANES * SINQ_STRIP_VECTORS)

/* Bounds of the scales: exp(-0.3) and exp(10) (the reference clips their logarithms). */
#define SINQ_SMALLEST_SCALE 0.74081822068f
#define SINQ_LARGEST_SCALE  22026.465795f

/*
 * Sixteen groups of a block type whose scales are searched, one a lane: values[i][lane] and weights[i][lane] (not negative; of levels NULL: all 1), 32
 * at most, of magnitudes near 1. What is searched has little of the sum over a group of weight * (value - decoded)^2.
 */
#define SINQ_MOST_GROUP_VALUES 32u
struct sinq_lane_groups {
    const float *values, *weights;
    size_t count;
};
/* Codes from lowest to highest that count as scale * code - minimum. */
struct sinq_lane_codes {
    float lowest, highest;
    float scale[SINQ_LANES], minimum[SINQ_LANES];
};

/* What can be stored for a scale of levels: magnitudes (low + code * step) * unit[lane], codes up to most; values were multiplied by by[lane]. */
struct sinq_lane_range {
    float low, step, most, unit[SINQ_LANES], by[SINQ_LANES];
};
struct sinq_lane_choice {
    float scale[SINQ_LANES], code[SINQ_LANES], error[SINQ_LANES];
};

/* What is tried for a line through a group's values. */
struct sinq_lane_line_search {
    const float *values;
    size_t count;
    float top;
    const float (*shrinks)[2]; /* of what is below and above the mean */
    size_t shrink_count;
    unsigned each, last;
};
struct sinq_lane_line {
    float scale[SINQ_LANES], base[SINQ_LANES];
};

#define SINQ_DOMINANT_MEAN 0.9

/* What a pass over a strip finds. */
struct sinq_strip_sums {
    double *row_sum, *row_square, *col_sum, *col_square;
    bool adds; /* to what the rows' arrays hold: the strip is not a tile's first */
    /* Of a tile's last strip: deviations of its rows, of `row_values` values each, as find_deviations finds them. Else NULL. */
    float *row_deviation;
    double row_values;
    bool has_dominant; /* set with them */
};

/* Of some bf16 or f32 values. */
struct sinq_magnitudes {
    uint32_t largest; /* bits of an f32, sign bit cleared: also tells whether all are finite */
    bool has_tiny;    /* values other than zero that cannot be divided in the quick way (has_no_tiny) */
};

struct sinq_quantize_kernels {
    /*
     * Sums and sums of squares, in f64, of the rows and columns of C = M * inverse_cols[j] * inverse_rows[i] (in f32) over a
     * strip of `rows` rows, a multiple of 16.
     */
    void (*measure_strip_f32)(const float *values, size_t stride, size_t rows, unsigned vectors,
                              const float *inverse_cols, const float *inverse_rows, struct sinq_strip_sums *sums);
    void (*measure_strip_bf16)(const uint16_t *values, size_t stride, size_t rows, unsigned vectors,
                               const float *inverse_cols, const float *inverse_rows, struct sinq_strip_sums *sums);

    /*
     * deviation[i] = sqrt((square - sum^2 / values) / (values - 1)). `count` is padded to sixteen. Returns whether any
     * sum^2 / values is more than SINQ_DOMINANT_MEAN of its square: then a deviation has lost digits.
     */
    bool (*find_deviations)(size_t count, double values, const double *sum, const double *square, float *deviation);

    /* Smallest and largest of `count` values, at least one. */
    void (*find_extremes)(size_t count, const float *values, float *lowest, float *highest);

    /*
     * One Sinkhorn step of one side: next = clip(scale * clamp(clamp(deviation, 1e-3, 1e3) / tau, 0.7, 2)), inverse = 1 / next.
     * Arrays are padded to sixteen. Returns the largest change of a scale.
     */
    float (*step_scales)(size_t rows, const float *deviation, float tau, const float *scale, float *next,
                         float *inverse);

    /*
     * Min-max parameters of sixteen groups: scale the larger of (highest - lowest) / top and |lowest| / most_zero, zero the integer
     * nearest to -lowest / scale. Returns false where that does not make sense: a group has no range, or one that underflows.
     */
    bool (*choose_ranges)(const float *lowest, const float *highest, float top, float most_zero, float *scale,
                          float *zero);
    /* Rounds to f16, `count` a multiple of 16. */
    void (*store_halves)(const float *values, size_t count, uint16_t *halves);

    /*
     * out[i][j] = (M / col_scale[j]) / row_scale[i] for 16 rows, and each row's extremes. out has out_stride columns. has_no_tiny:
     * none of the values has_tiny, which else is looked into.
     */
    void (*normalize_rows_f32)(const float *values, size_t stride, unsigned vectors, bool has_no_tiny,
                               const float *col_scale, const float *row_scale, float *out, size_t out_stride,
                               float *lowest, float *highest);
    void (*normalize_rows_bf16)(const uint16_t *values, size_t stride, unsigned vectors, bool has_no_tiny,
                                const float *col_scale, const float *row_scale, float *out, size_t out_stride,
                                float *lowest, float *highest);

    /*
     * codes = clamp(round(x / scale + zero), 0, top) for 16 rows, and per row the sums over columns of
     * ((x - (code - zero) * scale) * col_scale)^2 into row_error and of (x * col_scale)^2 into row_norm. Columns beyond the
     * group carry col_scale 0 in `weights`, so they count nothing. codes may be NULL.
     */
    void (*encode_uniform)(const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
                           float top, const float *weights, uint8_t *codes, size_t code_stride, float *row_error,
                           float *row_norm);

    /* As encode_uniform with a table of levels: the nearest level to x / scale + zero, the lower one of a tie. */
    void (*encode_levels)(const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
                          const struct sinq_level_table *table, const float *weights, uint8_t *codes,
                          size_t code_stride, float *row_error, float *row_norm);

    /*
     * Scale and base of sixteen groups, one a lane, whose values reach from 0 to 1: values[i][lane] ~= base + scale * code,
     * codes 0 to top. In `line` come a scale and a base to begin with. Each candidate shrinks what lies below and above the mean by its two factors; each
     * is refined `each` times by least squares, the best of all `last` times more.
     */
    void (*search_line)(const struct sinq_lane_line_search *search, struct sinq_lane_line *line);
    /* line->scale: the best for the given zero points, value + lowest ~= scale * (code - zero), from the scale given. */
    void (*refit_scale)(const struct sinq_lane_line_search *search, const float lowest[SINQ_LANES],
                        const float zero[SINQ_LANES], struct sinq_lane_line *line);

    /*
     * codes->scale, of either sign and 0 for groups of zeros, is the best that follows from rounding with one of
     * largest / steps[j], steps_count of them, an even number.
     */
    void (*search_scale)(const struct sinq_lane_groups *groups, const float *steps, size_t step_count,
                         struct sinq_lane_codes *codes);
    /* codes->scale and minimum, from rounding with one of range / steps[j]; is_below: no minimum is below 0. */
    void (*search_minimum)(const struct sinq_lane_groups *groups, const float *steps, size_t step_count, bool is_below,
                           struct sinq_lane_codes *codes);
    /*
     * As search_scale, codes being the levels of a table, in magnitude 128 at most. error (or NULL): what the scale leaves, by
     * what it gains, so not below 2^-20 of the sum of squares.
     */
    void (*search_levels)(const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                          const float *steps, size_t step_count, float scale[SINQ_LANES], float *error);
    /*
     * choice->scale comes as wished and leaves as stored, its sign kept: of the nearest that can be stored and those beside it
     * the one of least error.
     */
    void (*choose_level_scale)(const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                               const struct sinq_lane_range *range, struct sinq_lane_choice *choice);
    /* values[j][lane] = x[lane][j] * by[lane] of sixteen rows. */
    void (*spread_rows)(const float *x, size_t stride, size_t cols, const float by[SINQ_LANES], float *values);
    /*
     * The nearest codes, less the lowest, to stored[i][lane] (or NULL), and each group's error. best_scale and best_minimum (or
     * NULL): with these codes, the best scale at this minimum and the best minimum at this scale.
     */
    void (*round_codes)(const struct sinq_lane_groups *groups, const struct sinq_lane_codes *codes, uint8_t *stored,
                        float error[SINQ_LANES], float best_scale[SINQ_LANES], float best_minimum[SINQ_LANES]);
    void (*round_levels)(const struct sinq_lane_groups *groups, const struct sinq_level_table *table,
                         const float scale[SINQ_LANES], uint8_t *stored, float error[SINQ_LANES]);

    /*
     * Of two panels of sixteen columns, a[r][16] and b[r][16]: sums[i * stride + j] += sum over r of a[r][i] * b[r][j], in the order of r.
     */
    void (*add_panel_products)(const float *a, const float *b, size_t rows, float *sums, size_t stride);
    /* values[k][32] -= errors[i][32] * factors[i * stride + k], for i = 0 .. terms - 1 in that order. */
    void (*subtract_products)(const float *errors, const float *factors, size_t stride, size_t terms, size_t cols,
                              float *values);

    struct sinq_magnitudes (*scan_bf16)(const uint16_t *values, size_t count);
    struct sinq_magnitudes (*scan_f32)(const uint32_t *values, size_t count);
};

/* The table of the level in use (kernels/cpu.h). */
const struct sinq_quantize_kernels *sinq_get_quantize_kernels(void);

extern const struct sinq_quantize_kernels sinq_quantize_kernels_c;
#if defined(__x86_64__)
extern const struct sinq_quantize_kernels sinq_quantize_kernels_sse2;
extern const struct sinq_quantize_kernels sinq_quantize_kernels_avx2;
extern const struct sinq_quantize_kernels sinq_quantize_kernels_avx512;
extern const struct sinq_quantize_kernels sinq_quantize_kernels_avx512vbmi;
#elif defined(__aarch64__)
extern const struct sinq_quantize_kernels sinq_quantize_kernels_neon;
#endif

#endif
