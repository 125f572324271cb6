/*
 * lanes_avx2.h: what running a model needs of AVX2, FMA and F16C besides simd_avx2.h; and of AVX-VNNI, where the compiler is
 * told that it is there. (AVX-512's form of the same operation serves tests on machines that have only that.)
 */
#ifndef SINQ_KERNELS_LANES_AVX2_H
#define SINQ_KERNELS_LANES_AVX2_H

#include <string.h>

#include "kernels/simd_avx2.h"

#if defined(__AVXVNNI__)
#define DOT_EIGHT_ROWS _mm256_dpbusd_avx_epi32
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT_EIGHT_ROWS _mm256_dpbusd_epi32
#endif

#define F32_TILE    6u
#define INT8_PANELS 1u
#ifdef DOT_EIGHT_ROWS
#define INT8_TILE  6u
#define I_DOT_WIDE 1
#else
#define INT8_TILE  4u
#define I_DOT_WIDE 0
#endif

static inline v16 v_fma(v16 a, v16 b, v16 c) {
    return (v16){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
static inline v16 v_fnma(v16 a, v16 b, v16 c) {
    return (v16){_mm256_fnmadd_ps(a.low, b.low, c.low), _mm256_fnmadd_ps(a.high, b.high, c.high)};
}
static inline __m256 half_load_f16(const uint16_t *from) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)from));
}
static inline v16 v_load_f16(const uint16_t *from) { return (v16){half_load_f16(from), half_load_f16(from + 8)}; }
static inline v16 v_load_u8(const uint8_t *from) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    return (v16){_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                 _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)))};
}
static inline v16 v_load_i8(const uint8_t *from) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    return (v16){_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                 _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
}
static inline __m256 half_load_signed(__m128i bytes, __m256i order) {
    const __m256i twice = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
    const __m256i kept = _mm256_and_si256(twice, _mm256_set1_epi32((int)0x807f0000u));
    return _mm256_castsi256_ps(_mm256_or_si256(kept, _mm256_set1_epi32(0x3f800000)));
}
/* Entries of seven bits m and a sign, bit 7: +-(1 + m / 128). */
static inline v16 v_load_signed(const uint8_t *from) {
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    /* Each byte twice: as the mantissa's first bits, and with the sign in its place. */
    return (v16){half_load_signed(bytes, _mm256_setr_epi32(0x00008080, 0x01018080, 0x02028080, 0x03038080, 0x04048080,
                                                           0x05058080, 0x06068080, 0x07078080)),
                 half_load_signed(bytes, _mm256_setr_epi32(0x08088080, 0x09098080, 0x0a0a8080, 0x0b0b8080, 0x0c0c8080,
                                                           0x0d0d8080, 0x0e0e8080, 0x0f0f8080))};
}
/* With its sign changed where the other one is negative. */
static inline v16 v_flip(v16 v, v16 sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_xor_ps(v.low, _mm256_and_ps(sign.low, bit)),
                 _mm256_xor_ps(v.high, _mm256_and_ps(sign.high, bit))};
}
/* Values in [-127, 127], rounded to nearest even. */
static inline void v_store_i8(int8_t *to, v16 v) {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.low), _mm256_cvtps_epi32(v.high));
    const __m256i ordered = _mm256_permute4x64_epi64(words, _MM_SHUFFLE(3, 1, 2, 0));
    const __m128i bytes = _mm_packs_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1));
    _mm_storeu_si128((__m128i *)(void *)to, bytes);
}
static inline __m256 half_power_of_two(__m256 v) {
    const __m256i exponent = _mm256_slli_epi32(_mm256_castps_si256(v), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(exponent, _mm256_set1_epi32(0x3f800000)));
}
/* 2^n of a number 1.5 * 2^23 + n: its low bits become the exponent. */
static inline v16 v_power_of_two(v16 v) { return (v16){half_power_of_two(v.low), half_power_of_two(v.high)}; }

#define DEFINE_REDUCTION(NAME, WIDE, NARROW)                                                                           \
    static inline float NAME(v16 v) {                                                                                  \
        const __m256 eight = WIDE(v.low, v.high);                                                                      \
        const __m128 four = NARROW(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));                    \
        const __m128 two = NARROW(four, _mm_movehl_ps(four, four));                                                    \
        return _mm_cvtss_f32(NARROW(two, _mm_shuffle_ps(two, two, 0x55)));                                             \
    }
DEFINE_REDUCTION(v_sum, _mm256_add_ps, _mm_add_ps)
DEFINE_REDUCTION(v_largest, _mm256_max_ps, _mm_max_ps)

static inline void transpose_eight(__m256 rows[8]) {
    __m256 pairs[8], fours[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            fours[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0x44);
            fours[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0xee);
        }
    }
    for (int j = 0; j < 4; j++) {
        rows[j] = _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x20);
        rows[4 + j] = _mm256_permute2f128_ps(fours[j], fours[4 + j], 0x31);
    }
}
static inline void v_transpose(v16 rows[16]) {
    __m256 quarter[4][8]; /* rows 0 to 7 low and high, rows 8 to 15 low and high */
    for (int i = 0; i < 8; i++) {
        quarter[0][i] = rows[i].low;
        quarter[1][i] = rows[i].high;
        quarter[2][i] = rows[8 + i].low;
        quarter[3][i] = rows[8 + i].high;
    }
    for (int q = 0; q < 4; q++) transpose_eight(quarter[q]);
    for (int i = 0; i < 8; i++) {
        rows[i] = (v16){quarter[0][i], quarter[2][i]};
        rows[8 + i] = (v16){quarter[1][i], quarter[3][i]};
    }
}

/* ---- lines: byte 4 r + c is row r, place c ---- */

typedef struct {
    __m256i low, high;
} line;
typedef line v16i;

static inline line l_load(const uint8_t *from) {
    return (line){_mm256_loadu_si256((const __m256i *)(const void *)from),
                  _mm256_loadu_si256((const __m256i *)(const void *)(from + 32))};
}
static inline void l_store(uint8_t *to, line l) {
    _mm256_storeu_si256((__m256i *)(void *)to, l.low);
    _mm256_storeu_si256((__m256i *)(void *)(to + 32), l.high);
}
static inline __m256i half_bits(__m256i l, unsigned shift, unsigned mask) {
    return _mm256_and_si256(_mm256_srli_epi32(l, (int)shift), _mm256_set1_epi8((char)mask));
}
/* Bits [shift, shift + the mask's) of each byte. */
static inline line l_bits(line l, unsigned shift, unsigned mask) {
    return (line){half_bits(l.low, shift, mask), half_bits(l.high, shift, mask)};
}
static inline __m256i half_merge(__m256i low, __m256i plane, int right, unsigned mask) {
    const __m256i shifted = right < 0 ? _mm256_slli_epi32(plane, -right) : _mm256_srli_epi32(plane, right);
    return _mm256_or_si256(low, _mm256_and_si256(shifted, _mm256_set1_epi8((char)mask)));
}
/* low, and bits of a plane: shifted to the right (a negative number: to the left), as far as the mask lets them. */
static inline line l_merge(line low, line plane, int right, unsigned mask) {
    return (line){half_merge(low.low, plane.low, right, mask), half_merge(low.high, plane.high, right, mask)};
}
static inline line l_lookup(const uint8_t table[16], line codes) {
    const __m256i entries = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
    return (line){_mm256_shuffle_epi8(entries, codes.low), _mm256_shuffle_epi8(entries, codes.high)};
}
static inline __m256 half_place(__m256i l, unsigned c) {
    return _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(l, (int)(8 * c)), _mm256_set1_epi32(255)));
}
static inline v16 v_place(line l, unsigned c) { return (v16){half_place(l.low, c), half_place(l.high, c)}; }
static inline __m256 half_level(__m256 first, __m256 second, __m256i l, unsigned c) {
    const __m256i codes = _mm256_srli_epi32(l, (int)(8 * c)); /* three bits choose, the fourth becomes the sign */
    const __m256 is_second = _mm256_castsi256_ps(_mm256_slli_epi32(codes, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(first, codes), _mm256_permutevar8x32_ps(second, codes), is_second);
}
static inline v16 v_level(const float table[16], line l, unsigned c) {
    const __m256 first = _mm256_loadu_ps(table), second = _mm256_loadu_ps(table + 8);
    return (v16){half_level(first, second, l.low, c), half_level(first, second, l.high, c)};
}

static inline v16i i_set(int32_t value) { return (v16i){_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
static inline v16i i_zero(void) { return (v16i){_mm256_setzero_si256(), _mm256_setzero_si256()}; }
static inline v16i i_add(v16i a, v16i b) {
    return (v16i){_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
static inline __m256i broadcast_quad(const int8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof four);
    return _mm256_set1_epi32(four);
}

#ifdef DOT_EIGHT_ROWS

static inline v16i i_shift_right(v16i i, unsigned by) {
    return (v16i){_mm256_srai_epi32(i.low, (int)by), _mm256_srai_epi32(i.high, (int)by)};
}
/* sums[r] += line[4 r + c] * quad[c] over c. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) {
    const __m256i x = broadcast_quad(quad);
    return (v16i){DOT_EIGHT_ROWS(sums.low, l.low, x), DOT_EIGHT_ROWS(sums.high, l.high, x)};
}
/* The same where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) { return i_dot(sums, l, quad); }

#else

/* In this order: else gcc forms many products before it adds any, and keeps them in memory. */
static inline v16i keep_order(v16i sums) {
    __asm__("" : "+x"(sums.low), "+x"(sums.high));
    return sums;
}
/* maddubs adds two products in 16 bits: at most 2 * 128 * 127 = 32512 in magnitude where its first bytes are 128 or less. */
static inline __m256i half_dot(__m256i sums, __m256i codes, __m256i quad) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, quad), _mm256_set1_epi16(1)));
}
/* The same as i_dot where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) {
    const __m256i x = broadcast_quad(quad);
    return keep_order((v16i){half_dot(sums.low, l.low, x), half_dot(sums.high, l.high, x)});
}

/* maddubs saturates with larger codes. They are taken less 128, as signed bytes, whose signs go over to the activations. */
#define WIDE_OFFSET 128
static inline line l_offset(line l) {
    const __m256i by = _mm256_set1_epi8((char)WIDE_OFFSET);
    return (line){_mm256_xor_si256(l.low, by), _mm256_xor_si256(l.high, by)};
}
/* sums[r] += line[4 r + c] * quad[c] over c, of signed bytes. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) {
    const __m256i x = broadcast_quad(quad);
    return keep_order((v16i){half_dot(sums.low, _mm256_abs_epi8(l.low), _mm256_sign_epi8(x, l.low)),
                             half_dot(sums.high, _mm256_abs_epi8(l.high), _mm256_sign_epi8(x, l.high))});
}

/*
 * Runs sum in 16 bits, two products of codes and activations a quad: codes of 2 bits add 2 * 3 * 127 = 762 in magnitude each
 * quad, those of 3 bits 1778, of 4 bits 3810 (8 quads: 30480), of 5 bits 7874 (4 quads: 31496), of 6 bits 16002.
 */
#define RUN_QUADS(bits)                                                                                                \
    ((bits) == 2 ? 40u : (bits) == 3 ? 16u : (bits) == 4 ? 8u : (bits) == 5 ? 4u : (bits) == 6 ? 2u : 0u)
typedef v16i i_run;

static inline i_run run_begin(v16i sums) {
    (void)sums;
    return i_zero();
}
static inline i_run run_dot(i_run run, line codes, const int8_t *quad) {
    const __m256i x = broadcast_quad(quad);
    return keep_order((i_run){_mm256_add_epi16(run.low, _mm256_maddubs_epi16(codes.low, x)),
                              _mm256_add_epi16(run.high, _mm256_maddubs_epi16(codes.high, x))});
}
static inline v16i run_end(v16i sums, i_run run) {
    const __m256i ones = _mm256_set1_epi16(1);
    return (v16i){_mm256_add_epi32(sums.low, _mm256_madd_epi16(run.low, ones)),
                  _mm256_add_epi32(sums.high, _mm256_madd_epi16(run.high, ones))};
}

#endif

static inline v16i i_join(v16i high, v16i low) {
    return (v16i){_mm256_add_epi32(_mm256_slli_epi32(high.low, 8), low.low),
                  _mm256_add_epi32(_mm256_slli_epi32(high.high, 8), low.high)};
}
static inline v16 i_to_float(v16i i) { return (v16){_mm256_cvtepi32_ps(i.low), _mm256_cvtepi32_ps(i.high)}; }

#endif
