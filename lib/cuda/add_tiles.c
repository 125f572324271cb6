/* add_tiles.c: products of many rows, by tiles: of any form of matrix, with the norm or activation that makes their input; experts, too. */
#include "base/checked.h"
#include "cuda/builder.h"
#include "cuda/describe.h"

#define MOST_WEIGHT_BYTES ((uint64_t)256 << 20) /* of tiles of weights at a time */
#define MOST_SPLIT_ROWS                                                                                                \
    1024u /* of a dense matrix that is multiplied in two parts: routers are, whose choices must be right */

/* ---- which steps ---- */

static bool is_tiled_product(const struct sinq_cuda_step *step) {
    return step->operation->kind == SINQ_OP_LINEAR && step->rows >= SINQ_CUDA_FEWEST_TILED_ROWS;
}

static bool is_split(const struct sinq_cuda_matrix *matrix) {
    return matrix->bits == 0 && matrix->rows <= MOST_SPLIT_ROWS;
}

static bool are_alike(const struct sinq_cuda_matrix *a, const struct sinq_cuda_matrix *b) {
    return a->cols == b->cols && is_split(a) == is_split(b);
}

static uint32_t count_products(const struct sinq_cuda_step *steps, uint32_t left) {
    return sinq_cuda_count_alike(steps, left, are_alike);
}

uint32_t sinq_cuda_count_tiled_steps(const struct sinq_cuda_step *steps, uint32_t left) {
    if (is_tiled_product(&steps[0])) return count_products(steps, left);
    if (left < 2 || !is_tiled_product(&steps[1]) || !sinq_cuda_makes_input(&steps[0], &steps[1], 1)) return 0;
    return 1 + count_products(steps + 1, left - 1);
}

/* ---- memory ---- */

static void take_tiles(struct sinq_cuda_builder *builder, struct sinq_cuda_tiled_products *p, uint64_t input_tiles) {
    const struct sinq_cuda_matrix *const matrix = &p->products[0].matrix;
    const uint32_t across = (uint32_t)sinq_divide_up(matrix->cols, SINQ_CUDA_TILE_COLS) * (p->input.is_split ? 3 : 1);
    const uint64_t pair_bytes = (uint64_t)across * 2 * SINQ_CUDA_TILE_BYTES;
    const uint64_t pairs = (uint64_t)p->first_pair[p->count] * (p->experts == NULL ? 1 : p->expert_count);
    p->weights.is_split = p->input.is_split;
    p->input.across = p->weights.across = across;
    p->room = (uint32_t)sinq_max_u64(1, sinq_min_u64(pairs, MOST_WEIGHT_BYTES / pair_bytes));
    p->input.data = sinq_cuda_take_scratch(builder, input_tiles * across * SINQ_CUDA_TILE_BYTES);
    p->input.scales = sinq_cuda_take_scratch(builder, input_tiles * SINQ_CUDA_TILE_ROWS * sizeof(float));
    p->weights.data = sinq_cuda_take_scratch(builder, p->room * pair_bytes);
    p->weights.scales = sinq_cuda_take_scratch(builder, (uint64_t)p->room * SINQ_CUDA_TILE_PAIR * sizeof(float));
}

static void take_map(struct sinq_cuda_builder *builder, struct sinq_cuda_tile_map *map, uint64_t choices,
                     uint32_t experts) {
    const uint64_t tiles = choices / SINQ_CUDA_TILE_ROWS + sinq_min_u64(experts, choices);
    map->most_tiles = (uint32_t)tiles;
    map->tile_experts = sinq_cuda_take_scratch(builder, tiles * sizeof(uint32_t));
    map->tile_count = sinq_cuda_take_scratch(builder, sizeof(uint32_t));
    map->sources = sinq_cuda_take_scratch(builder, tiles * SINQ_CUDA_TILE_ROWS * sizeof(uint32_t));
}

/* ---- actions ---- */

static int add_action(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step,
                      const struct sinq_cuda_tiled_products *products) {
    struct sinq_cuda_action *const action = sinq_cuda_add_action(builder, SINQ_CUDA_MULTIPLY_TILED, step);
    if (action == NULL) return SINQ_FAILED;
    action->tiled = *products;
    return SINQ_OK;
}

int sinq_cuda_add_tiled(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t count) {
    const uint32_t lead = steps[0].operation->kind == SINQ_OP_LINEAR ? 0 : 1;
    struct sinq_cuda_tiled_products p = {.values = sinq_cuda_describe_values(&steps[0]), .count = count - lead};
    for (uint32_t i = 0; i < p.count; i++) {
        const struct sinq_cuda_step *const step = &steps[lead + i];
        const struct sinq_operation *const op = step->operation;
        struct sinq_cuda_tiled_product *const product = &p.products[i];
        product->matrix = *sinq_cuda_find_matrix(step, op->linear.weight);
        product->y = sinq_cuda_find_rows(step, op->linear.out);
        product->bias = sinq_cuda_find_vector(step, op->linear.bias);
        product->accumulate = op->linear.accumulate;
        p.first_pair[i + 1] = p.first_pair[i] + (uint32_t)sinq_divide_up(product->matrix.rows, SINQ_CUDA_TILE_PAIR);
    }
    p.input.is_split = is_split(&p.products[0].matrix);
    take_tiles(builder, &p, sinq_divide_up(steps[0].rows, SINQ_CUDA_TILE_ROWS));
    return add_action(builder, &steps[count - 1], &p);
}

/* Where experts have few rows each, it is faster to take the rows one by one. */
bool sinq_cuda_are_tiled_experts(const struct sinq_cuda_step *step, bool is_dense) {
    const struct sinq_operation *const op = step->operation;
    const uint64_t rows = (uint64_t)step->rows * op->expert_linear.chosen;
    return step->rows >= SINQ_CUDA_FEWEST_TILED_ROWS && (is_dense || rows >= 4 * (uint64_t)op->expert_linear.experts);
}

int sinq_cuda_add_tiled_experts(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step,
                                const struct sinq_cuda_experts *experts) {
    const struct sinq_operation *const op = step->operation;
    struct sinq_cuda_tiled_products p = {
        .values = {.origin = SINQ_CUDA_PLAIN, .in = sinq_cuda_find_rows(step, op->expert_linear.in)},
        .count = 1,
        .experts = experts->matrices,
        .biases = experts->biases,
        .choices = sinq_cuda_find_rows(step, op->expert_linear.choices),
        .expert_count = op->expert_linear.experts,
        .chosen = op->expert_linear.chosen,
        .per_choice = op->expert_linear.per_choice};
    p.products[0].matrix = *sinq_cuda_find_matrix(step, op->expert_linear.first_weight);
    p.products[0].y = sinq_cuda_find_rows(step, op->expert_linear.out);
    p.first_pair[1] = (uint32_t)sinq_divide_up(p.products[0].matrix.rows, SINQ_CUDA_TILE_PAIR);
    p.input.is_split = is_split(&p.products[0].matrix);
    take_map(builder, &p.map, (uint64_t)step->rows * p.chosen, p.expert_count);
    take_tiles(builder, &p, p.map.most_tiles);
    return add_action(builder, step, &p);
}
