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
#include "cuda/codes.cuh"
#include "cuda/entries.cuh"

#define MOST_WARPS 16u
#define RING_BYTES (170u << 10) /* of a block; attention needs some of the rest */

/* Where a tile's parts are in a stage. */
template <int BITS, int GROUP> struct stage {
    using S = shape<BITS, GROUP>;
    static constexpr uint32_t TILE = S::TILE, STEPS = TILE / S::STEP;
    static constexpr uint32_t GROUP_STEPS = GROUP / S::STEP; /* steps of a group */
    static constexpr uint32_t QUADS = GROUP / 32;            /* pairs of quads of a lane's digits, of one group */
    static constexpr uint32_t PANEL_CODES = TILE / 32 * BITS * 64, PANEL_ENTRIES = 128;
    static constexpr uint32_t SCALES = 2 * PANEL_CODES, ZEROS = SCALES + 2 * PANEL_ENTRIES;
    static constexpr uint32_t SCALE_RANGES = ZEROS + 2 * PANEL_ENTRIES, ZERO_RANGES = SCALE_RANGES + 16;
    static constexpr uint32_t BYTES = ZERO_RANGES + 16;
    static constexpr uint32_t FITTING = RING_BYTES / BYTES; /* stages of a block */
    static constexpr uint32_t WARPS = FITTING >= 48   ? 16
                                      : FITTING >= 36 ? 12
                                      : FITTING >= 24 ? 8
                                      : FITTING >= 18 ? 6
                                                      : 4;
    static constexpr uint32_t STAGES = FITTING / WARPS; /* of a warp */
    static_assert(TILE == 4 * GROUP, "a tile is four groups wide");
    static_assert(STAGES > 1, "a tile is copied while another one is used");
};

static __device__ __forceinline__ uint32_t shared_address(const void *at) {
    return (uint32_t)__cvta_generic_to_shared(at);
}
/* 16 bytes that a thread copies while it goes on; what it called for since the last time belongs together. */
static __device__ __forceinline__ void copy_async(uint8_t *to, const uint8_t *from) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from) : "memory");
}
static __device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* For all but the last COUNT of those that belong together. */
template <int COUNT> static __device__ __forceinline__ void await_copies() {
    asm volatile("cp.async.wait_group %0;" ::"n"(COUNT) : "memory");
}

static __device__ __forceinline__ uint32_t find_product(const struct sinq_cuda_products &p, uint32_t pair) {
    uint32_t which = 0;
    while (which + 1 < p.count && pair >= p.first_pair[which + 1]) which++;
    return which;
}

/*
 * A warp's copies, each of which a lane does 16 bytes of: codes of both panels, and one or two pieces of the entries: lanes 0 to 15 a
 * quarter of a panel's scales or zero points, 16 and 17 ranges.
 */
template <int BITS, int GROUP> struct filler {
    using T = stage<BITS, GROUP>;
    uint32_t pair, tile, end; /* of the next tile; the product's last pair */
    const uint8_t *codes, *entries;
    uint32_t panel_bytes;
    uint32_t to, each, step, skipped; /* entries: where to, bytes, from tile to tile, and after a pair's last one */

    __device__ __forceinline__ void seek(const struct sinq_cuda_products &p, uint32_t tiles) {
        const uint32_t lane = threadIdx.x % 32, which = find_product(p, pair);
        const uint32_t panel = lane >> 2 & 1, quarter = lane & 3;
        const struct sinq_cuda_matrix &m = p.products[which].matrix;
        const size_t own = pair - p.first_pair[which];
        const bool is_zeros = lane >= 8;
        end = p.first_pair[which + 1];
        panel_bytes = tiles * T::PANEL_CODES;
        codes = m.codes + (2 * own * tiles + tile) * T::PANEL_CODES + lane * 16;
        if (lane < 16) {
            each = (is_zeros ? m.zeros_are_f16 : m.scales_are_f16) ? 32 : 16;
            step = 4 * each;
            skipped = tiles * step;
            to = (is_zeros ? T::ZEROS : T::SCALES) + panel * T::PANEL_ENTRIES + quarter * each;
            entries = (is_zeros ? m.zeros : m.scales) + ((2 * own + panel) * tiles + tile) * step + quarter * each;
        } else {
            entries = lane == 16 ? m.scale_ranges : m.zero_ranges;
            each = step = lane < 18 && entries != NULL ? 16 : 0;
            skipped = 0;
            to = lane == 16 ? T::SCALE_RANGES : T::ZERO_RANGES;
            entries += (own * tiles + tile) * step;
        }
    }
    /* Calls for the next tile. */
    __device__ __forceinline__ void fill(const struct sinq_cuda_products &p, uint32_t tiles, uint8_t *stage) {
        uint8_t *const lines = stage + threadIdx.x % 32 * 16;
#pragma unroll
        for (uint32_t i = 0; i < T::PANEL_CODES; i += 512) {
            copy_async(lines + i, codes + i);
            copy_async(lines + T::PANEL_CODES + i, codes + panel_bytes + i);
        }
        if (each != 0) copy_async(stage + to, entries);
        if (each == 32) copy_async(stage + to + 16, entries + 16);
        codes += T::PANEL_CODES;
        entries += step;
        if (++tile < tiles) return;
        tile = 0;
        codes += panel_bytes;
        entries += skipped;
        if (++pair == end && pair < p.first_pair[p.count]) seek(p, tiles);
    }
};

/* A lane's part of the input: its digit of its own slot's group, and the scale of group t. */
template <int BITS, int GROUP> struct input {
    uint2 digits[stage<BITS, GROUP>::QUADS];
    float2 scale;
    /* `x` and `scales`: where the lane's are in the first tile. */
    __device__ __forceinline__ void load(const int8_t *x, const float2 *scales, uint32_t tile) {
        using T = stage<BITS, GROUP>;
        x += tile * T::TILE;
#pragma unroll
        for (uint32_t i = 0; i < T::QUADS; i++) {
            constexpr uint32_t EACH = T::S::LANE / 8;
            digits[i] = *(const uint2 *)(x + i / EACH * T::S::STEP + i % EACH * 8);
        }
        scale = scales[tile * 4];
    }
};

struct load_shared {
    __device__ __forceinline__ uint4 operator()(const uint8_t *at) const { return *(const uint4 *)at; }
};

static __device__ __forceinline__ struct aux load_staged(const uint8_t *entries, const uint8_t *ranges, bool are_f16,
                                                         bool have_ranges, float low, float step, uint32_t t,
                                                         uint32_t quarter) {
    if (are_f16) return spread_halves(*(const uint2 *)(entries + t * 32 + quarter * 8));
    const uint32_t bytes = *(const uint32_t *)(entries + t * 16 + quarter * 4);
    if (have_ranges) {
        const __half2 r = *(const __half2 *)(ranges + 4 * t);
        low = __low2float(r), step = __high2float(r);
    }
    return spread_bytes(bytes, low, step);
}

/* How a matrix stores its entries. */
struct form {
    bool scales_are_f16, zeros_are_f16, zeros_have_ranges;
    float zero_low, zero_step;
};

template <int BITS, int GROUP>
static __device__ __forceinline__ void add_tile(const struct form &m, const uint8_t *tile,
                                                const struct input<BITS, GROUP> &x, float (&sums)[4]) {
    using T = stage<BITS, GROUP>;
    constexpr int LANE = T::S::LANE;
    const uint32_t lane = threadIdx.x % 32, g = lane >> 2, t = lane & 3, own = g >> 1, panel = g >> 2, quarter = g & 3;
    const uint8_t *const lines = tile + panel * T::PANEL_CODES + quarter * 16;
    const uint4 table = make_uint4(0, 0, 0, 0);
    int c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
#pragma unroll
    for (uint32_t step = 0; step < T::STEPS; step++) {
        const codes<BITS> w = load_codes<BITS>(lines + block_number<BITS>(step, t) * (BITS * 64), t, load_shared());
        uint2 right[LANE / 8];
#pragma unroll
        for (uint32_t k = 0; k < LANE / 8; k++) {
            const uint2 digits = x.digits[step % T::GROUP_STEPS * (LANE / 8) + k];
            right[k] = step / T::GROUP_STEPS == own ? digits : make_uint2(0, 0);
        }
        multiply_step<BITS, false, LANE>(c, d, w, right, t, table);
    }
    const struct aux s = load_staged(tile + T::SCALES + panel * T::PANEL_ENTRIES, tile + T::SCALE_RANGES,
                                     m.scales_are_f16, true, 0, 0, t, quarter);
    const struct aux z = load_staged(tile + T::ZEROS + panel * T::PANEL_ENTRIES, tile + T::ZERO_RANGES, m.zeros_are_f16,
                                     m.zeros_have_ranges, m.zero_low, m.zero_step, t, quarter);
    const int dots[4] = {c[0] * 256 + c[1], c[2] * 256 + c[3], d[0] * 256 + d[1], d[2] * 256 + d[3]};
#pragma unroll
    for (int r = 0; r < 4; r++) sums[r] += s.value[r] * x.scale.x * ((float)dots[r] - z.value[r] * x.scale.y);
}

/* ---- sums ---- */

/* Tiles that blocks, and a block's warps, share out. */
struct span {
    uint32_t first, end;
};
static __device__ __forceinline__ struct span find_share(struct span all, uint32_t index, uint32_t count) {
    const uint32_t size = all.end - all.first;
    return {all.first + size * index / count, all.first + size * (index + 1) / count};
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

static __device__ void prepare_ending(const struct sinq_cuda_products &p, struct span own, struct ending *ending) {
    const uint32_t i = threadIdx.x, warps = blockDim.x / 32;
    if (i <= warps) ending->first_tiles[i] = own.first + (own.end - own.first) * i / warps;
    if (i >= p.count) return;
    const struct sinq_cuda_product &from = p.products[i];
    ending->products[i] = {from.y.data, from.bias, from.matrix.factor, from.accumulate};
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

/* A warp does it, a lane a row. */
static __device__ void finish_pair(const struct sinq_cuda_products &p, const struct ending &ending, struct span own,
                                   uint32_t pair, uint32_t tiles, const float *sums) {
    const uint32_t lane = threadIdx.x % 32, warps = blockDim.x / 32, begin = pair * tiles, end = begin + tiles;
    const uint32_t which = find_product(p, pair), row = (pair - p.first_pair[which]) * 32 + lane;
    float *const y = ending.products[which].y + row;
    const float old = ending.products[which].accumulate ? *y : 0.0f;
    const float bias = ending.products[which].bias == NULL ? 0.0f : ending.products[which].bias[row];
    float sum = 0;
    for (uint32_t w = 0; w < warps; w++) {
        if (max(ending.first_tiles[w], begin) < min(ending.first_tiles[w + 1], end)) sum += sums[w * 32 + lane];
    }
    if (begin < own.first && !join_blocks(p.exchange + (blockIdx.x - 1) * 32 + lane, &sum)) return;
    if (end > own.end && !join_blocks(p.exchange + blockIdx.x * 32 + lane, &sum)) return;
    *y = old + (sum * ending.products[which].factor + bias);
}

/* A warp's tiles, with those of their copies that it has not called for yet; sums of each pair go to `pair_sums`. */
template <int BITS, int GROUP>
static __device__ __forceinline__ void add_share(const struct sinq_cuda_products &p, struct span share, uint32_t tiles,
                                                 struct filler<BITS, GROUP> &filler, uint8_t *ring, float *pair_sums) {
    using T = stage<BITS, GROUP>;
    const uint32_t lane = threadIdx.x % 32, g = lane >> 2, t = lane & 3;
    uint32_t stage = 0, left = share.end - share.first, tile = share.first % tiles;
    for (uint32_t pair = share.first / tiles; left != 0; pair++) {
        const struct sinq_cuda_product &product = p.products[find_product(p, pair)];
        const struct sinq_cuda_matrix &m = product.matrix;
        const struct form form = {m.scales_are_f16, m.zeros_are_f16, m.zero_ranges != NULL, m.zero_low, m.zero_step};
        const int8_t *const x =
            product.input.digits + (g & 1) * product.input.padded + (g >> 1) * GROUP + t * T::S::LANE;
        const float2 *const scales = (const float2 *)product.input.scales + t;
        const uint32_t end = min(tiles, tile + left);
        struct input<BITS, GROUP> next;
        next.load(x, scales, tile);
        left -= end - tile;
        float sums[4] = {0, 0, 0, 0};
        for (; tile < end; tile++) {
            const struct input<BITS, GROUP> now = next;
            if (tile + 1 < end) next.load(x, scales, tile + 1);
            await_copies<T::STAGES - 1>();
            __syncwarp();
            add_tile<BITS, GROUP>(form, ring + stage * T::BYTES, now, sums);
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

template <int BITS, int GROUP>
static __global__ void __launch_bounds__(32 * stage<BITS, GROUP>::WARPS, 1)
    stream_kernel(const __grid_constant__ struct sinq_cuda_products p) {
    using T = stage<BITS, GROUP>;
    extern __shared__ __align__(128) uint8_t memory[];
    __shared__ struct ending ending;
    const uint32_t warp = threadIdx.x / 32, warps = T::WARPS, tiles = p.products[0].matrix.cols / T::TILE;
    const struct span all = {0, p.first_pair[p.count] * tiles};
    const struct span own = find_share(all, blockIdx.x, gridDim.x), share = find_share(own, warp, warps);
    const uint32_t first_pair = own.first / tiles, last_pair = (own.end - 1) / tiles;
    uint8_t *const ring = memory + warp * T::STAGES * T::BYTES;
    float *const sums = (float *)(memory + warps * T::STAGES * T::BYTES);
    call_dependents();
    struct filler<BITS, GROUP> filler = {
        share.first / tiles, share.first % tiles
    };
    filler.seek(p, tiles);
#pragma unroll 1
    for (uint32_t s = 0; s < T::STAGES; s++) {
        if (share.first + s < share.end) filler.fill(p, tiles, ring + s * T::BYTES);
        commit_copies();
    }
    prepare_ending(p, own, &ending);
    await_kernel();
    add_share<BITS, GROUP>(p, share, tiles, filler, ring, sums + ((int)warp - (int)first_pair) * 32);
    __syncthreads();
    for (uint32_t pair = first_pair + warp; pair <= last_pair; pair += warps) {
        finish_pair(p, ending, own, pair, tiles, sums + (pair - first_pair) * 32);
    }
}

/* ---- launching ---- */

typedef void products_kernel(const struct sinq_cuda_products);

struct kernel {
    products_kernel *run;
    uint32_t tile, warps, ring; /* columns of a tile; bytes of the block's rings */
};

template <int BITS, int GROUP> static struct kernel list_kernel() {
    using T = stage<BITS, GROUP>;
    return {stream_kernel<BITS, GROUP>, T::TILE, T::WARPS, T::WARPS * T::STAGES * T::BYTES};
}

template <int BITS> static struct kernel find_group(uint32_t group_size) {
    if (group_size == 64) return list_kernel<BITS, 64>();
    if (group_size == 128) return list_kernel<BITS, 128>();
    return {NULL, 0, 0, 0};
}

static struct kernel find_kernel(const struct sinq_cuda_matrix *m) {
    if (!sinq_cuda_is_usual(m) || m->levels != NULL || m->scales_are_i8 || m->zeros_are_i8 || m->has_minima)
        return {NULL, 0, 0, 0};
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

static size_t count_shared_bytes(const struct sinq_cuda_products &p, const struct kernel &kernel) {
    const uint32_t pairs = count_block_pairs(p, p.products[0].matrix.cols / kernel.tile);
    return kernel.ring + (size_t)(kernel.warps + pairs) * 32 * sizeof(float);
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
    if (count_shared_bytes(*p, kernel) + sizeof(struct ending) > line.most_shared) p->blocks = 0;
    return p->blocks != 0;
}

cudaError_t sinq_cuda_stream(struct sinq_cuda_line line, const struct sinq_cuda_products *p) {
    const struct kernel kernel = find_kernel(&p->products[0].matrix);
    const size_t shared = count_shared_bytes(*p, kernel);
    const cudaError_t status =
        cudaFuncSetAttribute(kernel.run, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    return status == cudaSuccess ? launch(line, kernel.run, dim3(p->blocks), 32 * kernel.warps, shared, *p) : status;
}
