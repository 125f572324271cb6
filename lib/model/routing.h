/* routing.h: which experts a token goes to. */
#ifndef SINQ_MODEL_ROUTING_H
#define SINQ_MODEL_ROUTING_H

#include "model/operation.h"

#define SINQ_MAX_EXPERTS       4096u
#define SINQ_MAX_EXPERT_GROUPS 256u

/* One token's choices, as operation.route describes them; `bias` may be NULL. Logits that are not numbers are never chosen before others. */
void sinq_route_row(const struct sinq_operation *operation, const float *logits, const float *bias, float *choices);

#endif
