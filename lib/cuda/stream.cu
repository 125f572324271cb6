/*
 * stream.cu: one row times quantized matrices whose bytes flow through shared memory, on compute capability 9.0 and later.
 *
 * All tiles (a pair of panels times TILE columns) of products that are carried out as one are counted through, pair by pair. Each
 * multiprocessor has one block, which takes an equal share of the tiles, and each warp an equal share of the block's. A warp has a ring
 * of stages for tiles, which copies fill while it goes on: they take no registers, and as they depend on nothing, the first ones are
 * called for before the kernel before has ended. Products are made as in multiply.cu.
 *
 * A warp's sums of a pair go to shared memory. A pair that two blocks have tiles of is finished by the one that comes later: each puts
 * its sums where the other one's would be, in one exchange, so that no memory has to be waited for. The end of a kernel counts: there
 * memory is idle. For the same reason what is read there is made ready at the beginning.
 */
#include "cuda/share.cuh"

template <int BITS, int GROUP, bool LEVELS>
static __global__ void __launch_bounds__(stage<BITS, GROUP, LEVELS>::ROOM, 1)
    stream_kernel(const __grid_constant__ struct sinq_cuda_products p) {
    using T = stage<BITS, GROUP, LEVELS>;
    extern __shared__ __align__(128) uint8_t memory[];
    __shared__ struct ending ending;
    __shared__ float squares[T::WARPS];
    const uint32_t warp = threadIdx.x / 32, warps = T::WARPS, tiles = p.products[0].matrix.cols / T::TILE;
    const struct span all = {0, p.first_pair[p.count] * tiles};
    const struct span own = find_share(all, blockIdx.x, gridDim.x), share = find_share(own, warp, warps);
    const uint32_t first_pair = own.first / tiles, last_pair = (own.end - 1) / tiles;
    uint8_t *const ring = memory + warp * T::STAGES * T::BYTES, *const inputs = memory + warps * T::STAGES * T::BYTES;
    float *const pair_sums = (float *)(inputs + p.input_bytes), *const sums =
                                                                    pair_sums + ((int)warp - (int)first_pair) * 32;
    call_dependents();
    struct filler<BITS, GROUP, LEVELS> filler = {
        share.first / tiles, share.first % tiles
    };
    filler.seek(p, tiles);
    fill_stages<0, T::EARLY>(filler, p, share, tiles, ring);
    prepare_ending(p, own, &ending);
    uint4 table = make_uint4(0, 0, 0, 0);
    if (LEVELS) table = find_table(p.products[find_product(p, share.first / tiles)].matrix);
    if (p.activates) call_unit_scales(p, first_pair, last_pair);
    const auto fill_late = [&] { fill_stages<T::EARLY, T::STAGES>(filler, p, share, tiles, ring); };
    const struct sets sets = find_sets(p, first_pair, last_pair);
    if (p.makes_input) call_constants(p, sets);
    await_kernel();
    if (p.makes_input) {
        make_normed<T::WARPS, GROUP>(p, sets, inputs, squares, fill_late);
        if (warp == 0) divide_ending(p, &ending, find_inverse<T::WARPS>(p, squares));
    }
    add_share<BITS, GROUP, LEVELS>(p, share, tiles, filler, ring, table, sets.first, inputs, sums, [&] {
        if (!p.makes_input) fill_late();
    });
    __syncthreads();
    if (p.activates) {
        for (uint32_t unit = first_pair / UNIT + warp; unit <= last_pair / UNIT; unit += warps) {
            finish_unit(p, ending, own, unit, tiles, pair_sums, first_pair, last_pair);
        }
        return;
    }
    for (uint32_t pair = first_pair + warp; pair <= last_pair; pair += warps) {
        finish_pair(p, ending, own, pair, tiles, pair_sums + (pair - first_pair) * 32);
    }
}

/* ---- launching ---- */

typedef void products_kernel(const struct sinq_cuda_products);

struct kernel {
    products_kernel *run;
    uint32_t tile, warps, ring; /* columns of a tile; bytes of the block's rings */
};

template <int BITS, int GROUP, bool LEVELS> static struct kernel list_kernel() {
    using T = stage<BITS, GROUP, LEVELS>;
    return {stream_kernel<BITS, GROUP, LEVELS>, T::TILE, T::WARPS, T::WARPS * T::STAGES * T::BYTES};
}

template <int BITS> static struct kernel find_group(uint32_t group_size) {
    if (group_size == 64) return list_kernel<BITS, 64, false>();
    if (group_size == 128) return list_kernel<BITS, 128, false>();
    return {NULL, 0, 0, 0};
}

template <int BITS> static struct kernel find_level_group(const struct sinq_cuda_matrix *m) {
    /* A lane copies one piece of entries. */
    if (m->group_size == 16 && m->scales_are_u6) return list_kernel<BITS, 16, true>();
    if (m->group_size == 32) return list_kernel<BITS, 32, true>();
    if (m->group_size == 64) return list_kernel<BITS, 64, true>();
    return {NULL, 0, 0, 0};
}

static struct kernel find_level_kernel(const struct sinq_cuda_matrix *m) {
    if (m->zeros != NULL || m->scales_are_f16) return {NULL, 0, 0, 0};
    if (m->bits == 2) return find_level_group<2>(m);
    if (m->bits == 3) return find_level_group<3>(m);
    if (m->bits == 4) return find_level_group<4>(m);
    return {NULL, 0, 0, 0};
}

static struct kernel find_kernel(const struct sinq_cuda_matrix *m) {
    if (!sinq_cuda_can_multiply(m)) return {NULL, 0, 0, 0};
    if (!sinq_cuda_is_usual(m)) return find_level_kernel(m);
    switch (m->bits) {
    case 2:
        return find_group<2>(m->group_size);
    case 3:
        return find_group<3>(m->group_size);
    case 4:
        return find_group<4>(m->group_size);
    case 5:
        return find_group<5>(m->group_size);
    case 6:
        return find_group<6>(m->group_size);
    default:
        return find_group<8>(m->group_size);
    }
}

static bool is_aligned(const void *at) { return ((uintptr_t)at & 15) == 0; }

static bool can_stream(const struct sinq_cuda_matrix *m) {
    const struct kernel kernel = find_kernel(m);
    return kernel.run != NULL && m->rows % 32 == 0 && m->cols % kernel.tile == 0 && is_aligned(m->codes) &&
           is_aligned(m->scales) && is_aligned(m->zeros) && is_aligned(m->scale_ranges) && is_aligned(m->zero_ranges);
}

/* Most pairs that a block has tiles of. */
static uint32_t count_block_pairs(const struct sinq_cuda_products &p, uint32_t tiles) {
    return (divide_up((uint64_t)p.first_pair[p.count] * tiles, p.blocks) + tiles - 2) / tiles + 1;
}

/* Most products that a block has tiles of. */
static uint32_t count_block_products(const struct sinq_cuda_products &p, uint32_t tiles) {
    uint32_t most = 0;
    for (uint32_t b = 0; b < p.blocks; b++) {
        const struct span own = find_share({0, p.first_pair[p.count] * tiles}, b, p.blocks);
        most = max(most, find_sets(p, own.first / tiles, (own.end - 1) / tiles).count);
    }
    return most;
}

static size_t count_shared_bytes(const struct sinq_cuda_products &p, const struct kernel &kernel) {
    const uint32_t pairs = count_block_pairs(p, p.products[0].matrix.cols / kernel.tile);
    return kernel.ring + p.input_bytes + (size_t)(kernel.warps + pairs) * 32 * sizeof(float);
}

static bool fits_shared(struct sinq_cuda_line line, const struct sinq_cuda_products &p, const struct kernel &kernel) {
    return count_shared_bytes(p, kernel) + sizeof(struct ending) + 512 <= line.most_shared;
}

bool sinq_cuda_share_tiles(struct sinq_cuda_line line, struct sinq_cuda_products *p) {
    p->blocks = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!line.overlaps || !can_stream(&p->products[i].matrix)) return false;
    }
    const struct kernel kernel = find_kernel(&p->products[0].matrix);
    const uint64_t pairs = p->first_pair[p->count], tiles = pairs * (p->products[0].matrix.cols / kernel.tile);
    /* A block has a pair's tiles at least, so that two share one at most. Kernels count in 32 bits. */
    if (pairs < line.processors || tiles * line.processors > INT32_MAX) return false;
    p->blocks = line.processors;
    if (!fits_shared(line, *p, kernel)) p->blocks = 0;
    return p->blocks != 0;
}

bool sinq_cuda_make_normed_input(struct sinq_cuda_line line, struct sinq_cuda_products *p,
                                 const struct sinq_cuda_values *values) {
    const struct sinq_cuda_matrix *const m = &p->products[0].matrix;
    const struct kernel kernel = find_kernel(m);
    if (p->blocks == 0 || values->origin != SINQ_CUDA_NORMED || values->gather) return false;
    if (m->cols % (32 * THREAD_COLS) != 0 || m->cols > count_rounds(kernel.warps) * THREAD_COLS * 32 * kernel.warps)
        return false;
    if (!is_aligned(values->in.data) || !is_aligned(values->out.data) || !is_aligned(values->weight)) return false;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!is_aligned(p->products[i].matrix.column_scale)) return false;
    }
    struct sinq_cuda_products made = *p;
    made.normed = {values->in.data, values->out.data, values->weight, values->eps};
    made.makes_input = true;
    made.input_bytes = count_block_products(made, m->cols / kernel.tile) *
                       count_set_bytes(m->cols, m->bits, p->products[0].input.group);
    if (!fits_shared(line, made, kernel)) return false;
    *p = made;
    return true;
}

bool sinq_cuda_activate_products(struct sinq_cuda_line line, struct sinq_cuda_products *p,
                                 const struct sinq_cuda_values *values, const struct sinq_cuda_matrix *next,
                                 const struct sinq_cuda_input *input, uint64_t words) {
    const uint32_t rows = p->products[0].matrix.rows;
    if (p->blocks == 0 || p->count != 2 || values->origin != SINQ_CUDA_ACTIVATED) return false;
    if (p->products[1].matrix.rows != rows || next->cols != rows || input->padded != rows || rows % UNIT_COLS != 0)
        return false;
    if (p->products[0].accumulate || p->products[1].accumulate || UNIT_COLS % input->group != 0) return false;
    /* A unit has tiles of two blocks at most. */
    if (p->first_pair[2] < p->blocks * UNIT || (uint64_t)p->blocks * (1 + UNIT_WORDS) > words) return false;
    if (!is_aligned(next->column_scale)) return false;
    struct sinq_cuda_products made = *p;
    made.activates = true;
    made.activation = values->activation;
    made.given = values->out.data;
    made.given_input = *input;
    made.given_scale = next->column_scale;
    if (!fits_shared(line, made, find_kernel(&p->products[0].matrix))) return false;
    *p = made;
    return true;
}

cudaError_t sinq_cuda_stream(struct sinq_cuda_line line, const struct sinq_cuda_products *p) {
    const struct kernel kernel = find_kernel(&p->products[0].matrix);
    const size_t shared = count_shared_bytes(*p, kernel);
    const cudaError_t status =
        cudaFuncSetAttribute(kernel.run, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    return status == cudaSuccess ? launch(line, kernel.run, dim3(p->blocks), 32 * kernel.warps, shared, *p) : status;
}
