/* sensitivity_index.h: measured sensitivities (sensitivities.h) in a file of statistics, and which tensors of a model they are of. */
#ifndef SINQ_QUANT_SENSITIVITY_INDEX_H
#define SINQ_QUANT_SENSITIVITY_INDEX_H

#include "sinq.h"

/*
 * of_tensor[source's tensors]: nats for each unit of relative squared error, 0 where they are not known; *is_measured is false where none
 * is. SINQ_FAILED where one is no sensitivity, or where the source is no model.
 */
int sinq_read_sensitivities(const struct sinq_source *source, const struct sinq_source *statistics, double *of_tensor,
                            bool *is_measured, struct sinq_error *error);

#endif
