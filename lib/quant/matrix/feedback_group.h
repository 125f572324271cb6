/*
 * feedback_group.h: what one group of up to 32 rows is rounded with while errors are fed back (feedback.h): its scales and zero points
 * are searched on the columns as they are now, and stored first, so that codes are chosen for what a reader will see.
 */
#ifndef SINQ_QUANT_FEEDBACK_GROUP_H
#define SINQ_QUANT_FEEDBACK_GROUP_H

#include "quant/matrix/unit.h"

struct sinq_feedback_group {
    const struct sinq_unit_job *job;
    size_t first_row, rows;
    uint64_t index;       /* of the group in the matrix */
    size_t count;         /* columns */
    const float *values;  /* [count][32]; beyond `rows` zeros */
    const float *weights; /* [count] */
    float *work;          /* sinq_count_feedback_work() values */
};

/* As a reader has them, in the normalized domain. */
struct sinq_feedback_line {
    float scale[SINQ_SCALE_BLOCK_ROWS], zero[SINQ_SCALE_BLOCK_ROWS];
};

size_t sinq_count_feedback_work(size_t count);

/* Searches and writes into the job's blob. What storing costs is added to the outcome. */
void sinq_choose_feedback_line(const struct sinq_feedback_group *group, struct sinq_feedback_line *line,
                               struct sinq_unit_outcome *outcome);

/* codes[32] and what a reader makes of them for one column's values[32]. */
void sinq_round_feedback_column(const struct sinq_unit_job *job, const struct sinq_feedback_line *line,
                                const float *values, uint8_t *codes, float *rounded);

#endif
