#include "model/input_points.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/graph_access.h"

/* What a linear layer, or a layer of experts, reads: wants [weight, + count) a point that is not complete. */
struct reading {
    uint32_t weight, count;
    struct sinq_input_point point;
};

static bool fits_experts(uint32_t experts, uint64_t width) {
    return sinq_multiply_saturating(experts, width * width * sizeof(float)) <= SINQ_MOST_EXPERT_BYTES;
}

/* Experts that share one input, and would have too many matrices, read what the router reads. */
static void read_experts(const struct sinq_graph *graph, const struct sinq_operation *op, struct reading *reading) {
    const uint32_t experts = op->expert_linear.experts;
    const bool has_own = fits_experts(experts, graph->wants[op->expert_linear.first_weight].cols);
    *reading = (struct reading){op->expert_linear.first_weight, experts,
                                (struct sinq_input_point){.view = op->expert_linear.in, .matrices = 1}};
    if (!has_own && !op->expert_linear.per_choice) return;
    reading->point.matrices = has_own ? experts : 1;
    reading->point.choices = op->expert_linear.choices;
    reading->point.chosen = op->expert_linear.chosen;
    reading->point.per_choice = op->expert_linear.per_choice;
    reading->point.is_optional = true;
}

static bool find_reading(const struct sinq_graph *graph, uint32_t operation, struct reading *reading) {
    const struct sinq_operation *const op = &graph->operations[operation];
    const struct sinq_view none = {SINQ_NO_VIEW, 0};
    if (op->kind == SINQ_OP_EXPERT_LINEAR) {
        read_experts(graph, op, reading);
    } else if (op->kind == SINQ_OP_LINEAR) {
        *reading = (struct reading){
            op->linear.weight, 1,
            (struct sinq_input_point){
                .view = op->linear.in, .matrices = 1, .for_logits = op->for_logits, .is_optional = op->for_logits}};
    } else {
        return false;
    }
    if (reading->point.chosen == 0) reading->point.choices = none;
    reading->point.operation = operation;
    reading->point.fallback = -1;
    reading->point.width = (uint32_t)graph->wants[reading->weight].cols;
    return true;
}

static bool is_same_view(struct sinq_view a, struct sinq_view b) { return a.slot == b.slot && a.offset == b.offset; }

static bool is_same_input(const struct sinq_graph *graph, const struct sinq_input_point *a,
                          const struct sinq_input_point *b) {
    if (!is_same_view(a->view, b->view) || a->width != b->width) return false;
    const struct sinq_slot_range range = {a->view.slot, a->view.offset, (uint64_t)a->view.offset + a->width};
    return sinq_find_writer(graph, a->operation, range) == sinq_find_writer(graph, b->operation, range);
}

/* A point of the same values, by the same choices where by_choice: a later one first; -1: none. */
static int64_t find_point(const struct sinq_graph *graph, const struct sinq_input_points *points,
                          const struct sinq_input_point *wanted, bool by_choice) {
    for (size_t i = points->count; i-- > 0;) {
        const struct sinq_input_point *const point = &points->points[i];
        const bool has_choices = point->choices.slot != SINQ_NO_VIEW;
        if (has_choices == by_choice && is_same_input(graph, point, wanted)) return (int64_t)i;
    }
    return -1;
}

static void add_reading(const struct sinq_graph *graph, const struct reading *reading,
                        struct sinq_input_points *points) {
    const struct sinq_want *const want = &graph->wants[reading->weight];
    const bool by_choice = reading->point.choices.slot != SINQ_NO_VIEW;
    int64_t found = find_point(graph, points, &reading->point, by_choice);
    if (found < 0) {
        found = (int64_t)points->count++;
        struct sinq_input_point *const point = &points->points[found];
        *point = reading->point;
        if (by_choice && !point->per_choice) point->fallback = find_point(graph, points, point, false);
        (void)snprintf(point->name, sizeof point->name, "%.159s%.15s", want->module, want->suffix);
    }
    for (uint32_t i = 0; i < reading->count; i++) {
        points->of_want[reading->weight + i] = found;
        points->matrix_of_want[reading->weight + i] = points->points[found].matrices > 1 ? i : 0;
    }
}

int sinq_find_input_points(const struct sinq_graph *graph, struct sinq_input_points *points, struct sinq_error *error) {
    *points =
        (struct sinq_input_points){.points = calloc(graph->operation_count + 1, sizeof *points->points),
                                   .of_want = malloc((graph->want_count + 1) * sizeof *points->of_want),
                                   .matrix_of_want = calloc(graph->want_count + 1, sizeof *points->matrix_of_want)};
    if (points->points == NULL || points->of_want == NULL || points->matrix_of_want == NULL) {
        return sinq_fail_memory(error, "a model's inputs", graph->operation_count * sizeof *points->points);
    }
    for (uint32_t i = 0; i < graph->want_count; i++) points->of_want[i] = -1;
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        struct reading reading;
        if (find_reading(graph, i, &reading)) add_reading(graph, &reading, points);
    }
    return SINQ_OK;
}

void sinq_free_input_points(struct sinq_input_points *points) {
    free(points->points);
    free(points->of_want);
    free(points->matrix_of_want);
    *points = (struct sinq_input_points){0};
}
