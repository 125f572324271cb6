/* share.cuh: a warp on its way through its tiles: for stream.cuh. */
#ifndef SINQ_CUDA_SHARE_CUH
#define SINQ_CUDA_SHARE_CUH

#include "cuda/tile.cuh"
#include "cuda/units.cuh"

/* Where a warp is. */
struct walk {
    uint8_t *ring;
    uint32_t stage_bytes, stage; /* the next tile's */
    uint32_t tiles;              /* of a pair */
    uint32_t tile, left;         /* the next one of its pair, and how many there are in all */
};

/* Calls for what comes first, in stages [first, end). */
template <typename KIND>
static __device__ __forceinline__ void fill_stages(typename KIND::filler &filler, const struct sinq_cuda_products &p,
                                                   const struct walk &walk, uint32_t first, uint32_t end) {
#pragma unroll 1
    for (uint32_t s = first; s < end; s++) {
        if (s < walk.left) KIND::fill(p, filler, walk.tiles, walk.ring + s * walk.stage_bytes);
        commit_copies();
    }
}

/*
 * The warp's tiles of one pair, or the first of them, if FILL, which calls for the next tile, says that the filler has to be asked before
 * it goes on; true when there are no more. GO_ON comes when the first one's input is asked for.
 */
template <int BITS, int GROUP, bool LEVELS, template <typename> class INPUT, typename FORM, typename FILL,
          typename GO_ON>
static __device__ __forceinline__ bool add_pair(FORM form, const struct sinq_cuda_input &from, const uint4 &table,
                                                struct walk &walk, float (&sums)[4], FILL fill, GO_ON go_on) {
    using T = stage<BITS, GROUP, LEVELS>;
    const uint32_t is_low = threadIdx.x >> 2 & 1;
    INPUT<T> input = {from.digits + is_low * from.padded + chunk_input<T>::find_digits(),
                      (const float2 *)from.scales + threadIdx.x % 4};
    const uint32_t end = min(walk.tiles, walk.tile + walk.left);
    input.call(walk.tile);
    go_on();
    for (bool goes_on = true; walk.tile < end && goes_on; walk.tile++) {
        uint8_t *const stage = walk.ring + walk.stage * walk.stage_bytes;
        input.begin_tile(walk.tile);
        if (walk.tile + 1 < end) input.call(walk.tile + 1);
        form.begin_tile(walk.tile);
        await_copies<STAGES - 1>();
        __syncwarp();
        add_tile<BITS, GROUP, LEVELS>(form, stage, input, table, sums);
        __syncwarp();
        if (walk.left > STAGES) goes_on = fill(stage);
        commit_copies();
        walk.left--;
        if (++walk.stage == STAGES) walk.stage = 0;
    }
    if (walk.tile < end) return false;
    walk.tile = 0;
    return true;
}

static __device__ __forceinline__ uint4 get_table(const uint4 &tables, uint32_t which) {
    return make_uint4(__shfl_sync(0xffffffffu, tables.x, which), __shfl_sync(0xffffffffu, tables.y, which),
                      __shfl_sync(0xffffffffu, tables.z, which), __shfl_sync(0xffffffffu, tables.w, which));
}

/*
 * A warp's tiles from those of `pair` on, with those of their copies that it has not called for yet; sums of each pair go to `pair_sums`.
 * A lane has its product's table. Inputs are in shared memory from `inputs` on, that of `first_set` first, or where products say.
 */
template <typename KIND, typename GO_ON>
static __device__ __forceinline__ void add_share(const struct sinq_cuda_products &p, uint32_t pair,
                                                 typename KIND::filler &filler, struct walk &walk, const uint4 &tables,
                                                 uint32_t first_set, uint8_t *inputs, float *pair_sums, GO_ON go_on) {
    const uint32_t lane = threadIdx.x % 32;
    float sums[4] = {0, 0, 0, 0};
    for (bool is_first = true; walk.left != 0; is_first = false) {
        const uint32_t which = find_product(p, pair);
        const struct sinq_cuda_product &product = p.products[which];
        const struct sinq_cuda_input input = p.makes_input ? find_set(inputs, p, first_set, which) : product.input;
        filler.find_place(p, walk.tiles);
        const bool is_over = KIND::add_pair(
            p, product.matrix, input, KIND::HAS_LEVELS ? get_table(tables, which) : tables, filler, walk, sums, [&] {
                if (is_first) go_on();
            });
        if (!is_over) continue;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 1);
            sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 2);
        }
        if ((lane & 3) == 0)
            *(float4 *)(pair_sums + pair * 32 + (lane >> 2) * 4) = make_float4(sums[0], sums[1], sums[2], sums[3]);
#pragma unroll
        for (int r = 0; r < 4; r++) sums[r] = 0;
        pair++;
    }
}

#endif
