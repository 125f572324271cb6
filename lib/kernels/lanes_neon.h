/*
 * lanes_neon.h: what running a model needs of NEON (ARMv8.0) besides simd_neon.h; and of the dot product of ARMv8.2, where the
 * compiler is told that it is there.
 */
#ifndef SINQ_KERNELS_LANES_NEON_H
#define SINQ_KERNELS_LANES_NEON_H

#include <string.h>

#include "kernels/simd_neon.h"

#define F32_TILE    5u
#define INT8_PANELS 1u
#define I_DOT_WIDE  0
#ifdef __ARM_FEATURE_DOTPROD
#define INT8_TILE 4u
#else
#define INT8_TILE 2u
#endif

static inline v16 v_fma(v16 a, v16 b, v16 c) { EACH_PART(vfmaq_f32(c.part[p], a.part[p], b.part[p])); }
static inline v16 v_fnma(v16 a, v16 b, v16 c) { EACH_PART(vfmsq_f32(c.part[p], a.part[p], b.part[p])); }
static inline v16 v_load_f16(const uint16_t *from) {
    EACH_PART(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from + 4 * p))));
}
static inline v16 v_load_u8(const uint8_t *from) {
    const uint8x16_t bytes = vld1q_u8(from);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    return (v16){{vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(low))),
                  vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))), vcvtq_f32_u32(vmovl_u16(vget_high_u16(high)))}};
}
static inline v16 v_load_i8(const uint8_t *from) {
    const int8x16_t bytes = vreinterpretq_s8_u8(vld1q_u8(from));
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return (v16){{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
                  vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
}
/* Entries of seven bits m and a sign, bit 7: +-(1 + m / 128). */
static inline v16 v_load_signed(const uint8_t *from) {
    const uint8x16_t bytes = vld1q_u8(from), low = vzip1q_u8(bytes, bytes), high = vzip2q_u8(bytes, bytes);
    const uint16x8_t none = vdupq_n_u16(0), eight[2] = {vreinterpretq_u16_u8(low), vreinterpretq_u16_u8(high)};
    const uint32x4_t kept = vdupq_n_u32(0x807f0000u), one = vdupq_n_u32(0x3f800000u);
    v16 result; /* each byte twice: as the mantissa's first bits, and with the sign in its place */
    for (int p = 0; p < 4; p++) {
        const uint16x8_t four = p % 2 == 0 ? vzip1q_u16(none, eight[p / 2]) : vzip2q_u16(none, eight[p / 2]);
        result.part[p] = vreinterpretq_f32_u32(vorrq_u32(vandq_u32(vreinterpretq_u32_u16(four), kept), one));
    }
    return result;
}
/* With its sign changed where the other one is negative. */
static inline v16 v_flip(v16 v, v16 sign) {
    EACH_PART(vreinterpretq_f32_u32(veorq_u32(
        vreinterpretq_u32_f32(v.part[p]), vandq_u32(vreinterpretq_u32_f32(sign.part[p]), vdupq_n_u32(0x80000000u)))));
}
/* Values in [-127, 127], rounded to nearest even. */
static inline void v_store_i8(int8_t *to, v16 v) {
    int16x4_t words[4];
    for (int p = 0; p < 4; p++) words[p] = vqmovn_s32(vcvtnq_s32_f32(v.part[p]));
    vst1_s8(to, vqmovn_s16(vcombine_s16(words[0], words[1])));
    vst1_s8(to + 8, vqmovn_s16(vcombine_s16(words[2], words[3])));
}
/* 2^n of a number 1.5 * 2^23 + n: its low bits become the exponent. */
static inline v16 v_power_of_two(v16 v) {
    EACH_PART(
        vreinterpretq_f32_u32(vaddq_u32(vshlq_n_u32(vreinterpretq_u32_f32(v.part[p]), 23), vdupq_n_u32(0x3f800000u))));
}
static inline float v_sum(v16 v) {
    return vaddvq_f32(vaddq_f32(vaddq_f32(v.part[0], v.part[2]), vaddq_f32(v.part[1], v.part[3])));
}
static inline float v_largest(v16 v) {
    return vmaxvq_f32(max_four(max_four(v.part[0], v.part[2]), max_four(v.part[1], v.part[3])));
}
static inline void transpose_four(float32x4_t r[4]) {
    const float32x4x2_t ab = vtrnq_f32(r[0], r[1]), cd = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
    r[1] = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
    r[2] = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
    r[3] = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
}
static inline void v_transpose(v16 rows[16]) {
    v16 out[16];
    for (int i = 0; i < 4; i++) {
        for (int p = 0; p < 4; p++) {
            float32x4_t block[4];
            for (int j = 0; j < 4; j++) block[j] = rows[4 * i + j].part[p];
            transpose_four(block);
            for (int j = 0; j < 4; j++) out[4 * p + j].part[i] = block[j];
        }
    }
    for (int i = 0; i < 16; i++) rows[i] = out[i];
}

/* ---- lines: byte 4 r + c is row r, place c ---- */

typedef struct {
    uint8x16_t part[4];
} line;
typedef struct {
    int32x4_t part[4];
} v16i;

#define EACH_QUARTER(expression)                                                                                       \
    line result;                                                                                                       \
    for (int p = 0; p < 4; p++) result.part[p] = (expression);                                                         \
    return result
#define EACH_FOUR(expression)                                                                                          \
    v16i result;                                                                                                       \
    for (int p = 0; p < 4; p++) result.part[p] = (expression);                                                         \
    return result

static inline line l_load(const uint8_t *from) { EACH_QUARTER(vld1q_u8(from + 16 * p)); }
static inline void l_store(uint8_t *to, line l) {
    for (int p = 0; p < 4; p++) vst1q_u8(to + 16 * p, l.part[p]);
}
/* Bits [shift, shift + the mask's) of each byte. */
static inline line l_bits(line l, unsigned shift, unsigned mask) {
    EACH_QUARTER(vandq_u8(vshlq_u8(l.part[p], vdupq_n_s8((int8_t) - (int)shift)), vdupq_n_u8((uint8_t)mask)));
}
/* low, and bits of a plane: shifted to the right (a negative number: to the left), as far as the mask lets them. */
static inline line l_merge(line low, line plane, int right, unsigned mask) {
    EACH_QUARTER(vorrq_u8(low.part[p],
                          vandq_u8(vshlq_u8(plane.part[p], vdupq_n_s8((int8_t)-right)), vdupq_n_u8((uint8_t)mask))));
}
static inline line l_lookup(const uint8_t table[16], line codes) {
    EACH_QUARTER(vqtbl1q_u8(vld1q_u8(table), codes.part[p]));
}
static inline v16 v_place(line l, unsigned c) {
    EACH_PART(vcvtq_f32_u32(
        vandq_u32(vshlq_u32(vreinterpretq_u32_u8(l.part[p]), vdupq_n_s32(-8 * (int)c)), vdupq_n_u32(255))));
}
static inline v16 v_level(const float table[16], line l, unsigned c) {
    uint8_t bytes[64];
    float values[16];
    l_store(bytes, l);
    for (unsigned r = 0; r < 16; r++) values[r] = table[bytes[4 * r + c] & 15u];
    return v_load(values);
}

static inline v16i i_set(int32_t value) { EACH_FOUR(vdupq_n_s32(value)); }
static inline v16i i_zero(void) { EACH_FOUR(vdupq_n_s32(0)); }
static inline v16i i_add(v16i a, v16i b) { EACH_FOUR(vaddq_s32(a.part[p], b.part[p])); }
static inline int8x16_t broadcast_quad(const int8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

#ifdef __ARM_FEATURE_DOTPROD

/* The same as i_dot where all codes are below 128: as signed bytes they are what they are. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) {
    const int8x16_t x = broadcast_quad(quad);
    EACH_FOUR(vdotq_s32(sums.part[p], vreinterpretq_s8_u8(l.part[p]), x));
}
/* Codes are taken less 128, as signed bytes: mixed signs need another extension. */
#define WIDE_OFFSET 128
static inline line l_offset(line l) { EACH_QUARTER(veorq_u8(l.part[p], vdupq_n_u8(WIDE_OFFSET))); }
/* sums[r] += line[4 r + c] * quad[c] over c, of signed bytes. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) { return i_dot_narrow(sums, l, quad); }

#else

/* A product is at most 255 * 127 = 32385 in magnitude: it fits 16 bits. */
static inline int32x4_t dot_four_rows(uint8x16_t codes, int16x8_t quads) {
    const int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))), quads);
    const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes))), quads);
    return vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high));
}
/* sums[r] += line[4 r + c] * quad[c] over c. */
static inline v16i i_dot(v16i sums, line l, const int8_t *quad) {
    int32_t four;
    memcpy(&four, quad, sizeof four);
    const int16x8_t quads = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    EACH_FOUR(vaddq_s32(sums.part[p], dot_four_rows(l.part[p], quads)));
}

/*
 * Runs sum in 16 bits, one product of a code and an activation a quad: codes of 2 bits add 3 * 127 = 381 in magnitude each quad,
 * those of 3 bits 889, of 4 bits 1905 (16 quads: 30480), of 5 bits 3937, of 6 bits 8001 (4 quads: 32004).
 */
#define RUN_QUADS(bits)                                                                                                \
    ((bits) == 2 ? 64u : (bits) == 3 ? 32u : (bits) == 4 ? 16u : (bits) == 5 ? 8u : (bits) == 6 ? 4u : 0u)
typedef struct {
    int16x8_t part[8];
} i_run;

static inline i_run run_begin(v16i sums) {
    (void)sums;
    i_run run;
    for (int p = 0; p < 8; p++) run.part[p] = vdupq_n_s16(0);
    return run;
}
static inline i_run run_dot(i_run run, line codes, const int8_t *quad) {
    const int8x8_t x = vget_low_s8(broadcast_quad(quad));
    for (int p = 0; p < 4; p++) {
        const int8x16_t four_rows = vreinterpretq_s8_u8(codes.part[p]);
        run.part[2 * p] = vmlal_s8(run.part[2 * p], vget_low_s8(four_rows), x);
        run.part[2 * p + 1] = vmlal_s8(run.part[2 * p + 1], vget_high_s8(four_rows), x);
    }
    return run;
}
static inline v16i run_end(v16i sums, i_run run) {
    EACH_FOUR(vaddq_s32(sums.part[p], vpaddq_s32(vpaddlq_s16(run.part[2 * p]), vpaddlq_s16(run.part[2 * p + 1]))));
}
/* The same as i_dot where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line l, const int8_t *quad) {
    return run_end(sums, run_dot(run_begin(sums), l, quad));
}

#endif

static inline v16i i_join(v16i high, v16i low) { EACH_FOUR(vaddq_s32(vshlq_n_s32(high.part[p], 8), low.part[p])); }
static inline v16 i_to_float(v16i i) { EACH_PART(vcvtq_f32_s32(i.part[p])); }

#endif
