/*
 * input_scales.h: A-SINQ (arXiv 2509.22944, the calibrated variant; the search is AWQ's, arXiv 2306.00978): column scales t become t / a, so that
 * columns whose inputs are large are rounded more finely, and the others less.
 *
 *   a_j = m_j^alpha / (mean_i |W_ij|^(1 - alpha) + 1e-4),  divided by sqrt(max a * min a)
 *
 * m_j is the mean magnitude of input j; here sqrt(E[x_j^2]), which is in proportion to it for inputs of one distribution. alpha is 0, 0.05, ...
 * 0.95, or a is 1 everywhere, whichever costs least of tr(E H E^T), E = W - W' as stored and H = E[x x^T], over at most 128 rows, evenly
 * chosen. (The reference takes the mean magnitude of outputs' errors on a sample of inputs, of which statistics keep only H.)
 */
#ifndef SINQ_QUANT_INPUT_SCALES_H
#define SINQ_QUANT_INPUT_SCALES_H

#include "quant/matrix/matrix.h"

/*
 * factors[cols], from H, gram[cols][cols]. `method` is what the matrix will be packed by, without gram and factors; `wished` and `blob` as
 * sinq_quantize_packed has them: it is done 21 times. *is_found is false, and all factors are 1, where H is of no use. The same for
 * any number of threads. Fails for want of memory only.
 */
int sinq_find_input_scales(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                           const struct sinq_dual_scale *wished, const float *gram, struct sinq_blob *blob,
                           float *factors, bool *is_found, struct sinq_error *error);

/* What that takes beside the blob: gram, too. */
uint64_t sinq_estimate_input_scales_memory(uint64_t cols, unsigned threads);

#endif
