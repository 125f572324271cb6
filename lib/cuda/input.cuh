/* input.cuh: columns of a product's input as integers of 16 bits, one scale a group: what struct sinq_cuda_input says. */
#ifndef SINQ_CUDA_INPUT_CUH
#define SINQ_CUDA_INPUT_CUH

#include "cuda/values.cuh"

#define THREAD_COLS 8u
#define MOST_INPUT  32639.0f /* 256 * 127 + 127: both digits fit 8 bits */

/* Four columns' integers and 128, in the lower halves of words: as digits. What is added carries from the low digit, a signed byte. */
static __device__ __forceinline__ void split_digits(const uint32_t *words, uint32_t *high, uint32_t *low) {
    const uint32_t first = __byte_perm(words[0], words[1], 0x5140), last = __byte_perm(words[2], words[3], 0x5140);
    *high = __byte_perm(first, last, 0x7632);
    *low = __byte_perm(first, last, 0x5410) ^ 0x80808080u;
}

/*
 * Eight columns of one thread, whose group's largest magnitude is `largest`, infinity or NaN where one is not finite. All threads of a group's
 * columns take part. Lanes of a group are group / 8 neighbours.
 */
static __device__ __forceinline__ void store_digits(const struct sinq_cuda_input &input, uint32_t group, uint32_t row,
                                                    uint32_t first, const float (&x)[THREAD_COLS], float largest) {
    /* Added to what is small, it leaves an integer, rounded, in the lower bits: 1.5 * 2^23, and the 128 of split_digits. */
    const float shift = 12583040.0f;
    const bool is_zero = largest < 0x1p-100f || largest == INFINITY;
    const float by = is_zero ? 0.0f : MOST_INPUT / largest;
    uint32_t words[THREAD_COLS], high[2], low[2], sum = -THREAD_COLS * __float_as_uint(shift);
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        words[i] = __float_as_uint(fmaf(x[i], by, shift));
        sum += words[i];
    }
    split_digits(words, &high[0], &low[0]);
    split_digits(words + 4, &high[1], &low[1]);
    for (uint32_t distance = group / THREAD_COLS / 2; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (first >= input.padded) return;
    int8_t *const digits = input.digits + (size_t)row * 2 * input.padded + first;
    *(uint2 *)digits = make_uint2(high[0], high[1]);
    *(uint2 *)(digits + input.padded) = make_uint2(low[0], low[1]);
    if (first % group != 0) return;
    /* What is not finite must show. */
    const float scale = largest == INFINITY ? NAN : is_zero ? 0.0f : largest * (1.0f / MOST_INPUT);
    float2 *const scales = (float2 *)input.scales + (size_t)row * (input.padded / group) + first / group;
    *scales = make_float2(scale, (float)(int)sum);
}

/* NaN if one of them is. */
static __device__ __forceinline__ float find_larger(float a, float b) {
    float larger;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
    return larger;
}

/* The largest magnitude of the thread's eight columns and those of the rest of the group; NaN if there is one. */
static __device__ __forceinline__ float find_largest(const float (&x)[THREAD_COLS], uint32_t group) {
    float largest = 0;
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) largest = find_larger(largest, fabsf(x[i]));
    for (uint32_t distance = group / THREAD_COLS / 2; distance > 0; distance /= 2) {
        largest = find_larger(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    return largest;
}

static __device__ __forceinline__ void store_columns(const struct sinq_cuda_input &input, uint32_t row, uint32_t first,
                                                     const float (&x)[THREAD_COLS]) {
    store_digits(input, input.group, row, first, x, find_largest(x, input.group));
}

/* Calls a line into the second-level cache. */
static __device__ __forceinline__ void call_line(const void *from) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
}

/* Of eight columns; 1 where there are none. */
static __device__ __forceinline__ uint4 load_column_scales(const uint8_t *column_scale, uint32_t first) {
    const uint32_t ones = 0x3c003c00u;
    return column_scale == NULL ? make_uint4(ones, ones, ones, ones)
                                : *(const uint4 *)(column_scale + 2 * (size_t)first);
}

/* Eight columns times their scales. */
static __device__ __forceinline__ void scale_columns(const float (&x)[THREAD_COLS], const uint4 &scales,
                                                     float (&scaled)[THREAD_COLS]) {
    const uint32_t words[4] = {scales.x, scales.y, scales.z, scales.w};
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
        const float2 pair = __half22float2(*(const __half2 *)&words[i]);
        scaled[2 * i] = x[2 * i] * pair.x, scaled[2 * i + 1] = x[2 * i + 1] * pair.y;
    }
}

static __device__ __forceinline__ void store_scaled(const struct sinq_cuda_input &input, uint32_t row, uint32_t first,
                                                    const float (&x)[THREAD_COLS], const uint4 &scales) {
    float scaled[THREAD_COLS];
    scale_columns(x, scales, scaled);
    store_columns(input, row, first, scaled);
}

#endif
