/* share.cuh: a warp on its way through its tiles: for stream.cu. */
#ifndef SINQ_CUDA_SHARE_CUH
#define SINQ_CUDA_SHARE_CUH

#include "cuda/tile.cuh"
#include "cuda/units.cuh"

/* Calls for what comes first, in stages [FIRST, END). */
template <uint32_t FIRST, uint32_t END, int BITS, int GROUP, bool LEVELS>
static __device__ __forceinline__ void fill_stages(struct filler<BITS, GROUP, LEVELS> &filler,
                                                   const struct sinq_cuda_products &p, struct span share,
                                                   uint32_t tiles, uint8_t *ring) {
#pragma unroll 1
    for (uint32_t s = FIRST; s < END; s++) {
        if (share.first + s < share.end) filler.fill(p, tiles, ring + s * stage<BITS, GROUP, LEVELS>::BYTES);
        commit_copies();
    }
}

/*
 * A warp's tiles, with those of their copies that it has not called for yet; sums of each pair go to `pair_sums`. GO_ON comes when the
 * first tile's input is asked for.
 */
template <int BITS, int GROUP, bool LEVELS, typename GO_ON>
static __device__ __forceinline__ void add_share(const struct sinq_cuda_products &p, struct span share, uint32_t tiles,
                                                 struct filler<BITS, GROUP, LEVELS> &filler, uint8_t *ring, uint4 table,
                                                 uint32_t first_set, uint8_t *inputs, float *pair_sums, GO_ON go_on) {
    using T = stage<BITS, GROUP, LEVELS>;
    using INPUT = struct input<BITS, GROUP, LEVELS>;
    const uint32_t lane = threadIdx.x % 32, g = lane >> 2, t = lane & 3;
    uint32_t stage = 0, left = share.end - share.first, tile = share.first % tiles;
    uint32_t known = find_product(p, share.first / tiles); /* whose table it is */
    for (uint32_t pair = share.first / tiles; left != 0; pair++) {
        const uint32_t which = find_product(p, pair);
        const struct sinq_cuda_product &product = p.products[which];
        const struct sinq_cuda_matrix &m = product.matrix;
        const struct form form = {m.scales_are_f16, m.zeros_are_f16, m.zero_ranges != NULL, m.scales_are_u6,
                                  m.zero_low,       m.zero_step,     m.scale_sign};
        if (LEVELS && which != known) table = find_table(m);
        known = which;
        const struct sinq_cuda_input input =
            p.makes_input ? find_set(inputs, product, which - first_set) : product.input;
        const int8_t *const x = input.digits + (g & 1) * input.padded + INPUT::find_digits(g >> 1, t);
        const float2 *const scales = (const float2 *)input.scales + t;
        const uint32_t end = min(tiles, tile + left);
        INPUT now;
        now.load(x, scales, tile);
        if (left == share.end - share.first) go_on();
        left -= end - tile;
        float sums[4] = {0, 0, 0, 0};
        for (; tile < end; tile++) {
            const INPUT used = now;
            if (tile + 1 < end) now.load(x, scales, tile + 1);
            await_copies<T::STAGES - 1>();
            __syncwarp();
            add_tile<BITS, GROUP, LEVELS>(form, ring + stage * T::BYTES, used, table, sums);
            __syncwarp();
            if (left + end - tile > T::STAGES) filler.fill(p, tiles, ring + stage * T::BYTES);
            commit_copies();
            if (++stage == T::STAGES) stage = 0;
        }
        tile = 0;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 1);
            sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 2);
        }
        if (t == 0) *(float4 *)(pair_sums + pair * 32 + g * 4) = make_float4(sums[0], sums[1], sums[2], sums[3]);
    }
}

#endif
