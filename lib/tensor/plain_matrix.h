/*
 * plain_matrix.h: a quantized matrix in plain arrays: what quantizing gives before it is stored, and what one layout is taken
 * apart into on its way to another.
 *
 *   W[r][k] = scale[r][g] * (level(code[r][k]) - zero[r][g]) * column[k],   g = k / group
 */
#ifndef SINQ_TENSOR_PLAIN_MATRIX_H
#define SINQ_TENSOR_PLAIN_MATRIX_H

#include "tensor/dual_scale.h"

/* Arrays belong to whoever made them; column has one row per tile of rows in 2-D tiling, else one. */
struct sinq_plain_matrix {
    uint8_t *codes;      /* [rows][cols] */
    float *scale, *zero; /* [rows][groups], groups = ceil(cols / group) */
    float *column;       /* [row tiles][cols] */
};

/* sinq_free_plain in any case. `name` is for messages. */
int sinq_allocate_plain(uint64_t rows, uint64_t cols, uint64_t groups, uint64_t tiles, const char *name,
                        struct sinq_plain_matrix *plain, struct sinq_error *error);
void sinq_free_plain(struct sinq_plain_matrix *plain);

/* Takes a blob without minima apart. Scales are those stored, without the matrix's factor; column is 1 where it has none. */
void sinq_unpack_plain(const struct sinq_dual_scale *matrix, const struct sinq_dual_scale_sizes *sizes,
                       const uint8_t *blob, struct sinq_plain_matrix *plain);

/*
 * The other way, with scales, zeros (but for zero type none) and the column scale in f16: `matrix` says how, and what the factor
 * is. Plain groups are `group` columns wide, a multiple of the matrix's, whose levels are those of its method. The blob is
 * complete, aligned_alloc'ed to 64 bytes, the caller's to free; *blob is NULL, with SINQ_OK, where a value is no f16 number.
 */
int sinq_pack_plain(const struct sinq_dual_scale *matrix, const struct sinq_plain_matrix *plain, uint64_t group,
                    const char *name, uint8_t **blob, uint64_t *blob_bytes, struct sinq_error *error);

#endif
