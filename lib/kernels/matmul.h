/*
 * matmul.h: y = W x + b for every form of weight, several tokens at once.
 *
 * The input is prepared once and shared by all rows: in f32, or, for quantized matrices unless `exact`, multiplied by the
 * column scale and quantized to int8 with a scale and a sum for each group:
 *   y[r] = factor * sum_g s[r][g] * sx[g] * (dot(code[r], x8) - z[r][g] * sum(x8))
 * With several tokens and levels of bytes, groups of 16 and 32 columns share a scale of 64, and z * sum(x8) is rounded.
 * Rows come in panels of 16 (SINQ_PANEL_ROWS), which threads share out among themselves.
 *
 * Calling sequence, for T tokens:
 *   memory of sinq_prepared_bytes(), aligned to 64
 *   sinq_prepare_input() for tokens [first, first + count): any threads, any split
 *   sinq_multiply_panels() for panels [first, first + count): any threads, any split, each with its own scratch of
 *   sinq_multiply_scratch() bytes, aligned to 64
 */
#ifndef SINQ_KERNELS_MATMUL_H
#define SINQ_KERNELS_MATMUL_H

#include "tensor/weight.h"

/* Never more than 2 * tokens times those of one token: tokens are padded to whole tiles. */
size_t sinq_prepared_bytes(const struct sinq_weight *weight, uint32_t tokens, bool exact);
size_t sinq_multiply_scratch(const struct sinq_weight *weight, uint32_t tokens, bool exact);

/* x[t * stride ...] are the rows of all `tokens` tokens. */
void sinq_prepare_input(const struct sinq_weight *weight, const float *x, size_t stride, uint32_t tokens,
                        uint32_t first, uint32_t count, bool exact, void *prepared);

/*
 * y[t * stride + r] (= or +=, where `accumulate`) the product, for all tokens and the rows of the panels; rows beyond the
 * weight's are not written. `bias` is a vector of all rows or NULL.
 */
void sinq_multiply_panels(const struct sinq_weight *weight, const void *prepared, uint32_t tokens, uint64_t first_panel,
                          uint64_t panels, const float *bias, bool accumulate, bool exact, float *y, size_t stride,
                          void *scratch);

#endif
