/*
 * sums.cuh: how tiles are shared out among blocks and warps, and how sums of one pair that several of them have become results:
 * for stream.cuh.
 */
#ifndef SINQ_CUDA_SUMS_CUH
#define SINQ_CUDA_SUMS_CUH

#include "cuda/stage.cuh"

#define MOST_WARPS 12u

/* Tiles, or what they cost, that blocks, and a block's warps, share out. */
struct span {
    uint32_t first, end;
};
static __host__ __device__ __forceinline__ struct span find_share(struct span all, uint32_t index, uint32_t count) {
    const uint32_t size = all.end - all.first;
    return {all.first + size * index / count, all.first + size * (index + 1) / count};
}

/* A gate and an up by turns. */
static __host__ __device__ __forceinline__ uint32_t find_gated_tile(const struct sinq_cuda_products &p, uint32_t tiles,
                                                                    uint32_t cost) {
    const uint32_t gate = tiles * p.costs[0], both = gate + tiles * p.costs[1];
    const uint32_t first = cost / both * 2 * tiles, rest = cost % both;
    return first + (rest < gate ? rest / p.costs[0] : tiles + (rest - gate) / p.costs[1]);
}
/* The tile, of `tiles` a pair counted through, that lies where `cost` of all is spent, of products of different forms. */
static __host__ __device__ __forceinline__ uint32_t find_mixed_tile(const struct sinq_cuda_products &p, uint32_t tiles,
                                                                    uint32_t cost) {
    if (p.activates) return find_gated_tile(p, tiles, cost);
    uint32_t which = 0;
    for (; which + 1 < p.count; which++) {
        const uint32_t of_product = (p.first_pair[which + 1] - p.first_pair[which]) * tiles * p.costs[which];
        if (cost < of_product) break;
        cost -= of_product;
    }
    return p.first_pair[which] * tiles + cost / p.costs[which];
}

/* What the end of a kernel needs, in shared memory. */
struct ending {
    uint32_t first_tiles[MOST_WARPS + 1]; /* of the block's warps */
    struct {
        float *y;
        const float *bias;
        float factor;
        bool accumulate;
    } products[SINQ_CUDA_MOST_PRODUCTS];
};

template <typename KIND>
static __device__ void prepare_ending(const struct sinq_cuda_products &p, uint32_t tiles, struct span cost,
                                      struct ending *ending) {
    const uint32_t i = threadIdx.x, warps = blockDim.x / 32;
    if (i <= warps) ending->first_tiles[i] = KIND::find_tile(p, tiles, find_share(cost, i, warps).first);
    if (i >= p.count) return;
    const struct sinq_cuda_product &from = p.products[i];
    ending->products[i] = {from.y.data, from.bias, from.matrix.factor, from.accumulate};
}

/* Sums are multiplied by the inverse of what all columns of the input have been left undivided by. */
static __device__ __forceinline__ void divide_ending(const struct sinq_cuda_products &p, struct ending *ending,
                                                     float inverse) {
    if (threadIdx.x < p.count) ending->products[threadIdx.x].factor *= inverse;
}

/*
 * Adds what the other block has of the pair, if that came before; else leaves it to the other one. What is exchanged are the complements
 * of sums: 0 stands for none, and would be a NaN that arithmetic does not make.
 */
static __device__ __forceinline__ bool join_blocks(uint32_t *slot, float *sum) {
    const uint32_t other = atomicExch(slot, ~__float_as_uint(*sum));
    if (other == 0) return false;
    *slot = 0;
    *sum += __uint_as_float(~other);
    return true;
}

/* What the block's warps have of tiles [begin, end), which are one pair's. */
static __device__ __forceinline__ float add_warps(const struct ending &ending, uint32_t begin, uint32_t end,
                                                  const float *sums) {
    const uint32_t lane = threadIdx.x % 32, warp = min(lane, blockDim.x / 32 - 1);
    const bool has_tiles = max(ending.first_tiles[warp], begin) < min(ending.first_tiles[warp + 1], end);
    uint32_t left = __ballot_sync(0xffffffffu, lane == warp && has_tiles);
    float sum = 0;
#pragma unroll 1
    for (; left != 0; left &= left - 1) sum += sums[(__ffs((int)left) - 1) * 32 + lane];
    return sum;
}

/* A warp does it, a lane a row. */
static __device__ void finish_pair(const struct sinq_cuda_products &p, const struct ending &ending, struct span own,
                                   uint32_t pair, uint32_t tiles, const float *sums) {
    const uint32_t lane = threadIdx.x % 32, begin = pair * tiles, end = begin + tiles;
    const uint32_t which = find_product(p, pair), row = find_own_pair(p, which, pair) * 32 + lane;
    float *const y = ending.products[which].y + row;
    const float old = ending.products[which].accumulate ? *y : 0.0f;
    const float bias = ending.products[which].bias == NULL ? 0.0f : ending.products[which].bias[row];
    float sum = add_warps(ending, begin, end, sums);
    if (begin < own.first && !join_blocks(p.exchange + (blockIdx.x - 1) * 32 + lane, &sum)) return;
    if (end > own.end && !join_blocks(p.exchange + blockIdx.x * 32 + lane, &sum)) return;
    *y = old + (sum * ending.products[which].factor + bias);
}

#endif
