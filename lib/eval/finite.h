/* finite.h: whether every value that a quantized matrix stands for is finite. */
#ifndef SINQ_EVAL_FINITE_H
#define SINQ_EVAL_FINITE_H

#include "eval/chunk.h"
#include "tensor/dual_scale.h"

/*
 * *bad becomes the first matrix position whose value is not finite. No value is rebuilt as long as bounds on each group show
 * that it is finite, which makes this as fast as reading the scales and zeros. `blob` is whole and its header parsed.
 */
int sinq_is_blob_finite(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                        const uint8_t *blob, unsigned threads, bool *is_finite, struct sinq_position *bad,
                        struct sinq_error *error);

#endif
