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

/* COUNT values of a part from `first` on, 0 beyond the last; eights lie on 16 bytes. */
template <int COUNT>
static __device__ __forceinline__ void load_partial(const float *partial, uint32_t first, uint32_t width,
                                                    float (&out)[COUNT]) {
    if constexpr (COUNT == 8) {
        const float4 low = __ldcg((const float4 *)(partial + first)), high = __ldcg((const float4 *)(partial + first + 4));
        out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
        out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; i++) out[i] = first + i < width ? partial[first + i] : 0.0f;
    }
}

/* Values [first, first + COUNT) of a head, of all its parts, AT_ONCE of which are asked for at once. Eights: there are as many. */
template <int COUNT, int AT_ONCE>
static __device__ __forceinline__ void join_values(const struct sinq_cuda_attention &a, uint32_t parts, uint32_t row,
                                                   uint32_t head, uint32_t first, float (&out)[COUNT]) {
    const uint32_t width = a.cache.value_dim, size = partial_size(a);
    const float *const partials = find_partial(a, row, head, 0);
    float largest = -INFINITY, total = 0;
#pragma unroll
    for (int i = 0; i < COUNT; i++) out[i] = 0;
    for (uint32_t p = 0; p < parts; p += AT_ONCE) {
        float values[AT_ONCE][COUNT], scores[AT_ONCE], totals[AT_ONCE], now = largest;
#pragma unroll
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            const float *const partial = partials + min(p + i, parts - 1) * size;
            load_partial<COUNT>(partial, first, width, values[i]);
            scores[i] = __ldcg(partial + width);
            totals[i] = __ldcg(partial + width + 1);
        }
#pragma unroll
        for (uint32_t i = 0; i < AT_ONCE; i++) now = fmaxf(now, scores[i]);
        const float shrink = largest == -INFINITY ? 0.0f : expf(largest - now);
        total *= shrink;
#pragma unroll
        for (int k = 0; k < COUNT; k++) out[k] *= shrink;
        largest = now;
#pragma unroll
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            if (p + i >= parts) break;
            const float by = expf(scores[i] - largest);
            total += totals[i] * by;
#pragma unroll
            for (int k = 0; k < COUNT; k++) out[k] += values[i][k] * by;
        }
    }
    const float by = finish_total(a, head, largest, total);
#pragma unroll
    for (int i = 0; i < COUNT; i++) out[i] *= by;
}

#endif
