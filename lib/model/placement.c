#include "model/placement.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "model/backend.h"
#include "model/graph_access.h"

/* ---- parts ---- */

/* The layer that an operation names by its weight; `fallback` where it names none. */
static uint32_t find_part(const struct sinq_graph *graph, const struct sinq_operation *op, uint32_t fallback) {
    const uint32_t weight = sinq_main_weight(op);
    unsigned layer;
    if (op->for_logits) return graph->config->layers + 1;
    if (weight == SINQ_NO_WEIGHT || sscanf(graph->wants[weight].module, "layers.%u.", &layer) != 1) return fallback;
    return layer < graph->config->layers ? 1 + layer : fallback;
}

uint32_t *sinq_find_parts(const struct sinq_graph *graph) {
    uint32_t *const parts = calloc(graph->operation_count + 1, sizeof *parts);
    for (uint32_t i = 0; parts != NULL && i < graph->operation_count; i++) {
        parts[i] = find_part(graph, &graph->operations[i], i == 0 ? 0 : parts[i - 1]);
    }
    return parts;
}

void sinq_visit_weights(const struct sinq_operation *op, sinq_visit_weight_fn *visit, void *context) {
    const uint32_t main = sinq_main_weight(op);
    if (op->kind != SINQ_OP_EXPERT_LINEAR) {
        const uint32_t other = op->kind == SINQ_OP_LINEAR      ? op->linear.bias
                               : op->kind == SINQ_OP_ATTENTION ? op->attention.sinks
                               : op->kind == SINQ_OP_ROUTE     ? op->route.bias
                                                               : SINQ_NO_WEIGHT;
        if (main != SINQ_NO_WEIGHT) visit(context, main);
        if (other != SINQ_NO_WEIGHT) visit(context, other);
        return;
    }
    for (uint32_t e = 0; e < op->expert_linear.experts; e++) {
        visit(context, main + e);
        if (op->expert_linear.first_bias != SINQ_NO_WEIGHT) visit(context, op->expert_linear.first_bias + e);
    }
}

/* ---- placing ---- */

static enum sinq_side choose_side(const struct sinq_cut *cut, uint32_t part, uint32_t layers) {
    if (part == 0) return cut->embedding;
    if (part > layers) return cut->head;
    return part - 1 >= cut->first_layer ? SINQ_ON_DEVICE : SINQ_ON_CPU;
}

struct marking {
    struct sinq_placement *placement;
    uint8_t bit;
};

static void mark_weight(void *context, uint32_t weight) {
    const struct marking *const marking = context;
    marking->placement->weights[weight] |= marking->bit;
}

static void mark_operation(const struct sinq_graph *graph, uint32_t i, struct sinq_placement *placement) {
    const struct sinq_operation *const op = &graph->operations[i];
    const struct sinq_operation_access access = sinq_find_access(graph, i);
    const uint8_t side = placement->operations[i], bit = (uint8_t)(1u << side);
    struct marking marking = {placement, bit};
    sinq_visit_weights(op, mark_weight, &marking);
    for (uint32_t r = 0; r < access.read_count; r++) placement->slots[access.reads[r].slot] |= bit;
    if (access.write.slot != SINQ_NO_VIEW) {
        placement->slots[access.write.slot] |= bit;
        placement->writers[access.write.slot] = side;
    }
    if (op->kind == SINQ_OP_STORE) placement->caches[op->store.cache] |= bit;
    if (op->kind == SINQ_OP_ATTENTION) placement->caches[op->attention.cache] |= bit;
    if (op->kind == SINQ_OP_EMBED) placement->tokens |= bit;
}

/* Slots that hold what operation `next` or one behind it reads. They are on both sides. */
static bool *find_crossing(const struct sinq_graph *graph, uint32_t next, struct sinq_placement *placement) {
    bool *const crossing = calloc(graph->slot_count + 1, sizeof *crossing);
    for (uint32_t s = 0; crossing != NULL && s < graph->slot_count; s++) {
        const struct sinq_slot_range whole = {s, 0, graph->slot_widths[s]};
        crossing[s] = sinq_find_reader(graph, next - 1, next - 1, whole) != SINQ_NO_OPERATION;
        if (crossing[s]) placement->slots[s] |= sinq_side_bit(SINQ_ON_CPU) | sinq_side_bit(SINQ_ON_DEVICE);
    }
    return crossing;
}

static int allocate(const struct sinq_graph *graph, struct sinq_placement *placement, struct sinq_error *error) {
    *placement = (struct sinq_placement){
        .operations = calloc(graph->operation_count + 1, 1),
        .weights = calloc(graph->want_count + 1, 1),
        .caches = calloc(graph->cache_count + 1, 1),
        .slots = calloc(graph->slot_count + 1, 1),
        .writers = calloc(graph->slot_count + 1, 1),
        .crossing = calloc(graph->operation_count + 1, sizeof *placement->crossing),
        .operation_count = graph->operation_count,
    };
    if (placement->operations == NULL || placement->weights == NULL || placement->caches == NULL ||
        placement->slots == NULL || placement->writers == NULL || placement->crossing == NULL) {
        return sinq_fail_memory(error, "a placement", graph->operation_count + graph->want_count);
    }
    return SINQ_OK;
}

int sinq_place_graph(const struct sinq_graph *graph, const struct sinq_cut *cut, struct sinq_placement *placement,
                     struct sinq_error *error) {
    uint32_t *const parts = sinq_find_parts(graph);
    int status = allocate(graph, placement, error);
    if (status == SINQ_OK && parts == NULL) status = sinq_fail_memory(error, "a placement", graph->operation_count);
    for (uint32_t i = 0; status == SINQ_OK && i < graph->operation_count; i++) {
        placement->operations[i] = (uint8_t)choose_side(cut, parts[i], graph->config->layers);
        mark_operation(graph, i, placement);
        if (i == 0 || placement->operations[i] == placement->operations[i - 1]) continue;
        placement->crossing[i] = find_crossing(graph, i, placement);
        if (placement->crossing[i] == NULL) status = sinq_fail_memory(error, "a placement", graph->slot_count);
    }
    free(parts);
    return status;
}

void sinq_free_placement(struct sinq_placement *placement) {
    for (uint32_t i = 0; placement->crossing != NULL && i < placement->operation_count; i++) {
        free(placement->crossing[i]);
    }
    free(placement->crossing);
    free(placement->operations);
    free(placement->weights);
    free(placement->caches);
    free(placement->slots);
    free(placement->writers);
    *placement = (struct sinq_placement){.operations = NULL};
}
