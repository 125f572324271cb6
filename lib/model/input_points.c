#include "model/input_points.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "model/graph_access.h"

/* What a linear layer, or a layer of experts with one input for all, reads. */
struct reading {
    uint32_t weight, count; /* wants [weight, + count) */
    struct sinq_view view;
};

static bool find_reading(const struct sinq_operation *op, struct reading *reading) {
    if (op->for_logits) return false;
    if (op->kind == SINQ_OP_LINEAR) {
        *reading = (struct reading){op->linear.weight, 1, op->linear.in};
        return true;
    }
    if (op->kind != SINQ_OP_EXPERT_LINEAR || op->expert_linear.per_choice) return false;
    *reading = (struct reading){op->expert_linear.first_weight, op->expert_linear.experts, op->expert_linear.in};
    return true;
}

static bool is_same_input(const struct sinq_graph *graph, const struct sinq_input_point *point, uint32_t operation,
                          struct sinq_view view, uint32_t width) {
    if (point->view.slot != view.slot || point->view.offset != view.offset || point->width != width) return false;
    const struct sinq_slot_range range = {view.slot, view.offset, (uint64_t)view.offset + width};
    return sinq_find_writer(graph, operation, range) == sinq_find_writer(graph, point->operation, range);
}

static void add_reading(const struct sinq_graph *graph, uint32_t operation, const struct reading *reading,
                        struct sinq_input_points *points) {
    const struct sinq_want *const want = &graph->wants[reading->weight];
    const uint32_t width = (uint32_t)want->cols;
    size_t found = points->count;
    for (size_t i = points->count; i-- > 0 && found == points->count;) {
        if (is_same_input(graph, &points->points[i], operation, reading->view, width)) found = i;
    }
    if (found == points->count) {
        struct sinq_input_point *const point = &points->points[points->count++];
        *point = (struct sinq_input_point){operation, reading->view, width, ""};
        (void)snprintf(point->name, sizeof point->name, "%.159s%.15s", want->module, want->suffix);
    }
    for (uint32_t i = 0; i < reading->count; i++) points->of_want[reading->weight + i] = (int64_t)found;
}

int sinq_find_input_points(const struct sinq_graph *graph, struct sinq_input_points *points, struct sinq_error *error) {
    *points = (struct sinq_input_points){.points = calloc(graph->operation_count + 1, sizeof *points->points),
                                         .of_want = malloc((graph->want_count + 1) * sizeof *points->of_want)};
    if (points->points == NULL || points->of_want == NULL) {
        return sinq_fail_memory(error, "a model's inputs", graph->operation_count * sizeof *points->points);
    }
    for (uint32_t i = 0; i < graph->want_count; i++) points->of_want[i] = -1;
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        struct reading reading;
        if (find_reading(&graph->operations[i], &reading)) add_reading(graph, i, &reading, points);
    }
    return SINQ_OK;
}

void sinq_free_input_points(struct sinq_input_points *points) {
    free(points->points);
    free(points->of_want);
    *points = (struct sinq_input_points){0};
}
