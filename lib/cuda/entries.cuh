/* entries.cuh: scales and zero points of four rows and one group, as they are stored. */
#ifndef SINQ_CUDA_ENTRIES_CUH
#define SINQ_CUDA_ENTRIES_CUH

#include "cuda/values.cuh"

struct aux {
    float value[4];
};

__device__ __forceinline__ struct aux spread_halves(uint2 v) {
    const __half2 a = *(const __half2 *)&v.x, b = *(const __half2 *)&v.y;
    return {{__low2float(a), __high2float(a), __low2float(b), __high2float(b)}};
}
__device__ __forceinline__ struct aux spread_bytes(uint32_t v, float low, float step) {
    struct aux a;
#pragma unroll
    for (int i = 0; i < 4; i++) a.value[i] = low + (float)(v >> 8 * i & 255u) * step;
    return a;
}
/* `sign`: the bit of a byte that is the value's sign. */
__device__ __forceinline__ struct aux spread_signed_bytes(uint32_t v, float low, float step, uint32_t sign) {
    struct aux a = spread_bytes(v & (sign - 1) * 0x01010101u, low, step);
    const int places = __clz((int)sign); /* of the first byte's sign, to a float's */
#pragma unroll
    for (int i = 0; i < 4; i++) {
        a.value[i] = __uint_as_float(__float_as_uint(a.value[i]) ^ (v << (places - 8 * i) & 0x80000000u));
    }
    return a;
}

/* Where the entries of four rows and a group are. */
struct entry_place {
    uint32_t panel, group, quarter;
    size_t range; /* docs/format.md, 5.3 */
};

/* Four bytes, or four entries of 6 bits as bytes. */
__device__ __forceinline__ uint32_t load_entries(const uint8_t *entries, bool are_u6, const struct entry_place &at,
                                                 uint32_t groups) {
    if (!are_u6) return *(const uint32_t *)(entries + ((size_t)at.panel * groups + at.group) * 16 + at.quarter * 4);
    const uint8_t *const quad = entries + ((size_t)at.panel * ((groups + 3) / 4) + at.group / 4) * 48 + at.quarter * 4;
    const uint32_t place = at.group % 4, low = *(const uint32_t *)(quad + place / 2 * 16);
    return (low >> place % 2 * 4 & 0x0f0f0f0fu) | (*(const uint32_t *)(quad + 32) >> 2 * place & 0x03030303u) << 4;
}
__device__ __forceinline__ struct aux load_half_entries(const uint8_t *entries, const struct entry_place &at,
                                                        uint32_t groups) {
    return spread_halves(
        *(const uint2 *)(entries + (((size_t)at.panel * groups + at.group) * 16 + at.quarter * 4) * 2));
}

/* ANY: what has no zero points, signed scales and entries of 6 bits, too; all others come without such questions. */
template <bool ANY>
__device__ __forceinline__ struct aux load_scales(const struct sinq_cuda_matrix &m, const struct entry_place &at) {
    if (m.scales_are_f16) return load_half_entries(m.scales, at, m.groups);
    const uint32_t bytes = load_entries(m.scales, ANY && m.scales_are_u6, at, m.groups);
    const __half2 r = *(const __half2 *)(m.scale_ranges + 4 * at.range);
    if (ANY && m.scale_sign != 0) return spread_signed_bytes(bytes, __low2float(r), __high2float(r), m.scale_sign);
    return spread_bytes(bytes, __low2float(r), __high2float(r));
}
template <bool ANY>
__device__ __forceinline__ struct aux load_zeros(const struct sinq_cuda_matrix &m, const struct entry_place &at) {
    if (ANY && m.zeros == NULL) return {{m.zero_low, m.zero_low, m.zero_low, m.zero_low}};
    if (m.zeros_are_f16) return load_half_entries(m.zeros, at, m.groups);
    const uint32_t bytes = load_entries(m.zeros, ANY && m.zeros_are_u6, at, m.groups);
    if (m.zero_ranges == NULL) return spread_bytes(bytes, m.zero_low, m.zero_step);
    const __half2 r = *(const __half2 *)(m.zero_ranges + 4 * at.range);
    return spread_bytes(bytes, __low2float(r), __high2float(r));
}

#endif
