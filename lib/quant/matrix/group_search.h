/*
 * group_search.h: scale and real-valued zero point of each group, searched for the least squared error in the normalized domain.
 *
 * Calling sequence for a block of rows: sinq_search_parameters; store the zero points; sinq_refit_scales for the zero points as
 * stored; where scales are codes of few bits, sinq_choose_stored_steps. `values` is the caller's working memory, for 64 rows
 * of the group; it must stay as it is between these.
 */
#ifndef SINQ_QUANT_GROUP_SEARCH_H
#define SINQ_QUANT_GROUP_SEARCH_H

#include "quant/matrix/rounding.h"

/* parameters come as min-max rounding has them. What is found is never worse than that, but for the rounding of f32. */
void sinq_search_parameters(enum sinq_effort effort, unsigned bits, const struct sinq_group_block *block, float *values,
                            struct sinq_group_parameters *parameters);

/* The best parameters->scale for the zero points in `zero`, which replace parameters->zero. */
void sinq_refit_scales(unsigned bits, const struct sinq_group_block *block, const float *values, const float *zero,
                       struct sinq_group_parameters *parameters);

/* What a range offers to the rows of a block, each in units of its own: (low + code * step) * unit[row]. */
struct sinq_step_range {
    float low, step, most;
    const float *unit;
};

/*
 * Codes of scales that a range offers, the nearest one or one beside it, for the least squared error with the zero points in
 * `zero`. scale comes as searched and leaves as stored; scales of 0 stay.
 */
void sinq_choose_stored_steps(unsigned bits, const struct sinq_step_range *range, const struct sinq_group_block *block,
                              float *values, const float *zero, float *scale, uint8_t *code);

#endif
