/*
 * stage.cuh: tiles on their way through shared memory, for stream.cuh: where a tile's parts lie in a stage, a warp's copies that fill one,
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
#define STAGES     2u /* of a warp's ring */
#define EARLY      1u /* of them that do not wait for the kernel before */

/*
 * Where a tile's parts are in a stage: codes of both panels, scales of both, zero points of both, ranges. With levels: entries of 6 or 8
 * bits, and no zero points. Entries come in chunks of four groups.
 */
struct stage_parts {
    uint32_t panel_codes, panel_entries; /* bytes, at most */
    uint32_t scales, zeros, scale_ranges, zero_ranges, bytes;
};
static constexpr __host__ __device__ struct stage_parts find_parts(uint32_t bits, uint32_t tile, uint32_t chunks,
                                                                   bool levels) {
    const uint32_t codes = tile / 32 * bits * 64, entries = chunks * (levels ? 64 : 128), scales = 2 * codes;
    const uint32_t zeros = scales + 2 * entries, scale_ranges = zeros + (levels ? 0 : 2 * entries);
    const uint32_t zero_ranges = scale_ranges + 16 * chunks;
    return {codes, entries, scales, zeros, scale_ranges, zero_ranges, zero_ranges + (levels ? 0 : 16 * chunks)};
}

/* LEVELS: codes stand for byte levels. */
template <int BITS, int GROUP, bool LEVELS> struct stage {
    using S = shape<BITS, GROUP>;
    static constexpr uint32_t GROUP_SIZE = GROUP;
    static constexpr uint32_t TILE = S::TILE, CHUNKS = TILE / S::CHUNK, STEPS = S::CHUNK / S::STEP; /* of a chunk */
    static constexpr bool IS_WIDE = GROUP >= S::STEP; /* a group is a step or several; else a step several groups */
    static constexpr uint32_t GROUP_STEPS = IS_WIDE ? GROUP / S::STEP : 1, STEP_GROUPS = IS_WIDE ? 1 : S::STEP / GROUP;
    static constexpr uint32_t QUADS = GROUP_STEPS * S::LANE / 8; /* pairs of quads of a lane's digits, of one group */
    static constexpr struct stage_parts PARTS = find_parts(BITS, TILE, CHUNKS, LEVELS);
    static constexpr uint32_t PANEL_CODES = PARTS.panel_codes, PANEL_ENTRIES = PARTS.panel_entries,
                              SCALES = PARTS.scales;
    static constexpr uint32_t ZEROS = PARTS.zeros, SCALE_RANGES = PARTS.scale_ranges, ZERO_RANGES = PARTS.zero_ranges;
    static constexpr uint32_t BYTES = PARTS.bytes;
    static constexpr uint32_t FITTING = RING_BYTES / (STAGES * BYTES);
    static constexpr uint32_t WARPS = FITTING >= 12 ? 12 : FITTING >= 8 ? 8 : FITTING >= 6 ? 6 : 4;
    /* For so many threads there have to be registers, so that some are left for a block of the kernel that follows. */
    static constexpr uint32_t ROOM = WARPS < 12 || (LEVELS && GROUP < 64) ? 32 * WARPS : 512;
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
static __device__ __forceinline__ uint32_t find_own_pair(const struct sinq_cuda_products &p, uint32_t which,
                                                         uint32_t pair) {
    return p.activates ? pair >> 1 : pair - p.first_pair[which];
}

/* Pieces of 16 bytes of a tile's scales, of one panel. */
static __host__ __device__ __forceinline__ uint32_t count_pieces(const struct sinq_cuda_matrix &m, uint32_t chunks) {
    return chunks * (m.scales_are_u6 ? 3 : 4);
}

/* At 2 bits, kernels for entries of bytes take zero points of one range for all of a matrix alone, which is what they usually have. */
static constexpr __host__ __device__ bool may_have_zero_ranges(int bits, bool are_bytes) {
    return !are_bytes || bits != 2;
}

/*
 * A warp's copies, each of which a lane does 16 bytes of: codes of both panels, and one or two pieces of the entries: lanes 0 to 15 a
 * quarter of a panel's scales or zero points, 16 and 17 ranges. With levels: lanes a piece of scales each, the next ones of ranges.
 * ARE_BYTES: entries, none f16.
 */
template <int BITS, int GROUP, bool LEVELS, bool ARE_BYTES> struct filler {
    using T = stage<BITS, GROUP, LEVELS>;
    static constexpr bool MAY_HAVE_ZERO_RANGES = may_have_zero_ranges(BITS, ARE_BYTES);
    static_assert(LEVELS || T::CHUNKS == 1, "a tile is four groups wide");
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
            each = !ARE_BYTES && (is_zeros ? m.zeros_are_f16 : m.scales_are_f16) ? 32 : 16;
            step = 4 * each;
            skipped = tiles * step;
            to = (is_zeros ? T::ZEROS : T::SCALES) + panel * T::PANEL_ENTRIES + quarter * each;
            entries = (is_zeros ? m.zeros : m.scales) + ((2 * own + panel) * tiles + tile) * step + quarter * each;
        } else {
            entries = lane == 16 || !MAY_HAVE_ZERO_RANGES ? m.scale_ranges : m.zero_ranges;
            each = step = lane < (MAY_HAVE_ZERO_RANGES ? 18 : 17) && entries != NULL ? 16 : 0;
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
    /* It is always known. */
    __device__ __forceinline__ void find_place(const struct sinq_cuda_products &, uint32_t) {}
    /* Calls for the next tile. */
    __device__ __forceinline__ void fill(const struct sinq_cuda_products &p, uint32_t tiles, uint8_t *stage) {
        uint8_t *const lines = stage + threadIdx.x % 32 * 16;
#pragma unroll
        for (uint32_t i = 0; i < T::PANEL_CODES; i += 512) {
            copy_async(lines + i, codes + i);
            copy_async(lines + T::PANEL_CODES + i, codes + panel_bytes + i);
        }
        if (each != 0) copy_async(stage + to, entries);
        if (!LEVELS && !ARE_BYTES && each == 32) copy_async(stage + to + 16, entries + 16);
        codes += T::PANEL_CODES;
        entries += step;
        if (++tile < tiles) return;
        tile = 0;
        codes += panel_bytes;
        entries += skipped;
        if (++pair == end && pair < p.first_pair[p.count]) seek(p, tiles);
    }
};

/* A lane's part of the input, of one chunk: its digit of its own slot's group, and the scale of group t. */
template <typename T> struct chunk_input {
    uint2 digits[T::QUADS];
    float2 scale;
    /* Where the lane's digits begin in a chunk. */
    static __device__ __forceinline__ uint32_t find_digits() {
        const uint32_t own = threadIdx.x % 32 >> 3, t = threadIdx.x % 4;
        return own / T::STEP_GROUPS * T::STEP_GROUPS * T::GROUP_SIZE + t * T::S::LANE;
    }
    /* `x` and `from`: where the lane's are in the first tile. */
    __device__ __forceinline__ void load(const int8_t *x, const float2 *from, uint32_t tile, uint32_t chunk) {
        constexpr uint32_t EACH = T::S::LANE / 8;
        const uint32_t own = threadIdx.x % 32 >> 3, t = threadIdx.x % 4;
        const bool is_own = T::IS_WIDE || t * T::S::LANE / T::GROUP_SIZE == own % T::STEP_GROUPS;
        x += tile * T::TILE + chunk * T::S::CHUNK;
#pragma unroll
        for (uint32_t i = 0; i < T::QUADS; i++) {
            const int8_t *const at = x + i / EACH * T::S::STEP + i % EACH * 8;
            digits[i] = is_own ? *(const uint2 *)at : make_uint2(0, 0);
        }
        scale = from[(tile * T::CHUNKS + chunk) * 4];
    }
};

/* Of a tile, all of it ahead: while a tile is multiplied, the next one's part is on its way. */
template <typename T> struct early_input {
    static constexpr bool IS_EARLY = true;
    const int8_t *x;
    const float2 *from;
    struct chunk_input<T> next[T::CHUNKS], now[T::CHUNKS];
    __device__ __forceinline__ void call(uint32_t tile) {
#pragma unroll
        for (uint32_t c = 0; c < T::CHUNKS; c++) next[c].load(x, from, tile, c);
    }
    __device__ __forceinline__ void begin_tile(uint32_t) {
#pragma unroll
        for (uint32_t c = 0; c < T::CHUNKS; c++) now[c] = next[c];
    }
    __device__ __forceinline__ struct chunk_input<T> get(uint32_t chunk) const { return now[chunk]; }
};

/* When it is needed: that takes fewer registers. */
template <typename T> struct late_input {
    static constexpr bool IS_EARLY = false;
    const int8_t *x;
    const float2 *from;
    uint32_t tile;
    __device__ __forceinline__ void call(uint32_t) {}
    __device__ __forceinline__ void begin_tile(uint32_t number) { tile = number; }
    __device__ __forceinline__ struct chunk_input<T> get(uint32_t chunk) const {
        struct chunk_input<T> input;
        input.load(x, from, tile, chunk);
        return input;
    }
};

#endif
