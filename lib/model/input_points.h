/*
 * input_points.h: where a model's linear layers read their inputs, from its graph alone. Layers that read the same values share a point.
 * Inputs that experts have each for itself (a down projection's) and latent attention's products by head are no points.
 */
#ifndef SINQ_MODEL_INPUT_POINTS_H
#define SINQ_MODEL_INPUT_POINTS_H

#include "model/graph.h"

struct sinq_input_point {
    uint32_t operation; /* the first that reads it: before that it is there */
    struct sinq_view view;
    uint32_t width;
    char name[180]; /* of the first weight that reads it, without wrappers */
};

struct sinq_input_points {
    struct sinq_input_point *points; /* in the order of operations */
    size_t count;
    int64_t *of_want; /* of each of the graph's wants: its point, or -1 */
};

/* sinq_free_input_points in any case. */
int sinq_find_input_points(const struct sinq_graph *graph, struct sinq_input_points *points, struct sinq_error *error);
void sinq_free_input_points(struct sinq_input_points *points);

#endif
