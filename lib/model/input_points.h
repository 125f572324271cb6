/*
 * input_points.h: where a model's linear layers read their inputs, from its graph alone. Layers that read the same values share a point.
 * Experts of a layer have one for what each is given, with a matrix for each of them, unless those would take too much. Latent attention's
 * products by head are no points.
 */
#ifndef SINQ_MODEL_INPUT_POINTS_H
#define SINQ_MODEL_INPUT_POINTS_H

#include "model/graph.h"

/* Matrices of a layer's experts: where all would take more bytes, they share one. */
#define SINQ_MOST_EXPERT_BYTES ((uint64_t)1 << 30)

struct sinq_input_point {
    uint32_t operation; /* the first that reads it: before that it is there */
    struct sinq_view view;
    uint32_t width;
    uint32_t matrices;        /* 1, or one for each expert */
    struct sinq_view choices; /* of experts' inputs, that say whose they are; else none */
    uint32_t chosen;          /* of them for each row */
    bool per_choice;          /* each has a run of `width` values, else they share the row's */
    bool for_logits;          /* of the head */
    bool is_optional;         /* older files have none */
    int64_t fallback;         /* the point that all rows' values are of, or -1 */
    char name[180];           /* of the first weight that reads it, without wrappers */
};

struct sinq_input_points {
    struct sinq_input_point *points; /* in the order of operations */
    size_t count;
    int64_t *of_want;         /* of each of the graph's wants: its point, or -1 */
    uint32_t *matrix_of_want; /* which of the point's matrices */
};

/* sinq_free_input_points in any case. */
int sinq_find_input_points(const struct sinq_graph *graph, struct sinq_input_points *points, struct sinq_error *error);
void sinq_free_input_points(struct sinq_input_points *points);

#endif
