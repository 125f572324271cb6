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
#include "cuda/entries.cuh"
#include "cuda/normed.cuh"
#include "cuda/stage.cuh"

#define MOST_WARPS 16u

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
    bool scales_are_f16, zeros_are_f16, zeros_have_ranges, scales_are_u6;
    float zero_low, zero_step;
    uint32_t scale_sign;
};

/* Scales of a chunk's group t, of both widths and with signs. */
static __device__ __forceinline__ struct aux load_level_scales(const struct form &m, const uint8_t *entries,
                                                               const uint8_t *range, uint32_t t, uint32_t quarter) {
    uint32_t bytes;
    entries += quarter * 4;
    if (m.scales_are_u6) {
        const uint32_t low = *(const uint32_t *)(entries + t / 2 * 16), high = *(const uint32_t *)(entries + 32);
        bytes = (low >> t % 2 * 4 & 0x0f0f0f0fu) | (high >> 2 * t & 0x03030303u) << 4;
    } else {
        bytes = *(const uint32_t *)(entries + t * 16);
    }
    const __half2 r = *(const __half2 *)(range + 4 * t);
    if (m.scale_sign == 0) return spread_bytes(bytes, __low2float(r), __high2float(r));
    return spread_signed_bytes(bytes, __low2float(r), __high2float(r), m.scale_sign);
}

/* One chunk of a tile into c and d. */
template <int BITS, int GROUP, bool LEVELS>
static __device__ __forceinline__ void multiply_chunk(const uint8_t *lines, const struct input<BITS, GROUP, LEVELS> &x,
                                                      uint32_t chunk, const uint4 &table, int (&c)[4], int (&d)[4]) {
    using T = stage<BITS, GROUP, LEVELS>;
    constexpr int LANE = T::S::LANE;
    const uint32_t lane = threadIdx.x % 32, t = lane & 3, own = lane >> 3;
#pragma unroll
    for (uint32_t step = 0; step < T::STEPS; step++) {
        const uint32_t block = block_number<BITS>(chunk * T::STEPS + step, t);
        const codes<BITS> w = load_codes<BITS>(lines + block * (BITS * 64), t, load_shared());
        uint2 right[LANE / 8];
#pragma unroll
        for (uint32_t k = 0; k < LANE / 8; k++) {
            const uint2 digits = x.digits[chunk][step % T::GROUP_STEPS * (LANE / 8) + k];
            right[k] = step / T::GROUP_STEPS == own / T::STEP_GROUPS ? digits : make_uint2(0, 0);
        }
        multiply_step<BITS, LEVELS, LANE>(c, d, w, right, t, table);
    }
}

template <int BITS, int GROUP, bool LEVELS>
static __device__ __forceinline__ void add_tile(const struct form &m, const uint8_t *tile,
                                                const struct input<BITS, GROUP, LEVELS> &x, const uint4 &table,
                                                float (&sums)[4]) {
    using T = stage<BITS, GROUP, LEVELS>;
    const uint32_t lane = threadIdx.x % 32, g = lane >> 2, t = lane & 3, panel = g >> 2, quarter = g & 3;
    const uint8_t *const lines = tile + panel * T::PANEL_CODES + quarter * 16;
    const uint8_t *const scales = tile + T::SCALES + panel * T::PANEL_ENTRIES;
#pragma unroll
    for (uint32_t chunk = 0; chunk < T::CHUNKS; chunk++) {
        int c[4] = {0, 0, 0, 0}, d[4] = {0, 0, 0, 0};
        struct aux s, z = {{m.zero_low, m.zero_low, m.zero_low, m.zero_low}};
        multiply_chunk<BITS, GROUP, LEVELS>(lines, x, chunk, table, c, d);
        if (LEVELS) {
            s = load_level_scales(m, scales + chunk * (m.scales_are_u6 ? 48 : 64), tile + T::SCALE_RANGES + 16 * chunk,
                                  t, quarter);
        } else {
            s = load_staged(scales, tile + T::SCALE_RANGES, m.scales_are_f16, true, 0, 0, t, quarter);
            z = load_staged(tile + T::ZEROS + panel * T::PANEL_ENTRIES, tile + T::ZERO_RANGES, m.zeros_are_f16,
                            m.zeros_have_ranges, m.zero_low, m.zero_step, t, quarter);
        }
        const int dots[4] = {c[0] * 256 + c[1], c[2] * 256 + c[3], d[0] * 256 + d[1], d[2] * 256 + d[3]};
        const float2 by = x.scales[chunk];
#pragma unroll
        for (int r = 0; r < 4; r++) sums[r] += s.value[r] * by.x * ((float)dots[r] - z.value[r] * by.y);
    }
}

/* ---- sums ---- */

/* Tiles that blocks, and a block's warps, share out. */
struct span {
    uint32_t first, end;
};
static __host__ __device__ __forceinline__ struct span find_share(struct span all, uint32_t index, uint32_t count) {
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

/* What the block's warps have of tiles [begin, end), which are one pair's. */
static __device__ __forceinline__ float add_warps(const struct ending &ending, uint32_t begin, uint32_t end,
                                                  const float *sums) {
    float sum = 0;
    for (uint32_t w = 0; w < blockDim.x / 32; w++) {
        if (max(ending.first_tiles[w], begin) < min(ending.first_tiles[w + 1], end)) {
            sum += sums[w * 32 + threadIdx.x % 32];
        }
    }
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

/* ---- gates and ups, which become the next product's input ---- */

/* Two pairs of gates and two of ups, by turns: 64 columns of the next product's input. A warp finishes them. */
#define UNIT        4u
#define UNIT_COLS   (UNIT / 2 * 32)
#define UNIT_WORDS  (UNIT * 32)

static __host__ __device__ __forceinline__ struct sets find_sets(const struct sinq_cuda_products &p, uint32_t first_pair,
                                                                 uint32_t last_pair) {
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
#pragma unroll
    for (uint32_t k = 0; k < UNIT; k++) {
        volatile uint32_t *const slot = slots + k * 32 + lane;
        if (before == 0) {
            *slot = ~__float_as_uint(sums[k]);
            continue;
        }
        uint32_t other;
        while ((other = *slot) == 0) {}
        *slot = 0;
        sums[k] += __uint_as_float(~other);
    }
    if (before != 0 && lane == 0) *counter = 0;
    return before != 0;
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
        const float low = __shfl_sync(0xffffffffu, values[0], from % 32), high = __shfl_sync(0xffffffffu, values[1], from % 32);
        x[i] = from < 32 ? low : high;
    }
    store_scaled(p.given_input, has_columns ? column : p.given_input.padded, x, scales);
}

/* Calls for what comes first, in stages [FIRST, END). */
template <uint32_t FIRST, uint32_t END, int BITS, int GROUP, bool LEVELS>
static __device__ __forceinline__ void fill_stages(struct filler<BITS, GROUP, LEVELS> &filler,
                                                   const struct sinq_cuda_products &p, struct span share, uint32_t tiles,
                                                   uint8_t *ring) {
#pragma unroll 1
    for (uint32_t s = FIRST; s < END; s++) {
        if (share.first + s < share.end) filler.fill(p, tiles, ring + s * stage<BITS, GROUP, LEVELS>::BYTES);
        commit_copies();
    }
}

/* A warp's tiles, with those of their copies that it has not called for yet; sums of each pair go to `pair_sums`. */
template <int BITS, int GROUP, bool LEVELS, bool IS_MADE>
static __device__ __forceinline__ void add_share(const struct sinq_cuda_products &p, struct span share, uint32_t tiles,
                                                 struct filler<BITS, GROUP, LEVELS> &filler, uint8_t *ring, uint4 table,
                                                 uint32_t first_set, uint8_t *inputs, float *pair_sums) {
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
        const struct sinq_cuda_input input = IS_MADE ? find_set(inputs, product, which - first_set) : product.input;
        const int8_t *const x = input.digits + (g & 1) * input.padded + INPUT::find_digits(g >> 1, t);
        const float2 *const scales = (const float2 *)input.scales + t;
        const uint32_t end = min(tiles, tile + left);
        INPUT now;
        now.load(x, scales, tile);
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

template <int BITS, int GROUP, bool LEVELS>
static __global__ void __launch_bounds__(stage<BITS, GROUP, LEVELS>::ROOM, 1)
    stream_kernel(const __grid_constant__ struct sinq_cuda_products p) {
    using T = stage<BITS, GROUP, LEVELS>;
    extern __shared__ __align__(128) uint8_t memory[];
    __shared__ struct ending ending;
    const uint32_t warp = threadIdx.x / 32, warps = T::WARPS, tiles = p.products[0].matrix.cols / T::TILE;
    const struct span all = {0, p.first_pair[p.count] * tiles};
    const struct span own = find_share(all, blockIdx.x, gridDim.x), share = find_share(own, warp, warps);
    const uint32_t first_pair = own.first / tiles, last_pair = (own.end - 1) / tiles;
    uint8_t *const ring = memory + warp * T::STAGES * T::BYTES, *const inputs = memory + warps * T::STAGES * T::BYTES;
    float *const pair_sums = (float *)(inputs + p.input_bytes), *const sums = pair_sums + ((int)warp - (int)first_pair) * 32;
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
    if (p.makes_input) {
        const struct sets sets = find_sets(p, first_pair, last_pair);
        call_constants(p, sets);
        await_kernel();
        make_normed<T::WARPS>(p, sets, inputs);
        fill_stages<T::EARLY, T::STAGES>(filler, p, share, tiles, ring);
        add_share<BITS, GROUP, LEVELS, true>(p, share, tiles, filler, ring, table, sets.first, inputs, sums);
    } else {
        await_kernel();
        fill_stages<T::EARLY, T::STAGES>(filler, p, share, tiles, ring);
        add_share<BITS, GROUP, LEVELS, false>(p, share, tiles, filler, ring, table, 0, inputs, sums);
    }
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
    if (m->cols % (32 * THREAD_COLS) != 0 || m->cols > count_rounds(kernel.warps) * THREAD_COLS * 32 * kernel.warps) return false;
    if (!is_aligned(values->in.data) || !is_aligned(values->out.data) || !is_aligned(values->weight)) return false;
    for (uint32_t i = 0; i < p->count; i++) {
        if (!is_aligned(p->products[i].matrix.column_scale)) return false;
    }
    struct sinq_cuda_products made = *p;
    made.normed = {values->in.data, values->out.data, values->weight, values->eps};
    made.makes_input = true;
    made.input_bytes = count_block_products(made, m->cols / kernel.tile) * count_set_bytes(m->cols, m->bits, p->products[0].input.group);
    if (!fits_shared(line, made, kernel)) return false;
    *p = made;
    return true;
}

bool sinq_cuda_activate_products(struct sinq_cuda_line line, struct sinq_cuda_products *p,
                                 const struct sinq_cuda_values *values, const struct sinq_cuda_matrix *next,
                                 const struct sinq_cuda_input *input, uint64_t words) {
    const uint32_t rows = p->products[0].matrix.rows;
    if (p->blocks == 0 || p->count != 2 || values->origin != SINQ_CUDA_ACTIVATED) return false;
    if (p->products[1].matrix.rows != rows || next->cols != rows || input->padded != rows || rows % UNIT_COLS != 0) return false;
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
