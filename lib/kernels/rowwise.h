/* rowwise.h: what a model does to one row of activations besides products and attention. All in f32, in place where in == out. */
#ifndef SINQ_KERNELS_ROWWISE_H
#define SINQ_KERNELS_ROWWISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* out = in / sqrt(mean(in^2) + eps) * weight. */
void sinq_norm_row(const float *in, const float *weight, uint32_t width, float eps, float *out);

/* Turns pairs (i, i + dims / 2), or (2 i, 2 i + 1) where interleaved: (a, b) -> (a cos - b sin, b cos + a sin). */
void sinq_rotate_head(const float *in, const float *cosines, const float *sines, uint32_t dims, bool interleaved,
                      float *out);

/* The activations of model/operation.h; gate, up and out are `step` (out: 1) apart. */
void sinq_silu_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out);
void sinq_gelu_tanh_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out);
void sinq_gelu_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out);
void sinq_gpt_oss_row(const float *gate, const float *up, uint32_t width, uint32_t step, float *out);

/* out += factor * in */
void sinq_add_row(const float *in, float factor, uint32_t width, float *out);
void sinq_softcap_row(float *in_out, uint32_t width, float cap);

/* In place: exp(x - max) / sum. */
void sinq_softmax_row(float *in_out, uint32_t width);

#endif
