/* simd_sse2.h: sixteen f32 lanes in four SSE registers. */
#ifndef SINQ_KERNELS_SIMD_SSE2_H
#define SINQ_KERNELS_SIMD_SSE2_H

#include <immintrin.h>
#include <stdint.h>

#include "tensor/dtype.h"

typedef struct {
    __m128 part[4];
} v16;

#define EACH_PART(expression)                                                                                          \
    v16 result;                                                                                                        \
    for (int p = 0; p < 4; p++) result.part[p] = (expression);                                                         \
    return result

static inline v16 v_set(float value) { EACH_PART(_mm_set1_ps(value)); }
static inline v16 v_load(const float *from) { EACH_PART(_mm_loadu_ps(from + 4 * p)); }
static inline void v_store(float *to, v16 v) {
    for (int p = 0; p < 4; p++) _mm_storeu_ps(to + 4 * p, v.part[p]);
}
static inline v16 v_load_bf16(const uint16_t *from) {
    v16 result;
    for (int p = 0; p < 4; p += 2) {
        const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)(from + 4 * p));
        result.part[p] = _mm_castsi128_ps(_mm_unpacklo_epi16(_mm_setzero_si128(), halves));
        result.part[p + 1] = _mm_castsi128_ps(_mm_unpackhi_epi16(_mm_setzero_si128(), halves));
    }
    return result;
}
static inline v16 v_add(v16 a, v16 b) { EACH_PART(_mm_add_ps(a.part[p], b.part[p])); }
static inline v16 v_sub(v16 a, v16 b) { EACH_PART(_mm_sub_ps(a.part[p], b.part[p])); }
static inline v16 v_mul(v16 a, v16 b) { EACH_PART(_mm_mul_ps(a.part[p], b.part[p])); }
static inline v16 v_div(v16 a, v16 b) { EACH_PART(_mm_div_ps(a.part[p], b.part[p])); }
/* Others have fused operations for it. */
static inline v16 v_divide_quick(v16 a, v16 b, v16 by_b) {
    (void)by_b;
    return v_div(a, b);
}
static inline float v_first(v16 v) { return _mm_cvtss_f32(v.part[0]); }
static inline v16 v_min(v16 a, v16 b) { EACH_PART(_mm_min_ps(a.part[p], b.part[p])); }
static inline v16 v_max(v16 a, v16 b) { EACH_PART(_mm_max_ps(a.part[p], b.part[p])); }
/* The current rounding mode is to nearest even, as everywhere in this library. */
static inline v16 v_round(v16 v) { EACH_PART(_mm_cvtepi32_ps(_mm_cvtps_epi32(v.part[p]))); }
static inline v16 v_where_greater(v16 a, v16 b, v16 then, v16 otherwise) {
    v16 result;
    for (int p = 0; p < 4; p++) {
        const __m128 mask = _mm_cmpgt_ps(a.part[p], b.part[p]);
        result.part[p] = _mm_or_ps(_mm_and_ps(mask, then.part[p]), _mm_andnot_ps(mask, otherwise.part[p]));
    }
    return result;
}
static inline void v_store_u8(uint8_t *to, v16 v) {
    const __m128i low = _mm_packs_epi32(_mm_cvtps_epi32(v.part[0]), _mm_cvtps_epi32(v.part[1]));
    const __m128i high = _mm_packs_epi32(_mm_cvtps_epi32(v.part[2]), _mm_cvtps_epi32(v.part[3]));
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi16(low, high));
}

static inline void v_store_f16(uint16_t *to, v16 v) {
    float values[16];
    v_store(values, v);
    for (int l = 0; l < 16; l++) to[l] = sinq_float_to_half(values[l]);
}
/* Sixteen f64 sums. The square of an f32 is exact in f64, so a fused multiply-add would make no difference. */
typedef struct {
    __m128d part[8];
} v16d;

static inline v16d v_zero_sums(void) {
    v16d sums;
    for (int p = 0; p < 8; p++) sums.part[p] = _mm_setzero_pd();
    return sums;
}
static inline v16d v_widen(v16 v) {
    v16d wide;
    for (int p = 0; p < 4; p++) {
        wide.part[2 * p] = _mm_cvtps_pd(v.part[p]);
        wide.part[2 * p + 1] = _mm_cvtps_pd(_mm_movehl_ps(v.part[p], v.part[p]));
    }
    return wide;
}
static inline v16d v_add_value(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    for (int p = 0; p < 8; p++) sums.part[p] = _mm_add_pd(sums.part[p], wide.part[p]);
    return sums;
}
static inline v16d v_add_square(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    for (int p = 0; p < 8; p++) sums.part[p] = _mm_add_pd(sums.part[p], _mm_mul_pd(wide.part[p], wide.part[p]));
    return sums;
}
static inline v16d v_square(v16 v) {
    v16d wide = v_widen(v);
    for (int p = 0; p < 8; p++) wide.part[p] = _mm_mul_pd(wide.part[p], wide.part[p]);
    return wide;
}
static inline void v_add_sums_to(double *to, v16d sums) {
    for (int p = 0; p < 8; p++) _mm_storeu_pd(to + 2 * p, _mm_add_pd(_mm_loadu_pd(to + 2 * p), sums.part[p]));
}
static inline void v_store_sums(double *to, v16d sums) {
    for (int p = 0; p < 8; p++) _mm_storeu_pd(to + 2 * p, sums.part[p]);
}
/* Eight f64 sums: lanes l and l + 8 of sixteen added. */
typedef struct {
    __m128d part[4];
} v8d;
static inline v8d v_halve(v16d sums) {
    v8d half;
    for (int p = 0; p < 4; p++) half.part[p] = _mm_add_pd(sums.part[p], sums.part[p + 4]);
    return half;
}
static inline void v_store_half(double *to, v8d sums) {
    for (int p = 0; p < 4; p++) _mm_storeu_pd(to + 2 * p, sums.part[p]);
}
static inline void v_add_half_to(double *to, v8d sums) {
    for (int p = 0; p < 4; p++) _mm_storeu_pd(to + 2 * p, _mm_add_pd(_mm_loadu_pd(to + 2 * p), sums.part[p]));
}
static inline __m128d fold_to_two(v8d sums) {
    return _mm_add_pd(_mm_add_pd(sums.part[0], sums.part[2]), _mm_add_pd(sums.part[1], sums.part[3]));
}
/* Folds the lanes of row r into lane r: l + 4, l + 2, l + 1. */
static inline v8d v_fold_halves(const v8d rows[8]) {
    v8d result;
    for (int p = 0; p < 4; p++) {
        const __m128d a = fold_to_two(rows[2 * p]), b = fold_to_two(rows[2 * p + 1]);
        result.part[p] = _mm_add_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b));
    }
    return result;
}
static inline __m128 deviation_of_two(const double *sum, const double *square, __m128d by_count, __m128d by_freedom) {
    const __m128d s = _mm_loadu_pd(sum);
    const __m128d difference = _mm_sub_pd(_mm_loadu_pd(square), _mm_mul_pd(_mm_mul_pd(s, s), by_count));
    return _mm_cvtpd_ps(_mm_sqrt_pd(_mm_mul_pd(_mm_max_pd(difference, _mm_setzero_pd()), by_freedom)));
}
/* sqrt(max(0, square - sum^2 / count) / (count - 1)), as f32. */
static inline v16 v_deviation(const double *sum, const double *square, double by_count, double by_freedom) {
    const __m128d n = _mm_set1_pd(by_count), f = _mm_set1_pd(by_freedom);
    EACH_PART(_mm_movelh_ps(deviation_of_two(sum + 4 * p, square + 4 * p, n, f),
                            deviation_of_two(sum + 4 * p + 2, square + 4 * p + 2, n, f)));
}

#define DEFINE_FOLD(NAME, OPERATION)                                                                                   \
    static inline v16 NAME(const v16 rows[16]) {                                                                       \
        v16 result;                                                                                                    \
        for (int p = 0; p < 4; p++) {                                                                                  \
            __m128 row[4];                                                                                             \
            for (int i = 0; i < 4; i++) {                                                                              \
                const v16 v = rows[4 * p + i];                                                                         \
                row[i] = OPERATION(OPERATION(v.part[0], v.part[2]), OPERATION(v.part[1], v.part[3]));                  \
            }                                                                                                          \
            _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);                                                         \
            result.part[p] = OPERATION(OPERATION(row[0], row[2]), OPERATION(row[1], row[3]));                          \
        }                                                                                                              \
        return result;                                                                                                 \
    }
DEFINE_FOLD(v_sum_rows, _mm_add_ps)
DEFINE_FOLD(v_min_rows, _mm_min_ps)
DEFINE_FOLD(v_max_rows, _mm_max_ps)

#endif
