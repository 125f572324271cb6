/* tile.cuh: the products of one tile, which lies in shared memory, with a part of the input: for stream.cu. */
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

#endif
