/*
 * feedback_sweeps.h: codes that rounding with error feedback (feedback.h) has chosen, looked at once more, column by column, with all others as
 * they are: coordinate descent on e H' e^T, e = Q - X, which never gets worse. Rounding from left to right can make up for an error
 * only behind it; this also looks back.
 */
#ifndef SINQ_QUANT_FEEDBACK_SWEEPS_H
#define SINQ_QUANT_FEEDBACK_SWEEPS_H

#include "quant/matrix/feedback_group.h"

/* 32 rows of a matrix. H' = diag(t) gram diag(t) / mean + damping. */
struct sinq_sweep {
    const struct sinq_unit_job *job;
    size_t cols, group;
    const float *gram;   /* [cols][cols] */
    const float *column; /* t */
    float mean, damping;
    const struct sinq_feedback_line *lines; /* of each group */
    const float *wished;                    /* X[cols][32] */
    float *values;                          /* Q[cols][32], which changes with... */
    uint8_t *codes;                         /* [32][cols] */
    float *slopes;                          /* working memory [cols][32]: (e diag(t) gram) */
    float *steps;                           /* [SINQ_SWEEP_COLUMNS][32] */
};

#define SINQ_SWEEP_COLUMNS 128u

void sinq_sweep_codes(const struct sinq_sweep *sweep, unsigned count);

#endif
