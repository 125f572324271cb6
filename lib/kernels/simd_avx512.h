/* simd_avx512.h: sixteen f32 lanes in one AVX-512 register. */
#ifndef SINQ_KERNELS_SIMD_AVX512_H
#define SINQ_KERNELS_SIMD_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef __m512 v16;

static inline v16 v_set(float value) { return _mm512_set1_ps(value); }
static inline v16 v_load(const float *from) { return _mm512_loadu_ps(from); }
static inline void v_store(float *to, v16 v) { _mm512_storeu_ps(to, v); }
static inline v16 v_load_bf16(const uint16_t *from) {
    const __m256i halves = _mm256_loadu_si256((const __m256i *)(const void *)from);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
#ifdef __AVX512VBMI__
#define V_LOADS_PAIRS
/* The first or second half of 32 values, a byte's place each: one operation in place of two. */
static inline v16 v_load_bf16_half(const uint16_t *from, unsigned half) {
    const __m512i first = _mm512_setr_epi32(0x01000000, 0x03020000, 0x05040000, 0x07060000, 0x09080000, 0x0b0a0000,
                                            0x0d0c0000, 0x0f0e0000, 0x11100000, 0x13120000, 0x15140000, 0x17160000,
                                            0x19180000, 0x1b1a0000, 0x1d1c0000, 0x1f1e0000);
    const __m512i places = half == 0 ? first : _mm512_add_epi8(first, _mm512_set1_epi8(32));
    return _mm512_castsi512_ps(
        _mm512_maskz_permutexvar_epi8(0xccccccccccccccccu, places, _mm512_loadu_si512((const void *)from)));
}
#endif
static inline v16 v_add(v16 a, v16 b) { return _mm512_add_ps(a, b); }
static inline v16 v_sub(v16 a, v16 b) { return _mm512_sub_ps(a, b); }
static inline v16 v_mul(v16 a, v16 b) { return _mm512_mul_ps(a, b); }
static inline v16 v_div(v16 a, v16 b) { return _mm512_div_ps(a, b); }
/*
 * a / b, rounded as a division rounds it, from by_b = 1 / b rounded: right for every pair of mantissas (all 2^46 were tried)
 * as long as no step leaves the range of normal numbers. Signs of zeros are kept.
 */
static inline v16 v_divide_quick(v16 a, v16 b, v16 by_b) {
    const __m512 quotient = _mm512_mul_ps(a, by_b);
    return _mm512_fnmadd_ps(_mm512_fmsub_ps(b, quotient, a), by_b, quotient);
}
static inline float v_first(v16 v) { return _mm512_cvtss_f32(v); }
static inline v16 v_min(v16 a, v16 b) { return _mm512_min_ps(a, b); }
static inline v16 v_max(v16 a, v16 b) { return _mm512_max_ps(a, b); }
static inline v16 v_round(v16 v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline v16 v_where_greater(v16 a, v16 b, v16 then, v16 otherwise) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), otherwise, then);
}
/* table[index] of 32 entries: the index is in the lowest five bits of an f32 (kernels/level_table.h). */
#define V_HAS_LOOKUP
static inline v16 v_look_up(const float *table, v16 index) {
    return _mm512_permutex2var_ps(v_load(table), _mm512_castps_si512(index), v_load(table + 16));
}
static inline void v_store_u8(uint8_t *to, v16 v) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(v)));
}

static inline void v_store_f16(uint16_t *to, v16 v) {
    _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
/* Rounded places, as integers: what is stored as bytes need not be converted again, and four vectors are packed together. */
#define V_HAS_CODES
typedef __m512i v_codes;
static inline v_codes v_round_codes(v16 places) { return _mm512_cvtps_epi32(places); }
static inline v16 v_from_codes(v_codes codes) { return _mm512_cvtepi32_ps(codes); }
static inline void v_store_codes(uint8_t *to, const v_codes *codes, unsigned vectors) {
    if (vectors == 4) {
        const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const __m512i words = _mm512_packs_epi32(codes[0], codes[1]), more = _mm512_packs_epi32(codes[2], codes[3]);
        _mm512_storeu_si512((void *)to, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(words, more)));
        return;
    }
    for (unsigned v = 0; v < vectors; v++) {
        _mm_storeu_si128((__m128i *)(void *)(to + 16 * v), _mm512_cvtusepi32_epi8(codes[v]));
    }
}

/* Sixteen f64 sums. The square of an f32 is exact in f64, so the fused multiply-add makes no difference. */
typedef struct {
    __m512d low, high;
} v16d;

static inline v16d v_zero_sums(void) { return (v16d){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
static inline v16d v_widen(v16 v) {
    return (v16d){_mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
}
static inline v16d v_add_value(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    return (v16d){_mm512_add_pd(sums.low, wide.low), _mm512_add_pd(sums.high, wide.high)};
}
static inline v16d v_add_square(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    return (v16d){_mm512_fmadd_pd(wide.low, wide.low, sums.low), _mm512_fmadd_pd(wide.high, wide.high, sums.high)};
}
static inline v16d v_square(v16 v) {
    const v16d wide = v_widen(v);
    return (v16d){_mm512_mul_pd(wide.low, wide.low), _mm512_mul_pd(wide.high, wide.high)};
}
static inline void v_add_sums_to(double *to, v16d sums) {
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), sums.low));
    _mm512_storeu_pd(to + 8, _mm512_add_pd(_mm512_loadu_pd(to + 8), sums.high));
}
static inline void v_store_sums(double *to, v16d sums) {
    _mm512_storeu_pd(to, sums.low);
    _mm512_storeu_pd(to + 8, sums.high);
}
/* Eight f64 sums: lanes l and l + 8 of sixteen added. */
typedef __m512d v8d;
static inline v8d v_halve(v16d sums) { return _mm512_add_pd(sums.low, sums.high); }
static inline void v_store_half(double *to, v8d sums) { _mm512_storeu_pd(to, sums); }
static inline void v_add_half_to(double *to, v8d sums) {
    _mm512_storeu_pd(to, _mm512_add_pd(_mm512_loadu_pd(to), sums));
}
static inline __m512d fold_to_four(__m512d a, __m512d b) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xee));
}
static inline __m512d fold_to_two(__m512d a, __m512d b) {
    return _mm512_add_pd(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
}
/* Folds the lanes of row r into lane r: l + 4, l + 2, l + 1. */
static inline v8d v_fold_halves(const v8d r[8]) {
    const __m512d even = fold_to_two(fold_to_four(r[0], r[2]), fold_to_four(r[4], r[6]));
    const __m512d odd = fold_to_two(fold_to_four(r[1], r[3]), fold_to_four(r[5], r[7]));
    return _mm512_add_pd(_mm512_unpacklo_pd(even, odd), _mm512_unpackhi_pd(even, odd));
}
static inline __m256 deviation_of_eight(const double *sum, const double *square, __m512d by_count, __m512d by_freedom) {
    const __m512d s = _mm512_loadu_pd(sum);
    const __m512d difference = _mm512_sub_pd(_mm512_loadu_pd(square), _mm512_mul_pd(_mm512_mul_pd(s, s), by_count));
    return _mm512_cvtpd_ps(_mm512_sqrt_pd(_mm512_mul_pd(_mm512_max_pd(difference, _mm512_setzero_pd()), by_freedom)));
}
/* sqrt(max(0, square - sum^2 / count) / (count - 1)), as f32. */
static inline v16 v_deviation(const double *sum, const double *square, double by_count, double by_freedom) {
    const __m512d n = _mm512_set1_pd(by_count), f = _mm512_set1_pd(by_freedom);
    return _mm512_insertf32x8(_mm512_castps256_ps512(deviation_of_eight(sum, square, n, f)),
                              deviation_of_eight(sum + 8, square + 8, n, f), 1);
}

/* Two vectors become one at each step, so sixteen rows fold with 30 shuffles instead of 64 for a transposition. */
#define DEFINE_FOLD(NAME, OPERATION)                                                                                   \
    static inline v16 NAME(const v16 rows[16]) {                                                                       \
        __m512 a[8], b[4], c[2];                                                                                       \
        for (int i = 0; i < 8; i++) {                                                                                  \
            a[i] = OPERATION(_mm512_shuffle_f32x4(rows[i], rows[i + 8], 0x44),                                         \
                             _mm512_shuffle_f32x4(rows[i], rows[i + 8], 0xee));                                        \
        }                                                                                                              \
        for (int i = 0; i < 4; i++) {                                                                                  \
            b[i] = OPERATION(_mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd));  \
        }                                                                                                              \
        for (int i = 0; i < 2; i++) {                                                                                  \
            const __m512d x = _mm512_castps_pd(b[i]), y = _mm512_castps_pd(b[i + 2]);                                  \
            c[i] = OPERATION(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));  \
        }                                                                                                              \
        const __m512 folded = OPERATION(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xdd));     \
        const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);                 \
        return _mm512_permutexvar_ps(order, folded);                                                                   \
    }
/* A square of sixteen rows, turned. */
#define V_HAS_TURN
static inline void v_turn(v16 r[16]) {
    __m512 a[16], b[16];
    for (int i = 0; i < 16; i += 2) { /* pairs of columns of two rows */
        a[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        a[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* columns 4 q + k of four rows */
        for (int k = 0; k < 2; k++) {
            const __m512d x = _mm512_castps_pd(a[i + k]), y = _mm512_castps_pd(a[i + 2 + k]);
            b[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(x, y));
            b[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(x, y));
        }
    }
    for (int k = 0; k < 4; k++) {
        const __m512 first = _mm512_shuffle_f32x4(b[k], b[4 + k], 0x88),
                     second = _mm512_shuffle_f32x4(b[k], b[4 + k], 0xdd);
        const __m512 third = _mm512_shuffle_f32x4(b[8 + k], b[12 + k], 0x88),
                     fourth = _mm512_shuffle_f32x4(b[8 + k], b[12 + k], 0xdd);
        r[k] = _mm512_shuffle_f32x4(first, third, 0x88);
        r[8 + k] = _mm512_shuffle_f32x4(first, third, 0xdd);
        r[4 + k] = _mm512_shuffle_f32x4(second, fourth, 0x88);
        r[12 + k] = _mm512_shuffle_f32x4(second, fourth, 0xdd);
    }
}
DEFINE_FOLD(v_sum_rows, _mm512_add_ps)
DEFINE_FOLD(v_min_rows, _mm512_min_ps)
DEFINE_FOLD(v_max_rows, _mm512_max_ps)

#endif
