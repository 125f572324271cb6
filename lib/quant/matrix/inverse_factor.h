/* inverse_factor.h: the factor of an inverse that rounding with error feedback needs. */
#ifndef SINQ_QUANT_INVERSE_FACTOR_H
#define SINQ_QUANT_INVERSE_FACTOR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The upper triangular U with inverse(H) = U^T U, of a positive definite H[n][n]: its own rows and columns from last to first in
 * `reversed`, of which the part on and right of the diagonal is read and lost. `inverse` is working memory, n * n too. False where H is
 * not positive definite. Below the diagonal of `factor` are zeros. The same bits for any number of threads.
 */
bool sinq_factor_inverse(double *reversed, double *inverse, size_t n, float *factor, unsigned threads);

#endif
