/*
 * placement.h: which operations of a graph, and so which weights, caches and slots, are on the CPU and which on a device. Operations keep
 * their order; where one side's run of them ends and the other's begins, the slots that are still to be read cross over.
 */
#ifndef SINQ_MODEL_PLACEMENT_H
#define SINQ_MODEL_PLACEMENT_H

#include "model/graph.h"

enum sinq_side { SINQ_ON_CPU, SINQ_ON_DEVICE, SINQ_SIDE_COUNT };

/* Parts of a model in the order of its operations: what comes before its layers, each layer, the head. */
struct sinq_cut {
    enum sinq_side embedding, head;
    uint32_t first_layer; /* this one and those behind it are on the device */
};

/* Of a side, as a bit of a mask of sides. */
static inline uint8_t sinq_side_bit(enum sinq_side side) { return (uint8_t)(1u << side); }

struct sinq_placement {
    uint8_t *operations; /* side of each */
    uint8_t *weights;    /* of each want, the sides that need it */
    uint8_t *caches;     /* likewise */
    uint8_t *slots;      /* likewise */
    uint8_t *writers;    /* side of the operation that is the last to write into the slot */
    uint8_t tokens;      /* sides that look at them */
    bool **crossing;     /* of each operation: NULL, or the slots that must come over before it */
    uint32_t operation_count;
};

/* The part that each operation belongs to: 0 before the layers, 1 + layer, layers + 1 the head. A malloc'ed array, or NULL. */
uint32_t *sinq_find_parts(const struct sinq_graph *graph);

/* Calls `visit` with each weight that the operation may read. */
typedef void sinq_visit_weight_fn(void *context, uint32_t weight);
void sinq_visit_weights(const struct sinq_operation *operation, sinq_visit_weight_fn *visit, void *context);

/* Free it with sinq_free_placement, also after a failure. */
int sinq_place_graph(const struct sinq_graph *graph, const struct sinq_cut *cut, struct sinq_placement *placement,
                     struct sinq_error *error);
void sinq_free_placement(struct sinq_placement *placement);

#endif
