/*
 * codes.cuh: codes of a pair of panels (32 rows) on their way into matrix units: multiply.cu says how. Both kernels of one row use it,
 * whether codes come from the device's memory or from shared memory.
 */
#ifndef SINQ_CUDA_CODES_CUH
#define SINQ_CUDA_CODES_CUH

#include "cuda/values.cuh"

template <int BITS, int GROUP> struct shape {
    static constexpr int STEP = BITS == 2 || BITS == 3 ? 64 : 32; /* columns of a step: one load of the low plane */
    static constexpr int LANE = STEP / 4;                         /* consecutive ones of them of a lane */
    static constexpr int CHUNK = 4 * GROUP;                       /* columns until all slots are full */
    static constexpr int TILE = CHUNK > 256 ? CHUNK : 256;        /* columns that a warp takes at once */
    /* Steps whose loads are in flight at once: more would cost registers, and so warps. Some have two loads. */
    static constexpr int BATCH = BITS == 2 || BITS == 4 ? 4 : 2;
};

/* Codes of four rows and LANE columns, as loaded. */
template <int BITS> struct codes { uint4 low, high; /* planes; 8 bits: quads */ };

/* The block of 32 columns in which a lane's columns of a step lie. */
template <int BITS> __device__ __forceinline__ uint32_t block_number(uint32_t step, uint32_t t) {
    return BITS == 2 || BITS == 3 ? 2 * step + (t >> 1) : step;
}
template <int BITS> __device__ __forceinline__ uint32_t low_offset(uint32_t t) {
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

/*
 * Sums of a lane's four rows with both digits, as matrix units give them. Codes stay where they are in their bytes, or close by: all have
 * been multiplied by UNIT, those of sums 0, where there are two of them, by UNIT / REST. IS_TABLE: codes become levels' bytes.
 */
template <int BITS, bool IS_TABLE> struct unit_sums {
    static constexpr int SETS = !IS_TABLE && BITS <= 3 ? 2 : 1, REST = BITS == 2 ? 16 : 4;
    static constexpr int UNIT = IS_TABLE || BITS == 8 ? 1 : BITS == 2 ? 64 : BITS == 3 ? 32 : 256 >> BITS;
    int c[SETS][4] = {}, d[SETS][4] = {};
    __device__ __forceinline__ void get(int (&dots)[4]) const {
        int all[8];
#pragma unroll
        for (int i = 0; i < 4; i++) {
            all[i] = SETS == 1 ? c[0][i] : c[0][i] * REST + c[SETS - 1][i];
            all[4 + i] = SETS == 1 ? d[0][i] : d[0][i] * REST + d[SETS - 1][i];
        }
#pragma unroll
        for (int r = 0; r < 4; r++) dots[r] = all[2 * r] * 256 + all[2 * r + 1];
    }
    /* The scale of an input and its sum, so that such sums become what sums of codes would. */
    static __device__ __forceinline__ float2 scale_input(float2 x) {
        return make_float2(x.x * (1.0f / UNIT), x.y * UNIT);
    }
};

/* What moves bits of the high plane up, so that those of the lane's last quad are the highest of bytes; at 5 bits one below. */
template <int BITS> __device__ __forceinline__ uint32_t find_rise(uint32_t t) {
    return BITS == 5 ? 0x40u >> 2 * t : 16u >> 4 * (t & 1);
}

/*
 * Quads 2 m and 2 m + 1 of the lane's columns, of one row. Products by powers of two are shifts that another unit does than the one that
 * masks.
 */
template <int BITS> __device__ __forceinline__ uint2 unpack(uint32_t low, uint32_t high, uint32_t rise, int m) {
    const uint32_t up = high * rise;
    if (BITS == 2) {
        const uint32_t mask = m == 0 ? 0x0c0c0c0cu : 0xc0c0c0c0u;
        return make_uint2(low * 4 & mask, low & mask);
    }
    if (BITS == 3 && m == 0) {
        return make_uint2((low * 8 & 0x18181818u) | (up * 2 & 0x20202020u),
                          (low * 2 & 0x18181818u) | (up & 0x20202020u));
    }
    if (BITS == 3) {
        return make_uint2((low * 2 & 0x60606060u) | (up * 2 & 0x80808080u),
                          (low >> 1 & 0x60606060u) | (up & 0x80808080u));
    }
    if (BITS == 4) return make_uint2(low * 16 & 0xf0f0f0f0u, low & 0xf0f0f0f0u);
    if (BITS == 5) {
        return make_uint2((low * 8 & 0x78787878u) | (up * 2 & 0x80808080u),
                          (low >> 1 & 0x78787878u) | (up & 0x80808080u));
    }
    if (BITS == 6) {
        return make_uint2((low * 4 & 0x3c3c3c3cu) | (up * 4 & 0xc0c0c0c0u),
                          (low >> 2 & 0x3c3c3c3cu) | (up & 0xc0c0c0c0u));
    }
    return make_uint2(low, high);
}

__device__ __forceinline__ void multiply_add(int (&c)[4], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint2 b) {
    asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b.x), "r"(b.y));
}

/* Levels are bytes below 128; without any, codes are. */
__device__ __forceinline__ uint4 find_table(const struct sinq_cuda_matrix &m) {
    if (m.levels == NULL) return make_uint4(0x03020100u, 0x07060504u, 0x0b0a0908u, 0x0f0e0d0cu);
    const uint4 v = *(const uint4 *)m.levels;
    return make_uint4(v.x & 0x7f7f7f7fu, v.y & 0x7f7f7f7fu, v.z & 0x7f7f7f7fu, v.w & 0x7f7f7f7fu);
}

/* A byte of a (0 to 3) or b (4 to 7) for each of the selectors' lower nibbles; 8 and above: its sign, in all bits. */
__device__ __forceinline__ uint32_t permute_bytes(uint32_t a, uint32_t b, uint32_t selectors) {
    uint32_t bytes;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(bytes) : "r"(a), "r"(b), "r"(selectors));
    return bytes;
}

/* Four codes, the lower nibbles, become their levels' bytes. Signs of levels are 0: each half of the table gives 0 for the other's codes. */
template <int BITS> __device__ __forceinline__ uint32_t find_levels(uint32_t nibbles, const uint4 &table) {
    const uint32_t levels = permute_bytes(table.x, table.y, nibbles);
    return BITS < 4 ? levels : levels | permute_bytes(table.z, table.w, nibbles ^ 0x8888u);
}

/* Quads m and m + LANE / 8 of the lane's columns, of one row, as nibbles: their first columns, their second ones, and so on. */
template <int BITS> __device__ __forceinline__ uint32_t unpack_nibbles(uint32_t low, uint32_t high, int m, uint32_t t) {
    if (BITS == 4) return low;
    const uint32_t nibbles = low >> 2 * m & 0x33333333u, back = 4 * (t & 1) + m;
    if (BITS == 2) return nibbles;
    return nibbles | (__funnelshift_l(high, high, 2 - back) & 0x04040404u) |
           (__funnelshift_l(high, high, 4 - back) & 0x40404040u);
}

/* Levels' bytes, in the nibbles' order of columns, which the input takes as well. */
template <int BITS, int LANE>
__device__ __forceinline__ void multiply_levels(int (&c)[4], int (&d)[4], const codes<BITS> &w,
                                                const uint2 (&x)[LANE / 8], uint32_t t, const uint4 &table) {
    const uint32_t lows[4] = {w.low.x, w.low.y, w.low.z, w.low.w}, highs[4] = {w.high.x, w.high.y, w.high.z, w.high.w};
#pragma unroll
    for (int m = 0; m < LANE / 8; m++) {
        uint32_t first[4], second[4]; /* columns 0 and 1, 2 and 3 of both quads */
#pragma unroll
        for (int r = 0; r < 4; r++) {
            const uint32_t nibbles = unpack_nibbles<BITS>(lows[r], highs[r], m, t);
            first[r] = find_levels<BITS>(nibbles, table);
            second[r] = find_levels<BITS>(nibbles >> 16, table);
        }
        const uint32_t a = LANE == 8 || m == 0 ? x[0].x : x[0].y;
        const uint32_t b = LANE == 8 ? x[0].y : m == 0 ? x[LANE / 8 - 1].x : x[LANE / 8 - 1].y;
        const uint2 right = make_uint2(permute_bytes(a, b, 0x5140u), permute_bytes(a, b, 0x7362u));
        multiply_add(c, first[0], first[1], second[0], second[1], right);
        multiply_add(d, first[2], first[3], second[2], second[3], right);
    }
}

/* The lane's columns of one step: rows 0 and 1 into c, 2 and 3 into d. */
template <int BITS, bool IS_TABLE, int LANE>
__device__ __forceinline__ void multiply_step(struct unit_sums<BITS, IS_TABLE> &sums, const codes<BITS> &w,
                                              const uint2 (&x)[LANE / 8], uint32_t t, const uint4 &table) {
    if constexpr (IS_TABLE) {
        multiply_levels<BITS, LANE>(sums.c[0], sums.d[0], w, x, t, table);
    } else {
        const uint32_t lows[4] = {w.low.x, w.low.y, w.low.z, w.low.w},
                       highs[4] = {w.high.x, w.high.y, w.high.z, w.high.w}, rise = find_rise<BITS>(t);
#pragma unroll
        for (int m = 0; m < LANE / 8; m++) {
            uint2 rows[4];
#pragma unroll
            for (int r = 0; r < 4; r++) rows[r] = unpack<BITS>(lows[r], highs[r], rise, m);
            const int set = m % unit_sums<BITS, IS_TABLE>::SETS;
            multiply_add(sums.c[set], rows[0].x, rows[1].x, rows[0].y, rows[1].y, x[m]);
            multiply_add(sums.d[set], rows[2].x, rows[3].x, rows[2].y, rows[3].y, x[m]);
        }
    }
}

#endif
