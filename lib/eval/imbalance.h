/* imbalance.h: how unevenly a matrix's rows and columns are spread, before and after Sinkhorn normalization. */
#ifndef SINQ_EVAL_IMBALANCE_H
#define SINQ_EVAL_IMBALANCE_H

#include "sinq.h"

#define SINQ_IMBALANCE_COLUMNS 64u

/*
 * SINQ's imbalance (equation 2) of tiles of 64 columns and all rows of the matrix that is multiplied by, so of 64 rows and all
 * columns where the tensor is stored [in, out]. Means over all tiles of all matrices of a stack; both 0 where the tensor is
 * no matrix: not of floats, not of 2 dimensions (or 3, each matrix at least 32 x 32), or with a side shorter than 2. A value
 * that is not finite counts as zero. `largest` is the largest finite magnitude.
 */
struct sinq_imbalance {
    double before, after;
};
int sinq_measure_imbalance(const struct sinq_source *source, size_t tensor, double largest, unsigned threads,
                           struct sinq_imbalance *imbalance, struct sinq_error *error);

#endif
