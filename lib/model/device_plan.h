/*
 * device_plan.h: what of a model a device has room for. Worked out from the sizes of weights, keys and values, and activations, before
 * anything is loaded.
 */
#ifndef SINQ_MODEL_DEVICE_PLAN_H
#define SINQ_MODEL_DEVICE_PLAN_H

#include "model/backend.h"
#include "model/placement.h"
#include "model/session_memory.h"

/* Memory of a device comes in pages; smaller pieces share one. */
#define SINQ_DEVICE_PAGE ((uint64_t)2 << 20)
/* Weights lie on such multiples. */
#define SINQ_DEVICE_ALIGNMENT 256u

/* The most scratch memory that a device's queue takes for that graph. */
uint64_t sinq_device_queue_bytes(const struct sinq_graph *graph, const struct sinq_queue_options *options);

/*
 * The best cut that fits `budget`: all on the device; else all but the embedding, which is only looked up; else the last layers, as many
 * as there is room for, and the head. `start` is what the device's driver takes already, 0 where there is none to ask; `want_bytes`
 * are the weights'. Where options name no batch, it is as large as can be without any part leaving the device for it. SINQ_FAILED where
 * not even the head fits.
 */
int sinq_choose_cut(const struct sinq_graph *graph, const uint64_t *want_bytes,
                    const struct sinq_session_options *options, uint64_t budget, uint64_t start, struct sinq_cut *cut,
                    struct sinq_device_plan *plan, struct sinq_error *error);

#endif
