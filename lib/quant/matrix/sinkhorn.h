/*
 * sinkhorn.h: the Sinkhorn-style normalization of SINQ (arXiv 2509.22944, algorithm 1, as the reference implements it).
 *
 * Finds column scales t and row scales u of a tile M so that the standard deviations of the rows and columns of
 * M[i][j] / t[j] / u[i] lie close together: the imbalance (equation 2) is the largest of them over the smallest.
 */
#ifndef SINQ_QUANT_SINKHORN_H
#define SINQ_QUANT_SINKHORN_H

#include "quant/matrix/tile.h"
#include "sinq.h"

#define SINQ_SINKHORN_STEPS 16u

struct sinq_sinkhorn_result {
    float imbalance_before; /* of M */
    float imbalance_after;  /* of the best normalization found */
    unsigned passes;        /* over the tile */
};

/* Working memory for tiles up to a size; one thread's. */
struct sinq_sinkhorn;
struct sinq_sinkhorn *sinq_sinkhorn_create(size_t most_rows, size_t most_cols);
void sinq_sinkhorn_free(struct sinq_sinkhorn *work);

/*
 * col_scale[pad(cols)] and row_scale[pad(rows)] receive t and u; padding repeats the last column's scale and holds 1 for rows.
 * A side shorter than two has no deviation and is left alone (scales 1). Values must be finite and at most 2^40 in magnitude.
 */
void sinq_normalize_tile(struct sinq_sinkhorn *work, const struct sinq_tile *tile, float *col_scale, float *row_scale,
                         struct sinq_sinkhorn_result *result);

#endif
