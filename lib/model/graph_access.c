#include "model/graph_access.h"

static struct sinq_slot_range make_range(struct sinq_view view, uint64_t width) {
    return (struct sinq_slot_range){view.slot, view.offset, view.offset + width};
}

/* `runs` runs of `width` values, `stride` apart. */
static uint64_t span(uint64_t runs, uint64_t stride, uint64_t width) { return (runs - 1) * stride + width; }

static void add_read(struct sinq_operation_access *access, struct sinq_view view, uint64_t width) {
    if (view.slot == SINQ_NO_VIEW) return;
    access->reads[access->read_count++] = make_range(view, width);
}

static void set_write(struct sinq_operation_access *access, struct sinq_view view, uint64_t width, bool accumulates) {
    access->write = make_range(view, width);
    if (accumulates) add_read(access, view, width);
}

static void access_head_linear(const struct sinq_graph *graph, const struct sinq_operation *op,
                               struct sinq_operation_access *access) {
    const uint64_t cols = graph->wants[op->head_linear.weight].cols, rows = op->head_linear.rows;
    const bool is_transposed = op->head_linear.transposed;
    add_read(access, op->head_linear.in,
             span(op->head_linear.heads, op->head_linear.in_stride, is_transposed ? rows : cols));
    set_write(access, op->head_linear.out,
              span(op->head_linear.heads, op->head_linear.out_stride, is_transposed ? cols : rows), false);
    access->has_gaps = op->head_linear.out_stride != (is_transposed ? cols : rows);
}

static void access_expert_linear(const struct sinq_graph *graph, const struct sinq_operation *op,
                                 struct sinq_operation_access *access) {
    const struct sinq_want *const want = &graph->wants[op->expert_linear.first_weight];
    const uint64_t chosen = op->expert_linear.chosen;
    add_read(access, op->expert_linear.in, want->cols * (op->expert_linear.per_choice ? chosen : 1));
    add_read(access, op->expert_linear.choices, 2 * chosen);
    set_write(access, op->expert_linear.out, want->rows * chosen, false);
}

static void access_attention(const struct sinq_graph *graph, const struct sinq_operation *op,
                             struct sinq_operation_access *access) {
    const struct sinq_cache_shape *const cache = &graph->caches[op->attention.cache];
    add_read(access, op->attention.queries, (uint64_t)op->attention.heads * cache->key_dim);
    set_write(access, op->attention.out, (uint64_t)op->attention.heads * cache->value_dim, false);
}

static void access_activate(const struct sinq_operation *op, struct sinq_operation_access *access) {
    const uint64_t run = span(op->activate.width, op->activate.step, 1);
    add_read(access, op->activate.gate, span(op->activate.segments, op->activate.in_stride, run));
    add_read(access, op->activate.up, span(op->activate.segments, op->activate.in_stride, run));
    set_write(access, op->activate.out, span(op->activate.segments, op->activate.out_stride, op->activate.width),
              false);
    access->has_gaps = op->activate.segments > 1 && op->activate.out_stride != op->activate.width;
}

/* Norms and ropes: runs that become other runs. */
static void access_rows(const struct sinq_operation *op, struct sinq_operation_access *access) {
    if (op->kind == SINQ_OP_NORM) {
        const uint64_t width = span(op->norm.groups, op->norm.stride, op->norm.width);
        add_read(access, op->norm.in, width);
        set_write(access, op->norm.out, width, false);
        access->has_gaps = op->norm.groups > 1 && op->norm.stride != op->norm.width;
        return;
    }
    const uint64_t run = (uint64_t)op->rope.dims + op->rope.copy;
    add_read(access, op->rope.in, span(op->rope.heads, op->rope.in_stride, run));
    add_read(access, op->rope.rotation, op->rope.dims);
    set_write(access, op->rope.out, span(op->rope.heads, op->rope.out_stride, run), false);
    access->has_gaps = op->rope.heads > 1 && op->rope.out_stride != run;
}

struct sinq_operation_access sinq_find_access(const struct sinq_graph *graph, uint32_t operation) {
    const struct sinq_operation *const op = &graph->operations[operation];
    struct sinq_operation_access access = {.write = {.slot = SINQ_NO_VIEW}};
    const struct sinq_cache_shape *cache;
    switch (op->kind) {
    case SINQ_OP_EMBED:
        set_write(&access, op->embed.out, graph->wants[op->embed.weight].cols, false);
        break;
    case SINQ_OP_NORM:
    case SINQ_OP_ROPE:
        access_rows(op, &access);
        break;
    case SINQ_OP_LINEAR:
        add_read(&access, op->linear.in, graph->wants[op->linear.weight].cols);
        set_write(&access, op->linear.out, graph->wants[op->linear.weight].rows, op->linear.accumulate);
        break;
    case SINQ_OP_HEAD_LINEAR:
        access_head_linear(graph, op, &access);
        break;
    case SINQ_OP_ROTATION:
        set_write(&access, op->rotation.out, graph->slot_widths[op->rotation.out.slot], false);
        break;
    case SINQ_OP_STORE:
        cache = &graph->caches[op->store.cache];
        add_read(&access, op->store.keys, (uint64_t)cache->kv_heads * cache->key_dim);
        add_read(&access, op->store.values, (uint64_t)cache->kv_heads * cache->value_dim);
        break;
    case SINQ_OP_ATTENTION:
        access_attention(graph, op, &access);
        break;
    case SINQ_OP_ACTIVATE:
        access_activate(op, &access);
        break;
    case SINQ_OP_ADD:
        add_read(&access, op->add.in, op->add.width);
        set_write(&access, op->add.out, op->add.width, true);
        break;
    case SINQ_OP_SOFTCAP:
        set_write(&access, op->softcap.in_out, op->softcap.width, true);
        break;
    case SINQ_OP_ROUTE:
        add_read(&access, op->route.logits, op->route.experts);
        set_write(&access, op->route.choices, 2 * (uint64_t)op->route.chosen, false);
        break;
    case SINQ_OP_EXPERT_LINEAR:
        access_expert_linear(graph, op, &access);
        break;
    case SINQ_OP_COMBINE:
        add_read(&access, op->combine.choices, 2 * (uint64_t)op->combine.chosen);
        add_read(&access, op->combine.in, (uint64_t)op->combine.chosen * op->combine.width);
        set_write(&access, op->combine.out, op->combine.width, op->combine.accumulate);
        break;
    case SINQ_OP_KIND_COUNT:
        break;
    }
    return access;
}

bool sinq_ranges_overlap(struct sinq_slot_range a, struct sinq_slot_range b) {
    return a.slot == b.slot && a.slot != SINQ_NO_VIEW && a.first < b.end && b.first < a.end;
}

bool sinq_ranges_equal(struct sinq_slot_range a, struct sinq_slot_range b) {
    return a.slot == b.slot && a.first == b.first && a.end == b.end;
}

uint32_t sinq_find_writer(const struct sinq_graph *graph, uint32_t operation, struct sinq_slot_range range) {
    for (uint32_t i = operation; i-- > 0;) {
        if (sinq_ranges_overlap(sinq_find_access(graph, i).write, range)) return i;
    }
    return SINQ_NO_OPERATION;
}

/* What is left of a range as it was. Where there are more pieces than this, what lies between them counts as left. */
#define MOST_PIECES 8u

struct pieces {
    struct sinq_slot_range ranges[MOST_PIECES];
    uint32_t count;
};

static void add_piece(struct pieces *pieces, uint32_t slot, uint64_t first, uint64_t end) {
    if (first >= end) return;
    if (pieces->count == MOST_PIECES) {
        struct sinq_slot_range *const last = &pieces->ranges[MOST_PIECES - 1];
        last->first = first < last->first ? first : last->first;
        last->end = end > last->end ? end : last->end;
        return;
    }
    pieces->ranges[pieces->count++] = (struct sinq_slot_range){slot, first, end};
}

static void overwrite(struct pieces *pieces, const struct sinq_operation_access *access) {
    const struct sinq_slot_range write = access->write;
    struct pieces left = {.count = 0};
    if (access->has_gaps) return;
    for (uint32_t i = 0; i < pieces->count; i++) {
        const struct sinq_slot_range piece = pieces->ranges[i];
        if (!sinq_ranges_overlap(write, piece)) {
            add_piece(&left, piece.slot, piece.first, piece.end);
            continue;
        }
        add_piece(&left, piece.slot, piece.first, write.first);
        add_piece(&left, piece.slot, write.end, piece.end);
    }
    *pieces = left;
}

static bool reads_any(const struct sinq_operation_access *access, const struct pieces *pieces) {
    for (uint32_t r = 0; r < access->read_count; r++) {
        for (uint32_t i = 0; i < pieces->count; i++) {
            if (sinq_ranges_overlap(access->reads[r], pieces->ranges[i])) return true;
        }
    }
    return false;
}

uint32_t sinq_find_reader(const struct sinq_graph *graph, uint32_t writer, uint32_t operation,
                          struct sinq_slot_range range) {
    struct pieces pieces = {.count = 0};
    add_piece(&pieces, range.slot, range.first, range.end);
    for (uint32_t i = writer + 1; i < graph->operation_count && pieces.count > 0; i++) {
        const struct sinq_operation_access access = sinq_find_access(graph, i);
        if (i > operation && reads_any(&access, &pieces)) return i;
        overwrite(&pieces, &access);
    }
    return SINQ_NO_OPERATION;
}
