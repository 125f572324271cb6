/*
 * graph_access.h: which values of which slot an operation of a graph reads and writes, and who made what another one reads.
 * For whoever changes weights without changing what the model computes. Pure functions of an immutable graph: thread safe.
 */
#ifndef SINQ_MODEL_GRAPH_ACCESS_H
#define SINQ_MODEL_GRAPH_ACCESS_H

#include "model/graph.h"

/* Values [first, end) of each token's row of a slot. Of runs with gaps between them it is the whole from first to last. */
struct sinq_slot_range {
    uint32_t slot; /* SINQ_NO_VIEW: none */
    uint64_t first, end;
};

#define SINQ_MOST_READS 3u

struct sinq_operation_access {
    struct sinq_slot_range reads[SINQ_MOST_READS];
    uint32_t read_count;
    struct sinq_slot_range write; /* what it adds to is read, too */
    bool has_gaps;                /* between what it writes */
};

struct sinq_operation_access sinq_find_access(const struct sinq_graph *graph, uint32_t operation);

bool sinq_ranges_overlap(struct sinq_slot_range a, struct sinq_slot_range b);
bool sinq_ranges_equal(struct sinq_slot_range a, struct sinq_slot_range b);

/* The last operation before `operation` that writes into the range; SINQ_NO_OPERATION where there is none. */
#define SINQ_NO_OPERATION UINT32_MAX
uint32_t sinq_find_writer(const struct sinq_graph *graph, uint32_t operation, struct sinq_slot_range range);

/*
 * The next operation behind `operation` that reads any of the range as operation `writer` left it; SINQ_NO_OPERATION where none
 * is left. To visit all: begin with operation = writer.
 */
uint32_t sinq_find_reader(const struct sinq_graph *graph, uint32_t writer, uint32_t operation,
                          struct sinq_slot_range range);

#endif
