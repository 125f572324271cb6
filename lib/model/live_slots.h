/*
 * live_slots.h: what crosses a cut through a graph's operations: slots that operations before it left and later ones read. Pure functions
 * of an immutable graph.
 */
#ifndef SINQ_MODEL_LIVE_SLOTS_H
#define SINQ_MODEL_LIVE_SLOTS_H

#include "model/graph.h"

/*
 * is_live[slot_count]: of a cut before operation `cut`. Slots of a rotation's angles, which are the same in every window of positions from
 * 0, are not.
 */
void sinq_find_live_slots(const struct sinq_graph *graph, uint32_t cut, bool *is_live);

#endif
