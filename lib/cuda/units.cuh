/* units.cuh: sums of gates and ups, which become the next product's input: for stream.cuh. */
#ifndef SINQ_CUDA_UNITS_CUH
#define SINQ_CUDA_UNITS_CUH

#include "cuda/normed.cuh"
#include "cuda/sums.cuh"

/* Two pairs of gates and two of ups, by turns: 64 columns of the next product's input. A warp finishes them. */
#define UNIT       4u
#define UNIT_COLS  (UNIT / 2 * 32)
#define UNIT_WORDS (UNIT * 32)

static __host__ __device__ __forceinline__ struct sets find_sets(const struct sinq_cuda_products &p,
                                                                 uint32_t first_pair, uint32_t last_pair) {
    if (p.activates) return {0, p.count};
    const uint32_t first = find_product(p, first_pair);
    return {first, find_product(p, last_pair) + 1 - first};
}

static __device__ __forceinline__ void call_unit_scales(const struct sinq_cuda_products &p, uint32_t first_pair,
                                                        uint32_t last_pair) {
    const uint32_t unit = first_pair / UNIT + threadIdx.x;
    if (p.given_scale != NULL && unit <= last_pair / UNIT) call_line(p.given_scale + 2 * (size_t)unit * UNIT_COLS);
}

/*
 * As join_blocks, but for all of a unit: the block that comes later gets all of the other one's sums. Which one that is, a counter
 * says; sums may arrive after it.
 */
static __device__ __forceinline__ bool join_units(uint32_t *counter, uint32_t *slots, float (&sums)[UNIT]) {
    const uint32_t lane = threadIdx.x % 32;
    uint32_t before = 0;
    if (lane == 0) before = atomicAdd(counter, 1);
    before = __shfl_sync(0xffffffffu, before, 0);
    volatile uint32_t *const own = slots + lane;
    if (before == 0) {
#pragma unroll
        for (uint32_t k = 0; k < UNIT; k++) own[k * 32] = ~__float_as_uint(sums[k]);
        return false;
    }
    uint32_t others[UNIT];
    bool are_there;
    do {
        are_there = true;
#pragma unroll
        for (uint32_t k = 0; k < UNIT; k++) others[k] = own[k * 32];
#pragma unroll
        for (uint32_t k = 0; k < UNIT; k++) are_there = are_there && others[k] != 0;
    } while (!are_there);
#pragma unroll
    for (uint32_t k = 0; k < UNIT; k++) {
        own[k * 32] = 0;
        sums[k] += __uint_as_float(~others[k]);
    }
    if (lane == 0) *counter = 0;
    return true;
}

static __device__ void finish_unit(const struct sinq_cuda_products &p, const struct ending &ending, struct span own,
                                   uint32_t unit, uint32_t tiles, const float *pair_sums, uint32_t first_pair,
                                   uint32_t last_pair) {
    const uint32_t lane = threadIdx.x % 32, begin = unit * UNIT * tiles, end = begin + UNIT * tiles;
    const uint32_t first = unit * UNIT_COLS, column = first + lane * THREAD_COLS;
    const bool has_columns = lane < UNIT_COLS / THREAD_COLS;
    const uint4 scales = load_column_scales(has_columns ? p.given_scale : NULL, column);
    float sums[UNIT], values[UNIT / 2], x[THREAD_COLS];
#pragma unroll
    for (uint32_t k = 0; k < UNIT; k++) {
        const uint32_t pair = unit * UNIT + k, at = begin + k * tiles;
        const bool is_there = pair >= first_pair && pair <= last_pair;
        sums[k] = is_there ? add_warps(ending, at, at + tiles, pair_sums + (pair - first_pair) * 32) : 0.0f;
    }
    uint32_t *const counters = p.exchange, *const slots = p.exchange + gridDim.x;
    const uint32_t block = blockIdx.x;
    if (begin < own.first && !join_units(counters + block - 1, slots + (block - 1) * UNIT_WORDS, sums)) return;
    if (end > own.end && !join_units(counters + block, slots + block * UNIT_WORDS, sums)) return;
#pragma unroll
    for (uint32_t k = 0; k < UNIT / 2; k++) {
        const uint32_t row = first + k * 32 + lane;
        const float gate_bias = ending.products[0].bias == NULL ? 0.0f : ending.products[0].bias[row];
        const float up_bias = ending.products[1].bias == NULL ? 0.0f : ending.products[1].bias[row];
        const float gate = sums[2 * k] * ending.products[0].factor + gate_bias;
        values[k] = activate(p.activation, gate, sums[2 * k + 1] * ending.products[1].factor + up_bias);
        p.given[row] = values[k];
    }
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        const uint32_t from = lane * THREAD_COLS + i;
        const float low = __shfl_sync(0xffffffffu, values[0], from % 32),
                    high = __shfl_sync(0xffffffffu, values[1], from % 32);
        x[i] = from < 32 ? low : high;
    }
    store_scaled(p.given_input, 0, has_columns ? column : p.given_input.padded, x, scales);
}

#endif
