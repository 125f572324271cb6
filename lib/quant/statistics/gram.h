/* gram.h: sums of products of values that go together: x^T x, of which E[x x^T] is made. No state. */
#ifndef SINQ_QUANT_GRAM_H
#define SINQ_QUANT_GRAM_H

#include <stddef.h>

/*
 * Adds x^T x of `rows` rows, `stride` values apart, to sums[width][width], of which only panels of sixteen on and right of the diagonal
 * are filled. `panels` is working memory for rows * width values, padded to sixteen columns, as sums are.
 */
void sinq_add_gram(const float *x, size_t stride, size_t rows, size_t width, float *panels, float *sums,
                   unsigned threads);

#endif
