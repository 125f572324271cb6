/*
 * group_search.h: scale and real-valued zero point of each group, searched for the least squared error in the normalized domain.
 *
 * Calling sequence for a block of rows: sinq_search_parameters; store the zero points; sinq_refit_scales for the zero points as
 * stored. `values` is the caller's working memory, for 32 rows of the group; it must stay as it is between the two.
 */
#ifndef SINQ_QUANT_GROUP_SEARCH_H
#define SINQ_QUANT_GROUP_SEARCH_H

#include "quant/rounding.h"

/* parameters come as min-max rounding has them. What is found is never worse than that, but for the rounding of f32. */
void sinq_search_parameters(enum sinq_effort effort, unsigned bits, const struct sinq_group_block *block, float *values,
                            struct sinq_group_parameters *parameters);

/* The best parameters->scale for the zero points in `zero`, which replace parameters->zero. */
void sinq_refit_scales(unsigned bits, const struct sinq_group_block *block, const float *values, const float *zero,
                       struct sinq_group_parameters *parameters);

#endif
