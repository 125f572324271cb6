/* simd_neon.h: sixteen f32 lanes in four NEON registers. */
#ifndef SINQ_KERNELS_SIMD_NEON_H
#define SINQ_KERNELS_SIMD_NEON_H

#include <arm_neon.h>
#include <stdint.h>

typedef struct {
    float32x4_t part[4];
} v16;

#define EACH_PART(expression)                                                                                          \
    v16 result;                                                                                                        \
    for (int p = 0; p < 4; p++) result.part[p] = (expression);                                                         \
    return result

/* FMIN and FMAX order -0 below +0, x86 does not: compare and select gives the same everywhere. */
static inline float32x4_t min_four(float32x4_t a, float32x4_t b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline float32x4_t max_four(float32x4_t a, float32x4_t b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }

static inline v16 v_set(float value) { EACH_PART(vdupq_n_f32(value)); }
static inline v16 v_load(const float *from) { EACH_PART(vld1q_f32(from + 4 * p)); }
static inline void v_store(float *to, v16 v) {
    for (int p = 0; p < 4; p++) vst1q_f32(to + 4 * p, v.part[p]);
}
static inline v16 v_load_bf16(const uint16_t *from) {
    EACH_PART(vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from + 4 * p), 16)));
}
static inline v16 v_add(v16 a, v16 b) { EACH_PART(vaddq_f32(a.part[p], b.part[p])); }
static inline v16 v_sub(v16 a, v16 b) { EACH_PART(vsubq_f32(a.part[p], b.part[p])); }
static inline v16 v_mul(v16 a, v16 b) { EACH_PART(vmulq_f32(a.part[p], b.part[p])); }
static inline v16 v_div(v16 a, v16 b) { EACH_PART(vdivq_f32(a.part[p], b.part[p])); }
/*
 * a / b, rounded as a division rounds it, from by_b = 1 / b rounded: right for every pair of mantissas (all 2^46 were tried)
 * as long as no step leaves the range of normal numbers. Signs of zeros are kept.
 */
static inline float32x4_t divide_four(float32x4_t a, float32x4_t b, float32x4_t by_b) {
    const float32x4_t quotient = vmulq_f32(a, by_b);
    return vfmsq_f32(quotient, vfmaq_f32(vnegq_f32(a), b, quotient), by_b);
}
static inline v16 v_divide_quick(v16 a, v16 b, v16 by_b) { EACH_PART(divide_four(a.part[p], b.part[p], by_b.part[p])); }
static inline float v_first(v16 v) { return vgetq_lane_f32(v.part[0], 0); }
static inline v16 v_min(v16 a, v16 b) { EACH_PART(min_four(a.part[p], b.part[p])); }
static inline v16 v_max(v16 a, v16 b) { EACH_PART(max_four(a.part[p], b.part[p])); }
static inline v16 v_round(v16 v) { EACH_PART(vrndnq_f32(v.part[p])); }
static inline v16 v_where_greater(v16 a, v16 b, v16 then, v16 otherwise) {
    EACH_PART(vbslq_f32(vcgtq_f32(a.part[p], b.part[p]), then.part[p], otherwise.part[p]));
}
static inline void v_store_u8(uint8_t *to, v16 v) {
    uint16x4_t words[4];
    for (int p = 0; p < 4; p++) words[p] = vqmovn_u32(vcvtq_u32_f32(v.part[p]));
    vst1_u8(to, vqmovn_u16(vcombine_u16(words[0], words[1])));
    vst1_u8(to + 8, vqmovn_u16(vcombine_u16(words[2], words[3])));
}

static inline void v_store_f16(uint16_t *to, v16 v) {
    for (int p = 0; p < 4; p++) vst1_u16(to + 4 * p, vreinterpret_u16_f16(vcvt_f16_f32(v.part[p])));
}
/* Sixteen f64 sums. The square of an f32 is exact in f64, so the fused multiply-add makes no difference. */
typedef struct {
    float64x2_t part[8];
} v16d;

static inline v16d v_zero_sums(void) {
    v16d sums;
    for (int p = 0; p < 8; p++) sums.part[p] = vdupq_n_f64(0.0);
    return sums;
}
static inline v16d v_widen(v16 v) {
    v16d wide;
    for (int p = 0; p < 4; p++) {
        wide.part[2 * p] = vcvt_f64_f32(vget_low_f32(v.part[p]));
        wide.part[2 * p + 1] = vcvt_high_f64_f32(v.part[p]);
    }
    return wide;
}
static inline v16d v_add_value(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    for (int p = 0; p < 8; p++) sums.part[p] = vaddq_f64(sums.part[p], wide.part[p]);
    return sums;
}
static inline v16d v_add_square(v16d sums, v16 v) {
    const v16d wide = v_widen(v);
    for (int p = 0; p < 8; p++) sums.part[p] = vfmaq_f64(sums.part[p], wide.part[p], wide.part[p]);
    return sums;
}
static inline v16d v_square(v16 v) {
    v16d wide = v_widen(v);
    for (int p = 0; p < 8; p++) wide.part[p] = vmulq_f64(wide.part[p], wide.part[p]);
    return wide;
}
static inline void v_add_sums_to(double *to, v16d sums) {
    for (int p = 0; p < 8; p++) vst1q_f64(to + 2 * p, vaddq_f64(vld1q_f64(to + 2 * p), sums.part[p]));
}
static inline void v_store_sums(double *to, v16d sums) {
    for (int p = 0; p < 8; p++) vst1q_f64(to + 2 * p, sums.part[p]);
}
/* Eight f64 sums: lanes l and l + 8 of sixteen added. */
typedef struct {
    float64x2_t part[4];
} v8d;
static inline v8d v_halve(v16d sums) {
    v8d half;
    for (int p = 0; p < 4; p++) half.part[p] = vaddq_f64(sums.part[p], sums.part[p + 4]);
    return half;
}
static inline void v_store_half(double *to, v8d sums) {
    for (int p = 0; p < 4; p++) vst1q_f64(to + 2 * p, sums.part[p]);
}
static inline void v_add_half_to(double *to, v8d sums) {
    for (int p = 0; p < 4; p++) vst1q_f64(to + 2 * p, vaddq_f64(vld1q_f64(to + 2 * p), sums.part[p]));
}
static inline float64x2_t fold_to_two(v8d sums) {
    return vaddq_f64(vaddq_f64(sums.part[0], sums.part[2]), vaddq_f64(sums.part[1], sums.part[3]));
}
/* Folds the lanes of row r into lane r: l + 4, l + 2, l + 1. */
static inline v8d v_fold_halves(const v8d rows[8]) {
    v8d result;
    for (int p = 0; p < 4; p++) result.part[p] = vpaddq_f64(fold_to_two(rows[2 * p]), fold_to_two(rows[2 * p + 1]));
    return result;
}
static inline float32x2_t deviation_of_two(const double *sum, const double *square, double by_count,
                                           double by_freedom) {
    const float64x2_t s = vld1q_f64(sum);
    const float64x2_t difference = vsubq_f64(vld1q_f64(square), vmulq_n_f64(vmulq_f64(s, s), by_count));
    const float64x2_t positive = vbslq_f64(vcgtq_f64(difference, vdupq_n_f64(0.0)), difference, vdupq_n_f64(0.0));
    return vcvt_f32_f64(vsqrtq_f64(vmulq_n_f64(positive, by_freedom)));
}
/* sqrt(max(0, square - sum^2 / count) / (count - 1)), as f32. */
static inline v16 v_deviation(const double *sum, const double *square, double by_count, double by_freedom) {
    EACH_PART(vcombine_f32(deviation_of_two(sum + 4 * p, square + 4 * p, by_count, by_freedom),
                           deviation_of_two(sum + 4 * p + 2, square + 4 * p + 2, by_count, by_freedom)));
}

#define DEFINE_FOLD(NAME, OPERATION)                                                                                   \
    static inline v16 NAME(const v16 rows[16]) {                                                                       \
        v16 result;                                                                                                    \
        for (int p = 0; p < 4; p++) {                                                                                  \
            float32x4_t row[4];                                                                                        \
            for (int i = 0; i < 4; i++) {                                                                              \
                const v16 v = rows[4 * p + i];                                                                         \
                row[i] = OPERATION(OPERATION(v.part[0], v.part[2]), OPERATION(v.part[1], v.part[3]));                  \
            }                                                                                                          \
            const float32x4x2_t ab = vtrnq_f32(row[0], row[1]), cd = vtrnq_f32(row[2], row[3]);                        \
            const float32x4_t lane0 = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));                  \
            const float32x4_t lane1 = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));                  \
            const float32x4_t lane2 = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));                \
            const float32x4_t lane3 = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));                \
            result.part[p] = OPERATION(OPERATION(lane0, lane2), OPERATION(lane1, lane3));                              \
        }                                                                                                              \
        return result;                                                                                                 \
    }
DEFINE_FOLD(v_sum_rows, vaddq_f32)
DEFINE_FOLD(v_min_rows, min_four)
DEFINE_FOLD(v_max_rows, max_four)

#endif
