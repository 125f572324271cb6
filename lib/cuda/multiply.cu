/*
 * multiply.cu: one row times a quantized matrix, as the layout lies on disk.
 *
 * A warp takes a pair of panels (32 rows) and streams over their columns. A lane loads 16 bytes: the codes of four rows (a quarter of a
 * line, docs/format.md 5.1), a line each for the four lanes t of a set g, eight sets g for the four quarters of two panels. Codes
 * become bytes by masks and shifts and go, as they are, into matrix units (mma.m16n8k32: 16 rows times 32 columns times 8
 * right-hand sides, integers). Rows of the unit's left side are the sets' first and second rows, then their third and fourth.
 *
 * The eight right-hand sides are the two digits of the input (prepare.cu) in four slots. Group G of columns has slot G mod 4: in it
 * are the group's digits, in the other slots zeros. So one accumulator gathers four groups, and afterwards lane t has those
 * of group t for its four rows: all lanes scale,
 *   y[r] += s[r][g] * sx[g] * (dot(code[r], x) - z[r][g] * sum(x))
 * and nothing but exact integers was rounded. Per 4-bit weight it takes less than one operation of a lane.
 *
 * Warps of a block share out the columns; their sums meet in shared memory, in a fixed order.
 */
#include "cuda/codes.cuh"
#include "cuda/entries.cuh"

#define MOST_WARPS    8u
#define MANY_WARPS    4u /* of a block, where there are many pairs */
#define FEW_RESIDENT  3u /* blocks of MOST_WARPS on a multiprocessor: limits registers */
#define MANY_RESIDENT 4u
#define MOST_SPLITS   8u

__device__ __forceinline__ uint4 load_stream(const uint8_t *at) {
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(at));
    return v;
}

/* Blocks beyond the last are not read. */
template <int BITS>
__device__ __forceinline__ codes<BITS> load_step(const uint8_t *panel, uint32_t step, uint32_t t, uint32_t blocks) {
    const uint32_t block = min(block_number<BITS>(step, t), blocks - 1);
    return load_codes<BITS>(panel + (size_t)block * (BITS * 64), t, load_stream);
}

/* ---- a pair of panels ---- */

/* What a lane knows all the time. */
struct place {
    const uint8_t *panel; /* codes of its panel, from its quarter on */
    uint32_t pair, entry_panel, quarter, g, t;
};

__device__ __forceinline__ struct place find_place(const struct sinq_cuda_matrix &m, uint32_t pair) {
    struct place at;
    const uint32_t lane = threadIdx.x % 32;
    at.pair = pair;
    at.g = lane >> 2;
    at.t = lane & 3;
    at.quarter = at.g & 3;
    at.entry_panel = min(2 * pair + (at.g >> 2), m.panels - 1); /* what a missing panel gives is not written */
    at.panel = m.codes + (size_t)at.entry_panel * m.column_blocks * (m.bits * 64) + at.quarter * 16;
    return at;
}

/* Codes of a batch of steps, `batch` counted within the tile. */
template <int BITS, int GROUP>
struct batch {
    using S = shape<BITS, GROUP>;
    static constexpr int STEPS = S::TILE / S::STEP, SIZE = S::BATCH < STEPS ? S::BATCH : STEPS, COUNT = STEPS / SIZE;
    codes<BITS> of[SIZE];
    __device__ __forceinline__ void load(const struct place &at, uint32_t blocks, uint32_t tile, int number) {
#pragma unroll
        for (int i = 0; i < SIZE; i++) {
            of[i] = load_step<BITS>(at.panel, tile * STEPS + number * SIZE + i, at.t, blocks);
        }
    }
};

/* One tile. `next` holds its first batch, and afterwards that of tile `following`, if that is below `end`. */
template <int BITS, int GROUP, bool ANY>
__device__ __forceinline__ void add_tile(const struct sinq_cuda_matrix &m, const int8_t *digits, uint32_t plane,
                                         const float2 *scales, const struct place &at, uint32_t tile, uint32_t following,
                                         uint32_t end, const uint4 &table, batch<BITS, GROUP> &next, float (&sums)[4]) {
    using S = shape<BITS, GROUP>;
    using B = batch<BITS, GROUP>;
    constexpr int CHUNK_STEPS = S::CHUNK / S::STEP;
    const uint32_t first = tile * S::TILE, own = at.g >> 1;
    const int8_t *const x = digits + (size_t)(at.g & 1) * plane + first + at.t * S::LANE;
    using U = struct unit_sums<BITS, ANY && BITS <= 4>;
    U of_chunk;
    struct aux s, z;
    float2 input;
    bool is_there = false;
#pragma unroll
    for (int b = 0; b < B::COUNT; b++) {
        const B w = next;
        if (b + 1 < B::COUNT) {
            next.load(at, m.column_blocks, tile, b + 1);
        } else if (following < end) {
            next.load(at, m.column_blocks, following, 0);
        }
#pragma unroll
        for (int i = 0; i < B::SIZE; i++) {
            const int step = b * B::SIZE + i;
            if (step % CHUNK_STEPS == 0) {
                const uint32_t group = (first + step * S::STEP) / GROUP + at.t;
                const uint32_t stored = m.group_size == 0 ? 0 : min(group, m.groups - 1);
                const struct entry_place entry = {at.entry_panel, stored, at.quarter, (size_t)at.pair * m.groups + stored};
                is_there = group * GROUP < m.cols;
                s = load_scales<ANY>(m, entry);
                z = load_zeros<ANY>(m, entry);
                input = is_there ? U::scale_input(scales[group]) : make_float2(0.0f, 0.0f);
            }
            const uint32_t slot = ((uint32_t)(step * S::STEP) + at.t * S::LANE * (GROUP < S::STEP)) / GROUP & 3;
            uint2 right[S::LANE / 8];
#pragma unroll
            for (int k = 0; k < S::LANE / 8; k++) {
                right[k] = slot == own ? *(const uint2 *)(x + step * S::STEP + 8 * k) : make_uint2(0, 0);
            }
            multiply_step<BITS, ANY && BITS <= 4, S::LANE>(of_chunk, w.of[i], right, at.t, table);
            if (step % CHUNK_STEPS != CHUNK_STEPS - 1) continue;
            int dots[4];
            of_chunk.get(dots);
            of_chunk = U();
#pragma unroll
            for (int r = 0; r < 4; r++) {
                if (is_there) sums[r] += s.value[r] * input.x * ((float)dots[r] - z.value[r] * input.y);
            }
        }
    }
}

/* One of the `count` parts that a pair's columns are shared out to; `slot` is the pair's number among all. */
struct part {
    uint32_t index, count, slot;
    float *partial;
    uint32_t *finished;
};

/* Sums of all parts, in their order, by the block that is the last to end; false in all others. */
__device__ __forceinline__ bool join_parts(const struct part &part, float *sum) {
    __shared__ bool is_last;
    float *const sums = part.partial + (size_t)part.slot * part.count * 32;
    if (threadIdx.x < 32) {
        sums[part.index * 32 + threadIdx.x] = *sum;
        __threadfence();
        __syncwarp();
        if (threadIdx.x == 0) is_last = atomicInc(&part.finished[part.slot], part.count - 1) == part.count - 1;
        __syncwarp();
        if (!is_last) return false;
        __threadfence();
        *sum = 0;
        for (uint32_t i = 0; i < part.count; i++) *sum += __ldcg(&sums[i * 32 + threadIdx.x]);
    }
    return true;
}

/* The pair's rows of y. BEGINS: the kernel has not begun yet. */
template <int BITS, int GROUP, bool ANY, bool BEGINS>
__device__ __forceinline__ void multiply_pair(const struct sinq_cuda_matrix &m, const int8_t *digits, uint32_t plane,
                                              const float2 *scales, uint32_t pair, const struct part &part,
                                              const float *bias, bool accumulate, float *y) {
    using S = shape<BITS, GROUP>;
    __shared__ float shared[MOST_WARPS][32];
    const uint32_t warp = threadIdx.x / 32, warps = blockDim.x / 32, tiles = (m.cols + S::TILE - 1) / S::TILE;
    const uint32_t first = part.index * tiles / part.count, end = (part.index + 1) * tiles / part.count;
    const struct place at = find_place(m, pair);
    float sums[4] = {0, 0, 0, 0};
    uint4 table = make_uint4(0, 0, 0, 0);
    if (ANY) table = find_table(m);
    batch<BITS, GROUP> next;
    if (first + warp < end) next.load(at, m.column_blocks, first + warp, 0);
    if (BEGINS) begin_kernel(); /* codes do not depend on what ran before */
    for (uint32_t tile = first + warp; tile < end; tile += warps) {
        add_tile<BITS, GROUP, ANY>(m, digits, plane, scales, at, tile, tile + warps, end, table, next, sums);
    }
#pragma unroll
    for (int r = 0; r < 4; r++) {
        sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 1);
        sums[r] += __shfl_xor_sync(0xffffffffu, sums[r], 2);
        if (at.t == 0) shared[warp][at.g * 4 + r] = sums[r];
    }
    __syncthreads();
    const uint32_t row = pair * 32 + threadIdx.x;
    if (threadIdx.x >= 32) return;
    float sum = 0;
    for (uint32_t w = 0; w < warps; w++) sum += shared[w][threadIdx.x];
    if (part.count > 1 && !join_parts(part, &sum)) return;
    if (row >= m.rows) return;
    sum = sum * m.factor + (bias == NULL ? 0.0f : bias[row]);
    y[row] = accumulate ? y[row] + sum : sum;
}

template <int BITS, int GROUP, bool ANY, int RESIDENT>
static __global__ void __launch_bounds__(32 * MOST_WARPS, RESIDENT)
    multiply_kernel(const __grid_constant__ struct sinq_cuda_products p) {
    const uint32_t slot = blockIdx.x / p.splits, row = blockIdx.y;
    uint32_t which = 0;
    while (which + 1 < p.count && slot >= p.first_pair[which + 1]) which++;
    const struct sinq_cuda_product &product = p.products[which];
    const uint32_t pair = slot - p.first_pair[which];
    const struct part part = {blockIdx.x % p.splits, p.splits, slot, p.partial, p.finished};
    const struct sinq_cuda_input &input = product.input;
    multiply_pair<BITS, GROUP, ANY, true>(product.matrix, input.digits + (size_t)row * 2 * input.padded, input.padded,
                               (const float2 *)input.scales + (size_t)row * (input.padded / GROUP), pair, part,
                               product.bias, product.accumulate, product.y.data + (size_t)row * product.y.stride);
}

template <int BITS, int GROUP, bool ANY>
static __global__ void __launch_bounds__(32 * MOST_WARPS, FEW_RESIDENT)
    multiply_experts_kernel(const __grid_constant__ struct sinq_cuda_expert_products p) {
    begin_kernel();
    const uint32_t pair = blockIdx.x, choice = blockIdx.y, row = blockIdx.z;
    const uint32_t expert = (uint32_t)p.choices.data[(size_t)row * p.choices.stride + choice];
    const struct sinq_cuda_matrix &m = p.matrices[expert];
    const size_t at = (size_t)row * p.chosen + choice;
    multiply_pair<BITS, GROUP, ANY, false>(m, p.input.digits + at * 2 * p.input.padded, p.input.padded,
                               (const float2 *)p.input.scales + at * (p.input.padded / GROUP), pair, {0, 1, 0, NULL, NULL},
                               p.biases == NULL ? NULL : p.biases[expert], false,
                               p.out.data + (size_t)row * p.out.stride + (size_t)choice * m.rows);
}

/* ---- launching ---- */

typedef void products_kernel(const struct sinq_cuda_products);
typedef void experts_kernel(const struct sinq_cuda_expert_products);

struct kernels {
    products_kernel *few, *many;
    experts_kernel *experts;
    uint32_t tile;
};

template <int BITS, int GROUP, bool ANY>
static struct kernels list_kernels() {
    return {multiply_kernel<BITS, GROUP, ANY, FEW_RESIDENT>, multiply_kernel<BITS, GROUP, ANY, MANY_RESIDENT>,
            multiply_experts_kernel<BITS, GROUP, ANY>, shape<BITS, GROUP>::TILE};
}

template <int BITS, bool ANY>
static struct kernels find_group(uint32_t group_size) {
    switch (group_size) {
    case 16:
        return list_kernels<BITS, 16, ANY>();
    case 32:
        return list_kernels<BITS, 32, ANY>();
    case 64:
        return list_kernels<BITS, 64, ANY>();
    default:
        return list_kernels<BITS, 128, ANY>();
    }
}

template <int BITS>
static struct kernels find_form(const struct sinq_cuda_matrix *m) {
    return sinq_cuda_is_usual(m) ? find_group<BITS, false>(m->group_size) : find_group<BITS, true>(m->group_size);
}

static struct kernels find_kernels(const struct sinq_cuda_matrix *m) {
    switch (m->bits) {
    case 2:
        return find_form<2>(m);
    case 3:
        return find_form<3>(m);
    case 4:
        return find_form<4>(m);
    case 5:
        return find_form<5>(m);
    case 6:
        return find_form<6>(m);
    default:
        return find_form<8>(m);
    }
}

bool sinq_cuda_can_multiply(const struct sinq_cuda_matrix *matrix) {
    return matrix->bits != 0 && (matrix->levels == NULL || matrix->has_byte_levels) && !matrix->scales_are_i8 &&
           !matrix->zeros_are_i8 && !matrix->has_minima;
}

/*
 * Few pairs: all blocks run at once, and so many warps share out the columns that they fill the device. Many pairs: blocks of few warps,
 * for which there is room more often. Measured over 1 to 4 splits and 4 to 16 warps.
 */
void sinq_cuda_share_columns(uint32_t processors, struct sinq_cuda_products *p) {
    const uint32_t tiles = divide_up(p->products[0].matrix.cols, find_kernels(&p->products[0].matrix).tile);
    const uint32_t pairs = p->first_pair[p->count], warps = FEW_RESIDENT * MOST_WARPS * processors / pairs; /* a pair */
    p->has_many_pairs = warps < MOST_WARPS;
    p->warps = p->has_many_pairs ? MANY_WARPS : MOST_WARPS;
    if (p->warps > tiles) p->warps = tiles;
    p->splits = warps / MOST_WARPS < MOST_SPLITS ? warps / MOST_WARPS : MOST_SPLITS;
    if (p->splits > tiles / MOST_WARPS) p->splits = tiles / MOST_WARPS;
    if (p->splits == 0) p->splits = 1;
}

cudaError_t sinq_cuda_multiply(struct sinq_cuda_line line, const struct sinq_cuda_products *p, uint32_t rows) {
    const struct kernels kernels = find_kernels(&p->products[0].matrix);
    return launch(line, p->has_many_pairs ? kernels.many : kernels.few, dim3(p->first_pair[p->count] * p->splits, rows),
                  32 * p->warps, 0, *p);
}

cudaError_t sinq_cuda_multiply_experts(struct sinq_cuda_line line, const struct sinq_cuda_expert_products *p,
                                       uint32_t rows) {
    const struct kernels kernels = find_kernels(&p->first);
    const uint32_t pairs = divide_up(p->first.panels, 2);
    const uint32_t tiles = divide_up(p->first.cols, kernels.tile), warps = tiles < MOST_WARPS ? tiles : MOST_WARPS;
    return launch(line, kernels.experts, dim3(pairs, p->chosen, rows), 32 * warps, 0, *p);
}
