/* simd_c.h: sixteen f32 lanes in plain C: the reference that every instruction set must equal bit for bit. */
#ifndef SINQ_KERNELS_SIMD_C_H
#define SINQ_KERNELS_SIMD_C_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/dtype.h"

typedef struct {
    float lane[16];
} v16;

#define EACH_LANE(expression)                                                                                          \
    v16 result;                                                                                                        \
    for (int l = 0; l < 16; l++) result.lane[l] = (expression);                                                        \
    return result

static inline v16 v_set(float value) { EACH_LANE(value); }
static inline v16 v_load(const float *from) { EACH_LANE(from[l]); }
static inline void v_store(float *to, v16 v) { memcpy(to, v.lane, sizeof v.lane); }
static inline v16 v_load_bf16(const uint16_t *from) {
    uint32_t bits[16];
    for (int l = 0; l < 16; l++) bits[l] = (uint32_t)from[l] << 16;
    v16 result;
    memcpy(result.lane, bits, sizeof bits);
    return result;
}
static inline v16 v_add(v16 a, v16 b) { EACH_LANE(a.lane[l] + b.lane[l]); }
static inline v16 v_sub(v16 a, v16 b) { EACH_LANE(a.lane[l] - b.lane[l]); }
static inline v16 v_mul(v16 a, v16 b) { EACH_LANE(a.lane[l] * b.lane[l]); }
static inline v16 v_div(v16 a, v16 b) { EACH_LANE(a.lane[l] / b.lane[l]); }
/* Others have fused operations for it. */
static inline v16 v_divide_quick(v16 a, v16 b, v16 by_b) {
    (void)by_b;
    return v_div(a, b);
}
static inline float v_first(v16 v) { return v.lane[0]; }
static inline v16 v_min(v16 a, v16 b) { EACH_LANE(a.lane[l] < b.lane[l] ? a.lane[l] : b.lane[l]); }
static inline v16 v_max(v16 a, v16 b) { EACH_LANE(a.lane[l] > b.lane[l] ? a.lane[l] : b.lane[l]); }
/* To nearest, ties to even, below 2^22: adding 1.5 * 2^23 leaves no room for a fraction. */
static inline v16 v_round(v16 v) { EACH_LANE((v.lane[l] + 12582912.0f) - 12582912.0f); }
static inline v16 v_where_greater(v16 a, v16 b, v16 then, v16 otherwise) {
    EACH_LANE(a.lane[l] > b.lane[l] ? then.lane[l] : otherwise.lane[l]);
}
static inline void v_store_u8(uint8_t *to, v16 v) {
    for (int l = 0; l < 16; l++) to[l] = (uint8_t)v.lane[l];
}

static inline void v_store_f16(uint16_t *to, v16 v) {
    for (int l = 0; l < 16; l++) to[l] = sinq_float_to_half(v.lane[l]);
}
/* Sixteen f64 sums. The square of an f32 is exact in f64, so a fused multiply-add makes no difference. */
typedef struct {
    double lane[16];
} v16d;

static inline v16d v_zero_sums(void) { return (v16d){{0}}; }
static inline v16d v_widen(v16 v) {
    v16d wide;
    for (int l = 0; l < 16; l++) wide.lane[l] = (double)v.lane[l];
    return wide;
}
static inline v16d v_square(v16 v) {
    v16d square;
    for (int l = 0; l < 16; l++) square.lane[l] = (double)v.lane[l] * (double)v.lane[l];
    return square;
}
static inline v16d v_add_value(v16d sums, v16 v) {
    for (int l = 0; l < 16; l++) sums.lane[l] += (double)v.lane[l];
    return sums;
}
static inline v16d v_add_square(v16d sums, v16 v) {
    for (int l = 0; l < 16; l++) sums.lane[l] += (double)v.lane[l] * (double)v.lane[l];
    return sums;
}
static inline void v_add_sums_to(double *to, v16d sums) {
    for (int l = 0; l < 16; l++) to[l] += sums.lane[l];
}
static inline void v_store_sums(double *to, v16d sums) { memcpy(to, sums.lane, sizeof sums.lane); }
/* Eight f64 sums: lanes l and l + 8 of sixteen added. */
typedef struct {
    double lane[8];
} v8d;
static inline v8d v_halve(v16d sums) {
    v8d half;
    for (int l = 0; l < 8; l++) half.lane[l] = sums.lane[l] + sums.lane[l + 8];
    return half;
}
static inline void v_store_half(double *to, v8d sums) { memcpy(to, sums.lane, sizeof sums.lane); }
static inline void v_add_half_to(double *to, v8d sums) {
    for (int l = 0; l < 8; l++) to[l] += sums.lane[l];
}
/* Folds the lanes of row r into lane r: l + 4, l + 2, l + 1. */
static inline v8d v_fold_halves(const v8d rows[8]) {
    v8d result;
    for (int r = 0; r < 8; r++) {
        v8d fold = rows[r];
        for (int half = 4; half > 0; half /= 2) {
            for (int l = 0; l < half; l++) fold.lane[l] += fold.lane[l + half];
        }
        result.lane[r] = fold.lane[0];
    }
    return result;
}
/* sqrt(max(0, square - sum^2 / count) / (count - 1)), as f32. */
static inline v16 v_deviation(const double *sum, const double *square, double by_count, double by_freedom) {
    v16 result;
    for (int l = 0; l < 16; l++) {
        const double difference = square[l] - sum[l] * sum[l] * by_count;
        result.lane[l] = (float)sqrt((difference > 0.0 ? difference : 0.0) * by_freedom);
    }
    return result;
}

/* Folds the lanes of row r into lane r: l + 8, l + 4, l + 2, l + 1. */
#define DEFINE_FOLD(NAME, OPERATION)                                                                                   \
    static inline v16 NAME(const v16 rows[16]) {                                                                       \
        v16 result;                                                                                                    \
        for (int r = 0; r < 16; r++) {                                                                                 \
            v16 fold = rows[r];                                                                                        \
            for (int half = 8; half > 0; half /= 2) {                                                                  \
                for (int l = 0; l < half; l++) fold.lane[l] = OPERATION(fold.lane[l], fold.lane[l + half]);            \
            }                                                                                                          \
            result.lane[r] = fold.lane[0];                                                                             \
        }                                                                                                              \
        return result;                                                                                                 \
    }
static inline float add_two(float a, float b) { return a + b; }
static inline float min_two(float a, float b) { return a < b ? a : b; }
static inline float max_two(float a, float b) { return a > b ? a : b; }
DEFINE_FOLD(v_sum_rows, add_two)
DEFINE_FOLD(v_min_rows, min_two)
DEFINE_FOLD(v_max_rows, max_two)

#endif
