/*
 * weight.h: a weight as a running model sees it: one matrix [rows, cols] (a vector is one row) in one of the forms that
 * kernels read, wherever its bytes lie (a mapped file, memory).
 *
 * Ownership: a weight borrows all its bytes. Immutable, shared by threads.
 */
#ifndef SINQ_TENSOR_WEIGHT_H
#define SINQ_TENSOR_WEIGHT_H

#include "tensor/dual_scale.h"

struct sinq_weight {
    enum sinq_dtype dtype; /* F32, F16, BF16, F8_E4M3, F8_E5M2: row-major elements; SINQ_DUAL_SCALE: a blob */
    uint64_t rows, cols;
    const uint8_t *bytes; /* elements aligned to their size, a blob to 64 */
    uint64_t size;        /* of bytes */
    /* SINQ_DUAL_SCALE: the blob's header, parsed and checked. */
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    /*
     * F8 with block scales: element (r, c) is multiplied by block_scales[(r / block_rows) * scale_cols + c / block_cols].
     * NULL where there are none.
     */
    const float *block_scales;
    uint64_t block_rows, block_cols, scale_cols;
};

/* Rows [first, first + count) in f32: out[count][cols]. The plain reference of all kernels; exact for every form. */
void sinq_weight_decode(const struct sinq_weight *weight, uint64_t first, uint64_t count, float *out);

#endif
