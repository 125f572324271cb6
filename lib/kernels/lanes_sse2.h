/* lanes_sse2.h: what running a model needs of SSE2 besides simd_sse2.h; and of SSSE3, where the compiler is told that it is there. */
#ifndef SINQ_KERNELS_LANES_SSE2_H
#define SINQ_KERNELS_LANES_SSE2_H

#include <string.h>

#ifndef __SSSE3__
#include "kernels/narrow_lanes.h"
#endif
#include "kernels/simd_sse2.h"
#include "tensor/dtype.h"

#define F32_TILE    2u
#define INT8_TILE   2u
#define INT8_PANELS 1u
#define I_DOT_WIDE  0

static inline v16 v_fma(v16 a, v16 b, v16 c) { return v_add(v_mul(a, b), c); }
static inline v16 v_fnma(v16 a, v16 b, v16 c) { return v_sub(c, v_mul(a, b)); }
static inline v16 v_load_f16(const uint16_t *from) {
    /* Exponent and mantissa move into place, the difference of the biases is multiplied in; infinities get theirs by a mask. */
    v16 result;
    for (int p = 0; p < 4; p++) {
        const __m128i halves = _mm_loadl_epi64((const __m128i *)(const void *)(from + 4 * p));
        const __m128i bits = _mm_unpacklo_epi16(halves, _mm_setzero_si128());
        const __m128i magnitude = _mm_and_si128(bits, _mm_set1_epi32(0x7fff));
        const __m128i sign = _mm_slli_epi32(_mm_xor_si128(bits, magnitude), 16);
        const __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(_mm_slli_epi32(magnitude, 13)), _mm_set1_ps(0x1p112f));
        const __m128i special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff));
        const __m128i infinite = _mm_or_si128(_mm_and_si128(special, _mm_set1_epi32(0x7f800000)), sign);
        result.part[p] = _mm_or_ps(scaled, _mm_castsi128_ps(infinite));
    }
    return result;
}
static inline __m128i load_sixteen(const uint8_t *from) { return _mm_loadu_si128((const __m128i *)(const void *)from); }
static inline v16 v_load_u8(const uint8_t *from) {
    const __m128i bytes = load_sixteen(from), none = _mm_setzero_si128();
    const __m128i low = _mm_unpacklo_epi8(bytes, none), high = _mm_unpackhi_epi8(bytes, none);
    return (v16){{_mm_cvtepi32_ps(_mm_unpacklo_epi16(low, none)), _mm_cvtepi32_ps(_mm_unpackhi_epi16(low, none)),
                  _mm_cvtepi32_ps(_mm_unpacklo_epi16(high, none)), _mm_cvtepi32_ps(_mm_unpackhi_epi16(high, none))}};
}
static inline v16 v_load_i8(const uint8_t *from) {
    /* Flipping the highest bit adds 128. */
    const __m128i flipped = _mm_xor_si128(load_sixteen(from), _mm_set1_epi8((char)0x80));
    uint8_t bytes[16];
    _mm_storeu_si128((__m128i *)(void *)bytes, flipped);
    return v_sub(v_load_u8(bytes), v_set(128.0f));
}
static inline __m128 quarter_signed(__m128i twice) {
    return _mm_castsi128_ps(
        _mm_or_si128(_mm_and_si128(twice, _mm_set1_epi32((int)0x807f0000u)), _mm_set1_epi32(0x3f800000)));
}
/* Entries of seven bits m and a sign, bit 7: +-(1 + m / 128). */
static inline v16 v_load_signed(const uint8_t *from) {
    const __m128i bytes = load_sixteen(from), none = _mm_setzero_si128();
    const __m128i low = _mm_unpacklo_epi8(bytes, bytes), high = _mm_unpackhi_epi8(bytes, bytes);
    /* Each byte twice: as the mantissa's first bits, and with the sign in its place. */
    return (v16){{quarter_signed(_mm_unpacklo_epi16(none, low)), quarter_signed(_mm_unpackhi_epi16(none, low)),
                  quarter_signed(_mm_unpacklo_epi16(none, high)), quarter_signed(_mm_unpackhi_epi16(none, high))}};
}
/* With its sign changed where the other one is negative. */
static inline v16 v_flip(v16 v, v16 sign) {
    EACH_PART(_mm_xor_ps(v.part[p], _mm_and_ps(sign.part[p], _mm_set1_ps(-0.0f))));
}
/* Values in [-127, 127], rounded to nearest even. */
static inline void v_store_i8(int8_t *to, v16 v) {
    const __m128i low = _mm_packs_epi32(_mm_cvtps_epi32(v.part[0]), _mm_cvtps_epi32(v.part[1]));
    const __m128i high = _mm_packs_epi32(_mm_cvtps_epi32(v.part[2]), _mm_cvtps_epi32(v.part[3]));
    _mm_storeu_si128((__m128i *)(void *)to, _mm_packs_epi16(low, high));
}
/* 2^n of a number 1.5 * 2^23 + n: its low bits become the exponent. */
static inline v16 v_power_of_two(v16 v) {
    EACH_PART(
        _mm_castsi128_ps(_mm_add_epi32(_mm_slli_epi32(_mm_castps_si128(v.part[p]), 23), _mm_set1_epi32(0x3f800000))));
}

#define DEFINE_REDUCTION(NAME, OPERATION)                                                                              \
    static inline float NAME(v16 v) {                                                                                  \
        const __m128 four = OPERATION(OPERATION(v.part[0], v.part[2]), OPERATION(v.part[1], v.part[3]));               \
        const __m128 two = OPERATION(four, _mm_movehl_ps(four, four));                                                 \
        return _mm_cvtss_f32(OPERATION(two, _mm_shuffle_ps(two, two, 0x55)));                                          \
    }
DEFINE_REDUCTION(v_sum, _mm_add_ps)
DEFINE_REDUCTION(v_largest, _mm_max_ps)

static inline void v_transpose(v16 rows[16]) {
    v16 out[16];
    for (int i = 0; i < 4; i++) {
        for (int p = 0; p < 4; p++) {
            __m128 a = rows[4 * i].part[p], b = rows[4 * i + 1].part[p], c = rows[4 * i + 2].part[p],
                   d = rows[4 * i + 3].part[p];
            _MM_TRANSPOSE4_PS(a, b, c, d);
            out[4 * p].part[i] = a;
            out[4 * p + 1].part[i] = b;
            out[4 * p + 2].part[i] = c;
            out[4 * p + 3].part[i] = d;
        }
    }
    for (int i = 0; i < 16; i++) rows[i] = out[i];
}

/* ---- lines: byte 4 r + c is row r, place c ---- */

typedef struct {
    __m128i part[4];
} line;
typedef line v16i;

#define EACH_QUARTER(expression)                                                                                       \
    line result;                                                                                                       \
    for (int p = 0; p < 4; p++) result.part[p] = (expression);                                                         \
    return result

static inline line l_load(const uint8_t *from) { EACH_QUARTER(load_sixteen(from + 16 * p)); }
static inline void l_store(uint8_t *to, line l) {
    for (int p = 0; p < 4; p++) _mm_storeu_si128((__m128i *)(void *)(to + 16 * p), l.part[p]);
}
/* Bits [shift, shift + the mask's) of each byte. */
static inline line l_bits(line l, unsigned shift, unsigned mask) {
    EACH_QUARTER(_mm_and_si128(_mm_srli_epi32(l.part[p], (int)shift), _mm_set1_epi8((char)mask)));
}
static inline __m128i shift_right(__m128i l, int by) { return by < 0 ? _mm_slli_epi32(l, -by) : _mm_srli_epi32(l, by); }
/* low, and bits of a plane: shifted to the right (a negative number: to the left), as far as the mask lets them. */
static inline line l_merge(line low, line plane, int right, unsigned mask) {
    EACH_QUARTER(
        _mm_or_si128(low.part[p], _mm_and_si128(shift_right(plane.part[p], right), _mm_set1_epi8((char)mask))));
}
#ifdef __SSSE3__
static inline line l_lookup(const uint8_t table[16], line codes) {
    EACH_QUARTER(_mm_shuffle_epi8(load_sixteen(table), codes.part[p]));
}
#else
static inline line l_lookup(const uint8_t table[16], line codes) {
    uint8_t bytes[64];
    l_store(bytes, codes);
    for (int i = 0; i < 64; i++) bytes[i] = table[bytes[i] & 15u];
    return l_load(bytes);
}
#endif
static inline v16 v_place(line l, unsigned c) {
    EACH_PART(_mm_cvtepi32_ps(_mm_and_si128(_mm_srli_epi32(l.part[p], (int)(8 * c)), _mm_set1_epi32(255))));
}
static inline v16 v_level(const float table[16], line l, unsigned c) {
    uint8_t bytes[64];
    float values[16];
    l_store(bytes, l);
    for (unsigned r = 0; r < 16; r++) values[r] = table[bytes[4 * r + c] & 15u];
    return v_load(values);
}

static inline v16i i_set(int32_t value) { EACH_QUARTER(_mm_set1_epi32(value)); }
static inline v16i i_zero(void) { EACH_QUARTER(_mm_setzero_si128()); }
static inline v16i i_add(v16i a, v16i b) { EACH_QUARTER(_mm_add_epi32(a.part[p], b.part[p])); }

#ifdef __SSSE3__

/* In this order: else gcc forms many products before it adds any, and keeps them in memory. */
static inline v16i keep_order(v16i sums) {
    __asm__("" : "+x"(sums.part[0]), "+x"(sums.part[1]), "+x"(sums.part[2]), "+x"(sums.part[3]));
    return sums;
}
static inline __m128i broadcast_quad(const int8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof four);
    return _mm_set1_epi32(four);
}
/* maddubs adds two products in 16 bits: at most 2 * 128 * 127 = 32512 in magnitude where codes are 128 or less. */
static inline __m128i dot_four_rows(__m128i sums, __m128i codes, __m128i quad) {
    return _mm_add_epi32(sums, _mm_madd_epi16(_mm_maddubs_epi16(codes, quad), _mm_set1_epi16(1)));
}
static inline v16i dot_line(v16i sums, line l, __m128i quad) {
    EACH_QUARTER(dot_four_rows(sums.part[p], l.part[p], quad));
}
/* The same as i_dot where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) {
    return keep_order(dot_line(sums, l, broadcast_quad(quad)));
}
/* maddubs saturates with larger codes. They are taken less 128, as signed bytes, whose signs go over to the activations. */
#define WIDE_OFFSET 128
static inline line l_offset(line l) { EACH_QUARTER(_mm_xor_si128(l.part[p], _mm_set1_epi8((char)WIDE_OFFSET))); }
static inline v16i dot_signed(v16i sums, line l, __m128i x) {
    EACH_QUARTER(dot_four_rows(sums.part[p], _mm_abs_epi8(l.part[p]), _mm_sign_epi8(x, l.part[p])));
}
/* sums[r] += line[4 r + c] * quad[c] over c, of signed bytes. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) {
    return keep_order(dot_signed(sums, l, broadcast_quad(quad)));
}

/* Runs sum in 16 bits: as many quads as fit, two products of codes and activations each (see lanes_avx2.h). */
#define RUN_QUADS(bits)                                                                                                \
    ((bits) == 2 ? 40u : (bits) == 3 ? 16u : (bits) == 4 ? 8u : (bits) == 5 ? 4u : (bits) == 6 ? 2u : 0u)
typedef v16i i_run;

static inline i_run run_begin(v16i sums) {
    (void)sums;
    return i_zero();
}
static inline i_run add_products(i_run run, line codes, __m128i x) {
    EACH_QUARTER(_mm_add_epi16(run.part[p], _mm_maddubs_epi16(codes.part[p], x)));
}
static inline i_run run_dot(i_run run, line codes, const int8_t *quad) {
    return keep_order(add_products(run, codes, broadcast_quad(quad)));
}
static inline v16i run_end(v16i sums, i_run run) {
    EACH_QUARTER(_mm_add_epi32(sums.part[p], _mm_madd_epi16(run.part[p], _mm_set1_epi16(1))));
}

#else

static inline __m128i dot_four_rows(__m128i codes, __m128i quads) {
    const __m128i none = _mm_setzero_si128(); /* two products a lane, then the two lanes of a row */
    const __m128 a = _mm_castsi128_ps(_mm_madd_epi16(_mm_unpacklo_epi8(codes, none), quads));
    const __m128 b = _mm_castsi128_ps(_mm_madd_epi16(_mm_unpackhi_epi8(codes, none), quads));
    return _mm_add_epi32(_mm_castps_si128(_mm_shuffle_ps(a, b, 0x88)), _mm_castps_si128(_mm_shuffle_ps(a, b, 0xdd)));
}
/* sums[r] += line[4 r + c] * quad[c] over c. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) {
    const __m128i quads = _mm_setr_epi16(quad[0], quad[1], quad[2], quad[3], quad[0], quad[1], quad[2], quad[3]);
    EACH_QUARTER(_mm_add_epi32(sums.part[p], dot_four_rows(l.part[p], quads)));
}
/* The same where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) { return i_dot(sums, l, quad); }

#endif

static inline v16i i_join(v16i high, v16i low) {
    EACH_QUARTER(_mm_add_epi32(_mm_slli_epi32(high.part[p], 8), low.part[p]));
}
static inline v16 i_to_float(v16i i) { EACH_PART(_mm_cvtepi32_ps(i.part[p])); }

#endif
