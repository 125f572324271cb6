/*
 * stage.cuh: tiles on their way through shared memory, for stream.cu: where a tile's parts lie in a stage, a warp's copies that fill one,
 * and a lane's part of the input that goes with it.
 */
#ifndef SINQ_CUDA_STAGE_CUH
#define SINQ_CUDA_STAGE_CUH

#include "cuda/codes.cuh"

/*
 * Of a block, at most. Less than there is room for: copies that are called for while the kernel before works stand in the way of what
 * that one, and then this one's input, wait for.
 */
#define RING_BYTES (160u << 10)

/*
 * Where a tile's parts are in a stage. LEVELS: of byte levels with entries of 6 or 8 bits and no zero points, in groups of any size;
 * else of codes with zero points, in groups of 64 and 128.
 */
template <int BITS, int GROUP, bool LEVELS> struct stage {
    using S = shape<BITS, GROUP>;
    static constexpr uint32_t TILE = S::TILE, CHUNKS = TILE / S::CHUNK, STEPS = S::CHUNK / S::STEP; /* of a chunk */
    static constexpr bool IS_WIDE = GROUP >= S::STEP; /* a group is a step or several; else a step several groups */
    static constexpr uint32_t GROUP_STEPS = IS_WIDE ? GROUP / S::STEP : 1, STEP_GROUPS = IS_WIDE ? 1 : S::STEP / GROUP;
    static constexpr uint32_t QUADS = GROUP_STEPS * S::LANE / 8; /* pairs of quads of a lane's digits, of one group */
    static constexpr uint32_t PANEL_CODES = TILE / 32 * BITS * 64, PANEL_ENTRIES = LEVELS ? CHUNKS * 64 : 128;
    static constexpr uint32_t SCALES = 2 * PANEL_CODES, ZEROS = SCALES + 2 * PANEL_ENTRIES;
    static constexpr uint32_t SCALE_RANGES = ZEROS + (LEVELS ? 0 : 2 * PANEL_ENTRIES);
    static constexpr uint32_t ZERO_RANGES = SCALE_RANGES + 16 * CHUNKS, BYTES = ZERO_RANGES + (LEVELS ? 0 : 16);
    static constexpr uint32_t STAGES = 2, EARLY = 1; /* of a warp; those that do not wait for the kernel before */
    static constexpr uint32_t FITTING = RING_BYTES / (STAGES * BYTES);
    static constexpr uint32_t WARPS = FITTING >= 16 && BITS == 4 && !LEVELS ? 16
                                      : FITTING >= 12                       ? 12
                                      : FITTING >= 8                        ? 8
                                      : FITTING >= 6                        ? 6
                                                                            : 4;
    /* For so many threads there have to be registers, so that some are left for a block of the kernel that follows. */
    static constexpr uint32_t ROOM = WARPS < 12 || (LEVELS && GROUP < 64) ? 32 * WARPS : 640;
    static_assert(LEVELS || CHUNKS == 1, "a tile is four groups wide");
    static_assert(PANEL_CODES % 512 == 0, "codes are copied by whole warps");
    static_assert(WARPS * STAGES * BYTES <= RING_BYTES, "rings fit");
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

static __host__ __device__ __forceinline__ uint32_t find_product(const struct sinq_cuda_products &p, uint32_t pair) {
    if (p.activates) return pair & 1;
    uint32_t which = 0;
    while (which + 1 < p.count && pair >= p.first_pair[which + 1]) which++;
    return which;
}

/* The pair's number in its product. */
static __device__ __forceinline__ uint32_t find_own_pair(const struct sinq_cuda_products &p, uint32_t which, uint32_t pair) {
    return p.activates ? pair >> 1 : pair - p.first_pair[which];
}

/* Pieces of 16 bytes of a tile's scales, of one panel. */
static __host__ __device__ __forceinline__ uint32_t count_pieces(const struct sinq_cuda_matrix &m, uint32_t chunks) {
    return chunks * (m.scales_are_u6 ? 3 : 4);
}

/*
 * A warp's copies, each of which a lane does 16 bytes of: codes of both panels, and one or two pieces of the entries: lanes 0 to 15 a
 * quarter of a panel's scales or zero points, 16 and 17 ranges. With levels: lanes a piece of scales each, the next ones of ranges.
 */
template <int BITS, int GROUP, bool LEVELS> struct filler {
    using T = stage<BITS, GROUP, LEVELS>;
    uint32_t pair, tile, end; /* of the next tile; behind the last pair that lies behind it */
    const uint8_t *codes, *entries;
    uint32_t panel_bytes;
    uint32_t to, each, step, skipped; /* entries: where to, bytes, from tile to tile, and after a pair's last one */

    __device__ __forceinline__ void seek(const struct sinq_cuda_products &p, uint32_t tiles) {
        const uint32_t lane = threadIdx.x % 32, which = find_product(p, pair);
        const uint32_t panel = lane >> 2 & 1, quarter = lane & 3;
        const struct sinq_cuda_matrix &m = p.products[which].matrix;
        const size_t own = find_own_pair(p, which, pair);
        const bool is_zeros = lane >= 8;
        end = p.activates ? pair + 1 : p.first_pair[which + 1];
        panel_bytes = tiles * T::PANEL_CODES;
        codes = m.codes + (2 * own * tiles + tile) * T::PANEL_CODES + lane * 16;
        if (LEVELS) {
            seek_levels(m, own, tiles);
        } else if (lane < 16) {
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
    __device__ __forceinline__ void seek_levels(const struct sinq_cuda_matrix &m, size_t own, uint32_t tiles) {
        const uint32_t lane = threadIdx.x % 32, pieces = count_pieces(m, T::CHUNKS);
        each = lane < 2 * pieces + T::CHUNKS ? 16 : 0;
        if (lane < 2 * pieces) {
            const uint32_t panel = lane / pieces;
            step = pieces * 16;
            skipped = tiles * step;
            to = T::SCALES + panel * T::PANEL_ENTRIES + lane % pieces * 16;
            entries = m.scales + ((2 * own + panel) * tiles + tile) * step + lane % pieces * 16;
        } else {
            step = T::CHUNKS * 16;
            skipped = 0;
            to = T::SCALE_RANGES + (lane - 2 * pieces) * 16;
            entries = m.scale_ranges + (own * tiles + tile) * step + (lane - 2 * pieces) * 16;
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
        if (!LEVELS && each == 32) copy_async(stage + to + 16, entries + 16);
        codes += T::PANEL_CODES;
        entries += step;
        if (++tile < tiles) return;
        tile = 0;
        codes += panel_bytes;
        entries += skipped;
        if (++pair == end && pair < p.first_pair[p.count]) seek(p, tiles);
    }
};

/* A lane's part of the input, of each chunk: its digit of its own slot's group, and the scale of group t. */
template <int BITS, int GROUP, bool LEVELS> struct input {
    using T = stage<BITS, GROUP, LEVELS>;
    uint2 digits[T::CHUNKS][T::QUADS];
    float2 scales[T::CHUNKS];
    /* Where the lane's digits begin in a chunk. */
    static __device__ __forceinline__ uint32_t find_digits(uint32_t own, uint32_t t) {
        return own / T::STEP_GROUPS * T::STEP_GROUPS * GROUP + t * T::S::LANE;
    }
    /* `x` and `from`: where the lane's are in the first tile. */
    __device__ __forceinline__ void load(const int8_t *x, const float2 *from, uint32_t tile) {
        constexpr uint32_t EACH = T::S::LANE / 8;
        const uint32_t own = threadIdx.x % 32 >> 3, t = threadIdx.x % 4;
        const bool is_own = T::IS_WIDE || t * T::S::LANE / GROUP == own % T::STEP_GROUPS;
        x += tile * T::TILE;
#pragma unroll
        for (uint32_t c = 0; c < T::CHUNKS; c++) {
#pragma unroll
            for (uint32_t i = 0; i < T::QUADS; i++) {
                const int8_t *const at = x + c * T::S::CHUNK + i / EACH * T::S::STEP + i % EACH * 8;
                digits[c][i] = is_own ? *(const uint2 *)at : make_uint2(0, 0);
            }
            scales[c] = from[(tile * T::CHUNKS + c) * 4];
        }
    }
};

#endif
