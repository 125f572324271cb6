/*
 * graph_check.h: what must hold of every graph: views lie in their slots, weights have the shapes that operations give them,
 * inputs and outputs overlap only where operation.h allows it, and nothing is read before it was written.
 */
#ifndef SINQ_TESTS_GRAPH_CHECK_H
#define SINQ_TESTS_GRAPH_CHECK_H

#include <stdlib.h>
#include <string.h>

#include "model/graph.h"

struct graph_check {
    const struct sinq_graph *graph;
    uint8_t **written; /* a byte a value of each slot */
    uint8_t *stored;   /* a byte a cache */
    const char *fault; /* NULL: none yet */
    uint32_t operation;
    uint64_t work; /* values looked at: a limit for fuzzing */
};

static inline void demand(struct graph_check *check, bool condition, const char *fault) {
    if (!condition && check->fault == NULL) check->fault = fault;
}

/* Whether `count` values of the view from `offset` on lie in their slot, which is of the kind that the operation works on. */
static inline bool fits_slot(struct graph_check *check, struct sinq_view view, uint64_t offset, uint64_t count) {
    const struct sinq_graph *const graph = check->graph;
    const bool is_slot = view.slot < graph->slot_count;
    demand(check, is_slot, "no such slot");
    const bool fits = is_slot && view.offset + offset + count <= graph->slot_widths[view.slot];
    demand(check, fits, "a view beyond its slot");
    return fits && check->fault == NULL;
}

static inline void reads(struct graph_check *check, struct sinq_view view, uint64_t offset, uint64_t count) {
    if (!fits_slot(check, view, offset, count)) return;
    const uint8_t *const written = check->written[view.slot] + view.offset + offset;
    check->work += count;
    demand(check, memchr(written, 0, count) == NULL, "a value is read before it is written");
}

static inline void writes(struct graph_check *check, struct sinq_view view, uint64_t offset, uint64_t count) {
    if (!fits_slot(check, view, offset, count)) return;
    check->work += count;
    memset(check->written[view.slot] + view.offset + offset, 1, count);
}

/* Runs of values that must have nothing in common. */
static inline void apart(struct graph_check *check, struct sinq_view a, uint64_t a_count, struct sinq_view b,
                         uint64_t b_count) {
    const bool meet = a.slot == b.slot && a.offset < b.offset + b_count && b.offset < a.offset + a_count;
    demand(check, !meet, "input and output overlap");
}

static inline bool same_view(struct sinq_view a, struct sinq_view b) {
    return a.slot == b.slot && a.offset == b.offset;
}

static inline const struct sinq_want *want_of(struct graph_check *check, uint32_t weight, bool is_vector) {
    static const struct sinq_want none = {.rows = 0};
    const bool is_weight = weight < check->graph->want_count;
    demand(check, is_weight, "no such weight");
    if (!is_weight) return &none;
    demand(check, check->graph->wants[weight].is_vector == is_vector, "a vector for a matrix, or the reverse");
    return &check->graph->wants[weight];
}

static inline void wants_vector(struct graph_check *check, uint32_t weight, uint64_t width) {
    if (weight == SINQ_NO_WEIGHT) return;
    demand(check, want_of(check, weight, true)->cols == width, "a vector of another width");
}

static inline void check_norm(struct graph_check *check, const struct sinq_operation *op) {
    const uint64_t all = (uint64_t)(op->norm.groups - 1) * op->norm.stride + op->norm.width;
    demand(check, op->norm.stride >= op->norm.width, "norms that overlap");
    wants_vector(check, op->norm.weight, op->norm.width);
    if (!same_view(op->norm.in, op->norm.out)) apart(check, op->norm.in, all, op->norm.out, all);
    for (uint64_t g = 0; g < op->norm.groups; g++) {
        reads(check, op->norm.in, g * op->norm.stride, op->norm.width);
        writes(check, op->norm.out, g * op->norm.stride, op->norm.width);
    }
}

static inline void check_linear(struct graph_check *check, const struct sinq_operation *op) {
    const struct sinq_want *const want = want_of(check, op->linear.weight, false);
    wants_vector(check, op->linear.bias, want->rows);
    apart(check, op->linear.in, want->cols, op->linear.out, want->rows);
    reads(check, op->linear.in, 0, want->cols);
    if (op->linear.accumulate) reads(check, op->linear.out, 0, want->rows);
    writes(check, op->linear.out, 0, want->rows);
}

static inline void check_head_linear(struct graph_check *check, const struct sinq_operation *op) {
    const struct sinq_want *const want = want_of(check, op->head_linear.weight, false);
    const uint64_t rows = op->head_linear.rows, heads = op->head_linear.heads;
    const uint64_t in = op->head_linear.transposed ? rows : want->cols,
                   out = op->head_linear.transposed ? want->cols : rows;
    const uint64_t last = op->head_linear.first_row + (heads - 1) * op->head_linear.row_stride + rows;
    demand(check, last <= want->rows, "rows beyond the weight");
    demand(check, op->head_linear.in_stride >= in && op->head_linear.out_stride >= out, "heads that overlap");
    apart(check, op->head_linear.in, heads * op->head_linear.in_stride, op->head_linear.out,
          heads * op->head_linear.out_stride);
    for (uint64_t h = 0; h < heads && check->fault == NULL; h++) {
        reads(check, op->head_linear.in, h * op->head_linear.in_stride, in);
        writes(check, op->head_linear.out, h * op->head_linear.out_stride, out);
    }
}

static inline void check_rope(struct graph_check *check, const struct sinq_operation *op) {
    const uint64_t width = (uint64_t)op->rope.dims + op->rope.copy, heads = op->rope.heads;
    const bool is_in_place = same_view(op->rope.in, op->rope.out) && op->rope.in_stride == op->rope.out_stride;
    demand(check, op->rope.dims % 2 == 0 && op->rope.dims > 0, "an odd number of values turns");
    if (!is_in_place) {
        apart(check, op->rope.in, heads * op->rope.in_stride, op->rope.out, heads * op->rope.out_stride);
    }
    reads(check, op->rope.rotation, 0, op->rope.dims);
    for (uint64_t h = 0; h < heads && check->fault == NULL; h++) {
        reads(check, op->rope.in, h * op->rope.in_stride, width);
        writes(check, op->rope.out, h * op->rope.out_stride, width);
    }
}

static inline const struct sinq_cache_shape *cache_of(struct graph_check *check, uint32_t cache) {
    static const struct sinq_cache_shape none = {.kv_heads = 1};
    demand(check, cache < check->graph->cache_count, "no such cache");
    return cache < check->graph->cache_count ? &check->graph->caches[cache] : &none;
}

static inline void check_store(struct graph_check *check, const struct sinq_operation *op) {
    const struct sinq_cache_shape *const shape = cache_of(check, op->store.cache);
    reads(check, op->store.keys, 0, (uint64_t)shape->kv_heads * shape->key_dim);
    demand(check, shape->shared == (op->store.values.slot == SINQ_NO_VIEW), "values for a cache that shares them");
    if (!shape->shared) reads(check, op->store.values, 0, (uint64_t)shape->kv_heads * shape->value_dim);
    if (check->fault == NULL) check->stored[op->store.cache]++;
}

static inline void check_attention(struct graph_check *check, const struct sinq_operation *op) {
    const struct sinq_cache_shape *const shape = cache_of(check, op->attention.cache);
    const uint64_t in = (uint64_t)op->attention.heads * shape->key_dim;
    const uint64_t out = (uint64_t)op->attention.heads * shape->value_dim;
    demand(check, check->fault != NULL || check->stored[op->attention.cache] == 1, "a cache that is not stored to");
    demand(check, op->attention.heads % shape->kv_heads == 0, "heads that do not share keys evenly");
    demand(check, op->attention.window == shape->window, "a window that is not the cache's");
    wants_vector(check, op->attention.sinks, op->attention.heads);
    apart(check, op->attention.queries, in, op->attention.out, out);
    reads(check, op->attention.queries, 0, in);
    writes(check, op->attention.out, 0, out);
}

static inline void check_activate(struct graph_check *check, const struct sinq_operation *op) {
    const uint64_t segments = op->activate.segments, width = op->activate.width, step = op->activate.step;
    const bool is_in_place = same_view(op->activate.out, op->activate.gate) && step == 1 &&
                             op->activate.in_stride == op->activate.out_stride;
    const uint64_t in = (segments - 1) * op->activate.in_stride + (width - 1) * step + 1;
    const uint64_t out = (segments - 1) * op->activate.out_stride + width;
    if (!is_in_place) apart(check, op->activate.gate, in, op->activate.out, out);
    apart(check, op->activate.up, in, op->activate.out, out);
    for (uint64_t s = 0; s < segments && check->fault == NULL; s++) {
        for (uint64_t i = 0; i < (step == 1 ? 1 : width); i++) {
            reads(check, op->activate.gate, s * op->activate.in_stride + i * step, step == 1 ? width : 1);
            reads(check, op->activate.up, s * op->activate.in_stride + i * step, step == 1 ? width : 1);
        }
        writes(check, op->activate.out, s * op->activate.out_stride, width);
    }
}

static inline void check_route(struct graph_check *check, const struct sinq_operation *op) {
    const uint32_t groups = op->route.groups;
    demand(check, op->route.chosen >= 1 && op->route.chosen <= op->route.experts, "more chosen than there are");
    demand(check, groups >= 1 && op->route.experts % groups == 0, "groups that do not divide the experts");
    demand(check, groups <= 1 || op->route.top_groups <= groups, "more groups chosen than there are");
    wants_vector(check, op->route.bias, op->route.experts);
    reads(check, op->route.logits, 0, op->route.experts);
    writes(check, op->route.choices, 0, 2 * (uint64_t)op->route.chosen);
}

static inline void check_expert_linear(struct graph_check *check, const struct sinq_operation *op) {
    const struct sinq_want *const first = want_of(check, op->expert_linear.first_weight, false);
    const uint64_t chosen = op->expert_linear.chosen, in = (op->expert_linear.per_choice ? chosen : 1) * first->cols;
    const uint64_t out = chosen * first->rows;
    for (uint32_t e = 0; e < op->expert_linear.experts && check->fault == NULL; e++) {
        const struct sinq_want *const want = want_of(check, op->expert_linear.first_weight + e, false);
        demand(check, want->rows == first->rows && want->cols == first->cols, "experts of other shapes");
        if (op->expert_linear.first_bias == SINQ_NO_WEIGHT) continue;
        wants_vector(check, op->expert_linear.first_bias + e, first->rows);
    }
    apart(check, op->expert_linear.in, in, op->expert_linear.out, out);
    reads(check, op->expert_linear.choices, 0, 2 * chosen);
    reads(check, op->expert_linear.in, 0, in);
    writes(check, op->expert_linear.out, 0, out);
}

static inline void check_simple(struct graph_check *check, const struct sinq_operation *op) {
    const struct sinq_graph *const graph = check->graph;
    switch (op->kind) {
    case SINQ_OP_EMBED:
        writes(check, op->embed.out, 0, want_of(check, op->embed.weight, false)->cols);
        break;
    case SINQ_OP_ROTATION:
        demand(check, op->rotation.rope < graph->config->rope_count, "no such rope");
        if (check->fault == NULL) {
            writes(check, op->rotation.out, 0, graph->config->ropes[op->rotation.rope].dims);
        }
        break;
    case SINQ_OP_ADD:
        apart(check, op->add.in, op->add.width, op->add.out, op->add.width);
        reads(check, op->add.in, 0, op->add.width);
        reads(check, op->add.out, 0, op->add.width);
        break;
    case SINQ_OP_SOFTCAP:
        demand(check, op->softcap.cap > 0.0f, "a cap of 0");
        reads(check, op->softcap.in_out, 0, op->softcap.width);
        break;
    case SINQ_OP_COMBINE:
        apart(check, op->combine.in, (uint64_t)op->combine.chosen * op->combine.width, op->combine.out,
              op->combine.width);
        reads(check, op->combine.choices, 0, 2 * (uint64_t)op->combine.chosen);
        reads(check, op->combine.in, 0, (uint64_t)op->combine.chosen * op->combine.width);
        if (op->combine.accumulate) reads(check, op->combine.out, 0, op->combine.width);
        writes(check, op->combine.out, 0, op->combine.width);
        break;
    default:
        demand(check, false, "an unknown operation");
    }
}

static inline void check_operation(struct graph_check *check, const struct sinq_operation *op) {
    switch (op->kind) {
    case SINQ_OP_NORM:
        check_norm(check, op);
        break;
    case SINQ_OP_LINEAR:
        check_linear(check, op);
        break;
    case SINQ_OP_HEAD_LINEAR:
        check_head_linear(check, op);
        break;
    case SINQ_OP_ROPE:
        check_rope(check, op);
        break;
    case SINQ_OP_STORE:
        check_store(check, op);
        break;
    case SINQ_OP_ATTENTION:
        check_attention(check, op);
        break;
    case SINQ_OP_ACTIVATE:
        check_activate(check, op);
        break;
    case SINQ_OP_ROUTE:
        check_route(check, op);
        break;
    case SINQ_OP_EXPERT_LINEAR:
        check_expert_linear(check, op);
        break;
    default:
        check_simple(check, op);
    }
}

/* Of the head only the norm that gathers reads a slot of all tokens, and nothing else touches a slot of wanted rows. */
static inline void check_head(struct graph_check *check, const struct sinq_operation *op) {
    const bool *const is_for_logits = check->graph->slot_for_logits;
    if (check->fault != NULL) return;
    switch (op->kind) {
    case SINQ_OP_NORM:
        demand(check, op->norm.gather == op->for_logits, "a norm of the head that does not gather");
        demand(check, !is_for_logits[op->norm.in.slot], "a slot of wanted rows outside the head");
        demand(check, is_for_logits[op->norm.out.slot] == op->for_logits, "a slot of all tokens in the head");
        break;
    case SINQ_OP_LINEAR:
        demand(check, is_for_logits[op->linear.in.slot] == op->for_logits, "a linear layer between slots of two kinds");
        demand(check, is_for_logits[op->linear.out.slot] == op->for_logits,
               "a linear layer between slots of two kinds");
        break;
    case SINQ_OP_SOFTCAP:
        demand(check, op->for_logits && is_for_logits[op->softcap.in_out.slot], "a cap outside the head");
        break;
    default:
        demand(check, !op->for_logits, "an operation that is not the head's");
    }
}

/* The first fault, or NULL; *operation is the number of the operation with it. Out of memory counts as no fault. */
static inline const char *find_graph_fault(const struct sinq_graph *graph, uint64_t most_work, uint32_t *operation) {
    struct graph_check check = {.graph = graph};
    bool is_complete = true;
    check.written = calloc(graph->slot_count + 1u, sizeof *check.written);
    check.stored = calloc(graph->cache_count + 1u, 1);
    for (uint32_t i = 0; check.written != NULL && i < graph->slot_count; i++) {
        check.written[i] = calloc(graph->slot_widths[i], 1);
        is_complete = is_complete && check.written[i] != NULL;
    }
    const bool can_run = check.written != NULL && check.stored != NULL && is_complete;
    for (uint32_t i = 0; can_run && i < graph->operation_count && check.fault == NULL; i++) {
        if (check.work > most_work) break;
        check.operation = i;
        check_operation(&check, &graph->operations[i]);
        check_head(&check, &graph->operations[i]);
    }
    if (can_run && check.fault == NULL && check.work <= most_work) {
        reads(&check, (struct sinq_view){.slot = graph->logits_slot}, 0, graph->config->vocabulary);
    }
    for (uint32_t i = 0; check.written != NULL && i < graph->slot_count; i++) free(check.written[i]);
    free(check.written);
    free(check.stored);
    *operation = check.operation;
    return check.fault;
}

#endif
