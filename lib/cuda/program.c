#include "cuda/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "cuda/describe.h"
#include "model/rope.h"

struct builder {
    struct sinq_queue *queue;
    struct sinq_cuda_program *program;
    uint8_t *scratch; /* NULL: only measured */
    uint64_t used;    /* of scratch, by the actions that belong together */
    struct sinq_error *error;
};

static bool same_view(struct sinq_view a, struct sinq_view b) { return a.slot == b.slot && a.offset == b.offset; }

/* A new action; NULL when out of memory. */
static struct sinq_cuda_action *add_action(struct builder *builder, enum sinq_cuda_action_kind kind,
                                           const struct sinq_cuda_step *step) {
    struct sinq_cuda_program *const program = builder->program;
    if (program->action_count == program->action_capacity) {
        const uint32_t capacity = program->action_capacity == 0 ? 256 : 2 * program->action_capacity;
        struct sinq_cuda_action *const grown = realloc(program->actions, capacity * sizeof *grown);
        if (grown == NULL) {
            (void)sinq_fail_memory(builder->error, "kernels", capacity * sizeof *grown);
            return NULL;
        }
        program->actions = grown;
        program->action_capacity = capacity;
    }
    struct sinq_cuda_action *const action = &program->actions[program->action_count++];
    memset(action, 0, sizeof *action);
    action->kind = kind;
    action->operation = step->operation;
    action->rows = step->rows;
    return action;
}

/* Scratch memory; what it held before an action that calls release_scratch is lost. */
static void *take_scratch(struct builder *builder, uint64_t bytes) {
    void *const taken = builder->scratch == NULL ? NULL : builder->scratch + builder->used;
    builder->used += sinq_round_up(bytes, 256);
    builder->program->scratch_bytes = sinq_max_u64(builder->program->scratch_bytes, builder->used);
    return taken;
}
static void release_scratch(struct builder *builder) { builder->used = 0; }

static struct sinq_cuda_input take_input(struct builder *builder, const struct sinq_cuda_matrix *matrix,
                                         uint64_t rows) {
    struct sinq_cuda_input input = {.padded = (uint32_t)sinq_round_up(matrix->cols, SINQ_CUDA_PADDING),
                                    .group = sinq_cuda_input_group(matrix->group_size)};
    input.digits = take_scratch(builder, rows * 2 * input.padded);
    input.scales = take_scratch(builder, rows * (input.padded / input.group) * 2 * sizeof(float));
    return input;
}

/* ---- operations by themselves ---- */

#define MOST_VALUE_DIM  1024u /* of a head: attention.cu has eight of them a thread */
#define BLOCKS_PER_UNIT 4u    /* of attention, for each multiprocessor, where there are positions enough */

static struct sinq_cuda_attention describe_attention(struct builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    struct sinq_cuda_attention a = {.cache = sinq_cuda_describe_cache(step, op->attention.cache),
                                    .queries = sinq_cuda_find_rows(step, op->attention.queries),
                                    .out = sinq_cuda_find_rows(step, op->attention.out),
                                    .sinks = sinq_cuda_find_vector(step, op->attention.sinks),
                                    .heads = op->attention.heads,
                                    .window = op->attention.window,
                                    .scale = op->attention.scale,
                                    .cap = op->attention.cap};
    const uint64_t blocks = sinq_divide_up(a.heads, 4) * step->rows, tiles = sinq_divide_up(a.cache.capacity, 32);
    const uint64_t wanted = (uint64_t)BLOCKS_PER_UNIT * builder->queue->backend->line.processors / blocks;
    a.parts = (uint32_t)sinq_max_u64(1, sinq_min_u64(tiles, wanted));
    a.partial = take_scratch(builder, sinq_cuda_attention_bytes(&a, step->rows));
    return a;
}

/* *made becomes what was added; its parts are not joined yet. */
static int add_attending(struct builder *builder, const struct sinq_cuda_step *step, struct sinq_cuda_attention *made) {
    *made = describe_attention(builder, step);
    if (made->cache.value_dim > MOST_VALUE_DIM) {
        return sinq_fail(builder->error, SINQ_FAILED, "CUDA: heads of %u values are not supported, at most %u",
                         made->cache.value_dim, MOST_VALUE_DIM);
    }
    struct sinq_cuda_action *const action = add_action(builder, SINQ_CUDA_ATTEND, step);
    if (action == NULL) return SINQ_FAILED;
    action->attention = *made;
    return SINQ_OK;
}

static int add_attention(struct builder *builder, const struct sinq_cuda_step *step) {
    struct sinq_cuda_attention attention;
    const int status = add_attending(builder, step, &attention);
    if (status != SINQ_OK || attention.parts == 1) return status;
    struct sinq_cuda_action *const action = add_action(builder, SINQ_CUDA_JOIN, step);
    if (action == NULL) return SINQ_FAILED;
    action->attention = attention;
    return SINQ_OK;
}

static int add_rotation(struct builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_rope *const rope = &step->frame->ropes[step->operation->rotation.rope];
    const double *frequencies;
    const int status = sinq_cuda_find_frequencies(builder->queue, rope, &frequencies, builder->error);
    struct sinq_cuda_action *const action = status == SINQ_OK ? add_action(builder, SINQ_CUDA_ROTATION, step) : NULL;
    if (action == NULL) return SINQ_FAILED;
    action->rotation.frequencies = frequencies;
    action->rotation.pairs = rope->dims / 2;
    action->rotation.factor = rope->attention_factor;
    action->rotation.out = sinq_cuda_find_rows(step, step->operation->rotation.out);
    return SINQ_OK;
}

static int add_heads(struct builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    struct sinq_cuda_action *const action = add_action(builder, SINQ_CUDA_MULTIPLY_HEADS, step);
    if (action == NULL) return SINQ_FAILED;
    action->heads = (struct sinq_cuda_head_product){.matrix = *sinq_cuda_find_matrix(step, op->head_linear.weight),
                                                    .in = sinq_cuda_find_rows(step, op->head_linear.in),
                                                    .out = sinq_cuda_find_rows(step, op->head_linear.out),
                                                    .heads = op->head_linear.heads,
                                                    .in_stride = op->head_linear.in_stride,
                                                    .out_stride = op->head_linear.out_stride,
                                                    .first_row = op->head_linear.first_row,
                                                    .row_stride = op->head_linear.row_stride,
                                                    .rows = op->head_linear.rows,
                                                    .transposed = op->head_linear.transposed};
    return SINQ_OK;
}

static int add_experts(struct builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_cuda_experts *experts;
    const int status = sinq_cuda_find_experts(builder->queue, step, &experts, builder->error);
    struct sinq_cuda_action *const action =
        status == SINQ_OK ? add_action(builder, SINQ_CUDA_MULTIPLY_EXPERTS, step) : NULL;
    if (action == NULL) return SINQ_FAILED;
    struct sinq_cuda_expert_products *const p = &action->experts.products;
    *p = (struct sinq_cuda_expert_products){.matrices = experts->matrices,
                                            .first = *sinq_cuda_find_matrix(step, op->expert_linear.first_weight),
                                            .biases = experts->biases,
                                            .choices = sinq_cuda_find_rows(step, op->expert_linear.choices),
                                            .in = sinq_cuda_find_rows(step, op->expert_linear.in),
                                            .out = sinq_cuda_find_rows(step, op->expert_linear.out),
                                            .chosen = op->expert_linear.chosen,
                                            .per_choice = op->expert_linear.per_choice};
    action->experts.is_dense = experts->is_dense;
    if (!experts->is_dense) {
        p->input = take_input(builder, &p->first, (uint64_t)step->rows * op->expert_linear.chosen);
    }
    return SINQ_OK;
}

static int add_plain(struct builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    static const enum sinq_cuda_action_kind kinds[SINQ_OP_KIND_COUNT] = {
        [SINQ_OP_EMBED] = SINQ_CUDA_EMBED,       [SINQ_OP_NORM] = SINQ_CUDA_NORM,
        [SINQ_OP_ROPE] = SINQ_CUDA_ROPE,         [SINQ_OP_STORE] = SINQ_CUDA_STORE,
        [SINQ_OP_ACTIVATE] = SINQ_CUDA_ACTIVATE, [SINQ_OP_ADD] = SINQ_CUDA_ADD,
        [SINQ_OP_SOFTCAP] = SINQ_CUDA_SOFTCAP,   [SINQ_OP_ROUTE] = SINQ_CUDA_ROUTE,
        [SINQ_OP_COMBINE] = SINQ_CUDA_COMBINE,
    };
    struct sinq_cuda_action *const action = add_action(builder, kinds[op->kind], step);
    if (action == NULL) return SINQ_FAILED;
    switch (op->kind) {
    case SINQ_OP_EMBED:
        action->embed.matrix = *sinq_cuda_find_matrix(step, op->embed.weight);
        action->embed.tokens = (const int32_t *)(const void *)step->frame->tokens->data;
        action->embed.out = sinq_cuda_find_rows(step, op->embed.out);
        action->embed.scale = op->embed.scale;
        break;
    case SINQ_OP_NORM:
        action->norm = sinq_cuda_describe_norm(step);
        break;
    case SINQ_OP_ROPE:
        action->rope = sinq_cuda_describe_rope(step);
        break;
    case SINQ_OP_STORE:
        action->store.cache = sinq_cuda_describe_cache(step, op->store.cache);
        action->store.keys = sinq_cuda_find_rows(step, op->store.keys);
        if (!action->store.cache.shared) action->store.values = sinq_cuda_find_rows(step, op->store.values);
        break;
    case SINQ_OP_ACTIVATE:
        action->activation = sinq_cuda_describe_activation(step);
        break;
    case SINQ_OP_ADD:
        action->plain.in = sinq_cuda_find_rows(step, op->add.in);
        action->plain.out = sinq_cuda_find_rows(step, op->add.out);
        action->plain.width = op->add.width;
        break;
    case SINQ_OP_SOFTCAP:
        action->plain.in = sinq_cuda_find_rows(step, op->softcap.in_out);
        action->plain.width = op->softcap.width;
        action->plain.cap = op->softcap.cap;
        break;
    case SINQ_OP_ROUTE:
        action->route = sinq_cuda_describe_route(step);
        break;
    default:
        action->combine = (struct sinq_cuda_combine){.choices = sinq_cuda_find_rows(step, op->combine.choices),
                                                     .in = sinq_cuda_find_rows(step, op->combine.in),
                                                     .out = sinq_cuda_find_rows(step, op->combine.out),
                                                     .chosen = op->combine.chosen,
                                                     .width = op->combine.width,
                                                     .accumulate = op->combine.accumulate};
        break;
    }
    return SINQ_OK;
}

/* ---- products ---- */

static int add_dense(struct builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    struct sinq_cuda_action *const action = add_action(builder, SINQ_CUDA_MULTIPLY_DENSE, step);
    if (action == NULL) return SINQ_FAILED;
    action->dense.matrix = *sinq_cuda_find_matrix(step, op->linear.weight);
    action->dense.in = sinq_cuda_find_rows(step, op->linear.in);
    action->dense.y = sinq_cuda_find_rows(step, op->linear.out);
    action->dense.bias = sinq_cuda_find_vector(step, op->linear.bias);
    action->dense.accumulate = op->linear.accumulate;
    return SINQ_OK;
}

static bool is_quantized_product(const struct sinq_cuda_step *step) {
    return step->operation->kind == SINQ_OP_LINEAR &&
           sinq_cuda_can_multiply(sinq_cuda_find_matrix(step, step->operation->linear.weight));
}

/* How many products from this step on are carried out as one. */
static uint32_t count_products(const struct sinq_cuda_step *steps, uint32_t left) {
    const struct sinq_operation *const first = steps[0].operation;
    const struct sinq_cuda_matrix *const like = sinq_cuda_find_matrix(&steps[0], first->linear.weight);
    uint32_t count = 1;
    if (first->linear.out.slot == first->linear.in.slot) return 1;
    for (; count < left && count < SINQ_CUDA_MOST_PRODUCTS; count++) {
        const struct sinq_cuda_step *const step = &steps[count];
        if (step->rows != steps[0].rows || !is_quantized_product(step)) break;
        const struct sinq_operation *const op = step->operation;
        const struct sinq_cuda_matrix *const matrix = sinq_cuda_find_matrix(step, op->linear.weight);
        if (!same_view(op->linear.in, first->linear.in) || op->linear.out.slot == op->linear.in.slot) break;
        if (matrix->bits != like->bits || matrix->group_size != like->group_size || matrix->cols != like->cols) break;
    }
    return count;
}

/* Bytes that are called into the cache while a kernel leaves the memory idle. */
#define PREPARE_AHEAD ((uint64_t)3 << 20)
#define TURN_AHEAD    ((uint64_t)4 << 20)

/* Codes of products, from byte `first` of them all on, `size` bytes. */
static struct sinq_cuda_ahead look_ahead(const struct sinq_cuda_products *products, uint64_t first, uint64_t size) {
    struct sinq_cuda_ahead ahead = {.sizes = {0}};
    for (uint32_t i = 0; i < products->count; i++) {
        const struct sinq_cuda_matrix *const m = &products->products[i].matrix;
        const uint64_t bytes = (uint64_t)m->panels * m->column_blocks * m->bits * 64;
        const uint64_t skipped = sinq_min_u64(first, bytes), taken = sinq_min_u64(bytes - skipped, size);
        ahead.bytes[i] = m->codes + skipped;
        ahead.sizes[i] = (uint32_t)taken;
        first -= skipped;
        size -= taken;
    }
    return ahead;
}

/* One row: blocks share out the columns as suits the device. */
static void share_columns(struct builder *builder, struct sinq_cuda_products *products, uint32_t rows) {
    const uint32_t pairs = products->first_pair[products->count];
    sinq_cuda_share_columns(builder->queue->backend->line.processors, products);
    if (rows != 1 || pairs > builder->queue->finished.bytes / sizeof(uint32_t)) products->splits = 1;
    if (products->splits == 1) return;
    products->partial = take_scratch(builder, (uint64_t)pairs * products->splits * 32 * sizeof(float));
    products->finished = (uint32_t *)(void *)builder->queue->finished.data;
}

/* The input of products, which `values` describes, and the products. */
static int add_products(struct builder *builder, const struct sinq_cuda_step *steps, uint32_t count,
                        const struct sinq_cuda_values *values) {
    struct sinq_cuda_products products = {.count = count};
    struct sinq_cuda_preparation preparation = {.values = *values, .count = count};
    for (uint32_t i = 0; i < count; i++) {
        const struct sinq_operation *const op = steps[i].operation;
        struct sinq_cuda_product *const product = &products.products[i];
        product->matrix = *sinq_cuda_find_matrix(&steps[i], op->linear.weight);
        product->input = take_input(builder, &product->matrix, steps[i].rows);
        product->y = sinq_cuda_find_rows(&steps[i], op->linear.out);
        product->bias = sinq_cuda_find_vector(&steps[i], op->linear.bias);
        product->accumulate = op->linear.accumulate;
        products.first_pair[i + 1] = products.first_pair[i] + (uint32_t)sinq_divide_up(product->matrix.panels, 2);
        preparation.column_scales[i] = product->matrix.column_scale;
        preparation.inputs[i] = product->input;
        preparation.cols = product->matrix.cols;
    }
    share_columns(builder, &products, steps[0].rows);
    preparation.ahead = look_ahead(&products, 0, PREPARE_AHEAD);
    struct sinq_cuda_action *action = add_action(builder, SINQ_CUDA_PREPARE, &steps[0]);
    if (action == NULL) return SINQ_FAILED;
    action->preparation = preparation;
    action = add_action(builder, SINQ_CUDA_MULTIPLY, &steps[count - 1]);
    if (action == NULL) return SINQ_FAILED;
    action->products = products;
    return SINQ_OK;
}

/* Whether the values of a norm or an activation can be made together with the input of the products behind it. */
static bool makes_input(const struct sinq_cuda_step *step, const struct sinq_cuda_step *next, uint32_t products) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_view in = next->operation->linear.in;
    const uint32_t cols = sinq_cuda_find_matrix(next, next->operation->linear.weight)->cols;
    if (step->rows != next->rows) return false;
    if (op->kind == SINQ_OP_NORM) {
        return op->norm.groups == 1 && op->norm.width == cols && op->norm.in.slot != op->norm.out.slot &&
               same_view(op->norm.out, in);
    }
    if (op->kind != SINQ_OP_ACTIVATE || products != 1) return false;
    return op->activate.segments == 1 && op->activate.step == 1 && op->activate.width == cols &&
           same_view(op->activate.out, in);
}

static struct sinq_cuda_values describe_values(const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    if (op->kind == SINQ_OP_NORM) {
        return (struct sinq_cuda_values){.origin = SINQ_CUDA_NORMED,
                                         .in = sinq_cuda_find_rows(step, op->norm.in),
                                         .out = sinq_cuda_find_rows(step, op->norm.out),
                                         .weight = sinq_cuda_find_vector(step, op->norm.weight),
                                         .eps = op->norm.eps,
                                         .gather = op->norm.gather};
    }
    if (op->kind == SINQ_OP_ACTIVATE) {
        return (struct sinq_cuda_values){.origin = SINQ_CUDA_ACTIVATED,
                                         .in = sinq_cuda_find_rows(step, op->activate.gate),
                                         .out = sinq_cuda_find_rows(step, op->activate.out),
                                         .up = sinq_cuda_find_rows(step, op->activate.up),
                                         .activation = (int)op->activate.activation};
    }
    return (struct sinq_cuda_values){.origin = SINQ_CUDA_PLAIN, .in = sinq_cuda_find_rows(step, op->linear.in)};
}

/* ---- heads ---- */

/* A norm of each head in place, of those that the rope turns. */
static bool norms_heads(const struct sinq_operation *norm, const struct sinq_operation *rope) {
    return norm->kind == SINQ_OP_NORM && same_view(norm->norm.in, norm->norm.out) &&
           same_view(norm->norm.in, rope->rope.in) && norm->norm.groups == rope->rope.heads &&
           norm->norm.width == rope->rope.in_stride && norm->norm.stride == rope->rope.in_stride && !norm->norm.gather;
}

static bool turns_in_place(const struct sinq_operation *rope) {
    return rope->kind == SINQ_OP_ROPE && same_view(rope->rope.in, rope->rope.out) &&
           rope->rope.in_stride == rope->rope.out_stride;
}

/* How many steps, norms of queries and keys (or none), their ropes and the store, are one kernel; 0: they are none. */
static uint32_t count_turn_steps(const struct sinq_cuda_step *steps, uint32_t left) {
    const uint32_t norms = steps[0].operation->kind == SINQ_OP_NORM ? 2 : 0;
    if (left < norms + 3) return 0;
    const struct sinq_operation *const query = steps[norms].operation, *const key = steps[norms + 1].operation;
    const struct sinq_operation *const store = steps[norms + 2].operation;
    if (!turns_in_place(query) || !turns_in_place(key) || store->kind != SINQ_OP_STORE) return 0;
    if (norms != 0 && (!norms_heads(steps[0].operation, query) || !norms_heads(steps[1].operation, key))) return 0;
    const struct sinq_cache_shape *const shape = &steps[0].frame->caches[store->store.cache].layout.shape;
    const bool fits = !shape->shared && same_view(store->store.keys, key->rope.in) &&
                      key->rope.heads == shape->kv_heads && key->rope.in_stride == shape->key_dim &&
                      query->rope.in_stride == shape->key_dim && same_view(query->rope.rotation, key->rope.rotation) &&
                      query->rope.dims == key->rope.dims && query->rope.interleaved == key->rope.interleaved;
    return fits ? norms + 3 : 0;
}

/* Codes of the product behind attention. */
static struct sinq_cuda_ahead look_behind_attention(const struct sinq_cuda_step *steps, uint32_t left) {
    struct sinq_cuda_products products = {.count = 1};
    if (left < 2 || steps[0].operation->kind != SINQ_OP_ATTENTION || !is_quantized_product(&steps[1])) {
        return (struct sinq_cuda_ahead){.sizes = {0}};
    }
    products.products[0].matrix = *sinq_cuda_find_matrix(&steps[1], steps[1].operation->linear.weight);
    return look_ahead(&products, PREPARE_AHEAD, TURN_AHEAD);
}

static int add_turn(struct builder *builder, const struct sinq_cuda_step *steps, uint32_t count, uint32_t left) {
    const struct sinq_operation *const query = steps[count - 3].operation, *const key = steps[count - 2].operation;
    const struct sinq_cuda_step *const store = &steps[count - 1];
    struct sinq_cuda_action *const action = add_action(builder, SINQ_CUDA_TURN, store);
    if (action == NULL) return SINQ_FAILED;
    action->turn = (struct sinq_cuda_turn){.cache = sinq_cuda_describe_cache(store, store->operation->store.cache),
                                           .queries = sinq_cuda_find_rows(store, query->rope.in),
                                           .keys = sinq_cuda_find_rows(store, key->rope.in),
                                           .values = sinq_cuda_find_rows(store, store->operation->store.values),
                                           .rotation = sinq_cuda_find_rows(store, query->rope.rotation),
                                           .heads = query->rope.heads,
                                           .dims = query->rope.dims,
                                           .interleaved = query->rope.interleaved,
                                           .ahead = look_behind_attention(steps + count, left - count)};
    if (count == 3) return SINQ_OK;
    action->turn.query_weight = sinq_cuda_find_vector(store, steps[0].operation->norm.weight);
    action->turn.key_weight = sinq_cuda_find_vector(store, steps[1].operation->norm.weight);
    action->turn.query_eps = steps[0].operation->norm.eps;
    action->turn.key_eps = steps[1].operation->norm.eps;
    return SINQ_OK;
}

/* Attention of several parts, which are joined where the next product's input is made. */
static int add_attended_product(struct builder *builder, const struct sinq_cuda_step *steps) {
    struct sinq_cuda_values values = {.origin = SINQ_CUDA_ATTENDED};
    const int status = add_attending(builder, &steps[0], &values.attention);
    if (status != SINQ_OK) return status;
    values.out = values.attention.out;
    if (values.attention.parts == 1) values = describe_values(&steps[1]);
    return add_products(builder, steps + 1, 1, &values);
}

static bool is_attended_product(const struct sinq_cuda_step *steps) {
    const struct sinq_operation *const attention = steps[0].operation, *const linear = steps[1].operation;
    if (attention->kind != SINQ_OP_ATTENTION || steps[0].rows != steps[1].rows) return false;
    const uint32_t value_dim = steps[0].frame->caches[attention->attention.cache].layout.shape.value_dim;
    return same_view(attention->attention.out, linear->linear.in) && value_dim % 8 == 0 &&
           sinq_cuda_find_matrix(&steps[1], linear->linear.weight)->cols == attention->attention.heads * value_dim;
}

/* ---- the whole ---- */

/* Adds what the first of the steps asks for; *taken becomes how many of them it was. */
static int add_steps(struct builder *builder, const struct sinq_cuda_step *steps, uint32_t left, uint32_t *taken) {
    release_scratch(builder);
    *taken = count_turn_steps(steps, left);
    if (*taken != 0) return add_turn(builder, steps, *taken, left);
    *taken = 1;
    if (left > 1 && is_quantized_product(&steps[1]) && is_attended_product(steps)) {
        *taken = 2;
        return add_attended_product(builder, steps);
    }
    if (left > 1 && is_quantized_product(&steps[1])) {
        const uint32_t products = count_products(steps + 1, left - 1);
        if (makes_input(&steps[0], &steps[1], products)) {
            const struct sinq_cuda_values values = describe_values(&steps[0]);
            *taken = 1 + products;
            return add_products(builder, steps + 1, products, &values);
        }
    }
    switch (steps[0].operation->kind) {
    case SINQ_OP_LINEAR: {
        if (!is_quantized_product(&steps[0])) return add_dense(builder, &steps[0]);
        const struct sinq_cuda_values values = describe_values(&steps[0]);
        *taken = count_products(steps, left);
        return add_products(builder, steps, *taken, &values);
    }
    case SINQ_OP_HEAD_LINEAR:
        return add_heads(builder, &steps[0]);
    case SINQ_OP_ROTATION:
        return add_rotation(builder, &steps[0]);
    case SINQ_OP_ATTENTION:
        return add_attention(builder, &steps[0]);
    case SINQ_OP_EXPERT_LINEAR:
        return add_experts(builder, &steps[0]);
    default:
        return add_plain(builder, &steps[0]);
    }
}

int sinq_cuda_compile(struct sinq_queue *queue, const struct sinq_cuda_step *steps, uint32_t count, uint8_t *scratch,
                      struct sinq_cuda_program *program, struct sinq_error *error) {
    struct builder builder = {.queue = queue, .program = program, .scratch = scratch, .error = error};
    *program = (struct sinq_cuda_program){.step_count = count, .steps = malloc(count * sizeof *steps)};
    if (program->steps == NULL) return sinq_fail_memory(error, "operations", count * sizeof *steps);
    memcpy(program->steps, steps, count * sizeof *steps);
    int status = SINQ_OK;
    for (uint32_t i = 0, taken = 0; i < count && status == SINQ_OK; i += taken) {
        status = add_steps(&builder, steps + i, count - i, &taken);
    }
    return status;
}

void sinq_cuda_empty_program(struct sinq_cuda_program *program) {
    if (program->graph != NULL) (void)cudaGraphExecDestroy(program->graph);
    free(program->steps);
    free(program->actions);
    *program = (struct sinq_cuda_program){.steps = NULL};
}
