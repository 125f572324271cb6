/*
 * normed.cuh: a block makes its products' inputs of a row that is normed, in shared memory: for stream.cuh. What does not depend on
 * earlier kernels is called for before they have ended.
 */
#ifndef SINQ_CUDA_NORMED_CUH
#define SINQ_CUDA_NORMED_CUH

#include "cuda/input.cuh"

/* Columns of a thread, in eights, at most; and of lean kernels (stream.cu). */
static constexpr __host__ __device__ uint32_t count_rounds(uint32_t warps) { return warps < 12 ? 4 : 3; }
#define LEAN_ROUNDS 2u

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
static __host__ __device__ __forceinline__ uint32_t find_set_bytes(const struct sinq_cuda_product &product) {
    return count_set_bytes(product.matrix.cols, product.matrix.bits, product.input.group);
}
/* Of product `which`; that of product `first` is the first in memory. */
static __device__ __forceinline__ struct sinq_cuda_input find_set(uint8_t *memory, const struct sinq_cuda_products &p,
                                                                  uint32_t first, uint32_t which) {
    const struct sinq_cuda_product &product = p.products[which];
    const uint32_t plane = find_plane_bytes(product.matrix.cols, product.matrix.bits);
    uint8_t *at = memory;
    for (uint32_t s = first; s < which; s++) at += find_set_bytes(p.products[s]);
    return {(int8_t *)at, (float *)(at + 2 * plane), plane, product.input.group};
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

/* Inputs whose column scales are in registers; a block rarely has more. */
#define SETS_AT_ONCE 2u

/* What a thread's columns are multiplied by. It depends on no earlier kernel. */
template <uint32_t ROUNDS> struct row_factors {
    struct eight_values weights[ROUNDS];
    uint4 scales[ROUNDS][SETS_AT_ONCE];

    __device__ __forceinline__ void load(const struct sinq_cuda_products &p, struct sets sets) {
#pragma unroll
        for (uint32_t r = 0; r < ROUNDS; r++) {
            if (find_column(r) >= p.products[0].matrix.cols) break;
            weights[r] = load_eight(p.normed.weight + find_column(r));
#pragma unroll
            for (uint32_t s = 0; s < SETS_AT_ONCE; s++) {
                if (s < sets.count)
                    scales[r][s] = load_column_scales(p.products[sets.first + s].matrix.column_scale, find_column(r));
            }
        }
    }
};

/* One over the root mean square, of warps' sums of squares: a warp finds it. What is not finite must show. */
template <uint32_t WARPS>
static __device__ __forceinline__ float find_inverse(const struct sinq_cuda_products &p, const float *squares) {
    const uint32_t lane = threadIdx.x % 32;
    const double sum = warp_sum(lane < WARPS ? (double)squares[lane] : 0.0);
    const float mean = (float)(sum / p.products[0].matrix.cols + (double)p.normed.eps);
    return mean < INFINITY ? 1.0f / sqrtf(mean) : NAN;
}

/*
 * The row's blocks all do the same; the first one leaves what was normed where other kernels look for it. Inputs are of the row times
 * the norm's weights: sums are divided by the root mean square, of which `squares` holds each warp's part. Columns come in 256s: a
 * warp has columns of a round, or none. GROUP: that of all inputs, or 0. GO_ON comes when all that is needed is asked for, and not there yet.
 */
template <uint32_t WARPS, uint32_t ROUNDS, uint32_t GROUP, typename GO_ON>
static __device__ __forceinline__ void make_normed(const struct sinq_cuda_products &p, struct sets sets,
                                                   const struct row_factors<ROUNDS> &factors, uint8_t *memory,
                                                   float *squares, GO_ON go_on) {
    const uint32_t cols = p.products[0].matrix.cols;
    struct eight_values in[ROUNDS];
    float sum = 0;
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        if (find_column(r) >= cols) break;
        in[r] = load_eight(p.normed.in + find_column(r));
    }
    go_on();
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        const uint32_t first = find_column(r);
        if (first >= cols) break;
        float x[THREAD_COLS], weight[THREAD_COLS], scaled[THREAD_COLS];
        spread_eight(in[r], x);
        spread_eight(factors.weights[r], weight);
#pragma unroll
        for (uint32_t i = 0; i < THREAD_COLS; i++) {
            sum += x[i] * x[i];
            x[i] *= weight[i];
        }
        const auto store_set = [&](uint32_t s, const uint4 &by) {
            scale_columns(x, by, scaled);
            const struct sinq_cuda_input set = find_set(memory, p, sets.first, sets.first + s);
            const uint32_t group = GROUP != 0 ? GROUP : set.group;
            store_digits(set, group, 0, first, scaled, find_largest(scaled, group));
        };
#pragma unroll
        for (uint32_t s = 0; s < SETS_AT_ONCE; s++) {
            if (s < sets.count) store_set(s, factors.scales[r][s]);
        }
#pragma unroll 1
        for (uint32_t s = SETS_AT_ONCE; s < sets.count; s++) {
            store_set(s, load_column_scales(p.products[sets.first + s].matrix.column_scale, first));
        }
    }
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) squares[threadIdx.x / 32] = sum;
    __syncthreads();
    if (blockIdx.x != 0 || p.normed.out == NULL) return;
    const float inverse = find_inverse<WARPS>(p, squares);
#pragma unroll
    for (uint32_t r = 0; r < ROUNDS; r++) {
        if (find_column(r) >= cols) break;
        const struct eight_values &v = in[r], &w = factors.weights[r];
        float4 *const out = (float4 *)(p.normed.out + find_column(r));
        out[0] = make_float4(v.low.x * inverse * w.low.x, v.low.y * inverse * w.low.y, v.low.z * inverse * w.low.z,
                             v.low.w * inverse * w.low.w);
        out[1] = make_float4(v.high.x * inverse * w.high.x, v.high.y * inverse * w.high.y,
                             v.high.z * inverse * w.high.z, v.high.w * inverse * w.high.w);
    }
}

#endif
