/*
 * mxfp4.h: gpt_oss's source weights as quantized matrices of ours, exactly.
 *
 * MXFP4 (OCP Microscaling formats 1.0): 32 values of a row share a scale 2^(e - 127); a value is 4 bits, sign and E2M1:
 * 0 0.5 1 1.5 2 3 4 6. Checkpoints hold codes [experts, rows, cols / 32, 16], two a byte, the low nibble first, and scales
 * [experts, rows, cols / 32].
 */
#ifndef SINQ_MODEL_MXFP4_H
#define SINQ_MODEL_MXFP4_H

#include "tensor/dual_scale.h"

/*
 * One expert's matrix as a blob in our layout, aligned_alloc'ed to 64 bytes (levels, groups of 32, f16 scales over a common factor,
 * no zero points), its description in *matrix and *sizes. `blob` is NULL where scales span more than f16 holds exactly: then
 * sinq_decode_mxfp4 gives f32.
 */
int sinq_convert_mxfp4(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t cols, const char *name,
                       uint8_t **blob, struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes,
                       struct sinq_error *error);

/* out[rows][cols]. */
void sinq_decode_mxfp4(const uint8_t *codes, const uint8_t *scales, uint64_t rows, uint64_t cols, float *out);

#endif
