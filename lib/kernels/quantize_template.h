/*
 * quantize_template.h: the bodies of quantize.h, written once over sixteen lanes. An instruction set's file defines the lane
 * operations (simd_*.h) and KERNELS, the name of its table, and includes this.
 */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "kernels/quantize.h"

#define INLINE static inline __attribute__((always_inline))

#include "kernels/nearest_template.h"

/*
 * Division by what has been inverted: quick where the instruction set has v_divide_quick, which gives the same bits as a
 * division unless something is so small or large that a product or remainder leaves the range of normal numbers.
 */
static inline v16 divide(bool is_quick, v16 a, v16 b, v16 by_b) {
    return is_quick ? v_divide_quick(a, b, by_b) : v_div(a, b);
}

#include "kernels/strip_template.h"

static inline v16 clamp(v16 v, float low, float high) { return v_min(v_max(v, v_set(low)), v_set(high)); }

static bool find_deviations(size_t count, double values, const double *sum, const double *square, float *deviation) {
    bool has_dominant = false;
    for (size_t i = 0; i < count; i += SINQ_LANES) {
        has_dominant |= put_deviations(sum + i, square + i, values, deviation + i);
    }
    return has_dominant;
}

static void find_extremes(size_t count, const float *values, float *lowest, float *highest) {
    v16 low[SINQ_LANES], high[SINQ_LANES];
    low[0] = high[0] = v_set(values[0]);
    for (size_t i = 0; i + SINQ_LANES <= count; i += SINQ_LANES) {
        low[0] = v_min(low[0], v_load(values + i));
        high[0] = v_max(high[0], v_load(values + i));
    }
    for (unsigned l = 1; l < SINQ_LANES; l++) {
        low[l] = low[0];
        high[l] = high[0];
    }
    *lowest = v_first(v_min_rows(low));
    *highest = v_first(v_max_rows(high));
    for (size_t i = count / SINQ_LANES * SINQ_LANES; i < count; i++) {
        *lowest = values[i] < *lowest ? values[i] : *lowest;
        *highest = values[i] > *highest ? values[i] : *highest;
    }
}

static float step_scales(size_t rows, const float *deviation, float tau, const float *scale, float *next,
                         float *inverse) {
    const v16 one = v_set(1.0f), divisor = v_set(tau);
    v16 folds[SINQ_LANES], change = v_set(0.0f);
    for (size_t i = 0; i < rows; i += SINQ_LANES) {
        const v16 old = v_load(scale + i);
        const v16 factor = clamp(v_div(clamp(v_load(deviation + i), 1e-3f, 1e3f), divisor), 0.7f, 2.0f);
        const v16 fresh = clamp(v_mul(old, factor), SINQ_SMALLEST_SCALE, SINQ_LARGEST_SCALE);
        v_store(next + i, fresh);
        v_store(inverse + i, v_div(one, fresh));
        change = v_max(change, v_max(v_sub(fresh, old), v_sub(old, fresh)));
    }
    for (unsigned l = 0; l < SINQ_LANES; l++) folds[l] = change;
    return v_first(v_max_rows(folds));
}

static bool choose_ranges(const float *lowest, const float *highest, float top, float most_zero, float *scale,
                          float *zero) {
    const v16 none = v_set(0.0f), low = v_load(lowest), most = v_set(most_zero);
    const v16 step = v_div(v_sub(v_load(highest), low), v_set(top));
    const v16 farthest = v_div(v_max(low, v_sub(none, low)), most);
    const v16 chosen = v_where_greater(farthest, step, farthest, step);
    float steps[SINQ_LANES];
    unsigned without = 0;
    v_store(steps, step);
    for (unsigned l = 0; l < SINQ_LANES; l++) without += steps[l] == 0.0f;
    v_store(scale, chosen);
    v_store(zero, clamp(v_sub(none, v_round(v_div(low, chosen))), -most_zero, most_zero));
    return without == 0;
}

static void store_halves(const float *values, size_t count, uint16_t *halves) {
    for (size_t i = 0; i < count; i += SINQ_LANES) v_store_f16(halves + i, v_load(values + i));
}

/* Squared error and squared norm of one vector, weighted, onto the running sums. */
static inline void add_error(v16 x, v16 rebuilt, v16 weight, v16 *error, v16 *norm) {
    const v16 e = v_mul(v_sub(x, rebuilt), weight), w = v_mul(x, weight);
    *error = v_add(*error, v_mul(e, e));
    *norm = v_add(*norm, v_mul(w, w));
}

/* Group scales that v_divide_quick can divide any value by. */
#define SMALLEST_QUICK_SCALE ((127u - 60u) << 23)
#define LARGEST_QUICK_SCALE  ((127u + 100u) << 23)

static inline bool are_quick_scales(const float *scale, bool is_signed) {
    uint32_t bits[SINQ_LANES], farthest = 0;
    memcpy(bits, scale, sizeof bits);
    for (unsigned r = 0; r < SINQ_LANES; r++) {
        const uint32_t place = (is_signed ? bits[r] & 0x7fffffffu : bits[r]) - SMALLEST_QUICK_SCALE;
        farthest = place > farthest ? place : farthest;
    }
    return farthest <= LARGEST_QUICK_SCALE - SMALLEST_QUICK_SCALE;
}

#ifndef V_HAS_CODES
typedef v16 v_codes;
INLINE v_codes v_round_codes(v16 places) { return v_round(places); }
INLINE v16 v_from_codes(v_codes codes) { return codes; }
INLINE void v_store_codes(uint8_t *to, const v_codes *codes, unsigned vectors) {
    for (unsigned v = 0; v < vectors; v++) v_store_u8(to + SINQ_LANES * v, codes[v]);
}
#endif

static inline __attribute__((always_inline)) void
encode_vectors(bool is_quick, const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
               float top, const float *weights, uint8_t *codes, size_t code_stride, float *row_error, float *row_norm) {
    const v16 bottom = v_set(0.0f), ceiling = v_set(top);
    v16 errors[SINQ_LANES], norms[SINQ_LANES];
    float by_scale[SINQ_LANES];
    v_store(by_scale, v_div(v_set(1.0f), v_load(scale)));
    for (unsigned r = 0; r < SINQ_LANES; r++) {
        const v16 s = v_set(scale[r]), by_s = v_set(by_scale[r]), z = v_set(zero[r]);
        v16 error = v_set(0.0f), norm = error;
        v_codes rounded[SINQ_STRIP_VECTORS];
        for (unsigned v = 0; v < vectors; v++) {
            const v16 value = v_load(x + r * x_stride + SINQ_LANES * v);
            /* Both bounds are integers, so clamping first changes nothing and keeps rounding in range. */
            const v16 place = v_min(v_max(v_add(divide(is_quick, value, s, by_s), z), bottom), ceiling);
            rounded[v] = v_round_codes(place);
            const v16 rebuilt = v_mul(v_sub(v_from_codes(rounded[v]), z), s);
            add_error(value, rebuilt, v_load(weights + SINQ_LANES * v), &error, &norm);
        }
        if (codes != NULL) v_store_codes(codes + r * code_stride, rounded, vectors);
        errors[r] = error;
        norms[r] = norm;
    }
    v_store(row_error, v_sum_rows(errors));
    v_store(row_norm, v_sum_rows(norms));
}

static void encode_uniform(const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
                           float top, const float *weights, uint8_t *codes, size_t code_stride, float *row_error,
                           float *row_norm) {
    /* A value so tiny that its quotient is not exact adds nothing to a zero point, and rounds to 0 where that is 0. */
    if (vectors == SINQ_STRIP_VECTORS && are_quick_scales(scale, false)) {
        encode_vectors(true, x, x_stride, SINQ_STRIP_VECTORS, scale, zero, top, weights, codes, code_stride, row_error,
                       row_norm);
    } else {
        encode_vectors(false, x, x_stride, vectors, scale, zero, top, weights, codes, code_stride, row_error, row_norm);
    }
}

INLINE void encode_by_table(bool has_cells, bool is_quick, const float *x, size_t x_stride, unsigned vectors,
                            const float *scale, const float *zero, const struct sinq_level_table *table,
                            const float *weights, uint8_t *codes, size_t code_stride, float *row_error,
                            float *row_norm) {
    v16 errors[SINQ_LANES], norms[SINQ_LANES];
    float by_scale[SINQ_LANES];
    v_store(by_scale, v_div(v_set(1.0f), v_load(scale)));
    for (unsigned r = 0; r < SINQ_LANES; r++) {
        const v16 s = v_set(scale[r]), by_s = v_set(by_scale[r]), z = v_set(zero[r]);
        v16 error = v_set(0.0f), norm = error;
        for (unsigned v = 0; v < vectors; v++) {
            const v16 value = v_load(x + r * x_stride + SINQ_LANES * v);
            const v16 place = v_add(divide(is_quick, value, s, by_s), z);
            const struct level_found found = find_level(has_cells, table, place);
            if (codes != NULL) v_store_u8(codes + r * code_stride + SINQ_LANES * v, found.code);
            add_error(value, v_mul(v_sub(found.level, z), s), v_load(weights + SINQ_LANES * v), &error, &norm);
        }
        errors[r] = error;
        norms[r] = norm;
    }
    v_store(row_error, v_sum_rows(errors));
    v_store(row_norm, v_sum_rows(norms));
}

static void encode_levels(const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
                          const struct sinq_level_table *table, const float *weights, uint8_t *codes,
                          size_t code_stride, float *row_error, float *row_norm) {
    const bool is_quick = HAS_CELLS(table) && table->is_quick && are_quick_scales(scale, true);
    if (is_quick && vectors == 2) { /* groups of 32 */
        encode_by_table(true, true, x, x_stride, 2, scale, zero, table, weights, codes, code_stride, row_error,
                        row_norm);
    } else if (is_quick) {
        encode_by_table(true, true, x, x_stride, vectors, scale, zero, table, weights, codes, code_stride, row_error,
                        row_norm);
    } else if (HAS_CELLS(table)) {
        encode_by_table(true, false, x, x_stride, vectors, scale, zero, table, weights, codes, code_stride, row_error,
                        row_norm);
    } else {
        encode_by_table(false, false, x, x_stride, vectors, scale, zero, table, weights, codes, code_stride, row_error,
                        row_norm);
    }
}

#include "kernels/gram_template.h"
#include "kernels/line_template.h"
#include "kernels/search_template.h"

static struct sinq_magnitudes scan_bf16(const uint16_t *values, size_t count) {
    uint16_t largest = 0, least = UINT16_MAX;
    for (size_t i = 0; i < count; i++) {
        const uint16_t magnitude = values[i] & 0x7fffu, place = (uint16_t)(magnitude - 1u); /* zero comes last */
        largest = magnitude > largest ? magnitude : largest;
        least = place < least ? place : least;
    }
    return (struct sinq_magnitudes){(uint32_t)largest << 16, least < TINY_uint16_t - 1u};
}

static struct sinq_magnitudes scan_f32(const uint32_t *values, size_t count) {
    uint32_t largest = 0, least = UINT32_MAX;
    for (size_t i = 0; i < count; i++) {
        const uint32_t magnitude = values[i] & 0x7fffffffu, place = magnitude - 1u;
        largest = magnitude > largest ? magnitude : largest;
        least = place < least ? place : least;
    }
    return (struct sinq_magnitudes){largest, least < TINY_uint32_t - 1u};
}

const struct sinq_quantize_kernels KERNELS = {
    .measure_strip_f32 = measure_strip_f32,
    .measure_strip_bf16 = measure_strip_bf16,
    .find_deviations = find_deviations,
    .find_extremes = find_extremes,
    .step_scales = step_scales,
    .choose_ranges = choose_ranges,
    .store_halves = store_halves,
    .normalize_rows_f32 = normalize_rows_f32,
    .normalize_rows_bf16 = normalize_rows_bf16,
    .encode_uniform = encode_uniform,
    .encode_levels = encode_levels,
    .search_line = search_line,
    .refit_scale = refit_scale,
    .search_scale = search_scale,
    .search_minimum = search_minimum,
    .search_levels = search_levels,
    .round_codes = round_codes,
    .round_levels = round_levels,
    .choose_level_scale = choose_level_scale,
    .spread_rows = spread_rows,
    .add_panel_products = add_panel_products,
    .subtract_products = subtract_products,
    .scan_bf16 = scan_bf16,
    .scan_f32 = scan_f32,
};
