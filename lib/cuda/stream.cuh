/*
 * stream.cuh: one row times quantized matrices whose bytes flow through shared memory, on compute capability 9.0 and later.
 *
 * All tiles (a pair of panels times TILE columns) of products that are carried out as one are counted through, pair by pair. Each
 * multiprocessor has one block, or none, which takes an equal share of what tiles cost, and each warp an equal share of the block's. A warp has a ring
 * of stages for tiles, which copies fill while it goes on: they take no registers, and as they depend on nothing, the first ones are
 * called for before the kernel before has ended. Products are made as in multiply.cu.
 *
 * A warp's sums of a pair go to shared memory. A pair that two blocks have tiles of is finished by the one that comes later: each puts
 * its sums where the other one's would be, in one exchange, so that no memory has to be waited for. The end of a kernel counts: there
 * memory is idle. For the same reason what is read there is made ready at the beginning.
 *
 * KIND says which forms of matrices: one (stream.cu), or any (mixed.cu).
 */
#ifndef SINQ_CUDA_STREAM_CUH
#define SINQ_CUDA_STREAM_CUH

#include "cuda/share.cuh"

template <typename KIND>
static __global__ void __launch_bounds__(KIND::ROOM, 1)
    stream_kernel(const __grid_constant__ struct sinq_cuda_products p) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900 /* never launched before */
    extern __shared__ __align__(128) uint8_t memory[];
    __shared__ struct ending ending;
    __shared__ float squares[KIND::WARPS];
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = KIND::WARPS;
    const uint32_t tiles = KIND::count_tiles(p), ring_bytes = STAGES * KIND::find_stage_bytes(p);
    const struct span cost = find_share({0, p.cost}, blockIdx.x, gridDim.x), warp_cost = find_share(cost, warp, warps);
    const struct span own = {KIND::find_tile(p, tiles, cost.first), KIND::find_tile(p, tiles, cost.end)};
    const struct span share = {KIND::find_tile(p, tiles, warp_cost.first), KIND::find_tile(p, tiles, warp_cost.end)};
    const uint32_t first_pair = own.first / tiles, last_pair = (own.end - 1) / tiles, pair = share.first / tiles;
    uint8_t *const inputs = memory + warps * ring_bytes;
    float *const pair_sums = (float *)(inputs + p.input_bytes), *const sums =
                                                                    pair_sums + ((int)warp - (int)first_pair) * 32;
    call_dependents();
    struct walk walk = {memory + warp * ring_bytes, KIND::find_stage_bytes(p), 0, tiles,
                        share.first % tiles,        share.end - share.first};
    typename KIND::filler filler = {pair, walk.tile};
    filler.seek(p, tiles);
    fill_stages<KIND>(filler, p, walk, 0, EARLY);
    prepare_ending<KIND>(p, tiles, cost, &ending);
    uint4 tables = make_uint4(0, 0, 0, 0);
    if (KIND::HAS_LEVELS && lane < p.count) tables = find_table(p.products[lane].matrix);
    if (p.activates) call_unit_scales(p, first_pair, last_pair);
    const auto fill_late = [&] { fill_stages<KIND>(filler, p, walk, EARLY, STAGES); };
    const struct sets sets = find_sets(p, first_pair, last_pair);
    struct row_factors<KIND::ROUNDS> factors;
    if (p.makes_input) factors.load(p, sets);
    await_kernel();
    if (p.makes_input) {
        make_normed<KIND::WARPS, KIND::ROUNDS, KIND::INPUT_GROUP>(p, sets, factors, inputs, squares, fill_late);
        if (warp == 0) divide_ending(p, &ending, find_inverse<KIND::WARPS>(p, squares));
    }
    add_share<KIND>(p, pair, filler, walk, tables, sets.first, inputs, sums, [&] {
        if (!p.makes_input) fill_late();
    });
    __syncthreads();
    if (p.activates) {
        for (uint32_t unit = first_pair / UNIT + warp; unit <= last_pair / UNIT; unit += warps) {
            finish_unit(p, ending, own, unit, tiles, pair_sums, first_pair, last_pair);
        }
        return;
    }
    for (uint32_t done = first_pair + warp; done <= last_pair; done += warps) {
        finish_pair(p, ending, own, done, tiles, pair_sums + (done - first_pair) * 32);
    }
#endif
}

/* ---- for the host ---- */

typedef void products_kernel(const struct sinq_cuda_products);

struct stream_choice {
    products_kernel *run;
    uint32_t tile, warps, ring; /* columns of a tile; bytes of the block's rings */
};

/* Of products that sinq_cuda_share_mixed has filled in. */
struct stream_choice sinq_cuda_find_mixed_kernel(const struct sinq_cuda_products *products);

/* Whether a block's shared memory is enough. */
bool sinq_cuda_fits_shared(struct sinq_cuda_line line, const struct sinq_cuda_products *products,
                           struct stream_choice choice);

/*
 * A block has a pair's tiles at least, so that two share one at most: at most so many blocks. Where more than a quarter of the
 * multiprocessors had none, other kernels are faster: 0.
 */
static inline uint32_t count_blocks(struct sinq_cuda_line line, uint64_t most) {
    if (most * 4 < line.processors * 3) return 0;
    return most < line.processors ? (uint32_t)most : line.processors;
}

static inline bool is_aligned(const void *at) { return ((uintptr_t)at & 15) == 0; }

static inline bool is_matrix_aligned(const struct sinq_cuda_matrix *m) {
    return is_aligned(m->codes) && is_aligned(m->scales) && is_aligned(m->zeros) && is_aligned(m->scale_ranges) &&
           is_aligned(m->zero_ranges);
}

#endif
