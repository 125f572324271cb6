/* rowwise_template.h: norms, rotations and activations; a part of compute_template.h. */
#ifndef SINQ_KERNELS_ROWWISE_TEMPLATE_H
#define SINQ_KERNELS_ROWWISE_TEMPLATE_H

#include "kernels/math_template.h"

static void norm_row(const float *in, const float *weight, uint32_t width, float eps, float *out) {
    v16d lanes = v_zero_sums(); /* in f64: squares of large values do not overflow */
    uint32_t i = 0;
    for (; i + 16 <= width; i += 16) lanes = v_add_square(lanes, v_load(in + i));
    if (i < width) lanes = v_add_square(lanes, load_some(in + i, width - i));
    double sums[16] = {0}, sum = 0.0;
    v_add_sums_to(sums, lanes);
    for (int l = 0; l < 16; l++) sum += sums[l];
    const v16 inverse = v_set((float)(1.0 / sqrt(sum / (double)width + (double)eps)));
    for (i = 0; i + 16 <= width; i += 16) {
        v_store(out + i, v_mul(v_mul(v_load(in + i), inverse), v_load(weight + i)));
    }
    if (i == width) return;
    store_some(out + i, width - i,
               v_mul(v_mul(load_some(in + i, width - i), inverse), load_some(weight + i, width - i)));
}

/* Pairs (i, i + pairs). */
static void rotate_halves(const float *in, const float *cosines, const float *sines, uint32_t pairs, float *out) {
    for (uint32_t i = 0; i < pairs; i += 16) {
        const uint32_t some = pairs - i < 16 ? pairs - i : 16;
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
    if (step == 1) return count == 16 ? v_load(from) : load_some(from, count);
    float values[16] = {0};
    for (size_t i = 0; i < count; i++) values[i] = from[i * step];
    return v_load(values);
}

#define DEFINE_ACTIVATION(NAME)                                                                                        \
    static void NAME##_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {            \
        for (size_t i = 0; i < width; i += 16) {                                                                       \
            const size_t some = width - i < 16 ? width - i : 16;                                                       \
            const v16 result = NAME(load_step(gate + i * step, step, some), load_step(up + i * step, step, some));     \
            if (some == 16) {                                                                                          \
                v_store(out + i, result);                                                                              \
            } else {                                                                                                   \
                store_some(out + i, some, result);                                                                     \
            }                                                                                                          \
        }                                                                                                              \
    }
DEFINE_ACTIVATION(silu)
DEFINE_ACTIVATION(gelu_tanh)
DEFINE_ACTIVATION(gelu)
DEFINE_ACTIVATION(gpt_oss)

static void add_row(const float *in, float factor, uint32_t width, float *out) {
    const v16 by = v_set(factor);
    uint32_t i = 0;
    for (; i + 16 <= width; i += 16) v_store(out + i, v_fma(by, v_load(in + i), v_load(out + i)));
    if (i == width) return;
    store_some(out + i, width - i, v_fma(by, load_some(in + i, width - i), load_some(out + i, width - i)));
}

static void softcap_row(float *in_out, uint32_t width, float cap) {
    const v16 by = v_set(cap);
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = width - i < 16 ? width - i : 16;
        const v16 capped = v_mul(by, v_tanh(v_div(load_some(in_out + i, some), by)));
        store_some(in_out + i, some, capped);
    }
}

static void softmax_row(float *in_out, uint32_t width) {
    float largest = -INFINITY;
    for (uint32_t i = 0; i < width; i++) largest = in_out[i] > largest ? in_out[i] : largest;
    const v16 subtract = v_set(largest);
    v16d lanes = v_zero_sums();
    for (size_t i = 0; i < width; i += 16) {
        const size_t some = width - i < 16 ? width - i : 16;
        v16 share = v_exp(v_sub(load_some(in_out + i, some), subtract));
        store_some(in_out + i, some, share);
        if (some < 16) share = load_some(in_out + i, some);
        lanes = v_add_value(lanes, share);
    }
    double sums[16] = {0}, sum = 0.0;
    v_add_sums_to(sums, lanes);
    for (int l = 0; l < 16; l++) sum += sums[l];
    const float inverse = (float)(1.0 / sum);
    for (uint32_t i = 0; i < width; i++) in_out[i] *= inverse;
}

#endif
