/*
 * feedback.h: rounding a matrix column by column, each error being made up for by the columns behind it (GPTQ, arXiv 2210.17323), in the
 * normalized domain X = W / t: what counts is the error of X times inputs, H' = diag(t) E[x x^T] diag(t). Scale and zero point of each
 * group are searched when its turn comes, on the columns as the errors before have changed them.
 */
#ifndef SINQ_QUANT_FEEDBACK_H
#define SINQ_QUANT_FEEDBACK_H

#include "quant/matrix/unit.h"

/*
 * All units of a job, into its blob and the first of its outcomes. gram[cols][cols]. Where H' is not positive definite even with much
 * damping, its diagonal alone weighs errors, without feedback; where that is of no use either, *calibration is SINQ_CALIBRATED_NOT and
 * nothing of use is in the blob. The same bytes for any number of threads.
 */
int sinq_round_with_feedback(const struct sinq_unit_job *job, const float *gram, unsigned threads,
                             enum sinq_calibration *calibration, struct sinq_error *error);

#endif
