/*
 * codes.cuh: codes of a pair of panels (32 rows) on their way into matrix units: multiply.cu says how. Both kernels of one row use it,
 * whether codes come from the device's memory or from shared memory.
 */
#ifndef SINQ_CUDA_CODES_CUH
#define SINQ_CUDA_CODES_CUH

#include "cuda/values.cuh"

template <int BITS, int GROUP>
struct shape {
    static constexpr int STEP = BITS == 2 || BITS == 3 ? 64 : 32; /* columns of a step: one load of the low plane */
    static constexpr int LANE = STEP / 4;                         /* consecutive ones of them of a lane */
    static constexpr int CHUNK = 4 * GROUP;                       /* columns until all slots are full */
    static constexpr int TILE = CHUNK > 256 ? CHUNK : 256;        /* columns that a warp takes at once */
    /* Steps whose loads are in flight at once: more would cost registers, and so warps. Some have two loads. */
    static constexpr int BATCH = BITS == 2 || BITS == 4 ? 4 : 2;
};

/* Codes of four rows and LANE columns, as loaded. */
template <int BITS>
struct codes {
    uint4 low, high; /* planes; 8 bits: quads */
};

/* The block of 32 columns in which a lane's columns of a step lie. */
template <int BITS>
__device__ __forceinline__ uint32_t block_number(uint32_t step, uint32_t t) {
    return BITS == 2 || BITS == 3 ? 2 * step + (t >> 1) : step;
}
template <int BITS>
__device__ __forceinline__ uint32_t low_offset(uint32_t t) {
    return (BITS == 2 || BITS == 3 ? t & 1 : BITS == 8 ? 2 * t : t) * 64;
}

/* A lane's codes of a step. `block` is where they begin (block_number), at the lane's quarter of a line; LOAD gives 16 bytes. */
template <int BITS, typename LOAD>
__device__ __forceinline__ codes<BITS> load_codes(const uint8_t *block, uint32_t t, LOAD load) {
    codes<BITS> c;
    c.low = load(block + low_offset<BITS>(t));
    if (BITS == 3) c.high = load(block + 2 * 64);
    if (BITS == 5) c.high = load(block + 4 * 64);
    if (BITS == 6) c.high = load(block + (4 + (t >> 1)) * 64);
    if (BITS == 8) c.high = load(block + low_offset<BITS>(t) + 64);
    return c;
}

/* Quad `q` of the lane's columns, of one row. */
template <int BITS>
__device__ __forceinline__ uint32_t unpack(uint32_t low, uint32_t high, int q, uint32_t t) {
    if (BITS == 2) return low >> 2 * q & 0x03030303u;
    if (BITS == 3) return (low >> 2 * q & 0x03030303u) | ((high >> (4 * (t & 1)) >> q & 0x01010101u) << 2);
    if (BITS == 4) return low >> 4 * q & 0x0f0f0f0fu;
    if (BITS == 5) return (low >> 4 * q & 0x0f0f0f0fu) | ((high >> (2 * t) >> q & 0x01010101u) << 4);
    if (BITS == 6) return (low >> 4 * q & 0x0f0f0f0fu) | ((high >> (4 * (t & 1)) >> 2 * q & 0x03030303u) << 4);
    return q == 0 ? low : high;
}

__device__ __forceinline__ void multiply_add(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint2 b) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b.x), "r"(b.y));
}

/*
 * Four codes, each a byte of at most four bits, become their levels' bytes. Selectors of byte_perm are nibbles, of which three bits
 * choose one of eight bytes: of sixteen levels it takes the lower and the upper half of the table, then one of both.
 */
template <int BITS>
__device__ __forceinline__ uint32_t find_levels(uint32_t codes, const uint4 &table) {
    const uint32_t nibbles = __byte_perm(codes | codes >> 4, 0, 0x4420);
    if (BITS < 4) return __byte_perm(table.x, table.y, nibbles);
    const uint32_t low = __byte_perm(table.x, table.y, nibbles & 0x7777u);
    const uint32_t high = __byte_perm(table.z, table.w, nibbles & 0x7777u);
    return __byte_perm(low, high, (nibbles >> 1 & 0x4444u) | 0x3210u);
}

/* Codes or, in kernels for any form, their levels. */
template <int BITS, bool ANY>
__device__ __forceinline__ uint32_t unpack_values(uint32_t low, uint32_t high, int q, uint32_t t, const uint4 &table) {
    const uint32_t codes = unpack<BITS>(low, high, q, t);
    if constexpr (ANY && BITS <= 4) return find_levels<BITS>(codes, table);
    return codes;
}

/* The lane's columns of one step: rows 0 and 1 into c, 2 and 3 into d. */
template <int BITS, bool ANY, int LANE>
__device__ __forceinline__ void multiply_step(int (&c)[4], int (&d)[4], const codes<BITS> &w, const uint2 (&x)[LANE / 8],
                                              uint32_t t, const uint4 &table) {
#pragma unroll
    for (int m = 0; m < LANE / 8; m++) {
        uint32_t first[4], second[4]; /* quads of the four rows */
        const uint32_t lows[4] = {w.low.x, w.low.y, w.low.z, w.low.w}, highs[4] = {w.high.x, w.high.y, w.high.z, w.high.w};
#pragma unroll
        for (int r = 0; r < 4; r++) {
            first[r] = unpack_values<BITS, ANY>(lows[r], highs[r], 2 * m, t, table);
            second[r] = unpack_values<BITS, ANY>(lows[r], highs[r], 2 * m + 1, t, table);
        }
        multiply_add(c, first[0], first[1], second[0], second[1], x[m]);
        multiply_add(d, first[2], first[3], second[2], second[3], x[m]);
    }
}

#endif
