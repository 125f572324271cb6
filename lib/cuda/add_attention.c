/* add_attention.c: attention, with the product behind it, and what lies before it: norms and ropes of heads, the cache. */
#include "base/checked.h"
#include "base/error.h"
#include "cuda/builder.h"
#include "cuda/describe.h"

#define MOST_VALUE_DIM  1024u /* of a head: attention.cu has eight of them a thread */
#define BLOCKS_PER_UNIT 4u    /* of attention, for each multiprocessor, where there are positions enough */

static struct sinq_cuda_attention describe_attention(struct sinq_cuda_builder *builder,
                                                     const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    struct sinq_cuda_attention a = {.cache = sinq_cuda_describe_cache(step, op->attention.cache),
                                    .queries = sinq_cuda_find_rows(step, op->attention.queries),
                                    .out = sinq_cuda_find_rows(step, op->attention.out),
                                    .sinks = sinq_cuda_find_vector(step, op->attention.sinks),
                                    .heads = op->attention.heads,
                                    .window = op->attention.window,
                                    .scale = op->attention.scale,
                                    .cap = op->attention.cap};
    const uint32_t sharing = a.heads / a.cache.kv_heads;
    const uint64_t groups = a.cache.kv_heads * sinq_divide_up(sharing, SINQ_CUDA_ATTENDED_HEADS);
    const uint64_t blocks = groups * step->rows, tiles = sinq_divide_up(a.cache.capacity, 32);
    const uint64_t wanted = (uint64_t)BLOCKS_PER_UNIT * builder->queue->backend->line.processors / blocks;
    a.parts = sinq_cuda_can_attend_rows(&a, step->rows) ? 1 : (uint32_t)sinq_max_u64(1, sinq_min_u64(tiles, wanted));
    a.partial = sinq_cuda_take_scratch(builder, sinq_cuda_attention_bytes(&a, step->rows));
    return a;
}

/* ---- heads ---- */

/* A norm of each head in place, of those that the rope turns. */
static bool norms_heads(const struct sinq_operation *norm, const struct sinq_operation *rope) {
    return norm->kind == SINQ_OP_NORM && sinq_cuda_same_view(norm->norm.in, norm->norm.out) &&
           sinq_cuda_same_view(norm->norm.in, rope->rope.in) && norm->norm.groups == rope->rope.heads &&
           norm->norm.width == rope->rope.in_stride && norm->norm.stride == rope->rope.in_stride && !norm->norm.gather;
}

static bool turns_in_place(const struct sinq_operation *rope) {
    return rope->kind == SINQ_OP_ROPE && sinq_cuda_same_view(rope->rope.in, rope->rope.out) &&
           rope->rope.in_stride == rope->rope.out_stride;
}

uint32_t sinq_cuda_count_turn_steps(const struct sinq_cuda_step *steps, uint32_t left) {
    const uint32_t norms = steps[0].operation->kind == SINQ_OP_NORM ? 2 : 0;
    if (left < norms + 3) return 0;
    const struct sinq_operation *const query = steps[norms].operation, *const key = steps[norms + 1].operation;
    const struct sinq_operation *const store = steps[norms + 2].operation;
    if (!turns_in_place(query) || !turns_in_place(key) || store->kind != SINQ_OP_STORE) return 0;
    if (norms != 0 && (!norms_heads(steps[0].operation, query) || !norms_heads(steps[1].operation, key))) return 0;
    const struct sinq_cache_shape *const shape = &steps[0].frame->caches[store->store.cache].layout.shape;
    const bool fits = !shape->shared && shape->key_dim <= SINQ_CUDA_MOST_TURNED &&
                      sinq_cuda_same_view(store->store.keys, key->rope.in) && key->rope.heads == shape->kv_heads &&
                      key->rope.in_stride == shape->key_dim && query->rope.in_stride == shape->key_dim &&
                      sinq_cuda_same_view(query->rope.rotation, key->rope.rotation) &&
                      query->rope.dims == key->rope.dims && query->rope.interleaved == key->rope.interleaved;
    return fits ? norms + 3 : 0;
}

static struct sinq_cuda_turn describe_turn(const struct sinq_cuda_step *steps, uint32_t count) {
    const struct sinq_operation *const query = steps[count - 3].operation, *const key = steps[count - 2].operation;
    const struct sinq_cuda_step *const store = &steps[count - 1];
    struct sinq_cuda_turn turn = {.cache = sinq_cuda_describe_cache(store, store->operation->store.cache),
                                  .queries = sinq_cuda_find_rows(store, query->rope.in),
                                  .keys = sinq_cuda_find_rows(store, key->rope.in),
                                  .values = sinq_cuda_find_rows(store, store->operation->store.values),
                                  .rotation = sinq_cuda_find_rows(store, query->rope.rotation),
                                  .heads = query->rope.heads,
                                  .dims = query->rope.dims,
                                  .interleaved = query->rope.interleaved};
    if (count == 3) return turn;
    turn.query_weight = sinq_cuda_find_vector(store, steps[0].operation->norm.weight);
    turn.key_weight = sinq_cuda_find_vector(store, steps[1].operation->norm.weight);
    turn.query_eps = steps[0].operation->norm.eps;
    turn.key_eps = steps[1].operation->norm.eps;
    return turn;
}

int sinq_cuda_add_turn(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t count) {
    struct sinq_cuda_action *const action = sinq_cuda_add_action(builder, SINQ_CUDA_TURN, &steps[count - 1]);
    if (action == NULL) return SINQ_FAILED;
    action->turn = describe_turn(steps, count);
    return SINQ_OK;
}

/* ---- attention ---- */

static bool is_aligned(const void *at) { return ((uintptr_t)at & 15) == 0; }

/* Parts are joined by the block that ends last, where their heads are whole groups of the product's input. */
static void join_for_product(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *product,
                             struct sinq_cuda_attention *a) {
    const struct sinq_cuda_matrix *const matrix = sinq_cuda_find_matrix(product, product->operation->linear.weight);
    const struct sinq_cuda_input input = sinq_cuda_take_input(builder, matrix->cols, product->rows, matrix->group_size);
    if (a->parts == 1 || input.padded != matrix->cols || a->cache.value_dim % input.group != 0) return;
    if (!is_aligned(matrix->column_scale) || !is_aligned(a->out.data) || a->out.stride % 4 != 0) return;
    if ((uint64_t)product->rows * a->heads > builder->queue->finished.bytes / sizeof(uint32_t)) return;
    a->finished = (uint32_t *)(void *)builder->queue->finished.data;
    a->input = input;
    a->column_scale = matrix->column_scale;
}

/* The product behind attention, whose input is there, or is made of attention's parts. */
static int add_product(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step,
                       const struct sinq_cuda_attention *a) {
    struct sinq_cuda_values values = {.origin = SINQ_CUDA_ATTENDED, .out = a->out, .attention = *a};
    if (a->parts == 1) values = sinq_cuda_describe_values(step);
    if (a->finished != NULL) values = (struct sinq_cuda_values){.origin = SINQ_CUDA_MADE, .made = a->input};
    return sinq_cuda_add_products(builder, step, 1, &values);
}

int sinq_cuda_add_attention(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t turn_steps,
                            bool with_product) {
    const struct sinq_cuda_step *const step = &steps[turn_steps];
    struct sinq_cuda_attention a = describe_attention(builder, step);
    if (a.cache.value_dim > MOST_VALUE_DIM) {
        return sinq_fail(builder->error, SINQ_FAILED, "CUDA: heads of %u values are not supported, at most %u",
                         a.cache.value_dim, MOST_VALUE_DIM);
    }
    const bool is_of_rows = sinq_cuda_can_attend_rows(&a, step->rows);
    if (turn_steps != 0) a.turn = describe_turn(steps, turn_steps);
    a.turns = turn_steps != 0;
    if (with_product && !is_of_rows) join_for_product(builder, step + 1, &a);
    struct sinq_cuda_action *const action =
        sinq_cuda_add_action(builder, is_of_rows ? SINQ_CUDA_ATTEND_ROWS : SINQ_CUDA_ATTEND, step);
    if (action == NULL) return SINQ_FAILED;
    action->attention = a;
    if (with_product) return add_product(builder, step + 1, &a);
    if (a.parts == 1) return SINQ_OK;
    struct sinq_cuda_action *const join = sinq_cuda_add_action(builder, SINQ_CUDA_JOIN, step);
    if (join == NULL) return SINQ_FAILED;
    join->attention = a;
    return SINQ_OK;
}

bool sinq_cuda_turns_in_attention(const struct sinq_cuda_step *steps, uint32_t turn_steps, uint32_t left) {
    if (left <= turn_steps || turn_steps == 0) return false;
    const struct sinq_operation *const attention = steps[turn_steps].operation, *const query =
                                                                                    steps[turn_steps - 3].operation;
    const struct sinq_operation *const store = steps[turn_steps - 1].operation;
    return attention->kind == SINQ_OP_ATTENTION && steps[turn_steps].rows == 1 && steps[0].rows == 1 &&
           sinq_cuda_same_view(attention->attention.queries, query->rope.in) &&
           attention->attention.heads == query->rope.heads && attention->attention.cache == store->store.cache &&
           steps[0].frame->caches[store->store.cache].layout.shape.value_dim <= SINQ_CUDA_MOST_TURNED;
}

bool sinq_cuda_is_attended_product(const struct sinq_cuda_step *steps) {
    const struct sinq_operation *const attention = steps[0].operation, *const linear = steps[1].operation;
    if (attention->kind != SINQ_OP_ATTENTION || steps[0].rows != steps[1].rows) return false;
    if (steps[0].rows >= SINQ_CUDA_FEWEST_TILED_ROWS) return false;
    const uint32_t value_dim = steps[0].frame->caches[attention->attention.cache].layout.shape.value_dim;
    return sinq_cuda_same_view(attention->attention.out, linear->linear.in) && value_dim % 8 == 0 &&
           sinq_cuda_find_matrix(&steps[1], linear->linear.weight)->cols == attention->attention.heads * value_dim;
}
