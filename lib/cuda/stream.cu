/*
 * stream.cu: one row times quantized matrices whose bytes flow through shared memory, on compute capability 9.0 and later.
 *
 * All tiles (a pair of panels times TILE columns) of products that are carried out as one are counted through, pair by pair. Each
 * multiprocessor has one block, which takes an equal share of the tiles, and each warp an equal share of the block's. A warp has a ring
 * of stages for tiles that copies fill on their own: a few instructions call for thousands of bytes, none of which need a register,
 * and as they depend on nothing, the first ones are called for before the kernel before has ended. Products are made as in multiply.cu.
 *
 * A warp's sums of a pair go to shared memory. A pair that two blocks have tiles of is finished by the one that comes later: each puts
 * its sums where the other one's would be, in one exchange, so that no memory has to be waited for. The end of a kernel counts: there
 * memory is idle. For the same reason what is read there is made ready at the beginning.
 */
#include "cuda/bulk.cuh"
#include "cuda/codes.cuh"
#include "cuda/entries.cuh"


#define MOST_WARPS  12u
#define MOST_STAGES 8u
#define RING_BYTES  (170u << 10) /* of a block; attention needs some of the rest */

/* Where a tile's parts are in a stage. */
template <int BITS, int GROUP>
struct stage {
    using S = shape<BITS, GROUP>;
    static constexpr uint32_t TILE = S::TILE, STEPS = TILE / S::STEP;
    static constexpr uint32_t GROUP_STEPS = GROUP / S::STEP;  /* steps of a group */
    static constexpr uint32_t QUADS = GROUP / 32;             /* pairs of quads of a lane's digits, of one group */
    static constexpr uint32_t PANEL_CODES = TILE / 32 * BITS * 64, PANEL_ENTRIES = 128;
    static constexpr uint32_t SCALES = 2 * PANEL_CODES, ZEROS = SCALES + 2 * PANEL_ENTRIES;
    static constexpr uint32_t SCALE_RANGES = ZEROS + 2 * PANEL_ENTRIES, ZERO_RANGES = SCALE_RANGES + 16;
    static constexpr uint32_t BYTES = ZERO_RANGES + 16;
    static_assert(TILE == 4 * GROUP, "a tile is four groups wide");
};

/* Tile `tile` of pair `pair`, counted through all products, of product `which`. */
struct place {
    uint32_t which, pair, tile;
};

static __device__ __forceinline__ struct place find_place(const struct sinq_cuda_products &p, uint32_t number,
                                                          uint32_t tiles) {
    struct place at = {0, number / tiles, number % tiles};
    while (at.which + 1 < p.count && at.pair >= p.first_pair[at.which + 1]) at.which++;
    return at;
}
static __device__ __forceinline__ void advance(const struct sinq_cuda_products &p, uint32_t tiles, struct place *at) {
    if (++at->tile < tiles) return;
    at->tile = 0;
    at->pair++;
    if (at->which + 1 < p.count && at->pair >= p.first_pair[at->which + 1]) at->which++;
}

/*
 * A lane copies one part of each tile, of `each` bytes: lanes 0 to 15 a quarter of a panel's scales or zero points, 16 and 17 ranges, 18
 * and 19 a panel's codes, as one copy that runs on its own.
 */
struct source {
    const uint8_t *from; /* of the next tile */
    uint32_t each, to, step, skipped; /* `step` from tile to tile, `skipped` after a pair's last one */
};

template <int BITS, int GROUP>
static __device__ struct source find_source(const struct sinq_cuda_matrix &m, uint32_t pair, uint32_t tile,
                                            uint32_t tiles) {
    using T = stage<BITS, GROUP>;
    const uint32_t lane = threadIdx.x % 32, panel = lane < 16 ? lane >> 2 & 1 : lane & 1, quarter = lane & 3;
    struct source s = {NULL, 0, 0, 0, 0};
    if (lane < 16) {
        const bool is_zeros = lane >= 8;
        s.each = (is_zeros ? m.zeros_are_f16 : m.scales_are_f16) ? 32 : 16;
        s.step = 4 * s.each;
        s.to = (is_zeros ? T::ZEROS : T::SCALES) + panel * T::PANEL_ENTRIES + quarter * s.each;
        s.from = (is_zeros ? m.zeros : m.scales) + quarter * s.each;
    } else if (lane < 18) {
        s.from = lane == 16 ? m.scale_ranges : m.zero_ranges;
        s.each = s.step = s.from == NULL ? 0 : 16;
        s.to = lane == 16 ? T::SCALE_RANGES : T::ZERO_RANGES;
    } else if (lane < 20) {
        s.from = m.codes;
        s.each = s.step = T::PANEL_CODES;
        s.to = panel * T::PANEL_CODES;
    }
    const bool is_range = lane == 16 || lane == 17;
    s.from += ((is_range ? (size_t)pair : 2 * (size_t)pair + panel) * tiles + tile) * s.step;
    s.skipped = is_range ? 0 : tiles * s.step;
    return s;
}

/* A warp's copies. */
template <int BITS, int GROUP>
struct filler {
    struct place at;
    struct source source;
    __device__ __forceinline__ void seek(const struct sinq_cuda_products &p, uint32_t tiles) {
        source = find_source<BITS, GROUP>(p.products[at.which].matrix, at.pair - p.first_pair[at.which], at.tile, tiles);
    }
    /* Calls for the next tile. */
    __device__ __forceinline__ void fill(const struct sinq_cuda_products &p, uint32_t tiles, uint8_t *to, uint64_t *full) {
        const uint32_t lane = threadIdx.x % 32;
        if (lane == 0) expect_bytes(full, 2 * stage<BITS, GROUP>::PANEL_CODES);
        __syncwarp();
        if (lane >= 18) {
            if (source.each != 0) copy_bulk(to + source.to, source.from, source.each, full);
        } else {
            if (source.each != 0) copy_async(to + source.to, source.from);
            if (source.each == 32) copy_async(to + source.to + 16, source.from + 16);
        }
        arrive_copied(full);
        const uint32_t which = at.which;
        advance(p, tiles, &at);
        source.from += source.step + (at.tile == 0 ? source.skipped : 0);
        if (at.which != which) seek(p, tiles);
    }
};

/* A lane's part of the input: its digit of its own slot's group, and the scale of group t. */
template <int BITS, int GROUP>
struct input {
    uint2 digits[stage<BITS, GROUP>::QUADS];
    float2 scale;
    __device__ __forceinline__ void load(const struct sinq_cuda_input &from, uint32_t tile) {
        using T = stage<BITS, GROUP>;
        const uint32_t lane = threadIdx.x % 32, g = lane >> 2, t = lane & 3, own = g >> 1;
        const int8_t *const x = from.digits + (g & 1) * from.padded + tile * T::TILE + own * GROUP + t * T::S::LANE;
#pragma unroll
        for (uint32_t i = 0; i < T::QUADS; i++) {
            constexpr uint32_t EACH = T::S::LANE / 8;
            digits[i] = *(const uint2 *)(x + i / EACH * T::S::STEP + i % EACH * 8);
        }
        scale = ((const float2 *)from.scales)[tile * 4 + t];
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

template <int BITS, int GROUP>
static __device__ __forceinline__ void add_tile(const struct sinq_cuda_matrix &m, const uint8_t *tile,
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
    const struct aux s = load_staged(tile + T::SCALES + panel * T::PANEL_ENTRIES, tile + T::SCALE_RANGES, m.scales_are_f16,
                                     true, 0, 0, t, quarter);
    const struct aux z = load_staged(tile + T::ZEROS + panel * T::PANEL_ENTRIES, tile + T::ZERO_RANGES, m.zeros_are_f16,
                                     m.zero_ranges != NULL, m.zero_low, m.zero_step, t, quarter);
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
    uint32_t which = 0;
    while (which + 1 < p.count && pair >= p.first_pair[which + 1]) which++;
    const uint32_t row = (pair - p.first_pair[which]) * 32 + lane;
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

template <int BITS, int GROUP>
static __global__ void __launch_bounds__(32 * MOST_WARPS, 2) /* small kernels shall find registers beside it */
    stream_kernel(const __grid_constant__ struct sinq_cuda_products p) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    using T = stage<BITS, GROUP>;
    extern __shared__ __align__(128) uint8_t memory[];
    __shared__ uint64_t full[MOST_WARPS][MOST_STAGES];
    __shared__ struct ending ending;
    const uint32_t lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32, stages = p.stages;
    const uint32_t tiles = p.products[0].matrix.cols / T::TILE;
    const struct span all = {0, p.first_pair[p.count] * tiles};
    const struct span own = find_share(all, blockIdx.x, gridDim.x), share = find_share(own, warp, warps);
    float *const block_sums = (float *)(memory + warps * stages * T::BYTES);
    uint8_t *const ring = memory + warp * stages * T::BYTES;
    call_dependents();
    if (lane == 0) {
        for (uint32_t s = 0; s < stages; s++) init_barrier(&full[warp][s], 33);
        publish_barriers();
    }
    __syncwarp();
    struct place at = find_place(p, share.first, tiles);
    struct filler<BITS, GROUP> filler = {at};
    if (share.first < share.end) filler.seek(p, tiles);
    for (uint32_t s = 0; s < stages && share.first + s < share.end; s++) {
        filler.fill(p, tiles, ring + s * T::BYTES, &full[warp][s]);
    }
    const uint32_t first_pair = own.first / tiles, last_pair = (own.end - 1) / tiles;
    prepare_ending(p, own, &ending);
    await_kernel();
    struct input<BITS, GROUP> next;
    if (share.first < share.end) next.load(p.products[at.which].input, at.tile);
    float sums[4] = {0, 0, 0, 0};
    uint32_t stage = 0, phase = 0;
    for (uint32_t i = share.first; i < share.end; i++) {
        const struct input<BITS, GROUP> x = next;
        const struct place now = at;
        advance(p, tiles, &at);
        if (i + 1 < share.end) next.load(p.products[at.which].input, at.tile);
        wait_barrier(&full[warp][stage], phase);
        add_tile<BITS, GROUP>(p.products[now.which].matrix, ring + stage * T::BYTES, x, sums);
        __syncwarp();
        if (i + stages < share.end) filler.fill(p, tiles, ring + stage * T::BYTES, &full[warp][stage]);
        if (++stage == stages) stage = 0, phase ^= 1;
        if (at.tile != 0 && i + 1 < share.end) continue;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 1);
            sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 2);
        }
        float *const to = block_sums + (warp + now.pair - first_pair) * 32 + (lane >> 2) * 4;
        if ((lane & 3) == 0) *(float4 *)to = make_float4(sums[0], sums[1], sums[2], sums[3]);
        sums[0] = sums[1] = sums[2] = sums[3] = 0;
    }
    __syncthreads();
    for (uint32_t pair = first_pair + warp; pair <= last_pair; pair += warps) {
        finish_pair(p, ending, own, pair, tiles, block_sums + (pair - first_pair) * 32);
    }
#endif
}

/* ---- launching ---- */

typedef void products_kernel(const struct sinq_cuda_products);

struct kernel {
    products_kernel *run;
    uint32_t tile, stage;
};

template <int BITS>
static struct kernel find_group(uint32_t group_size) {
    if (group_size == 64) return {stream_kernel<BITS, 64>, stage<BITS, 64>::TILE, stage<BITS, 64>::BYTES};
    if (group_size == 128) return {stream_kernel<BITS, 128>, stage<BITS, 128>::TILE, stage<BITS, 128>::BYTES};
    return {NULL, 0, 0};
}

static struct kernel find_kernel(const struct sinq_cuda_matrix *m) {
    if (!sinq_cuda_is_usual(m) || m->levels != NULL || m->scales_are_i8 || m->zeros_are_i8 || m->has_minima) return {NULL, 0, 0};
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

__device__ const uint32_t has_copies =
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    1;
#else
    0;
#endif

extern "C" cudaError_t sinq_cuda_find_copies(int device, uint32_t *most_shared) {
    uint32_t has = 0;
    int most = 0;
    cudaError_t status = cudaMemcpyFromSymbol(&has, has_copies, sizeof has);
    if (status == cudaSuccess) status = cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    *most_shared = has != 0 && most > 2048 ? (uint32_t)most - 2048 : 0; /* less what kernels have anyhow */
    return status;
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
    return (size_t)p.warps * p.stages * kernel.stage + (size_t)(p.warps + pairs) * 32 * sizeof(float);
}

bool sinq_cuda_share_tiles(struct sinq_cuda_line line, struct sinq_cuda_products *p) {
    for (uint32_t i = 0; i < p->count; i++) {
        if (!can_stream(&p->products[i].matrix)) return false;
    }
    const struct kernel kernel = find_kernel(&p->products[0].matrix);
    const uint64_t pairs = p->first_pair[p->count], tiles = pairs * (p->products[0].matrix.cols / kernel.tile);
    /* A block has a pair's tiles at least, so that two share one at most. Kernels count in 32 bits. */
    if (pairs < line.processors || tiles * line.processors > INT32_MAX) return false;
    p->blocks = line.processors;
    for (p->warps = kernel.stage <= 5120 ? MOST_WARPS : MOST_WARPS * 2 / 3; p->warps > 1; p->warps /= 2) {
        p->stages = RING_BYTES / (p->warps * kernel.stage);
        if (p->stages > MOST_STAGES) p->stages = MOST_STAGES;
        while (p->stages > 1 && count_shared_bytes(*p, kernel) > line.most_shared) p->stages--;
        if (p->stages > 1) return true;
    }
    p->blocks = 0;
    return false;
}

cudaError_t sinq_cuda_stream(struct sinq_cuda_line line, const struct sinq_cuda_products *p) {
    const struct kernel kernel = find_kernel(&p->products[0].matrix);
    const size_t shared = count_shared_bytes(*p, kernel);
    const cudaError_t status =
        cudaFuncSetAttribute(kernel.run, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    return status == cudaSuccess ? launch(line, kernel.run, dim3(p->blocks), 32 * p->warps, shared, *p) : status;
}
