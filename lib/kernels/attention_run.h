/* attention_run.h: a pass block by block, with a softmax that goes along. */
#ifndef SINQ_KERNELS_ATTENTION_RUN_H
#define SINQ_KERNELS_ATTENTION_RUN_H

#include "kernels/attention_pass.h"

/* Leaves sums, largest and total of each query. `has_sinks`: sinks, if the job has any, count as seen already. */
void sinq_attention_run(struct sinq_attention_pass *pass, bool has_sinks, void *scratch);

#endif
