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

/* Parts of a head, as other blocks leave them in memory. */
struct stored_parts {
    const float *parts;
    uint32_t size;
    __device__ __forceinline__ float4 load_four(uint32_t part, uint32_t at) const {
        return __ldcg((const float4 *)(parts + part * size + at));
    }
    __device__ __forceinline__ float load(uint32_t part, uint32_t at) const { return __ldcg(parts + part * size + at); }
};
static __device__ __forceinline__ struct stored_parts find_parts(const struct sinq_cuda_attention &a, uint32_t row,
                                                                 uint32_t head) {
    return {find_partial(a, row, head, 0), partial_size(a)};
}

/* COUNT values of a part from `first` on, 0 beyond the last; eights lie on 16 bytes. */
template <int COUNT>
static __device__ __forceinline__ void load_partial(const struct stored_parts &parts, uint32_t part, uint32_t first,
                                                    uint32_t width, float (&out)[COUNT]) {
    if constexpr (COUNT == 8) {
        const float4 low = parts.load_four(part, first), high = parts.load_four(part, first + 4);
        out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
        out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
    } else {
#pragma unroll
        for (int i = 0; i < COUNT; i++) out[i] = first + i < width ? parts.load(part, first + i) : 0.0f;
    }
}

/* What sums of values go with. */
struct joined {
    float largest, total;
};

/*
 * Sums [first, first + COUNT) of a head's values, over every `step`-th of its parts from `begin` on, AT_ONCE of which are asked for at
 * once. Eights: there are as many.
 */
template <int COUNT, int AT_ONCE>
static __device__ __forceinline__ struct joined join_sums(const struct stored_parts &parts, uint32_t begin,
                                                          uint32_t step, uint32_t count, uint32_t width, uint32_t first,
                                                          float (&out)[COUNT]) {
    struct joined joined = {-INFINITY, 0};
#pragma unroll
    for (int i = 0; i < COUNT; i++) out[i] = 0;
    for (uint32_t p = begin; p < count; p += AT_ONCE * step) {
        float values[AT_ONCE][COUNT], scores[AT_ONCE], totals[AT_ONCE], now = joined.largest;
#pragma unroll
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            const uint32_t part = min(p + i * step, count - 1);
            load_partial<COUNT>(parts, part, first, width, values[i]);
            scores[i] = parts.load(part, width);
            totals[i] = parts.load(part, width + 1);
        }
#pragma unroll
        for (uint32_t i = 0; i < AT_ONCE; i++) now = fmaxf(now, scores[i]);
        const float shrink = joined.largest == -INFINITY ? 0.0f : expf(joined.largest - now);
        joined.total *= shrink;
#pragma unroll
        for (int k = 0; k < COUNT; k++) out[k] *= shrink;
        joined.largest = now;
#pragma unroll
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            if (p + i * step >= count) break;
            const float by = expf(scores[i] - now);
            joined.total += totals[i] * by;
#pragma unroll
            for (int k = 0; k < COUNT; k++) out[k] += values[i][k] * by;
        }
    }
    return joined;
}

/* The same, as shares of all parts. */
template <int COUNT, int AT_ONCE>
static __device__ __forceinline__ void join_values(const struct sinq_cuda_attention &a, uint32_t parts, uint32_t row,
                                                   uint32_t head, uint32_t first, float (&out)[COUNT]) {
    const struct joined joined =
        join_sums<COUNT, AT_ONCE>(find_parts(a, row, head), 0, 1, parts, a.cache.value_dim, first, out);
    const float by = finish_total(a, head, joined.largest, joined.total);
#pragma unroll
    for (int i = 0; i < COUNT; i++) out[i] *= by;
}

#endif
