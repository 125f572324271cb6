/*
 * mixed.cuh: matrices of any form on their way through shared memory, for mixed.cu: a tile is 256 columns of a pair of panels whatever
 * the form, a warp's loop is chosen when a pair begins, and copies know what they need of the form.
 *
 * Groups of 128 are multiplied as two of 64 with the same entries; those of two tiles lie together, and come with each.
 */
#ifndef SINQ_CUDA_MIXED_CUH
#define SINQ_CUDA_MIXED_CUH

#include "cuda/stream.cuh"

#define MIXED_TILE 256u

static __host__ __device__ __forceinline__ uint32_t count_chunks(const struct sinq_cuda_matrix &m) {
    return m.group_size == 128 ? 1 : 64 / m.group_size;
}
static __host__ __device__ __forceinline__ struct stage_parts find_mixed_parts(const struct sinq_cuda_matrix &m) {
    return find_parts(m.bits, MIXED_TILE, count_chunks(m), m.has_byte_levels);
}
/* Of four groups and a panel. */
static __host__ __device__ __forceinline__ uint32_t count_entry_bytes(bool are_f16, bool are_u6) {
    return are_f16 ? 128 : are_u6 ? 48 : 64;
}

/* What a lane knows of a matrix while it has tiles of it. */
template <int BITS, int GROUP, bool LEVELS> struct any_form {
    using T = stage<BITS, GROUP, LEVELS>;
    bool scales_are_f16, scales_are_u6, zeros_are_f16, zeros_are_u6, have_zeros, zeros_have_ranges, are_halved;
    float zero_low, zero_step;
    uint32_t scale_sign, slot; /* the group, of four whose entries lie together, that is the lane's */
    __device__ __forceinline__ any_form(const struct sinq_cuda_matrix &m)
        : scales_are_f16(m.scales_are_f16), scales_are_u6(m.scales_are_u6), zeros_are_f16(m.zeros_are_f16),
          zeros_are_u6(m.zeros_are_u6), have_zeros(m.zeros != NULL), zeros_have_ranges(m.zero_ranges != NULL),
          are_halved(m.group_size == 128), zero_low(m.zero_low), zero_step(m.zero_step), scale_sign(m.scale_sign),
          slot(threadIdx.x % 4) {}
    __device__ __forceinline__ void begin_tile(uint32_t tile) {
        if (GROUP == 64 && are_halved) slot = tile % 2 * 2 + threadIdx.x % 4 / 2;
    }
    __device__ __forceinline__ struct aux load_zeros(const uint8_t *zeros, const uint8_t *range,
                                                     uint32_t quarter) const {
        if (!have_zeros) return {{zero_low, zero_low, zero_low, zero_low}};
        if (zeros_are_f16) return spread_halves(*(const uint2 *)(zeros + slot * 32 + quarter * 8));
        const uint32_t bytes = load_four_entries(zeros_are_u6, zeros + quarter * 4, slot);
        if (!zeros_have_ranges) return spread_bytes(bytes, zero_low, zero_step);
        const __half2 r = *(const __half2 *)(range + 4 * slot);
        return spread_bytes(bytes, __low2float(r), __high2float(r));
    }
    /* Of a chunk's group, for the lane's four rows. */
    __device__ __forceinline__ void load_entries(const uint8_t *tile, uint32_t chunk, struct aux &s,
                                                 struct aux &z) const {
        const uint32_t panel = threadIdx.x % 32 >> 4, quarter = threadIdx.x >> 2 & 3;
        const uint8_t *const scales = tile + T::SCALES + panel * T::PANEL_ENTRIES, *const zeros =
                                                                                       scales + (T::ZEROS - T::SCALES);
        if (!LEVELS && scales_are_f16) {
            s = spread_halves(*(const uint2 *)(scales + chunk * 128 + slot * 32 + quarter * 8));
        } else {
            s = load_level_scales(scales_are_u6, scale_sign, scales + chunk * (scales_are_u6 ? 48 : 64),
                                  tile + T::SCALE_RANGES + 16 * chunk, slot, quarter);
        }
        z = {{zero_low, zero_low, zero_low, zero_low}};
        if (!LEVELS) {
            z = load_zeros(zeros + chunk * count_entry_bytes(zeros_are_f16, zeros_are_u6),
                           tile + T::ZERO_RANGES + 16 * chunk, quarter);
        }
    }
};

/*
 * A warp's copies, as those of struct filler. Lanes that copy entries: two or, with zero points, four lots of them a panel's scales or zero
 * points each; the last four lanes ranges.
 */
#define ENTRY_LANES 28u
struct any_filler {
    uint32_t pair, tile, end; /* of the next tile; behind the last pair that lies behind it */
    const uint8_t *codes, *entries;
    uint32_t panel_codes, panel_bytes;
    /* Of entries: where to, how many 16 bytes of a tile are the lane's, and from one to the next. */
    uint32_t to, pieces, each;
    uint32_t step, skipped;   /* from tile to tile, and after a pair's last one */
    bool are_halved, is_lost; /* the pair has begun, and where it lies is not known yet */

    /* There is a loop for each form: so none of them has this in it. */
    __device__ __forceinline__ void find_place(const struct sinq_cuda_products &p, uint32_t tiles) {
        if (is_lost && pair < p.first_pair[p.count]) seek(p, tiles);
    }
    __device__ __forceinline__ void seek(const struct sinq_cuda_products &p, uint32_t tiles) {
        const uint32_t lane = threadIdx.x % 32, which = find_product(p, pair);
        const struct sinq_cuda_matrix &m = p.products[which].matrix;
        const struct stage_parts parts = find_mixed_parts(m);
        const size_t own = find_own_pair(p, which, pair);
        const uint32_t lanes = m.zeros == NULL ? ENTRY_LANES / 2 : ENTRY_LANES / 4, lot = lane / lanes;
        end = p.activates ? pair + 1 : p.first_pair[which + 1];
        panel_codes = parts.panel_codes;
        panel_bytes = tiles * panel_codes;
        codes = m.codes + (2 * own * tiles + tile) * panel_codes + lane * 16;
        are_halved = m.group_size == 128;
        is_lost = false;
        if (lane >= ENTRY_LANES) {
            const bool is_scales = lane < ENTRY_LANES + 2;
            const uint8_t *const ranges = is_scales ? m.scale_ranges : m.zero_ranges;
            step = ranges == NULL ? 0 : count_chunks(m) * 16;
            seek_entries(ranges, own, tiles, lane % 2, 2);
            to += is_scales ? parts.scale_ranges : parts.zero_ranges;
            skipped = 0;
            return;
        }
        const bool is_scales = lot < 2;
        step = count_chunks(m) * (is_scales ? count_entry_bytes(m.scales_are_f16, m.scales_are_u6)
                                            : count_entry_bytes(m.zeros_are_f16, m.zeros_are_u6));
        seek_entries(is_scales ? m.scales : m.zeros, 2 * own + lot % 2, tiles, lane % lanes, lanes);
        to += (is_scales ? parts.scales : parts.zeros) + lot % 2 * parts.panel_entries;
        skipped = (are_halved ? tiles / 2 : tiles) * step;
    }
    /* `lots` panels or pairs of entries lie before; the lane is number `index` of `count`. */
    __device__ __forceinline__ void seek_entries(const uint8_t *from, size_t lots, uint32_t tiles, uint32_t index,
                                                 uint32_t count) {
        const size_t before = are_halved ? lots * (tiles / 2) + tile / 2 : lots * tiles + tile;
        entries = from + before * step + index * 16;
        pieces = (step / 16 + count - 1 - index) / count;
        to = index * 16;
        each = count * 16;
    }
    /* Calls for the next tile, whose place is known. It has BITS, or is of another product. */
    template <int BITS> __device__ __forceinline__ void fill(uint32_t tiles, uint8_t *stage) {
        uint8_t *const lines = stage + threadIdx.x % 32 * 16;
        if (panel_codes == 512 * BITS) {
#pragma unroll
            for (uint32_t i = 0; i < 512 * BITS; i += 512) {
                copy_async(lines + i, codes + i);
                copy_async(lines + 512 * BITS + i, codes + panel_bytes + i);
            }
        } else {
#pragma unroll 1
            for (uint32_t i = 0; i < panel_codes; i += 512) {
                copy_async(lines + i, codes + i);
                copy_async(lines + panel_codes + i, codes + panel_bytes + i);
            }
        }
#pragma unroll 1
        for (uint32_t i = 0; i < pieces; i++) copy_async(stage + to + i * each, entries + i * each);
        codes += panel_codes;
        if (!are_halved || tile % 2 == 1) entries += step;
        if (++tile < tiles) return;
        tile = 0;
        codes += panel_bytes;
        entries += skipped;
        is_lost = ++pair == end;
    }
};

/* Which of the loops: bits, groups as they are multiplied, and whether codes stand for levels. */
template <uint32_t THE_WARPS> struct many_forms {
    using filler = struct any_filler;
    static constexpr uint32_t WARPS = THE_WARPS, ROUNDS = count_rounds(THE_WARPS), ROOM = 32 * THE_WARPS,
                              INPUT_GROUP = 0; /* of its own for each product */
    static constexpr bool HAS_LEVELS = true;
    static __device__ __forceinline__ uint32_t count_tiles(const struct sinq_cuda_products &p) {
        return p.products[0].matrix.cols / MIXED_TILE;
    }
    static __device__ __forceinline__ uint32_t find_stage_bytes(const struct sinq_cuda_products &p) {
        return p.stage_bytes;
    }
    static __device__ __forceinline__ uint32_t find_tile(const struct sinq_cuda_products &p, uint32_t tiles,
                                                         uint32_t cost) {
        return find_mixed_tile(p, tiles, cost);
    }
    static __device__ __forceinline__ void fill(const struct sinq_cuda_products &p, filler &filler, uint32_t tiles,
                                                uint8_t *stage) {
        filler.find_place(p, tiles);
        filler.fill<4>(tiles, stage);
    }
    template <int BITS, int GROUP, bool LEVELS>
    static __device__ __forceinline__ bool add_of_form(const struct sinq_cuda_matrix &m,
                                                       const struct sinq_cuda_input &input, const uint4 &table,
                                                       filler &filler, struct walk &walk, float (&sums)[4]) {
        const auto fill = [&](uint8_t *stage) {
            filler.fill<BITS>(walk.tiles, stage);
            return !filler.is_lost;
        };
        return ::add_pair<BITS, GROUP, LEVELS, late_input>(any_form<BITS, GROUP, LEVELS>(m), input, table, walk, sums,
                                                           fill, [] {});
    }
    template <int BITS, bool LEVELS>
    static __device__ __forceinline__ bool add_of_bits(const struct sinq_cuda_matrix &m,
                                                       const struct sinq_cuda_input &input, const uint4 &table,
                                                       filler &filler, struct walk &walk, float (&sums)[4]) {
        if (m.group_size == 16) return add_of_form<BITS, 16, LEVELS>(m, input, table, filler, walk, sums);
        if (m.group_size == 32) return add_of_form<BITS, 32, LEVELS>(m, input, table, filler, walk, sums);
        return add_of_form<BITS, 64, LEVELS>(m, input, table, filler, walk, sums);
    }
    template <typename GO_ON>
    static __device__ __forceinline__ bool add_pair(const struct sinq_cuda_products &, const struct sinq_cuda_matrix &m,
                                                    const struct sinq_cuda_input &input, const uint4 &table,
                                                    filler &filler, struct walk &walk, float (&sums)[4], GO_ON go_on) {
        go_on();
        switch (m.bits * 2 + m.has_byte_levels) {
        case 2 * 2 + 1:
            return add_of_bits<2, true>(m, input, table, filler, walk, sums);
        case 3 * 2 + 1:
            return add_of_bits<3, true>(m, input, table, filler, walk, sums);
        case 4 * 2 + 1:
            return add_of_bits<4, true>(m, input, table, filler, walk, sums);
        case 2 * 2:
            return add_of_bits<2, false>(m, input, table, filler, walk, sums);
        case 3 * 2:
            return add_of_bits<3, false>(m, input, table, filler, walk, sums);
        case 4 * 2:
            return add_of_bits<4, false>(m, input, table, filler, walk, sums);
        case 5 * 2:
            return add_of_bits<5, false>(m, input, table, filler, walk, sums);
        case 6 * 2:
            return add_of_bits<6, false>(m, input, table, filler, walk, sums);
        default:
            return add_of_bits<8, false>(m, input, table, filler, walk, sums);
        }
    }
};

#endif
