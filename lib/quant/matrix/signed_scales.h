/* signed_scales.h: the signed scales of byte levels, chosen among what can be stored, and written. */
#ifndef SINQ_QUANT_SIGNED_SCALES_H
#define SINQ_QUANT_SIGNED_SCALES_H

#include "quant/matrix/unit.h"

/* 32 rows of one group's column of scales. */
struct sinq_signed_column {
    uint64_t first_row, group;
    const float *row_scale; /* [32]: stored are scales times these */
};

/*
 * After sinq_search_signed_scales, with its `values`: scale[32] comes as searched and leaves as a reader will see it, in the normalized
 * domain; entries and range go into the job's blob. error[32]: what is left, as level_search.h has it; untouched where scales are
 * f16.
 */
void sinq_store_signed_scales(const struct sinq_unit_job *job, const struct sinq_signed_column *column,
                              const struct sinq_group_block *block, const float *values, float *scale, float *error);

#endif
