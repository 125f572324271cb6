/*
 * synthetic_weights.h: bytes of made-up weights. What a model computes from them stays of order 1 through any number of layers: a
 * matrix of n columns has values of about 1 / sqrt(n), a norm's are about 1.
 */
#ifndef SINQ_EVAL_SYNTHETIC_WEIGHTS_H
#define SINQ_EVAL_SYNTHETIC_WEIGHTS_H

#include "tensor/dual_scale.h"

/* Of the blob that `matrix` describes all but factor and range of zeros, which are chosen here. `bytes` are random already. */
void sinq_finish_synthetic_matrix(struct sinq_dual_scale *matrix, uint8_t *bytes);

/* Random bytes become bf16 values of a matrix of that many columns. */
void sinq_finish_synthetic_bf16(uint64_t cols, uint8_t *bytes, uint64_t size);

/* f32 values from 0.75 to 1.25, less `less`: norms, of which some families store w - 1. */
void sinq_finish_synthetic_norm(float less, uint8_t *bytes, uint64_t size);

#endif
