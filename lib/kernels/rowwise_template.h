/* rowwise_template.h: norms, rotations and activations; a part of compute_template.h. */
#ifndef SINQ_KERNELS_ROWWISE_TEMPLATE_H
#define SINQ_KERNELS_ROWWISE_TEMPLATE_H

#include <float.h>

#include "kernels/math_template.h"
#include "kernels/rowwise.h"

ALWAYS_INLINE double sum_lanes(v16d lanes) {
    double sums[16] = {0}, sum = 0.0;
    v_add_sums_to(sums, lanes);
    for (int l = 0; l < 16; l++) sum += sums[l];
    return sum;
}

static void norm_row(const float *in, const float *weight, uint32_t width, float eps, float *out) {
    v16d lanes = v_zero_sums(); /* in f64: squares of large values do not overflow */
    for (size_t i = 0; i < width; i += 16) lanes = v_add_square(lanes, load_some(in + i, count_some(i, width)));
    const v16 inverse = v_set((float)(1.0 / sqrt(sum_lanes(lanes) / (double)width + (double)eps)));
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = count_some(i, width);
        store_some(out + i, some, v_mul(v_mul(load_some(in + i, some), inverse), load_some(weight + i, some)));
    }
}

/* Pairs (i, i + pairs). */
static void rotate_halves(const float *in, const float *cosines, const float *sines, uint32_t pairs, float *out) {
    for (size_t i = 0; i < pairs; i += 16) {
        const size_t some = count_some(i, pairs);
        const v16 a = load_some(in + i, some), b = load_some(in + pairs + i, some);
        const v16 c = load_some(cosines + i, some), s = load_some(sines + i, some);
        store_some(out + i, some, v_fnma(b, s, v_mul(a, c)));
        store_some(out + pairs + i, some, v_fma(a, s, v_mul(b, c)));
    }
}

/* ---- activations ---- */

ALWAYS_INLINE v16 sigmoid_times(v16 x, v16 alpha) {
    const v16 power = v_exp(v_sub(v_set(0.0f), v_mul(alpha, x)));
    return v_div(x, v_add(v_set(1.0f), power));
}
ALWAYS_INLINE v16 silu(v16 gate, v16 up) { return v_mul(sigmoid_times(gate, v_set(1.0f)), up); }
ALWAYS_INLINE v16 gelu_tanh(v16 gate, v16 up) {
    const v16 half = v_mul(v_set(0.5f), gate), one = v_set(1.0f);
    const v16 cubic = v_fma(v_mul(v_mul(gate, gate), v_set(0.044715f)), gate, gate);
    return v_mul(v_mul(half, v_add(one, v_tanh(v_mul(v_set(0.7978845608f), cubic)))), up); /* sqrt(2 / pi) */
}
/* No family that runs often has it: the C library's erf. */
ALWAYS_INLINE v16 gelu(v16 gate, v16 up) {
    float values[16];
    v_store(values, gate);
    for (int l = 0; l < 16; l++) values[l] = 0.5f * values[l] * (1.0f + erff(values[l] * 0.7071067812f));
    return v_mul(v_load(values), up);
}
ALWAYS_INLINE v16 gpt_oss(v16 gate, v16 up) {
    const v16 limit = v_set(7.0f), g = v_min(limit, gate), u = v_max(v_set(-7.0f), v_min(limit, up));
    return v_mul(v_add(u, v_set(1.0f)), sigmoid_times(g, v_set(1.702f)));
}

ALWAYS_INLINE v16 load_step(const float *from, size_t step, size_t count) {
    if (step == 1) return load_some(from, count);
    float values[16] = {0};
    for (size_t i = 0; i < count; i++) values[i] = from[i * step];
    return v_load(values);
}

#define DEFINE_ACTIVATION(NAME)                                                                                        \
    static void NAME##_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {            \
        for (size_t i = 0; i < width; i += 16) {                                                                       \
            const size_t some = count_some(i, width);                                                                  \
            const v16 g = load_step(gate + i * step, step, some), u = load_step(up + i * step, step, some);            \
            store_some(out + i, some, NAME(g, u));                                                                     \
        }                                                                                                              \
    }
DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu_tanh)
DEFINE_ACTIVATION(gelu)
DEFINE_ACTIVATION(gpt_oss)

static void add_row(const float *in, float factor, uint32_t width, float *out) {
    const v16 by = v_set(factor);
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = count_some(i, width);
        store_some(out + i, some, v_fma(by, load_some(in + i, some), load_some(out + i, some)));
    }
}

static void softcap_row(float *in_out, uint32_t width, float cap) {
    const v16 by = v_set(cap);
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = count_some(i, width);
        store_some(in_out + i, some, v_mul(by, v_tanh(v_div(load_some(in_out + i, some), by))));
    }
}

/* The largest value; -infinity where there is none. */
ALWAYS_INLINE float find_maximum(const float *values, uint32_t width) {
    v16 lanes = v_set(-INFINITY);
    float largest = -INFINITY;
    size_t i = 0;
    for (; i + 16 <= width; i += 16) lanes = v_max(lanes, v_load(values + i));
    for (; i < width; i++) largest = values[i] > largest ? values[i] : largest;
    const float rest = v_largest(lanes);
    return rest > largest ? rest : largest;
}

static void softmax_row(float *in_out, uint32_t width) {
    const v16 largest = v_set(find_maximum(in_out, width));
    v16d lanes = v_zero_sums();
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = count_some(i, width);
        const v16 share = v_exp(v_sub(load_some(in_out + i, some), largest));
        store_some(in_out + i, some, share);
        lanes = v_add_value(lanes, load_some(in_out + i, some)); /* without what lies beyond the width */
    }
    const v16 inverse = v_set((float)(1.0 / sum_lanes(lanes)));
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = count_some(i, width);
        store_some(in_out + i, some, v_mul(load_some(in_out + i, some), inverse));
    }
}

/* The operand that is not a number comes first: then the other one is taken. */
static void copy_scores(const float *logits, uint32_t count, float *scores, float *peaks) {
    const v16 lowest = v_set(-FLT_MAX), highest = v_set(FLT_MAX);
    for (size_t first = 0; first < count; first += SINQ_SCORE_BLOCK) {
        const size_t end = count - first < SINQ_SCORE_BLOCK ? count : first + SINQ_SCORE_BLOCK;
        v16 lanes = lowest;
        size_t i = first;
        for (; i + 16 <= end; i += 16) {
            const v16 score = v_min(v_max(v_load(logits + i), lowest), highest);
            v_store(scores + i, score);
            lanes = v_max(lanes, score);
        }
        float peak = v_largest(lanes);
        for (; i < end; i++) {
            const float low = logits[i] > -FLT_MAX ? logits[i] : -FLT_MAX;
            scores[i] = low < FLT_MAX ? low : FLT_MAX;
            peak = scores[i] > peak ? scores[i] : peak;
        }
        peaks[first / SINQ_SCORE_BLOCK] = peak;
    }
}

#endif
