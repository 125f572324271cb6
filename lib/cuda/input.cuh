/* input.cuh: columns of a product's input as integers of 16 bits, one scale a group: what struct sinq_cuda_input says. */
#ifndef SINQ_CUDA_INPUT_CUH
#define SINQ_CUDA_INPUT_CUH

#include "cuda/values.cuh"

#define THREAD_COLS 8u
#define MOST_INPUT  32639.0f /* 256 * 127 + 127: both digits fit 8 bits */

/* Eight columns of one thread; all threads of a group's columns take part. Lanes of a group are group / 8 neighbours. */
static __device__ __forceinline__ void store_columns(const struct sinq_cuda_input &input, uint32_t row, uint32_t first,
                                                     const float *x) {
    float largest = 0;
    bool is_finite = true;
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        largest = fmaxf(largest, fabsf(x[i]));
        is_finite = is_finite && isfinite(x[i]);
    }
    if (!is_finite) largest = INFINITY;
    for (uint32_t distance = input.group / THREAD_COLS / 2; distance > 0; distance /= 2) {
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
    }
    const bool is_zero = largest < 0x1p-100f || largest == INFINITY;
    const float by = is_zero ? 0.0f : MOST_INPUT / largest;
    int sum = 0;
    uint32_t high[2] = {0, 0}, low[2] = {0, 0};
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        const int value = is_zero ? 0 : __float2int_rn(x[i] * by);
        const int top = (value + 128) >> 8, bottom = value - top * 256;
        sum += value;
        high[i / 4] |= (uint32_t)(top & 255) << 8 * (i % 4);
        low[i / 4] |= (uint32_t)(bottom & 255) << 8 * (i % 4);
    }
    for (uint32_t distance = input.group / THREAD_COLS / 2; distance > 0; distance /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (first >= input.padded) return;
    int8_t *const digits = input.digits + (size_t)row * 2 * input.padded + first;
    *(uint2 *)digits = make_uint2(high[0], high[1]);
    *(uint2 *)(digits + input.padded) = make_uint2(low[0], low[1]);
    if (first % input.group != 0) return;
    float *const scales = input.scales + ((size_t)row * (input.padded / input.group) + first / input.group) * 2;
    /* What is not finite must show. */
    scales[0] = largest == INFINITY ? NAN : is_zero ? 0.0f : largest / MOST_INPUT;
    scales[1] = (float)sum;
}

#endif
