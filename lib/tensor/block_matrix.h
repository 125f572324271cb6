/*
 * block_matrix.h: tensors in GGUF's block types as quantized matrices of ours, without a change of their values: codes are
 * moved, scales become scales. The matrix stands for the same f32 values as the blocks, to the last bit.
 */
#ifndef SINQ_TENSOR_BLOCK_MATRIX_H
#define SINQ_TENSOR_BLOCK_MATRIX_H

#include "tensor/block_types.h"
#include "tensor/dual_scale.h"

/* One matrix of a tensor. */
struct sinq_block_matrix {
    const struct sinq_block_type *type; /* not a plain one */
    uint64_t rows, cols;                /* cols: whole blocks */
    const uint8_t *const *row_bytes;    /* the blocks of each row */
    uint32_t stack_index, stack_count;  /* these and `transposed` as in struct sinq_dual_scale */
    bool transposed;
};

/* What it becomes; false where the layout has no room for it. row_bytes may be NULL. */
bool sinq_describe_block_matrix(const struct sinq_block_matrix *blocks, struct sinq_dual_scale *matrix,
                                struct sinq_dual_scale_sizes *sizes);

/*
 * A complete blob, aligned_alloc'ed to 64 bytes, the caller's to free. *blob is NULL, with SINQ_OK, where the layout cannot hold
 * these values exactly: decode them then. `name` is for messages.
 */
int sinq_convert_block_matrix(const struct sinq_block_matrix *blocks, const char *name, uint8_t **blob,
                              uint64_t *blob_bytes, struct sinq_error *error);

#endif
