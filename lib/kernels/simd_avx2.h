/* simd_avx2.h: sixteen f32 lanes in two AVX registers. */
#ifndef SINQ_KERNELS_SIMD_AVX2_H
#define SINQ_KERNELS_SIMD_AVX2_H

#include <immintrin.h>
#include <stdint.h>

typedef struct {
    __m256 low, high;
} v16;

static inline v16 v_set(float value) { return (v16){_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
static inline v16 v_load(const float *from) { return (v16){_mm256_loadu_ps(from), _mm256_loadu_ps(from + 8)}; }
static inline void v_store(float *to, v16 v) {
    _mm256_storeu_ps(to, v.low);
    _mm256_storeu_ps(to + 8, v.high);
}
static inline __m256 widen_bf16(const uint16_t *from) {
    const __m128i halves = _mm_loadu_si128((const __m128i *)(const void *)from);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
static inline v16 v_load_bf16(const uint16_t *from) { return (v16){widen_bf16(from), widen_bf16(from + 8)}; }

#define DEFINE_BINARY(NAME, OPERATION)                                                                                 \
    static inline v16 NAME(v16 a, v16 b) { return (v16){OPERATION(a.low, b.low), OPERATION(a.high, b.high)}; }
DEFINE_BINARY(v_add, _mm256_add_ps)
DEFINE_BINARY(v_sub, _mm256_sub_ps)
DEFINE_BINARY(v_mul, _mm256_mul_ps)
DEFINE_BINARY(v_div, _mm256_div_ps)
DEFINE_BINARY(v_min, _mm256_min_ps)
DEFINE_BINARY(v_max, _mm256_max_ps)

/*
 * a / b, rounded as a division rounds it, from by_b = 1 / b rounded: right for every pair of mantissas (all 2^46 were tried)
 * as long as no step leaves the range of normal numbers. Signs of zeros are kept.
 */
static inline __m256 divide_half(__m256 a, __m256 b, __m256 by_b) {
    const __m256 quotient = _mm256_mul_ps(a, by_b);
    return _mm256_fnmadd_ps(_mm256_fmsub_ps(b, quotient, a), by_b, quotient);
}
static inline v16 v_divide_quick(v16 a, v16 b, v16 by_b) {
    return (v16){divide_half(a.low, b.low, by_b.low), divide_half(a.high, b.high, by_b.high)};
}

static inline float v_first(v16 v) { return _mm256_cvtss_f32(v.low); }
static inline v16 v_round(v16 v) {
    return (v16){_mm256_round_ps(v.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                 _mm256_round_ps(v.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
static inline v16 v_where_greater(v16 a, v16 b, v16 then, v16 otherwise) {
    return (v16){_mm256_blendv_ps(otherwise.low, then.low, _mm256_cmp_ps(a.low, b.low, _CMP_GT_OQ)),
                 _mm256_blendv_ps(otherwise.high, then.high, _mm256_cmp_ps(a.high, b.high, _CMP_GT_OQ))};
}
static inline void v_store_u8(uint8_t *to, v16 v) {
    /* Packing works within 128-bit halves: the permutation puts the four quads back in order. */
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.low), _mm256_cvtps_epi32(v.high));
    const __m256i ordered = _mm256_permute4x64_epi64(words, _MM_SHUFFLE(3, 1, 2, 0));
    const __m128i bytes = _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}

static inline void v_store_f16(uint16_t *to, v16 v) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm256_cvtps_ph(v.low, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
    _mm_storeu_si128((__m128i *)(void *)(to + 8),
                     _mm256_cvtps_ph(v.high, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* Sixteen f64 sums. The square of an f32 is exact in f64, so the fused multiply-add makes no difference. */
typedef struct {
    __m256d part[4];
} v16d;

static inline v16d v_zero_sums(void) {
    const __m256d zero = _mm256_setzero_pd();
    return (v16d){{zero, zero, zero, zero}};
}
static inline v16d v_widen(v16 v) {
    return (v16d){{_mm256_cvtps_pd(_mm256_castps256_ps128(v.low)), _mm256_cvtps_pd(_mm256_extractf128_ps(v.low, 1)),
                   _mm256_cvtps_pd(_mm256_castps256_ps128(v.high)), _mm256_cvtps_pd(_mm256_extractf128_ps(v.high, 1))}};
}
static inline v16d v_add_value(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    for (int p = 0; p < 4; p++) sums.part[p] = _mm256_add_pd(sums.part[p], wide.part[p]);
    return sums;
}
static inline v16d v_add_square(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    for (int p = 0; p < 4; p++) sums.part[p] = _mm256_fmadd_pd(wide.part[p], wide.part[p], sums.part[p]);
    return sums;
}
static inline v16d v_square(v16 v) {
    v16d wide = v_widen(v);
    for (int p = 0; p < 4; p++) wide.part[p] = _mm256_mul_pd(wide.part[p], wide.part[p]);
    return wide;
}
static inline void v_add_sums_to(double *to, v16d sums) {
    for (int p = 0; p < 4; p++) _mm256_storeu_pd(to + 4 * p, _mm256_add_pd(_mm256_loadu_pd(to + 4 * p), sums.part[p]));
}
static inline void v_store_sums(double *to, v16d sums) {
    for (int p = 0; p < 4; p++) _mm256_storeu_pd(to + 4 * p, sums.part[p]);
}
/* Eight f64 sums: lanes l and l + 8 of sixteen added. */
typedef struct {
    __m256d part[2];
} v8d;
static inline v8d v_halve(v16d sums) {
    return (v8d){{_mm256_add_pd(sums.part[0], sums.part[2]), _mm256_add_pd(sums.part[1], sums.part[3])}};
}
static inline void v_store_half(double *to, v8d sums) {
    for (int p = 0; p < 2; p++) _mm256_storeu_pd(to + 4 * p, sums.part[p]);
}
static inline void v_add_half_to(double *to, v8d sums) {
    for (int p = 0; p < 2; p++) _mm256_storeu_pd(to + 4 * p, _mm256_add_pd(_mm256_loadu_pd(to + 4 * p), sums.part[p]));
}
static inline __m256d fold_to_four(v8d sums) { return _mm256_add_pd(sums.part[0], sums.part[1]); }
static inline __m256d fold_to_two(__m256d a, __m256d b) {
    return _mm256_add_pd(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}
/* Folds the lanes of row r into lane r: l + 4, l + 2, l + 1. */
static inline v8d v_fold_halves(const v8d rows[8]) {
    v8d result;
    for (int p = 0; p < 2; p++) {
        const v8d *const r = rows + 4 * p;
        const __m256d even = fold_to_two(fold_to_four(r[0]), fold_to_four(r[2]));
        const __m256d odd = fold_to_two(fold_to_four(r[1]), fold_to_four(r[3]));
        result.part[p] = _mm256_add_pd(_mm256_unpacklo_pd(even, odd), _mm256_unpackhi_pd(even, odd));
    }
    return result;
}
static inline __m128 deviation_of_four(const double *sum, const double *square, __m256d by_count, __m256d by_freedom) {
    const __m256d s = _mm256_loadu_pd(sum);
    const __m256d difference = _mm256_sub_pd(_mm256_loadu_pd(square), _mm256_mul_pd(_mm256_mul_pd(s, s), by_count));
    return _mm256_cvtpd_ps(_mm256_sqrt_pd(_mm256_mul_pd(_mm256_max_pd(difference, _mm256_setzero_pd()), by_freedom)));
}
/* sqrt(max(0, square - sum^2 / count) / (count - 1)), as f32. */
static inline v16 v_deviation(const double *sum, const double *square, double by_count, double by_freedom) {
    const __m256d n = _mm256_set1_pd(by_count), f = _mm256_set1_pd(by_freedom);
    return (v16){
        _mm256_set_m128(deviation_of_four(sum + 4, square + 4, n, f), deviation_of_four(sum, square, n, f)),
        _mm256_set_m128(deviation_of_four(sum + 12, square + 12, n, f), deviation_of_four(sum + 8, square + 8, n, f))};
}

#define DEFINE_FOLD(NAME, WIDE, NARROW)                                                                                \
    static inline v16 NAME(const v16 rows[16]) {                                                                       \
        __m128 quarter[4];                                                                                             \
        for (int p = 0; p < 4; p++) {                                                                                  \
            __m128 row[4];                                                                                             \
            for (int i = 0; i < 4; i++) {                                                                              \
                const __m256 half = WIDE(rows[4 * p + i].low, rows[4 * p + i].high);                                   \
                row[i] = NARROW(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));                         \
            }                                                                                                          \
            _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);                                                         \
            quarter[p] = NARROW(NARROW(row[0], row[2]), NARROW(row[1], row[3]));                                       \
        }                                                                                                              \
        return (v16){_mm256_set_m128(quarter[1], quarter[0]), _mm256_set_m128(quarter[3], quarter[2])};                \
    }
DEFINE_FOLD(v_sum_rows, _mm256_add_ps, _mm_add_ps)
DEFINE_FOLD(v_min_rows, _mm256_min_ps, _mm_min_ps)
DEFINE_FOLD(v_max_rows, _mm256_max_ps, _mm_max_ps)

#endif
