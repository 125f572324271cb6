/* tiles.cuh: where values lie in tiles, and how rows are brought into the range of f16. */
#ifndef SINQ_CUDA_TILES_CUH
#define SINQ_CUDA_TILES_CUH

#include "cuda/values.cuh"

#define CHUNK 8u /* columns that are written at once */

/* A power of two that brings a row's largest value near 2^14: sums of products do not overflow, small values keep their bits. */
__device__ __forceinline__ float find_power(float largest) {
    if (!(largest > 0.0f) || isinf(largest)) return 1.0f;
    const int exponent = max(ilogbf(largest), -110);
    return ldexpf(1.0f, 13 - exponent);
}

/* Where columns [8 chunk, 8 chunk + 8) of a row lie, of a tile's begin. */
__device__ __forceinline__ uint32_t find_chunk(uint32_t row, uint32_t chunk) {
    return row % SINQ_CUDA_TILE_ROWS * 128 + ((chunk ^ row) & 7) * 16;
}

/* Where a row's tiles begin. */
__device__ __forceinline__ uint8_t *find_tiles(const struct sinq_cuda_tiles &tiles, uint32_t row) {
    return tiles.data + (size_t)(row / SINQ_CUDA_TILE_ROWS) * tiles.across * SINQ_CUDA_TILE_BYTES;
}

/* Eight values of a row, `column` the first of them; IS_WEIGHT: as split weights lie. */
template <bool IS_WEIGHT>
__device__ __forceinline__ void store_chunk(const struct sinq_cuda_tiles &tiles, uint32_t row, uint32_t column,
                                            const float (&x)[CHUNK]) {
    union {
        __half2 halves[CHUNK / 2];
        uint4 whole;
    } high, low;
#pragma unroll
    for (uint32_t i = 0; i < CHUNK / 2; i++) high.halves[i] = __floats2half2_rn(x[2 * i], x[2 * i + 1]);
    uint8_t *const at = find_tiles(tiles, row) + (size_t)(column / SINQ_CUDA_TILE_COLS) * SINQ_CUDA_TILE_BYTES +
                        find_chunk(row, column / CHUNK);
    *(uint4 *)at = high.whole;
    if (!tiles.is_split) return;
#pragma unroll
    for (uint32_t i = 0; i < CHUNK / 2; i++) {
        const float2 taken = __half22float2(high.halves[i]);
        low.halves[i] = __floats2half2_rn(x[2 * i] - taken.x, x[2 * i + 1] - taken.y);
    }
    const size_t part = (size_t)(tiles.across / 3) * SINQ_CUDA_TILE_BYTES;
    *(uint4 *)(at + part) = IS_WEIGHT ? high.whole : low.whole;
    *(uint4 *)(at + 2 * part) = IS_WEIGHT ? low.whole : high.whole;
}

/* Columns of tiles before they are split. */
__device__ __forceinline__ uint32_t count_columns(const struct sinq_cuda_tiles &tiles) {
    return (tiles.is_split ? tiles.across / 3 : tiles.across) * SINQ_CUDA_TILE_COLS;
}

/* The largest over a block, in every thread. */
__device__ __forceinline__ float block_largest(float value) {
    __shared__ float largest[32];
    value = warp_largest(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) largest[threadIdx.x / 32] = value;
    __syncthreads();
    for (unsigned i = 0; i < (blockDim.x + 31) / 32; i++) value = fmaxf(value, largest[i]);
    return value;
}

#endif
