/* attention.cuh: parts of attention, and how they are joined. */
#ifndef SINQ_CUDA_ATTENTION_CUH
#define SINQ_CUDA_ATTENTION_CUH

#include "cuda/values.cuh"

#define ATTENTION_TILE 32u /* positions at a time */

/* Positions [begin, end) of a part, of those that a token sees. */
struct span {
    uint32_t begin, end;
};
static __device__ uint32_t find_first_seen(const struct sinq_cuda_attention &a, uint32_t position) {
    return a.window != 0 && position + 1 > a.window ? position + 1 - a.window : 0;
}
static __device__ uint32_t find_part_size(const struct sinq_cuda_attention &a, uint32_t seen) {
    return ((seen + a.parts - 1) / a.parts + ATTENTION_TILE - 1) / ATTENTION_TILE * ATTENTION_TILE;
}
static __device__ struct span find_span(const struct sinq_cuda_attention &a, uint32_t position, uint32_t part) {
    const uint32_t first = find_first_seen(a, position), size = find_part_size(a, position + 1 - first);
    const uint32_t begin = min(first + part * size, position + 1);
    return {begin, min(begin + size, position + 1)};
}

/* Parts that have positions: the first ones. */
static __device__ uint32_t count_parts(const struct sinq_cuda_attention &a, uint32_t position) {
    const uint32_t seen = position + 1 - find_first_seen(a, position), size = find_part_size(a, seen);
    return (seen + size - 1) / size;
}

/* Where a head's part goes: values, then the largest score and the sum of shares; all on 16 bytes where values come in fours. */
static __device__ __forceinline__ uint32_t partial_size(const struct sinq_cuda_attention &a) {
    return (a.cache.value_dim + 2 + 3) / 4 * 4;
}
static __device__ float *find_partial(const struct sinq_cuda_attention &a, uint32_t row, uint32_t head, uint32_t part) {
    return a.partial + (((size_t)row * a.heads + head) * a.parts + part) * partial_size(a);
}

/* What a sum of values is multiplied by, sinks included. */
static __device__ float finish_total(const struct sinq_cuda_attention &a, uint32_t head, float largest, float total) {
    if (a.sinks == NULL) return 1.0f / total;
    const float sink = a.sinks[head], top = fmaxf(sink, largest), shrink = expf(largest - top);
    return shrink / (total * shrink + expf(sink - top));
}

/* Values [first, first + COUNT) of a head, of all its parts. */
template <int COUNT>
static __device__ void join_values(const struct sinq_cuda_attention &a, uint32_t parts, uint32_t row, uint32_t head,
                                   uint32_t first, float (&out)[COUNT]) {
    const uint32_t width = a.cache.value_dim;
    float largest = -INFINITY, total = 0;
    for (uint32_t p = 0; p < parts; p++) largest = fmaxf(largest, find_partial(a, row, head, p)[width]);
#pragma unroll
    for (int i = 0; i < COUNT; i++) out[i] = 0;
#pragma unroll 4
    for (uint32_t p = 0; p < parts; p++) {
        const float *const partial = find_partial(a, row, head, p);
        const float by = expf(partial[width] - largest);
        total += partial[width + 1] * by;
#pragma unroll
        for (int i = 0; i < COUNT; i++) out[i] += first + i < width ? partial[first + i] * by : 0.0f;
    }
    const float by = finish_total(a, head, largest, total);
#pragma unroll
    for (int i = 0; i < COUNT; i++) out[i] *= by;
}

#endif
