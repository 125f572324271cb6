/*
 * normed.cuh: a block makes its products' inputs of a row that is normed, in shared memory: for stream.cu. What does not depend on
 * earlier kernels is called for before they have ended.
 */
#ifndef SINQ_CUDA_NORMED_CUH
#define SINQ_CUDA_NORMED_CUH

#include "cuda/input.cuh"

/* Columns of a thread, in eights, at most. */
static constexpr __host__ __device__ uint32_t count_rounds(uint32_t warps) { return warps < 12 ? 4 : 2; }

/* Products that a block has tiles of; each has an input of its own. */
struct sets {
    uint32_t first, count;
};

/* Planes of digits begin on different banks. */
static __host__ __device__ __forceinline__ uint32_t find_plane_bytes(uint32_t cols, uint32_t bits) {
    return cols + (bits == 2 || bits == 3 ? 8 : 32);
}
static __host__ __device__ __forceinline__ uint32_t count_set_bytes(uint32_t cols, uint32_t bits, uint32_t group) {
    return (2 * find_plane_bytes(cols, bits) + cols / group * 8 + 15) / 16 * 16;
}
static __device__ __forceinline__ struct sinq_cuda_input find_set(uint8_t *memory, const struct sinq_cuda_product &product,
                                                                  uint32_t set) {
    const uint32_t cols = product.matrix.cols, plane = find_plane_bytes(cols, product.matrix.bits);
    uint8_t *const at = memory + set * count_set_bytes(cols, product.matrix.bits, product.input.group);
    return {(int8_t *)at, (float *)(at + 2 * plane), plane, product.input.group};
}

static __device__ __forceinline__ uint4 load_column_scales(const uint8_t *column_scale, uint32_t first) {
    const uint32_t ones = 0x3c003c00u;
    return column_scale == NULL ? make_uint4(ones, ones, ones, ones) : *(const uint4 *)(column_scale + 2 * (size_t)first);
}

struct eight_values {
    float4 low, high;
};
static __device__ __forceinline__ struct eight_values load_eight(const float *from) {
    return {*(const float4 *)from, *(const float4 *)(from + 4)};
}
static __device__ __forceinline__ void spread_eight(const struct eight_values &v, float (&out)[THREAD_COLS]) {
    out[0] = v.low.x, out[1] = v.low.y, out[2] = v.low.z, out[3] = v.low.w;
    out[4] = v.high.x, out[5] = v.high.y, out[6] = v.high.z, out[7] = v.high.w;
}

static __device__ __forceinline__ uint32_t find_column(uint32_t round) {
    return (threadIdx.x + round * blockDim.x) * THREAD_COLS;
}
static __device__ __forceinline__ void call_line(const void *from) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
}

/* Calls what does not depend on earlier kernels into the second-level cache. */
static __device__ __forceinline__ void call_constants(const struct sinq_cuda_products &p, struct sets sets) {
    const uint32_t cols = p.products[0].matrix.cols;
    for (uint32_t k = threadIdx.x * 32; k < cols; k += blockDim.x * 32) call_line(p.normed.weight + k);
    for (uint32_t s = sets.first; s < sets.first + sets.count; s++) {
        const uint8_t *const scales = p.products[s].matrix.column_scale;
        if (scales == NULL) continue;
        for (uint32_t k = threadIdx.x * 64; k < cols; k += blockDim.x * 64) call_line(scales + 2 * k);
    }
}

static __device__ __forceinline__ void store_scaled(const struct sinq_cuda_input &input, uint32_t first,
                                                    const float (&x)[THREAD_COLS], const uint4 &scales) {
    const uint32_t words[4] = {scales.x, scales.y, scales.z, scales.w};
    float scaled[THREAD_COLS];
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        const float2 pair = __half22float2(*(const __half2 *)&words[i]);
        scaled[2 * i] = x[2 * i] * pair.x, scaled[2 * i + 1] = x[2 * i + 1] * pair.y;
    }
    store_columns(input, 0, first, scaled);
}

/* Over the block: a warp's part in f32, the warps' in f64, which each warp adds up for itself. */
template <uint32_t WARPS> static __device__ __forceinline__ double add_squares(float sum) {
    __shared__ float sums[WARPS];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    __syncthreads();
    const uint32_t lane = threadIdx.x % 32;
    return warp_sum(lane < WARPS ? (double)sums[lane] : 0.0);
}

/*
 * The row's blocks all do the same; the first one leaves what was normed where other kernels look for it. Columns come in 256s: a warp
 * has columns of a round, or none. GO_ON comes when all that is needed is asked for, and not there yet.
 */
template <uint32_t WARPS, typename GO_ON>
static __device__ __forceinline__ void make_normed(const struct sinq_cuda_products &p, struct sets sets, uint8_t *memory,
                                                   GO_ON go_on) {
    const uint32_t cols = p.products[0].matrix.cols;
    constexpr uint32_t ROUNDS = count_rounds(WARPS);
    struct eight_values in[ROUNDS], weights[ROUNDS];
    uint4 scales[ROUNDS];
    float x[THREAD_COLS];
    float sum = 0;
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        if (find_column(r) >= cols) break;
        in[r] = load_eight(p.normed.in + find_column(r));
    }
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        if (find_column(r) >= cols) break;
        weights[r] = load_eight(p.normed.weight + find_column(r));
        scales[r] = load_column_scales(p.products[sets.first].matrix.column_scale, find_column(r));
    }
    go_on();
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        if (find_column(r) >= cols) break;
        spread_eight(in[r], x);
#pragma unroll
        for (uint32_t i = 0; i < THREAD_COLS; i++) sum += x[i] * x[i];
    }
    const float inverse = 1.0f / sqrtf((float)(add_squares<WARPS>(sum) / cols + (double)p.normed.eps));
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        const uint32_t first = find_column(r);
        if (first >= cols) break;
        float weight[THREAD_COLS];
        spread_eight(in[r], x);
        spread_eight(weights[r], weight);
#pragma unroll
        for (uint32_t i = 0; i < THREAD_COLS; i++) x[i] = x[i] * inverse * weight[i];
        if (blockIdx.x == 0 && p.normed.out != NULL) {
            float4 *const out = (float4 *)(p.normed.out + first);
            out[0] = make_float4(x[0], x[1], x[2], x[3]);
            out[1] = make_float4(x[4], x[5], x[6], x[7]);
        }
        uint4 next = scales[r];
#pragma unroll 1
        for (uint32_t s = 0; s < sets.count; s++) {
            const uint4 now = next;
            if (s + 1 < sets.count) next = load_column_scales(p.products[sets.first + s + 1].matrix.column_scale, first);
            store_scaled(find_set(memory, p.products[sets.first + s], s), first, x, now);
        }
    }
    __syncthreads();
}

#endif
