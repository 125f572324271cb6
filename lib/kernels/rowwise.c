#include "kernels/rowwise.h"

#include <math.h>

void sinq_norm_row(const float *in, const float *weight, uint32_t width, float eps, float *out) {
    double sum = 0.0;
    for (uint32_t i = 0; i < width; i++) sum += (double)in[i] * (double)in[i];
    const float inverse = (float)(1.0 / sqrt(sum / (double)width + (double)eps));
    for (uint32_t i = 0; i < width; i++) out[i] = in[i] * inverse * weight[i];
}

void sinq_rotate_head(const float *in, const float *cosines, const float *sines, uint32_t dims, bool interleaved,
                      float *out) {
    const uint32_t pairs = dims / 2;
    for (uint32_t i = 0; i < pairs; i++) {
        const uint32_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + pairs;
        const float a = in[first], b = in[second];
        out[first] = a * cosines[i] - b * sines[i];
        out[second] = b * cosines[i] + a * sines[i];
    }
}

void sinq_silu_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    for (size_t i = 0; i < width; i++) {
        const float g = gate[i * step];
        out[i] = g / (1.0f + expf(-g)) * up[i * step];
    }
}

void sinq_gelu_tanh_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    for (size_t i = 0; i < width; i++) {
        const float g = gate[i * step];
        const float inner = 0.7978845608f * (g + 0.044715f * g * g * g); /* sqrt(2 / pi) */
        out[i] = 0.5f * g * (1.0f + tanhf(inner)) * up[i * step];
    }
}

void sinq_gelu_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    for (size_t i = 0; i < width; i++) {
        const float g = gate[i * step];
        out[i] = 0.5f * g * (1.0f + erff(g * 0.7071067812f)) * up[i * step];
    }
}

void sinq_gpt_oss_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out) {
    const float limit = 7.0f, alpha = 1.702f;
    for (size_t i = 0; i < width; i++) {
        const float g = gate[i * step] > limit ? limit : gate[i * step];
        const float u = up[i * step] > limit ? limit : up[i * step] < -limit ? -limit : up[i * step];
        out[i] = (u + 1.0f) * (g / (1.0f + expf(-alpha * g)));
    }
}

void sinq_add_row(const float *in, float factor, uint32_t width, float *out) {
    for (uint32_t i = 0; i < width; i++) out[i] += factor * in[i];
}

void sinq_softcap_row(float *in_out, uint32_t width, float cap) {
    for (uint32_t i = 0; i < width; i++) in_out[i] = cap * tanhf(in_out[i] / cap);
}

void sinq_softmax_row(float *in_out, uint32_t width) {
    float largest = -INFINITY;
    for (uint32_t i = 0; i < width; i++) largest = fmaxf(largest, in_out[i]);
    double sum = 0.0;
    for (uint32_t i = 0; i < width; i++) {
        in_out[i] = expf(in_out[i] - largest);
        sum += (double)in_out[i];
    }
    const float inverse = (float)(1.0 / sum);
    for (uint32_t i = 0; i < width; i++) in_out[i] *= inverse;
}
