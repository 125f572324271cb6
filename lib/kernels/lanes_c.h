/* lanes_c.h: what running a model needs besides simd_c.h, in plain C. */
#ifndef SINQ_KERNELS_LANES_C_H
#define SINQ_KERNELS_LANES_C_H

#include "kernels/narrow_lanes.h"
#include "kernels/simd_c.h"
#include "tensor/dtype.h"

#define F32_TILE    2u
#define INT8_TILE   2u
#define INT8_PANELS 1u
#define I_DOT_WIDE  0

static inline v16 v_fma(v16 a, v16 b, v16 c) { EACH_LANE(a.lane[l] * b.lane[l] + c.lane[l]); }
static inline v16 v_fnma(v16 a, v16 b, v16 c) { EACH_LANE(c.lane[l] - a.lane[l] * b.lane[l]); }
static inline v16 v_load_f16(const uint16_t *from) {
    v16 result;
    sinq_convert_to_float(SINQ_F16, from, 16, result.lane);
    return result;
}
static inline v16 v_load_u8(const uint8_t *from) { EACH_LANE((float)from[l]); }
static inline v16 v_load_i8(const uint8_t *from) { EACH_LANE((float)(int8_t)from[l]); }
/* Entries of seven bits m and a sign, bit 7: +-(1 + m / 128). */
static inline v16 v_load_signed(const uint8_t *from) {
    EACH_LANE((from[l] >= 128 ? -1.0f : 1.0f) * (1.0f + (float)(from[l] & 127) * 0x1p-7f));
}
/* With its sign changed where the other one is negative. */
static inline v16 v_flip(v16 v, v16 sign) { EACH_LANE(sign.lane[l] < 0.0f ? -v.lane[l] : v.lane[l]); }
/* Values in [-127, 127], rounded to nearest even. */
static inline void v_store_i8(int8_t *to, v16 v) {
    const v16 rounded = v_round(v);
    for (int l = 0; l < 16; l++) to[l] = (int8_t)rounded.lane[l];
}
/* 2^n of a number 1.5 * 2^23 + n: its low bits become the exponent. */
static inline v16 v_power_of_two(v16 v) {
    uint32_t bits[16];
    memcpy(bits, v.lane, sizeof bits);
    for (int l = 0; l < 16; l++) bits[l] = (bits[l] << 23) + 0x3f800000u;
    memcpy(v.lane, bits, sizeof bits);
    return v;
}
static inline float v_sum(v16 v) {
    for (int half = 8; half > 0; half /= 2) {
        for (int l = 0; l < half; l++) v.lane[l] += v.lane[l + half];
    }
    return v.lane[0];
}
static inline float v_largest(v16 v) {
    float largest = v.lane[0];
    for (int l = 1; l < 16; l++) largest = largest > v.lane[l] ? largest : v.lane[l];
    return largest;
}
static inline void v_transpose(v16 rows[16]) {
    for (int i = 0; i < 16; i++) {
        for (int j = 0; j < i; j++) {
            const float below = rows[i].lane[j];
            rows[i].lane[j] = rows[j].lane[i];
            rows[j].lane[i] = below;
        }
    }
}

/* ---- lines: byte 4 r + c is row r, place c ---- */

typedef struct {
    uint8_t byte[64];
} line;
typedef struct {
    int32_t lane[16];
} v16i;

#define EACH_BYTE(expression)                                                                                          \
    line result;                                                                                                       \
    for (int b = 0; b < 64; b++) result.byte[b] = (uint8_t)(expression);                                               \
    return result
#define EACH_INTEGER(expression)                                                                                       \
    v16i result;                                                                                                       \
    for (int l = 0; l < 16; l++) result.lane[l] = (expression);                                                        \
    return result

static inline line l_load(const uint8_t *from) {
    line result;
    memcpy(result.byte, from, sizeof result.byte);
    return result;
}
static inline void l_store(uint8_t *to, line l) { memcpy(to, l.byte, sizeof l.byte); }
/* Bits [shift, shift + the mask's) of each byte. */
static inline line l_bits(line l, unsigned shift, unsigned mask) { EACH_BYTE((unsigned)l.byte[b] >> shift & mask); }
/* low, and bits of a plane: shifted to the right (a negative number: to the left), as far as the mask lets them. */
static inline line l_merge(line low, line plane, int right, unsigned mask) {
    EACH_BYTE((unsigned)low.byte[b] |
              ((right < 0 ? (unsigned)plane.byte[b] << -right : (unsigned)plane.byte[b] >> right) & mask));
}
static inline line l_lookup(const uint8_t table[16], line codes) { EACH_BYTE(table[codes.byte[b] & 15u]); }
static inline v16 v_place(line codes, unsigned c) { EACH_LANE((float)codes.byte[4 * (unsigned)l + c]); }
static inline v16 v_level(const float table[16], line codes, unsigned c) {
    EACH_LANE(table[codes.byte[4 * (unsigned)l + c] & 15u]);
}

static inline v16i i_set(int32_t value) { EACH_INTEGER(value); }
static inline v16i i_zero(void) { EACH_INTEGER(0); }
static inline v16i i_add(v16i a, v16i b) { EACH_INTEGER(a.lane[l] + b.lane[l]); }
/* sums[r] += line[4 r + c] * quad[c] over c. */
static inline v16i i_dot(v16i sums, line codes, const int8_t *quad) {
    EACH_INTEGER(sums.lane[l] + codes.byte[4 * l] * quad[0] + codes.byte[4 * l + 1] * quad[1] +
                 codes.byte[4 * l + 2] * quad[2] + codes.byte[4 * l + 3] * quad[3]);
}
/* The same where all codes are below 128. */
static inline v16i i_dot_narrow(v16i sums, line codes, const int8_t *quad) { return i_dot(sums, codes, quad); }
static inline v16i i_join(v16i high, v16i low) { EACH_INTEGER(high.lane[l] * 256 + low.lane[l]); }
static inline v16 i_to_float(v16i i) { EACH_LANE((float)i.lane[l]); }

#endif
