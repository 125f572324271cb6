#include "quant/calibrate/window_slots.h"

#include <stdlib.h>

#include "base/error.h"
#include "model/session_parts.h"

static size_t measure_slot(const struct sinq_window_slots *slots, uint32_t slot) {
    return (size_t)slots->window * slots->graph->slot_widths[slot];
}

int sinq_make_window_slots(const struct sinq_graph *graph, uint64_t windows, uint32_t window,
                           struct sinq_window_slots *slots, struct sinq_error *error) {
    *slots = (struct sinq_window_slots){
        .graph = graph, .windows = windows, .window = window, .rows = calloc(graph->slot_count + 1, sizeof(float *))};
    return slots->rows == NULL ? sinq_fail_memory(error, "slots", graph->slot_count * sizeof(float *)) : SINQ_OK;
}

void sinq_free_window_slots(struct sinq_window_slots *slots) {
    for (uint32_t i = 0; slots->rows != NULL && i < slots->graph->slot_count; i++) free(slots->rows[i]);
    free(slots->rows);
    slots->rows = NULL;
}

int sinq_hold_slots(struct sinq_window_slots *slots, const bool *is_held, struct sinq_error *error) {
    for (uint32_t slot = 0; slot < slots->graph->slot_count; slot++) {
        const uint64_t bytes = slots->windows * measure_slot(slots, slot) * sizeof(float);
        if (!is_held[slot]) {
            free(slots->rows[slot]);
            slots->rows[slot] = NULL;
        } else if (slots->rows[slot] == NULL) {
            slots->rows[slot] = malloc((size_t)bytes);
            if (slots->rows[slot] == NULL) return sinq_fail_memory(error, "activations of the calibration text", bytes);
        }
    }
    return SINQ_OK;
}

int sinq_put_window(const struct sinq_window_slots *slots, uint64_t window, const bool *is_moved,
                    struct sinq_session *session, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint32_t slot = 0; slot < slots->graph->slot_count && status == SINQ_OK; slot++) {
        if (!is_moved[slot]) continue;
        const float *const at = slots->rows[slot] + window * measure_slot(slots, slot);
        status = sinq_session_write_slot(session, slot, at, error);
    }
    return status;
}

int sinq_take_window(struct sinq_window_slots *slots, uint64_t window, const bool *is_moved,
                     struct sinq_session *session, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint32_t slot = 0; slot < slots->graph->slot_count && status == SINQ_OK; slot++) {
        if (!is_moved[slot]) continue;
        status = sinq_session_read_slot(session, slot, slots->rows[slot] + window * measure_slot(slots, slot), error);
    }
    return status;
}
