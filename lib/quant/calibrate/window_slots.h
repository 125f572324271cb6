/*
 * window_slots.h: what a model's slots hold between two of its layers, for many windows of a text: a session has room for one. Not thread
 * safe.
 */
#ifndef SINQ_QUANT_WINDOW_SLOTS_H
#define SINQ_QUANT_WINDOW_SLOTS_H

#include "model/graph.h"

struct sinq_window_slots {
    const struct sinq_graph *graph; /* borrowed */
    uint64_t windows;
    uint32_t window; /* tokens of each */
    float **rows;    /* of each slot: its rows in all windows, or NULL where it is not held */
};

/* sinq_free_window_slots in any case. */
int sinq_make_window_slots(const struct sinq_graph *graph, uint64_t windows, uint32_t window,
                           struct sinq_window_slots *slots, struct sinq_error *error);
void sinq_free_window_slots(struct sinq_window_slots *slots);

/* Room for those slots, none for all others; what was held and is still wanted stays. */
int sinq_hold_slots(struct sinq_window_slots *slots, const bool *is_held, struct sinq_error *error);

/* Held slots to and from a session in which that window was begun (model/session_parts.h). */
int sinq_put_window(const struct sinq_window_slots *slots, uint64_t window, const bool *is_moved,
                    struct sinq_session *session, struct sinq_error *error);
int sinq_take_window(struct sinq_window_slots *slots, uint64_t window, const bool *is_moved,
                     struct sinq_session *session, struct sinq_error *error);

#endif
