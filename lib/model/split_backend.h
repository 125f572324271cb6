/*
 * split_backend.h: one backend made of two: a graph's operations, weights, caches and slots are on the CPU or on a device, as a
 * placement says. To models and sessions it is a backend like any other.
 */
#ifndef SINQ_MODEL_SPLIT_BACKEND_H
#define SINQ_MODEL_SPLIT_BACKEND_H

#include "model/backend.h"
#include "model/placement.h"

/*
 * sides[SINQ_ON_CPU] and sides[SINQ_ON_DEVICE] are the backend's from here on, and closed with it, also where this fails. The graph is
 * the one whose operations will be enqueued, and outlives the backend.
 */
int sinq_open_split_backend(const struct sinq_graph *graph, const struct sinq_cut *cut,
                            struct sinq_backend *const sides[SINQ_SIDE_COUNT], struct sinq_backend **backend,
                            struct sinq_error *error);

#endif
