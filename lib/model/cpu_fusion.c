#include "model/cpu_fusion.h"

#include "model/cpu_operations.h"

/* Values [first, end) of each row of a slot. */
struct range {
    uint32_t slot;
    uint64_t first, end;
};

static struct range make_range(struct sinq_view view, uint64_t values) {
    return (struct range){view.slot, view.offset, view.offset + values};
}

static bool is_apart(struct range a, struct range b) {
    return a.slot != b.slot || a.end <= b.first || b.end <= a.first;
}

static bool is_same(struct sinq_view a, struct sinq_view b) { return a.slot == b.slot && a.offset == b.offset; }

static bool is_at(struct sinq_view view, struct sinq_view base, uint64_t values) {
    return view.slot == base.slot && view.offset == base.offset + values;
}

static bool is_row_operation(const struct sinq_cpu_step *step) {
    return sinq_cpu_rows_of(step->operation->kind) != NULL;
}

uint32_t sinq_cpu_count_lead(const struct sinq_cpu_step *steps, uint32_t count) {
    uint32_t lead = 0;
    while (lead < count && is_row_operation(&steps[lead]) && steps[lead].rows == steps[0].rows) {
        const struct sinq_operation *const op = steps[lead].operation;
        /* It reads other rows than it writes. */
        if (lead > 0 && op->kind == SINQ_OP_NORM && op->norm.gather) break;
        lead++;
    }
    return lead;
}

/* ---- products ---- */

static bool is_product(const struct sinq_cpu_step *step) {
    const struct sinq_operation *const op = step->operation;
    /* Experts of several tokens are another thing. */
    return op->kind == SINQ_OP_LINEAR || (op->kind == SINQ_OP_EXPERT_LINEAR && step->rows == 1);
}

static uint32_t count_runs(const struct sinq_operation *op) {
    return op->kind == SINQ_OP_LINEAR ? 1 : op->expert_linear.chosen;
}

static struct sinq_view input_of(const struct sinq_operation *op) {
    return op->kind == SINQ_OP_LINEAR ? op->linear.in : op->expert_linear.in;
}

static struct sinq_view output_of(const struct sinq_operation *op) {
    return op->kind == SINQ_OP_LINEAR ? op->linear.out : op->expert_linear.out;
}

static const struct sinq_weight *matrix_of(const struct sinq_cpu_step *step) {
    return sinq_cpu_weight(step, sinq_main_weight(step->operation));
}

static struct range input_range(const struct sinq_cpu_step *step) {
    const struct sinq_operation *const op = step->operation;
    const uint64_t runs = op->kind == SINQ_OP_EXPERT_LINEAR && op->expert_linear.per_choice ? count_runs(op) : 1;
    return make_range(input_of(op), runs * matrix_of(step)->cols);
}

static struct range output_range(const struct sinq_cpu_step *step) {
    return make_range(output_of(step->operation), count_runs(step->operation) * matrix_of(step)->rows);
}

static bool reads_alike(const struct sinq_cpu_step *a, const struct sinq_cpu_step *b) {
    const struct sinq_operation *const x = a->operation, *const y = b->operation;
    if (x->kind != y->kind || a->rows != b->rows || !is_same(input_of(x), input_of(y))) return false;
    if (matrix_of(a)->cols != matrix_of(b)->cols) return false;
    return x->kind == SINQ_OP_LINEAR || (x->expert_linear.chosen == y->expert_linear.chosen &&
                                         x->expert_linear.per_choice == y->expert_linear.per_choice &&
                                         is_same(x->expert_linear.choices, y->expert_linear.choices));
}

uint32_t sinq_cpu_count_products(const struct sinq_cpu_step *steps, uint32_t count) {
    uint32_t products = 1;
    while (products < count && is_product(&steps[products]) && reads_alike(&steps[0], &steps[products])) {
        const struct range out = output_range(&steps[products]);
        bool is_free = is_apart(out, input_range(&steps[products]));
        for (uint32_t i = 0; i < products; i++) is_free = is_free && is_apart(out, output_range(&steps[i]));
        if (!is_free) break;
        products++;
    }
    return products;
}

/* ---- what is done with the products' rows ---- */

static struct range activated_range(const struct sinq_operation *op) {
    return make_range(op->activate.out,
                      (uint64_t)(op->activate.segments - 1) * op->activate.out_stride + op->activate.width);
}

/* In place (value by value), or apart from all that is read. */
static bool may_write(const struct sinq_cpu_step *steps, uint32_t products, const struct sinq_operation *op) {
    const bool in_place = is_same(op->activate.out, op->activate.gate) && op->activate.step == 1 &&
                          (op->activate.segments == 1 || op->activate.out_stride == op->activate.in_stride);
    const struct range out = activated_range(op);
    bool is_free = is_apart(out, input_range(&steps[0]));
    for (uint32_t i = 0; i < products; i++) is_free = is_free && (in_place || is_apart(out, output_range(&steps[i])));
    return is_free;
}

/* Gates from one product, ups from another. */
static bool takes_two(const struct sinq_cpu_step *steps, const struct sinq_operation *op) {
    return matrix_of(&steps[0])->rows == op->activate.width && matrix_of(&steps[1])->rows == op->activate.width &&
           op->activate.step == 1 && is_same(op->activate.gate, output_of(steps[0].operation)) &&
           is_same(op->activate.up, output_of(steps[1].operation)) &&
           (op->activate.segments == 1 || op->activate.in_stride == op->activate.width);
}

static struct sinq_cpu_finish find_activation(const struct sinq_cpu_step *steps, uint32_t products) {
    const struct sinq_operation *const op = steps[products].operation;
    const struct sinq_view out = output_of(steps[0].operation);
    const uint64_t rows = matrix_of(&steps[0])->rows;
    const uint32_t width = op->activate.width;
    struct sinq_cpu_finish finish = {.panel_values = SINQ_PANEL_ROWS};
    if (op->activate.segments != count_runs(steps[0].operation) || !may_write(steps, products, op)) return finish;
    if (products == 2) {
        finish.is_there = takes_two(steps, op);
        return finish;
    }
    if (products != 1 || rows != 2 * (uint64_t)width || !is_same(op->activate.gate, out)) return finish;
    if (op->activate.segments > 1 && op->activate.in_stride != rows) return finish;
    if (op->activate.step == 2) {
        finish.panel_values = SINQ_PANEL_ROWS / 2;
        finish.is_there = is_at(op->activate.up, out, 1);
        return finish;
    }
    finish.halves = width % SINQ_PANEL_ROWS == 0;
    finish.is_there = finish.halves && op->activate.step == 1 && is_at(op->activate.up, out, width);
    return finish;
}

static struct sinq_cpu_finish find_combination(const struct sinq_cpu_step *steps, uint32_t products) {
    const struct sinq_operation *const op = steps[products].operation, *const product = steps[0].operation;
    struct sinq_cpu_finish finish = {.panel_values = SINQ_PANEL_ROWS};
    if (products != 1 || product->kind != SINQ_OP_EXPERT_LINEAR) return finish;
    const struct range out = make_range(op->combine.out, op->combine.width);
    finish.is_there = is_same(op->combine.in, output_of(product)) && op->combine.width == matrix_of(&steps[0])->rows &&
                      op->combine.chosen == product->expert_linear.chosen &&
                      is_same(op->combine.choices, product->expert_linear.choices) &&
                      is_apart(out, input_range(&steps[0])) && is_apart(out, output_range(&steps[0])) &&
                      out.slot != op->combine.choices.slot;
    return finish;
}

struct sinq_cpu_finish sinq_cpu_find_finish(const struct sinq_cpu_step *steps, uint32_t products, uint32_t count) {
    const struct sinq_cpu_finish none = {.is_there = false};
    if (products >= count || steps[products].rows != steps[0].rows) return none;
    const enum sinq_operation_kind kind = steps[products].operation->kind;
    for (uint32_t i = 0; i < products; i++) {
        const struct sinq_operation *const op = steps[i].operation;
        if (op->kind == SINQ_OP_LINEAR && op->linear.accumulate) return none;
    }
    if (kind == SINQ_OP_ACTIVATE) return find_activation(steps, products);
    return kind == SINQ_OP_COMBINE ? find_combination(steps, products) : none;
}

/* ---- rows of each worker's own ---- */

/* What a norm or a route reads and writes. */
static bool find_own_ranges(const struct sinq_operation *op, struct range *in, struct range *out) {
    if (op->kind == SINQ_OP_NORM) {
        const uint64_t values = (uint64_t)(op->norm.groups - 1) * op->norm.stride + op->norm.width;
        *in = make_range(op->norm.in, values);
        *out = make_range(op->norm.out, values);
        return true;
    }
    if (op->kind != SINQ_OP_ROUTE) return false;
    *in = make_range(op->route.logits, op->route.experts);
    *out = make_range(op->route.choices, 2 * (uint64_t)op->route.chosen);
    return true;
}

static bool covers(struct range all, struct range part) {
    return all.slot == part.slot && all.first <= part.first && part.end <= all.end;
}

/* A step reads its own row's slot only where the row has it, and writes neither what was read nor the row's original. */
static bool keeps_off(const struct sinq_cpu_step *step, struct range in, struct range out) {
    const struct sinq_operation *const op = step->operation;
    const struct range from = input_range(step), to = output_range(step);
    bool is_fine = is_apart(to, in) && to.slot != out.slot && (from.slot != out.slot || covers(out, from));
    if (op->kind != SINQ_OP_EXPERT_LINEAR) return is_fine;
    const struct range choices = make_range(op->expert_linear.choices, 2 * (uint64_t)op->expert_linear.chosen);
    return is_fine && (choices.slot != out.slot || covers(out, choices));
}

bool sinq_cpu_has_own_row(const struct sinq_cpu_step *steps, uint32_t lead, uint32_t mains, bool is_finished) {
    struct range in, out;
    if (lead == 0 || mains == 0 || !is_product(&steps[lead]) || steps[lead].rows != 1) return false;
    if (!find_own_ranges(steps[lead - 1].operation, &in, &out) || in.slot == out.slot) return false;
    for (uint32_t i = lead; i < lead + mains; i++) {
        if (!keeps_off(&steps[i], in, out)) return false;
    }
    if (!is_finished) return true;
    const struct sinq_operation *const op = steps[lead + mains].operation;
    if (op->kind != SINQ_OP_ACTIVATE) return false;
    return is_apart(activated_range(op), in) && op->activate.out.slot != out.slot;
}

/* ---- heads of attention ---- */

/* Each of `heads` heads is a run of its own, where the attention's queries or the cache's keys are. */
static bool is_of_heads(const struct sinq_cpu_step *attention, struct sinq_view in, struct sinq_view out,
                        struct sinq_view keys, uint32_t heads, uint32_t stride) {
    const struct sinq_operation *const op = attention->operation;
    const struct sinq_cache_shape *const shape = &attention->frame->caches[op->attention.cache].layout.shape;
    if (!is_same(in, out) || stride != shape->key_dim) return false;
    if (is_same(in, op->attention.queries)) return heads == op->attention.heads;
    return is_same(in, keys) && heads == shape->kv_heads;
}

bool sinq_cpu_leads_by_head(const struct sinq_cpu_step *steps, uint32_t lead) {
    const struct sinq_cpu_step *const attention = &steps[lead];
    if (lead == 0 || attention->rows != 1 || steps[lead - 1].operation->kind != SINQ_OP_STORE) return false;
    const struct sinq_operation *const store = steps[lead - 1].operation;
    if (store->store.cache != attention->operation->attention.cache) return false;
    const struct sinq_view keys = store->store.keys;
    for (uint32_t i = 0; i + 1 < lead; i++) {
        const struct sinq_operation *const op = steps[i].operation;
        bool is_fine = false;
        if (op->kind == SINQ_OP_NORM && op->norm.width <= op->norm.stride && !op->norm.gather) {
            is_fine = is_of_heads(attention, op->norm.in, op->norm.out, keys, op->norm.groups, op->norm.stride);
        }
        if (op->kind == SINQ_OP_ROPE && op->rope.in_stride == op->rope.out_stride) {
            is_fine = is_of_heads(attention, op->rope.in, op->rope.out, keys, op->rope.heads, op->rope.in_stride);
        }
        if (!is_fine) return false;
    }
    return true;
}
