/*
 * quantize_template.h: the bodies of quantize.h, written once over sixteen lanes. An instruction set's file defines the lane
 * operations (simd_*.h) and KERNELS, the name of its table, and includes this.
 */
#include <math.h>
#include <string.h>

#include "kernels/quantize.h"

#define DEFINE_STRIP_KERNELS(SUFFIX, ELEMENT, LOAD)                                                                    \
    static inline __attribute__((always_inline)) void measure_vectors_##SUFFIX(                                        \
        const ELEMENT *values, size_t stride, size_t rows, unsigned vectors, const float *inverse_cols,                \
        const float *inverse_rows, double *row_sum, double *row_square, double *col_sum, double *col_square) {         \
        v16 inverse[SINQ_STRIP_VECTORS];                                                                               \
        v16d sums[SINQ_STRIP_VECTORS], squares[SINQ_STRIP_VECTORS];                                                    \
        for (unsigned v = 0; v < vectors; v++) {                                                                       \
            inverse[v] = v_load(inverse_cols + SINQ_LANES * v);                                                        \
            sums[v] = squares[v] = v_zero_sums();                                                                      \
        }                                                                                                              \
        for (size_t first = 0; first < rows; first += SINQ_LANES) {                                                    \
            v16d row_sums[SINQ_LANES], row_squares[SINQ_LANES];                                                        \
            for (unsigned r = 0; r < SINQ_LANES; r++) {                                                                \
                const ELEMENT *const row = values + (first + r) * stride;                                              \
                const v16 by_row = v_set(inverse_rows[first + r]);                                                     \
                v16d total = v_zero_sums(), total_square = v_zero_sums();                                              \
                for (unsigned v = 0; v < vectors; v++) {                                                               \
                    const v16 c = v_mul(v_mul(LOAD(row + SINQ_LANES * v), inverse[v]), by_row);                        \
                    total = v_add_value(total, c);                                                                     \
                    total_square = v_add_square(total_square, c);                                                      \
                    sums[v] = v_add_value(sums[v], c);                                                                 \
                    squares[v] = v_add_square(squares[v], c);                                                          \
                }                                                                                                      \
                row_sums[r] = total;                                                                                   \
                row_squares[r] = total_square;                                                                         \
            }                                                                                                          \
            v_add_sums_to(row_sum + first, v_fold_sums(row_sums));                                                     \
            v_add_sums_to(row_square + first, v_fold_sums(row_squares));                                               \
        }                                                                                                              \
        for (unsigned v = 0; v < vectors; v++) {                                                                       \
            v_add_sums_to(col_sum + SINQ_LANES * v, sums[v]);                                                          \
            v_add_sums_to(col_square + SINQ_LANES * v, squares[v]);                                                    \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void measure_strip_##SUFFIX(const ELEMENT *values, size_t stride, size_t rows, unsigned vectors,            \
                                       const float *inverse_cols, const float *inverse_rows, double *row_sum,          \
                                       double *row_square, double *col_sum, double *col_square) {                      \
        if (vectors == SINQ_STRIP_VECTORS) { /* a constant count keeps the sums in registers */                        \
            measure_vectors_##SUFFIX(values, stride, rows, SINQ_STRIP_VECTORS, inverse_cols, inverse_rows, row_sum,    \
                                     row_square, col_sum, col_square);                                                 \
        } else {                                                                                                       \
            measure_vectors_##SUFFIX(values, stride, rows, vectors, inverse_cols, inverse_rows, row_sum, row_square,   \
                                     col_sum, col_square);                                                             \
        }                                                                                                              \
    }                                                                                                                  \
                                                                                                                       \
    static void normalize_rows_##SUFFIX(const ELEMENT *values, size_t stride, unsigned vectors,                        \
                                        const float *col_scale, const float *row_scale, float *out, size_t out_stride, \
                                        float *lowest, float *highest) {                                               \
        v16 low[SINQ_LANES], high[SINQ_LANES];                                                                         \
        for (unsigned r = 0; r < SINQ_LANES; r++) {                                                                    \
            const v16 by_row = v_set(row_scale[r]);                                                                    \
            for (unsigned v = 0; v < vectors; v++) {                                                                   \
                const v16 m = LOAD(values + r * stride + SINQ_LANES * v);                                              \
                const v16 x = v_div(v_div(m, v_load(col_scale + SINQ_LANES * v)), by_row);                             \
                v_store(out + r * out_stride + SINQ_LANES * v, x);                                                     \
                low[r] = v == 0 ? x : v_min(low[r], x);                                                                \
                high[r] = v == 0 ? x : v_max(high[r], x);                                                              \
            }                                                                                                          \
        }                                                                                                              \
        v_store(lowest, v_min_rows(low));                                                                              \
        v_store(highest, v_max_rows(high));                                                                            \
    }

DEFINE_STRIP_KERNELS(f32, float, v_load)
DEFINE_STRIP_KERNELS(bf16, uint16_t, v_load_bf16)

static inline v16 clamp(v16 v, float low, float high) { return v_min(v_max(v, v_set(low)), v_set(high)); }

static void find_deviations(size_t count, double values, const double *sum, const double *square, float *deviation) {
    for (size_t i = 0; i < count; i += SINQ_LANES) {
        v_store(deviation + i, v_deviation(sum + i, square + i, 1.0 / values, 1.0 / (values - 1.0)));
    }
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

/* Squared error and squared norm of one vector, weighted, onto the running sums. */
static inline void add_error(v16 x, v16 rebuilt, v16 weight, v16 *error, v16 *norm) {
    const v16 e = v_mul(v_sub(x, rebuilt), weight), w = v_mul(x, weight);
    *error = v_add(*error, v_mul(e, e));
    *norm = v_add(*norm, v_mul(w, w));
}

static void encode_uniform(const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
                           float top, const float *weights, uint8_t *codes, size_t code_stride, float *row_error,
                           float *row_norm) {
    const v16 bottom = v_set(0.0f), ceiling = v_set(top);
    v16 errors[SINQ_LANES], norms[SINQ_LANES];
    for (unsigned r = 0; r < SINQ_LANES; r++) {
        const v16 s = v_set(scale[r]), z = v_set(zero[r]);
        errors[r] = norms[r] = v_set(0.0f);
        for (unsigned v = 0; v < vectors; v++) {
            const v16 value = v_load(x + r * x_stride + SINQ_LANES * v);
            /* Both bounds are integers, so clamping first changes nothing and keeps rounding in range. */
            const v16 place = v_min(v_max(v_add(v_div(value, s), z), bottom), ceiling);
            const v16 code = v_round(place);
            v_store_u8(codes + r * code_stride + SINQ_LANES * v, code);
            add_error(value, v_mul(v_sub(code, z), s), v_load(weights + SINQ_LANES * v), &errors[r], &norms[r]);
        }
    }
    v_store(row_error, v_sum_rows(errors));
    v_store(row_norm, v_sum_rows(norms));
}

static void encode_levels(const float *x, size_t x_stride, unsigned vectors, const float *scale, const float *zero,
                          const float *levels, unsigned count, const float *weights, uint8_t *codes, size_t code_stride,
                          float *row_error, float *row_norm) {
    const v16 one = v_set(1.0f);
    v16 errors[SINQ_LANES], norms[SINQ_LANES];
    for (unsigned r = 0; r < SINQ_LANES; r++) {
        const v16 s = v_set(scale[r]), z = v_set(zero[r]);
        errors[r] = norms[r] = v_set(0.0f);
        for (unsigned v = 0; v < vectors; v++) {
            const v16 value = v_load(x + r * x_stride + SINQ_LANES * v);
            const v16 place = v_add(v_div(value, s), z);
            v16 code = v_set(0.0f), level = v_set(levels[0]);
            for (unsigned k = 0; k + 1 < count; k++) {
                const v16 middle = v_set(0.5f * (levels[k] + levels[k + 1]));
                code = v_add(code, v_where_greater(place, middle, one, v_set(0.0f)));
                level = v_where_greater(place, middle, v_set(levels[k + 1]), level);
            }
            v_store_u8(codes + r * code_stride + SINQ_LANES * v, code);
            add_error(value, v_mul(v_sub(level, z), s), v_load(weights + SINQ_LANES * v), &errors[r], &norms[r]);
        }
    }
    v_store(row_error, v_sum_rows(errors));
    v_store(row_norm, v_sum_rows(norms));
}

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
    .normalize_rows_f32 = normalize_rows_f32,
    .normalize_rows_bf16 = normalize_rows_bf16,
    .encode_uniform = encode_uniform,
    .encode_levels = encode_levels,
    .scan_bf16 = scan_bf16,
    .scan_f32 = scan_f32,
};
