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

/* Sixteen rows; the smallest of each column first, so that whole vectors are compared. */
#define DEFINE_TINY_TEST(SUFFIX, ELEMENT, BITS, MOST)                                                                  \
    INLINE bool has_tiny_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors) {                            \
        BITS least[SINQ_STRIP_COLUMNS], smallest = MOST;                                                               \
        for (unsigned j = 0; j < SINQ_LANES * vectors; j++) least[j] = MOST;                                           \
        for (unsigned r = 0; r < SINQ_LANES; r++) {                                                                    \
            BITS bits[SINQ_STRIP_COLUMNS];                                                                             \
            memcpy(bits, values + r * stride, SINQ_LANES * vectors * sizeof *bits);                                    \
            for (unsigned j = 0; j < SINQ_LANES * vectors; j++) {                                                      \
                const BITS place = (BITS)((bits[j] & (MOST >> 1)) - 1u); /* zero comes last */                         \
                least[j] = place < least[j] ? place : least[j];                                                        \
            }                                                                                                          \
        }                                                                                                              \
        for (unsigned j = 0; j < SINQ_LANES * vectors; j++) smallest = least[j] < smallest ? least[j] : smallest;      \
        return smallest < TINY_##BITS - 1u;                                                                            \
    }
/* Values other than zero must reach this for v_divide_quick by two scales: 2^-70, as bits of f32 and of bf16. */
#define TINY_uint32_t (57u << 23)
#define TINY_uint16_t (57u << 7)
DEFINE_TINY_TEST(f32, float, uint32_t, UINT32_MAX)
DEFINE_TINY_TEST(bf16, uint16_t, uint16_t, UINT16_MAX)

/* Vector `v` of a row's `vectors`. */
INLINE v16 load_f32(const float *row, unsigned v, unsigned vectors) {
    (void)vectors;
    return v_load(row + SINQ_LANES * v);
}
INLINE v16 load_bf16(const uint16_t *row, unsigned v, unsigned vectors) {
#ifdef V_LOADS_PAIRS
    if ((v | 1) < vectors) return v_load_bf16_half(row + SINQ_LANES * (v & ~1u), v & 1);
#endif
    (void)vectors;
    return v_load_bf16(row + SINQ_LANES * v);
}

/* Of sixteen rows; returns whether a mean is dominant. */
INLINE bool put_deviations(const double *sum, const double *square, double values, float *deviation) {
    const double by_values = 1.0 / values;
    int dominant = 0;
    v_store(deviation, v_deviation(sum, square, by_values, 1.0 / (values - 1.0)));
    for (unsigned l = 0; l < SINQ_LANES; l++) dominant |= sum[l] * sum[l] * by_values > SINQ_DOMINANT_MEAN * square[l];
    return dominant != 0;
}

#define ROWS_AT_ONCE 8u
#define CACHE_LINE   64u

INLINE void put_row_sums(bool adds, const v8d *sums, double *to) {
    const v8d folded = v_fold_halves(sums);
    if (adds) {
        v_add_half_to(to, folded);
    } else {
        v_store_half(to, folded);
    }
}

#define DEFINE_STRIP_KERNELS(SUFFIX, ELEMENT)                                                                          \
    /* Eight rows of a strip; those sixteen further on are called for. */                                              \
    INLINE void measure_rows_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors, const v16 *inverse,      \
                                      const float *inverse_rows, v8d *row_sums, v8d *row_squares, v16d *sums,          \
                                      v16d *squares) {                                                                 \
        for (unsigned r = 0; r < ROWS_AT_ONCE; r++) {                                                                  \
            const ELEMENT *const row = values + r * stride;                                                            \
            const v16 by_row = v_set(inverse_rows[r]);                                                                 \
            v16d total, total_square;                                                                                  \
            for (unsigned v = 0; v < vectors; v++) {                                                                   \
                const v16 c = v_mul(v_mul(load_##SUFFIX(row, v, vectors), inverse[v]), by_row);                        \
                if (v % (CACHE_LINE / SINQ_LANES / sizeof(ELEMENT)) == 0) {                                            \
                    __builtin_prefetch(row + SINQ_LANES * (stride + v));                                               \
                }                                                                                                      \
                total = v == 0 ? v_widen(c) : v_add_value(total, c);                                                   \
                total_square = v == 0 ? v_square(c) : v_add_square(total_square, c);                                   \
                sums[v] = v_add_value(sums[v], c);                                                                     \
                squares[v] = v_add_square(squares[v], c);                                                              \
            }                                                                                                          \
            row_sums[r] = v_halve(total);                                                                              \
            row_squares[r] = v_halve(total_square);                                                                    \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    INLINE void measure_vectors_##SUFFIX(const ELEMENT *values, size_t stride, size_t rows, unsigned vectors,          \
                                         const float *inverse_cols, const float *inverse_rows,                         \
                                         struct sinq_strip_sums *found) {                                              \
        v16 inverse[SINQ_STRIP_VECTORS];                                                                               \
        v16d sums[SINQ_STRIP_VECTORS], squares[SINQ_STRIP_VECTORS];                                                    \
        bool has_dominant = false;                                                                                     \
        for (unsigned v = 0; v < vectors; v++) {                                                                       \
            inverse[v] = v_load(inverse_cols + SINQ_LANES * v);                                                        \
            sums[v] = squares[v] = v_zero_sums();                                                                      \
        }                                                                                                              \
        for (size_t first = 0; first < rows; first += ROWS_AT_ONCE) {                                                  \
            v8d row_sums[ROWS_AT_ONCE], row_squares[ROWS_AT_ONCE];                                                     \
            measure_rows_##SUFFIX(values + first * stride, stride, vectors, inverse, inverse_rows + first, row_sums,   \
                                  row_squares, sums, squares);                                                         \
            put_row_sums(found->adds, row_sums, found->row_sum + first);                                               \
            put_row_sums(found->adds, row_squares, found->row_square + first);                                         \
            if (found->row_deviation == NULL || first % SINQ_LANES == 0) continue;                                     \
            const size_t pair = first - ROWS_AT_ONCE;                                                                  \
            has_dominant |= put_deviations(found->row_sum + pair, found->row_square + pair, found->row_values,         \
                                           found->row_deviation + pair);                                               \
        }                                                                                                              \
        for (unsigned v = 0; v < vectors; v++) {                                                                       \
            v_store_sums(found->col_sum + SINQ_LANES * v, sums[v]);                                                    \
            v_store_sums(found->col_square + SINQ_LANES * v, squares[v]);                                              \
        }                                                                                                              \
        found->has_dominant = has_dominant;                                                                            \
    }                                                                                                                  \
                                                                                                                       \
    static void measure_strip_##SUFFIX(const ELEMENT *values, size_t stride, size_t rows, unsigned vectors,            \
                                       const float *inverse_cols, const float *inverse_rows,                           \
                                       struct sinq_strip_sums *sums) {                                                 \
        /* A constant count keeps the sums in registers. */                                                            \
        if (vectors == SINQ_STRIP_VECTORS) {                                                                           \
            measure_vectors_##SUFFIX(values, stride, rows, SINQ_STRIP_VECTORS, inverse_cols, inverse_rows, sums);      \
        } else if (vectors == 2) { /* groups of 32 */                                                                  \
            measure_vectors_##SUFFIX(values, stride, rows, 2, inverse_cols, inverse_rows, sums);                       \
        } else if (vectors == 1) {                                                                                     \
            measure_vectors_##SUFFIX(values, stride, rows, 1, inverse_cols, inverse_rows, sums);                       \
        } else {                                                                                                       \
            measure_vectors_##SUFFIX(values, stride, rows, vectors, inverse_cols, inverse_rows, sums);                 \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static inline __attribute__((always_inline)) void normalize_vectors_##SUFFIX(                                      \
        bool is_quick, const ELEMENT *values, size_t stride, unsigned vectors, const float *col_scale,                 \
        const float *row_scale, float *out, size_t out_stride, float *lowest, float *highest) {                        \
        v16 low[SINQ_LANES], high[SINQ_LANES], by_col[SINQ_STRIP_VECTORS];                                             \
        float by_row[SINQ_LANES];                                                                                      \
        for (unsigned v = 0; v < vectors; v++) by_col[v] = v_div(v_set(1.0f), v_load(col_scale + SINQ_LANES * v));     \
        v_store(by_row, v_div(v_set(1.0f), v_load(row_scale)));                                                        \
        for (unsigned r = 0; r < SINQ_LANES; r++) {                                                                    \
            const v16 u = v_set(row_scale[r]), by_u = v_set(by_row[r]);                                                \
            for (unsigned v = 0; v < vectors; v++) {                                                                   \
                const v16 m = load_##SUFFIX(values + r * stride, v, vectors);                                          \
                const v16 t = v_load(col_scale + SINQ_LANES * v);                                                      \
                const v16 x = divide(is_quick, divide(is_quick, m, t, by_col[v]), u, by_u);                            \
                v_store(out + r * out_stride + SINQ_LANES * v, x);                                                     \
                low[r] = v == 0 ? x : v_min(low[r], x);                                                                \
                high[r] = v == 0 ? x : v_max(high[r], x);                                                              \
            }                                                                                                          \
        }                                                                                                              \
        v_store(lowest, v_min_rows(low));                                                                              \
        v_store(highest, v_max_rows(high));                                                                            \
    }                                                                                                                  \
                                                                                                                       \
    static void normalize_rows_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors,                        \
                                        const float *col_scale, const float *row_scale, float *out, size_t out_stride, \
                                        float *lowest, float *highest) {                                               \
        if (vectors == SINQ_STRIP_VECTORS && !has_tiny_##SUFFIX(values, stride, SINQ_STRIP_VECTORS)) {                 \
            normalize_vectors_##SUFFIX(true, values, stride, SINQ_STRIP_VECTORS, col_scale, row_scale, out,            \
                                       out_stride, lowest, highest);                                                   \
        } else if (vectors == 2 && !has_tiny_##SUFFIX(values, stride, 2)) {                                            \
            normalize_vectors_##SUFFIX(true, values, stride, 2, col_scale, row_scale, out, out_stride, lowest,         \
                                       highest);                                                                       \
        } else if (vectors == 1 && !has_tiny_##SUFFIX(values, stride, 1)) {                                            \
            normalize_vectors_##SUFFIX(true, values, stride, 1, col_scale, row_scale, out, out_stride, lowest,         \
                                       highest);                                                                       \
        } else {                                                                                                       \
            normalize_vectors_##SUFFIX(false, values, stride, vectors, col_scale, row_scale, out, out_stride, lowest,  \
                                       highest);                                                                       \
        }                                                                                                              \
    }

DEFINE_STRIP_KERNELS(f32, float)
DEFINE_STRIP_KERNELS(bf16, uint16_t)

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
        for (unsigned v = 0; v < vectors; v++) {
            const v16 value = v_load(x + r * x_stride + SINQ_LANES * v);
            /* Both bounds are integers, so clamping first changes nothing and keeps rounding in range. */
            const v16 place = v_min(v_max(v_add(divide(is_quick, value, s, by_s), z), bottom), ceiling);
            const v16 code = v_round(place);
            if (codes != NULL) v_store_u8(codes + r * code_stride + SINQ_LANES * v, code);
            add_error(value, v_mul(v_sub(code, z), s), v_load(weights + SINQ_LANES * v), &error, &norm);
        }
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

static uint16_t scan_bf16(const uint16_t *values, size_t count) {
    uint16_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        const uint16_t magnitude = values[i] & 0x7fffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

static uint32_t scan_f32(const uint32_t *values, size_t count) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        const uint32_t magnitude = values[i] & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
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
