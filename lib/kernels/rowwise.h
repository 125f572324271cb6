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

/*
 * Logits as scores, which are finite: what is not a number becomes the lowest one, infinities the lowest and the highest;
 * peaks[b] is the best score of block b. Exact, so the same on every instruction set.
 */
#define SINQ_SCORE_BLOCK 64u
void sinq_copy_scores(const float *logits, uint32_t count, float *scores, float *peaks);

/* In place: exp(x - max) / sum. */
void sinq_softmax_row(float *in_out, uint32_t width);

#endif
