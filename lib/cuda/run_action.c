/* run_action.c: from an action to its kernels. */
#include "cuda/program.h"

static cudaError_t run_experts(struct sinq_cuda_line line, const struct sinq_cuda_action *action) {
    const struct sinq_cuda_expert_products *const products = &action->experts.products;
    if (action->experts.is_dense) return sinq_cuda_multiply_dense_experts(line, products, action->rows);
    const cudaError_t status = sinq_cuda_prepare_experts(line, products, action->rows);
    return status == cudaSuccess ? sinq_cuda_multiply_experts(line, products, action->rows) : status;
}

/* As much of the weights at a time as there is room for. */
static cudaError_t run_tiled(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *products, uint32_t rows,
                             const struct sinq_cuda_state *state) {
    const uint32_t pairs =
        products->first_pair[products->count] * (products->experts == NULL ? 1 : products->expert_count);
    cudaError_t status = sinq_cuda_tile_input(line, products, rows, state);
    for (uint32_t first = 0; first < pairs && status == cudaSuccess; first += products->room) {
        const uint32_t count = pairs - first < products->room ? pairs - first : products->room;
        status = sinq_cuda_tile_weights(line, products, first, count);
        if (status == cudaSuccess) status = sinq_cuda_multiply_tiles(line, products, first, count, rows);
    }
    return status;
}

cudaError_t sinq_cuda_run_action(struct sinq_cuda_line line, const struct sinq_cuda_action *a,
                                 const struct sinq_cuda_state *state) {
    switch (a->kind) {
    case SINQ_CUDA_EMBED:
        return sinq_cuda_embed(line, &a->embed.matrix, a->embed.tokens, a->embed.out, a->rows, a->embed.scale);
    case SINQ_CUDA_NORM:
        return sinq_cuda_norm(line, &a->norm, a->rows, state);
    case SINQ_CUDA_ROTATION:
        return sinq_cuda_rotation(line, a->rotation.frequencies, a->rotation.pairs, a->rotation.factor, a->rotation.out,
                                  a->rows, state);
    case SINQ_CUDA_ROPE:
        return sinq_cuda_rope(line, &a->rope, a->rows);
    case SINQ_CUDA_STORE:
        return sinq_cuda_store(line, &a->store.cache, a->store.keys, a->store.values, a->rows, state);
    case SINQ_CUDA_TURN:
        return sinq_cuda_turn(line, &a->turn, a->rows, state);
    case SINQ_CUDA_JOIN:
        return sinq_cuda_join(line, &a->attention, a->rows, state);
    case SINQ_CUDA_ATTEND:
        return sinq_cuda_attend(line, &a->attention, a->rows, state);
    case SINQ_CUDA_ACTIVATE:
        return sinq_cuda_activate(line, &a->activation, a->rows);
    case SINQ_CUDA_ADD:
        return sinq_cuda_add(line, a->plain.in, a->plain.out, a->plain.width, a->rows);
    case SINQ_CUDA_SOFTCAP:
        return sinq_cuda_softcap(line, a->plain.in, a->plain.width, a->plain.cap, a->rows);
    case SINQ_CUDA_ROUTE:
        return sinq_cuda_route(line, &a->route, a->rows);
    case SINQ_CUDA_COMBINE:
        return sinq_cuda_combine(line, &a->combine, a->rows);
    case SINQ_CUDA_PREPARE:
        return sinq_cuda_prepare(line, &a->preparation, a->rows, state);
    case SINQ_CUDA_MULTIPLY:
        return a->products.blocks != 0 ? sinq_cuda_stream(line, &a->products)
                                       : sinq_cuda_multiply(line, &a->products, a->rows);
    case SINQ_CUDA_MULTIPLY_DENSE:
        return sinq_cuda_multiply_dense(line, &a->dense.matrix, a->dense.in, a->dense.y, a->dense.bias,
                                        a->dense.accumulate, a->rows);
    case SINQ_CUDA_MULTIPLY_HEADS:
        return sinq_cuda_multiply_heads(line, &a->heads, a->rows);
    case SINQ_CUDA_MULTIPLY_EXPERTS:
        return run_experts(line, a);
    case SINQ_CUDA_MULTIPLY_TILED:
        return run_tiled(line, &a->tiled, a->rows, state);
    case SINQ_CUDA_ATTEND_ROWS:
        return sinq_cuda_attend_rows(line, &a->attention, a->rows, state);
    }
    return cudaErrorInvalidValue;
}
