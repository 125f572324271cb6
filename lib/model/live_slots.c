#include "model/live_slots.h"

#include <string.h>

#include "model/graph_access.h"

void sinq_find_live_slots(const struct sinq_graph *graph, uint32_t cut, bool *is_live) {
    memset(is_live, 0, graph->slot_count * sizeof *is_live);
    for (uint32_t i = 0; i < cut; i++) {
        const struct sinq_slot_range write = sinq_find_access(graph, i).write;
        if (graph->operations[i].kind == SINQ_OP_ROTATION || write.slot == SINQ_NO_VIEW || is_live[write.slot])
            continue;
        is_live[write.slot] = sinq_find_reader(graph, i, cut - 1, write) != SINQ_NO_OPERATION;
    }
}
