/* cpu_fusion.h: which operations of a list can be carried out together, and how much of the list that takes. */
#ifndef SINQ_MODEL_CPU_FUSION_H
#define SINQ_MODEL_CPU_FUSION_H

#include "model/cpu_program.h"

/* How many row operations from steps[0] on can be carried out row by row, one after the other on each row. */
uint32_t sinq_cpu_count_lead(const struct sinq_cpu_step *steps, uint32_t count);

/* How many products from steps[0] on read the same input and do not touch each other's outputs; 1 or more. */
uint32_t sinq_cpu_count_products(const struct sinq_cpu_step *steps, uint32_t count);

/*
 * Whether steps[products], which follows that many products of one input, can be carried out on the rows of a share of panels
 * as soon as they are there. `halves`: each matrix holds gates and ups, one behind the other, which are then two factors.
 */
struct sinq_cpu_finish {
    bool is_there, halves;
    uint32_t panel_values; /* for each panel of 16 rows */
};
struct sinq_cpu_finish sinq_cpu_find_finish(const struct sinq_cpu_step *steps, uint32_t products, uint32_t count);

/*
 * Whether each worker may carry out steps[lead - 1] on a row of its own: it only makes what the `mains` behind it read, and no
 * one writes what it reads.
 */
bool sinq_cpu_has_own_row(const struct sinq_cpu_step *steps, uint32_t lead, uint32_t mains, bool is_finished);

/* Whether all that leads in to attention, of one token, can be done head by head. */
bool sinq_cpu_leads_by_head(const struct sinq_cpu_step *steps, uint32_t lead);

#endif
