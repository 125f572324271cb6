/* lanes_avx512.h: what running a model needs of AVX-512 besides simd_avx512.h: fused operations, lines of codes, integers. */
#ifndef SINQ_KERNELS_LANES_AVX512_H
#define SINQ_KERNELS_LANES_AVX512_H

#include <string.h>

#include "kernels/simd_avx512.h"

#define F32_TILE  12u
#define INT8_TILE 8u

/* Panels that are multiplied at once, and whether i_dot is as good for codes up to 255 as for smaller ones. */
#define INT8_PANELS 2u
#define I_DOT_WIDE  1

static inline v16 v_fma(v16 a, v16 b, v16 c) { return _mm512_fmadd_ps(a, b, c); }
static inline v16 v_fnma(v16 a, v16 b, v16 c) { return _mm512_fnmadd_ps(a, b, c); }
static inline v16 v_load_f16(const uint16_t *from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
}
static inline v16 v_load_u8(const uint8_t *from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from)));
}
static inline v16 v_load_i8(const uint8_t *from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)from)));
}
/* Entries of seven bits m and a sign, bit 7: +-(1 + m / 128). */
static inline v16 v_load_signed(const uint8_t *from) {
    const __m512i bytes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)from));
    const __m512i order = _mm512_setr_epi32(0x00008080, 0x01018080, 0x02028080, 0x03038080, 0x04048080, 0x05058080,
                                            0x06068080, 0x07078080, 0x08088080, 0x09098080, 0x0a0a8080, 0x0b0b8080,
                                            0x0c0c8080, 0x0d0d8080, 0x0e0e8080, 0x0f0f8080);
    const __m512i twice =
        _mm512_shuffle_epi8(bytes, order); /* as the mantissa's first bits, and with the sign in its place */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(twice, _mm512_set1_epi32((int)0x807f0000u),
                                                         _mm512_set1_epi32(0x3f800000), 0xea)); /* (a & b) | c */
}
/* With its sign changed where the other one is negative. */
static inline v16 v_flip(v16 v, v16 sign) {
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(v), _mm512_castps_si512(sign),
                                                         _mm512_set1_epi32(INT32_MIN), 0x78)); /* a ^ (b & c) */
}
/* Values in [-127, 127], rounded to nearest even. */
static inline void v_store_i8(int8_t *to, v16 v) {
    _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}
/* 2^n of a number 1.5 * 2^23 + n: its low bits become the exponent. */
static inline v16 v_power_of_two(v16 v) {
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(v), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(exponent, _mm512_set1_epi32(0x3f800000)));
}
static inline float v_sum(v16 v) { return _mm512_reduce_add_ps(v); }
static inline float v_largest(v16 v) { return _mm512_reduce_max_ps(v); }

static inline void v_transpose(v16 rows[16]) {
    __m512 pairs[16], fours[16];
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_ps(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            const __m512d a = _mm512_castps_pd(pairs[i + j]), b = _mm512_castps_pd(pairs[i + 2 + j]);
            fours[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            fours[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    /* Quarter q of fours[i + j] is column 4 q + j of rows i to i + 3. */
    for (int j = 0; j < 4; j++) {
        const __m512 even = _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0x88);
        const __m512 odd = _mm512_shuffle_f32x4(fours[j], fours[4 + j], 0xdd);
        const __m512 even_low = _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0x88);
        const __m512 odd_low = _mm512_shuffle_f32x4(fours[8 + j], fours[12 + j], 0xdd);
        rows[j] = _mm512_shuffle_f32x4(even, even_low, 0x88);
        rows[4 + j] = _mm512_shuffle_f32x4(odd, odd_low, 0x88);
        rows[8 + j] = _mm512_shuffle_f32x4(even, even_low, 0xdd);
        rows[12 + j] = _mm512_shuffle_f32x4(odd, odd_low, 0xdd);
    }
}

/* ---- lines: byte 4 r + c is row r, place c ---- */

typedef __m512i line;
typedef __m512i v16i;

static inline line l_load(const uint8_t *from) { return _mm512_loadu_si512((const void *)from); }
static inline void l_store(uint8_t *to, line l) { _mm512_storeu_si512((void *)to, l); }
/* Bits [shift, shift + the mask's) of each byte. */
static inline line l_bits(line l, unsigned shift, unsigned mask) {
    return _mm512_and_si512(_mm512_srli_epi32(l, shift), _mm512_set1_epi8((char)mask));
}
/* low, and bits of a plane: shifted to the right (a negative number: to the left), as far as the mask lets them. */
static inline line l_merge(line low, line plane, int right, unsigned mask) {
    const line shifted =
        right < 0 ? _mm512_slli_epi32(plane, (unsigned)-right) : _mm512_srli_epi32(plane, (unsigned)right);
    return _mm512_ternarylogic_epi32(low, shifted, _mm512_set1_epi8((char)mask), 0xf8); /* a | (b & c) */
}
static inline line l_lookup(const uint8_t table[16], line codes) {
    const __m128i entries = _mm_loadu_si128((const __m128i *)(const void *)table);
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), codes);
}
/* A quad of groups of 6-bit entries, a byte each (docs/format.md, section 5.2), with other bits above the six. */
#define HAS_SPREAD_QUAD
static inline line spread_loosely(const uint8_t packed[48]) {
    const __m512i pair = _mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)packed));
    const __m512i twice = _mm512_shuffle_i64x2(pair, pair, 0x50);
    const __m512i nibbles = _mm512_mask_srli_epi32(twice, 0xf0f0, twice, 4);
    const __m512i high = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(packed + 32)));
    const __m512i turns = _mm512_setr_epi32(4, 4, 4, 4, 2, 2, 2, 2, 0, 0, 0, 0, 30, 30, 30, 30);
    return _mm512_ternarylogic_epi32(nibbles, _mm512_rolv_epi32(high, turns), _mm512_set1_epi8(15),
                                     0xe4); /* c ? a : b */
}
static inline line l_spread_quad(const uint8_t packed[48]) {
    return _mm512_and_si512(spread_loosely(packed), _mm512_set1_epi8(63));
}
/* The same where bit 5 is a sign: it becomes bit 7. */
static inline line l_spread_signed_quad(const uint8_t packed[48]) {
    const __m512i entries = spread_loosely(packed);
    return _mm512_ternarylogic_epi32(_mm512_and_si512(entries, _mm512_set1_epi8(31)), _mm512_slli_epi32(entries, 2),
                                     _mm512_set1_epi8((char)128), 0xf8); /* a | (b & c) */
}

#ifdef __AVX512VBMI__
#define LOOKUP_BITS 6
static inline line l_lookup_six(const uint8_t table[64], line codes) {
    return _mm512_permutexvar_epi8(codes, _mm512_loadu_si512((const void *)table));
}
/* To the right, or by a negative number to the left; bits may come from the byte beside. */
static inline line l_shift(line l, int right) {
    return right == 0 ? l : right < 0 ? _mm512_slli_epi32(l, (unsigned)-right) : _mm512_srli_epi32(l, (unsigned)right);
}
/* Each byte's bits of the mask from a, the others from b. */
static inline line l_choose(line a, line b, unsigned mask) {
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8((char)mask), 0xe4); /* c ? a : b */
}
#endif
static inline v16 v_place(line l, unsigned c) {
    return _mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srli_epi32(l, 8 * c), _mm512_set1_epi32(255)));
}
static inline v16 v_level(const float table[16], line l, unsigned c) {
    return _mm512_permutexvar_ps(_mm512_srli_epi32(l, 8 * c), _mm512_loadu_ps(table)); /* looks at four bits */
}

static inline v16i i_set(int32_t value) { return _mm512_set1_epi32(value); }
static inline v16i i_zero(void) { return _mm512_setzero_si512(); }
static inline v16i i_add(v16i a, v16i b) { return _mm512_add_epi32(a, b); }
static inline v16i i_shift_right(v16i i, unsigned by) { return _mm512_srai_epi32(i, by); }
/* sums[r] += line[4 r + c] * quad[c] over c. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof four);
    return _mm512_dpbusd_epi32(sums, l, _mm512_set1_epi32(four));
}
#define HAS_I_KEEP
static inline v16i i_keep(v16i sums) {
    __asm__("" : "+v"(sums));
    return sums;
}
/* The same where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) { return i_dot(sums, l, quad); }
static inline v16i i_join(v16i high, v16i low) { return _mm512_add_epi32(_mm512_slli_epi32(high, 8), low); }
static inline v16 i_to_float(v16i i) { return _mm512_cvtepi32_ps(i); }

#endif
