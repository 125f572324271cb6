/* tile.cuh: the products of one tile, which lies in shared memory, with a part of the input: for stream.cuh. */
#ifndef SINQ_CUDA_TILE_CUH
#define SINQ_CUDA_TILE_CUH

#include "cuda/entries.cuh"
#include "cuda/stage.cuh"

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

/* Four rows' bytes of a chunk's group t. */
static __device__ __forceinline__ uint32_t load_four_entries(bool are_u6, const uint8_t *entries, uint32_t t) {
    if (!are_u6) return *(const uint32_t *)(entries + t * 16);
    const uint32_t low = *(const uint32_t *)(entries + t / 2 * 16), high = *(const uint32_t *)(entries + 32);
    return (low >> t % 2 * 4 & 0x0f0f0f0fu) | (high >> 2 * t & 0x03030303u) << 4;
}

/* Scales of a chunk's group t, of both widths and with signs. */
static __device__ __forceinline__ struct aux load_level_scales(bool are_u6, uint32_t sign, const uint8_t *entries,
                                                               const uint8_t *range, uint32_t t, uint32_t quarter) {
    const uint32_t bytes = load_four_entries(are_u6, entries + quarter * 4, t);
    const __half2 r = *(const __half2 *)(range + 4 * t);
    if (sign == 0) return spread_bytes(bytes, __low2float(r), __high2float(r));
    return spread_signed_bytes(bytes, __low2float(r), __high2float(r), sign);
}

/* What a lane knows of a matrix all the time, of one of the forms that have kernels of their own. ARE_BYTES: its entries, none f16. */
template <int BITS, int GROUP, bool LEVELS, bool ARE_BYTES> struct own_form {
    using T = stage<BITS, GROUP, LEVELS>;
    bool scales_are_f16, zeros_are_f16, zeros_have_ranges, scales_are_u6;
    float zero_low, zero_step;
    uint32_t scale_sign;
    __device__ __forceinline__ own_form(const struct sinq_cuda_matrix &m)
        : scales_are_f16(!ARE_BYTES && m.scales_are_f16), zeros_are_f16(!ARE_BYTES && m.zeros_are_f16),
          zeros_have_ranges(may_have_zero_ranges(BITS, ARE_BYTES) && m.zero_ranges != NULL),
          scales_are_u6(m.scales_are_u6), zero_low(m.zero_low), zero_step(m.zero_step), scale_sign(m.scale_sign) {}
    __device__ __forceinline__ void begin_tile(uint32_t) {}
    /* Of a chunk's group t, for the lane's four rows. */
    __device__ __forceinline__ void load_entries(const uint8_t *tile, uint32_t chunk, struct aux &s,
                                                 struct aux &z) const {
        const uint32_t lane = threadIdx.x % 32, t = lane & 3, panel = lane >> 4, quarter = lane >> 2 & 3;
        const uint8_t *const scales = tile + T::SCALES + panel * T::PANEL_ENTRIES;
        if (LEVELS) {
            s = load_level_scales(scales_are_u6, scale_sign, scales + chunk * (scales_are_u6 ? 48 : 64),
                                  tile + T::SCALE_RANGES + 16 * chunk, t, quarter);
            z = {{zero_low, zero_low, zero_low, zero_low}};
        } else {
            s = load_staged(scales, tile + T::SCALE_RANGES, scales_are_f16, true, 0, 0, t, quarter);
            z = load_staged(tile + T::ZEROS + panel * T::PANEL_ENTRIES, tile + T::ZERO_RANGES, zeros_are_f16,
                            zeros_have_ranges, zero_low, zero_step, t, quarter);
        }
    }
};

/* One chunk of a tile. */
template <int BITS, int GROUP, bool LEVELS>
static __device__ __forceinline__ void
multiply_chunk(const uint8_t *lines, const struct chunk_input<stage<BITS, GROUP, LEVELS>> &x, uint32_t chunk,
               const uint4 &table, struct unit_sums<BITS, LEVELS> &sums) {
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
            const uint2 digits = x.digits[step % T::GROUP_STEPS * (LANE / 8) + k];
            right[k] = step / T::GROUP_STEPS == own / T::STEP_GROUPS ? digits : make_uint2(0, 0);
        }
        multiply_step<BITS, LEVELS, LANE>(sums, w, right, t, table);
    }
}

template <int BITS, int GROUP, bool LEVELS, typename FORM, typename INPUT>
static __device__ __forceinline__ void add_tile(const FORM &form, const uint8_t *tile, const INPUT &input,
                                                const uint4 &table, float (&sums)[4]) {
    using T = stage<BITS, GROUP, LEVELS>;
    const uint32_t lane = threadIdx.x % 32, panel = lane >> 4, quarter = lane >> 2 & 3;
    const uint8_t *const lines = tile + panel * T::PANEL_CODES + quarter * 16;
#pragma unroll(INPUT::IS_EARLY ? T::CHUNKS : 1)
    for (uint32_t chunk = 0; chunk < T::CHUNKS; chunk++) {
        struct unit_sums<BITS, LEVELS> of_chunk;
        struct aux s, z;
        const struct chunk_input<T> x = input.get(chunk);
        int dots[4];
        multiply_chunk<BITS, GROUP, LEVELS>(lines, x, chunk, table, of_chunk);
        form.load_entries(tile, chunk, s, z);
        of_chunk.get(dots);
        const float2 by = of_chunk.scale_input(x.scale);
#pragma unroll
        for (int r = 0; r < 4; r++) sums[r] += s.value[r] * by.x * ((float)dots[r] - z.value[r] * by.y);
    }
}

#endif
