/*
 * input_statistics.h: E[x x^T] of what linear layers read, from calibration tokens. The public half, and what it is for, is in sinq.h
 * (sinq_collect_statistics).
 */
#ifndef SINQ_QUANT_INPUT_STATISTICS_H
#define SINQ_QUANT_INPUT_STATISTICS_H

#include "sinq.h"

/*
 * Adds x^T x of `rows` rows, `stride` values apart, to sums[width][width], of which only panels of sixteen on and right of the diagonal
 * are filled. `panels` is working memory for rows * width values, padded to sixteen columns, as sums are.
 */
void sinq_add_gram(const float *x, size_t stride, size_t rows, size_t width, float *panels, float *sums,
                   unsigned threads);

#endif
