/*
 * attention.cu: keys and values into the cache, and softmax(q k^T) v over it.
 *
 * A block attends for one token, some of the query heads that share a head of the cache, and a part of the positions, 128 of them
 * at a time: each thread makes one position's scores, then warps update the running largest and sum, then threads add up values,
 * eight of a row each. Parts are joined by a second kernel.
 */
#include "cuda/values.cuh"

#define THREADS 128u
#define TILE    128u /* positions at a time: one a thread */
#define EIGHT   8u

/* ---- storing ---- */

static __device__ void store_int8(const float *values, uint32_t count, int8_t *codes, float *scale_at) {
    __shared__ float shared[THREADS / 32];
    float largest = 0;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        largest = isfinite(values[i]) ? fmaxf(largest, fabsf(values[i])) : INFINITY;
        if (largest == INFINITY) break;
    }
    largest = warp_largest(largest);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = largest;
    __syncthreads();
    for (uint32_t w = 0; w < THREADS / 32; w++) largest = fmaxf(largest, shared[w]);
    /* What is not finite must show. What is below 2^-100 counts as zero. */
    const bool is_zero = largest < 0x1p-100f || largest == INFINITY;
    const float by = is_zero ? 0.0f : 127.0f / largest;
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        codes[i] = (int8_t)(is_zero ? 0 : max(-127, min(127, __float2int_rn(values[i] * by))));
    }
    if (threadIdx.x == 0) *scale_at = largest == INFINITY ? NAN : is_zero ? 0.0f : largest / 127.0f;
}

static __device__ void store_vector(int type, const float *values, uint32_t count, size_t entry, uint8_t *section,
                                    float *scales) {
    if (type == SINQ_KV_I8) {
        store_int8(values, count, (int8_t *)section + entry * count, scales + entry);
        return;
    }
    for (uint32_t i = threadIdx.x; i < count; i += THREADS) {
        if (type == SINQ_KV_F32) ((float *)section)[entry * count + i] = values[i];
        if (type == SINQ_KV_F16) ((__half *)section)[entry * count + i] = __float2half_rn(values[i]);
    }
}

static __global__ void store_kernel(struct sinq_cuda_cache cache, struct sinq_cuda_rows keys,
                                    struct sinq_cuda_rows values, const struct sinq_cuda_state *state) {
    begin_kernel();
    const uint32_t head = blockIdx.x, row = blockIdx.y;
    const size_t entry = (size_t)head * cache.capacity + (state->position + row) % cache.capacity;
    store_vector(cache.type, keys.data + (size_t)row * keys.stride + (size_t)head * cache.key_dim, cache.key_dim, entry,
                 cache.keys, cache.key_scales);
    if (cache.shared) return;
    store_vector(cache.type, values.data + (size_t)row * values.stride + (size_t)head * cache.value_dim,
                 cache.value_dim, entry, cache.values, cache.value_scales);
}

cudaError_t sinq_cuda_store(struct sinq_cuda_line line, const struct sinq_cuda_cache *cache, struct sinq_cuda_rows keys,
                            struct sinq_cuda_rows values, uint32_t rows, const struct sinq_cuda_state *state) {
    return launch(line, store_kernel, dim3(cache->kv_heads, rows), THREADS, 0, *cache, keys, values, state);
}

/* ---- attending ---- */

/* Values [first, first + 8) of a vector of `width`, of which entry `entry` begins at section + entry * width; 0 beyond the width. */
static __device__ __forceinline__ void load_eight(int type, const uint8_t *section, size_t entry, uint32_t width,
                                                  uint32_t first, float (&out)[8]) {
    const size_t at = entry * width + first;
    if (width % EIGHT != 0) {
#pragma unroll
        for (uint32_t i = 0; i < EIGHT; i++) {
            out[i] = 0;
            if (first + i >= width) continue;
            out[i] = type == SINQ_KV_F32   ? ((const float *)section)[at + i]
                     : type == SINQ_KV_F16 ? __half2float(((const __half *)section)[at + i])
                                           : (float)((const int8_t *)section)[at + i];
        }
        return;
    }
    if (type == SINQ_KV_F16) {
        const uint4 v = *(const uint4 *)(section + 2 * at);
        const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 pair = __half22float2(*(const __half2 *)&words[i]);
            out[2 * i] = pair.x, out[2 * i + 1] = pair.y;
        }
    } else if (type == SINQ_KV_I8) {
        const uint2 v = *(const uint2 *)(section + at);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            out[i] = (float)(int8_t)(v.x >> 8 * i & 255u);
            out[4 + i] = (float)(int8_t)(v.y >> 8 * i & 255u);
        }
    } else {
        const float4 a = ((const float4 *)((const float *)section + at))[0];
        const float4 b = ((const float4 *)((const float *)section + at))[1];
        out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w, out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
    }
}

/* Positions [begin, end) of a part, of those that a token sees. */
struct span {
    uint32_t begin, end;
};
static __device__ struct span find_span(const struct sinq_cuda_attention &a, uint32_t position, uint32_t part) {
    const uint32_t first = a.window != 0 && position + 1 > a.window ? position + 1 - a.window : 0;
    const uint32_t seen = position + 1 - first, share = (seen + a.parts - 1) / a.parts;
    const uint32_t size = (share + TILE - 1) / TILE * TILE;
    const uint32_t begin = min(first + part * size, position + 1);
    return {begin, min(begin + size, position + 1)};
}

template <int HEADS>
struct running {
    float largest[HEADS], total[HEADS], shrink[HEADS];
};

/* One position's scores with all of the block's heads. */
template <int HEADS>
static __device__ void make_scores(const struct sinq_cuda_attention &a, uint32_t kv_head, uint32_t position, bool is_seen,
                                   uint32_t padded, const float *queries, float *scores) {
    const struct sinq_cuda_cache &cache = a.cache;
    const size_t entry = (size_t)kv_head * cache.capacity + position % cache.capacity;
    float sums[HEADS] = {};
    for (uint32_t first = 0; is_seen && first < cache.key_dim; first += EIGHT) {
        float key[8];
        load_eight(cache.type, cache.keys, entry, cache.key_dim, first, key);
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
#pragma unroll
            for (int i = 0; i < 8; i++) sums[h] += queries[h * padded + first + i] * key[i];
        }
    }
    const float by = a.scale * (is_seen && cache.type == SINQ_KV_I8 ? cache.key_scales[entry] : 1.0f);
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        float score = sums[h] * by;
        if (a.cap != 0.0f) score = a.cap * tanhf(score / a.cap);
        scores[h * TILE + threadIdx.x] = is_seen ? score : -INFINITY;
    }
}

/* Scores of a head become shares of its values; a warp takes a head. */
static __device__ void update_head(const struct sinq_cuda_cache &cache, uint32_t kv_head, uint32_t first, uint32_t end,
                                   float *scores, float *largest_at, float *total_at, float *shrink_at) {
    const uint32_t lane = threadIdx.x % 32;
    float largest = -INFINITY, total = 0;
    for (uint32_t i = lane; i < TILE; i += 32) largest = fmaxf(largest, scores[i]);
    const float before = *largest_at, after = fmaxf(before, warp_largest(largest));
    for (uint32_t i = lane; i < TILE; i += 32) {
        float share = first + i < end ? expf(scores[i] - after) : 0.0f; /* NaN stays NaN */
        total += share;
        if (cache.type == SINQ_KV_I8 && first + i < end) {
            const float *const by = cache.shared ? cache.key_scales : cache.value_scales;
            share *= by[(size_t)kv_head * cache.capacity + (first + i) % cache.capacity];
        }
        scores[i] = share;
    }
    total = warp_sum(total);
    const float shrink = before == -INFINITY ? 0.0f : expf(before - after);
    __syncwarp();
    if (lane != 0) return;
    *largest_at = after;
    *total_at = *total_at * shrink + total;
    *shrink_at = shrink;
}

/* Adds up values of a tile: the thread's eight of every `groups`-th position. */
template <int HEADS>
static __device__ void add_values(const struct sinq_cuda_cache &cache, uint32_t kv_head, uint32_t first, uint32_t end,
                                  uint32_t column, uint32_t group, uint32_t groups, const float *scores,
                                  const float *shrink, float (&sums)[HEADS][8]) {
    const uint8_t *const section = cache.shared ? cache.keys : cache.values;
    const uint32_t width = cache.shared ? cache.key_dim : cache.value_dim;
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
#pragma unroll
        for (int i = 0; i < 8; i++) sums[h][i] *= shrink[h];
    }
#pragma unroll 4
    for (uint32_t p = first + group; p < end; p += groups) {
        float value[8];
        load_eight(cache.type, section, (size_t)kv_head * cache.capacity + p % cache.capacity, width, column, value);
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            const float share = scores[h * TILE + p - first];
#pragma unroll
            for (int i = 0; i < 8; i++) sums[h][i] += share * value[i];
        }
    }
}

/* Where a head's part goes: values, then the largest score and the sum of shares. */
static __device__ float *find_partial(const struct sinq_cuda_attention &a, uint32_t row, uint32_t head, uint32_t part) {
    return a.partial + (((size_t)row * a.heads + head) * a.parts + part) * (a.cache.value_dim + 2);
}

/* What a sink adds to the sum of shares, and what all is multiplied by. */
static __device__ float finish_total(const struct sinq_cuda_attention &a, uint32_t head, float largest, float total) {
    if (a.sinks == NULL) return 1.0f / total;
    const float sink = a.sinks[head], top = fmaxf(sink, largest), shrink = expf(largest - top);
    return shrink / (total * shrink + expf(sink - top));
}

template <int HEADS>
static __global__ void __launch_bounds__(THREADS) attend_kernel(const __grid_constant__ struct sinq_cuda_attention a,
                                                                const struct sinq_cuda_state *state) {
    begin_kernel();
    extern __shared__ float memory[];
    __shared__ struct running<HEADS> running;
    const struct sinq_cuda_cache &cache = a.cache;
    const uint32_t sharing = a.heads / cache.kv_heads, chunks = (sharing + HEADS - 1) / HEADS;
    const uint32_t part = blockIdx.x, kv_head = blockIdx.y / chunks, chunk = blockIdx.y % chunks, row = blockIdx.z;
    const uint32_t first_head = kv_head * sharing + chunk * HEADS, heads = min((uint32_t)HEADS, sharing - chunk * HEADS);
    const uint32_t padded = (cache.key_dim + EIGHT - 1) / EIGHT * EIGHT;
    const uint32_t columns = (cache.value_dim + EIGHT - 1) / EIGHT, groups = THREADS / columns;
    float *const queries = memory, *const scores = queries + HEADS * padded, *const given = scores + HEADS * TILE;
    const struct span span = find_span(a, state->position + row, part);
    if (span.begin >= span.end) return; /* the join knows */

    for (uint32_t i = threadIdx.x; i < HEADS * padded; i += THREADS) {
        const uint32_t h = i / padded, k = i % padded;
        const float *const query = a.queries.data + (size_t)row * a.queries.stride;
        queries[i] = h < heads && k < cache.key_dim ? query[(size_t)(first_head + h) * cache.key_dim + k] : 0.0f;
    }
    if (threadIdx.x < HEADS) {
        running.largest[threadIdx.x] = -INFINITY;
        running.total[threadIdx.x] = 0;
    }
    __syncthreads();
    const uint32_t column = threadIdx.x % columns * EIGHT, group = threadIdx.x / columns;
    float sums[HEADS][8] = {};
    for (uint32_t first = span.begin; first < span.end; first += TILE) {
        const uint32_t position = first + threadIdx.x, end = min(first + TILE, span.end);
        make_scores<HEADS>(a, kv_head, position, position < end, padded, queries, scores);
        __syncthreads();
        for (uint32_t h = threadIdx.x / 32; h < HEADS; h += THREADS / 32) {
            update_head(cache, kv_head, first, end, scores + h * TILE, &running.largest[h], &running.total[h],
                        &running.shrink[h]);
        }
        __syncthreads();
        if (group < groups) {
            add_values<HEADS>(cache, kv_head, first, end, column, group, groups, scores, running.shrink, sums);
        }
        __syncthreads();
    }
    for (uint32_t h = 0; h < heads; h++) {
#pragma unroll
        for (int k = 0; k < HEADS; k++) {
            if (k != (int)h || group >= groups) continue;
#pragma unroll
            for (int i = 0; i < 8; i++) given[group * columns * EIGHT + column + i] = sums[k][i];
        }
        __syncthreads();
        const uint32_t head = first_head + h;
        const float by = a.parts == 1 ? finish_total(a, head, running.largest[h], running.total[h]) : 1.0f;
        float *const out = a.parts == 1 ? a.out.data + (size_t)row * a.out.stride + (size_t)head * cache.value_dim
                                        : find_partial(a, row, head, part);
        for (uint32_t k = threadIdx.x; k < cache.value_dim; k += THREADS) {
            float sum = 0;
            for (uint32_t g = 0; g < groups; g++) sum += given[g * columns * EIGHT + k];
            out[k] = sum * by;
        }
        if (a.parts > 1 && threadIdx.x == 0) {
            out[cache.value_dim] = running.largest[h];
            out[cache.value_dim + 1] = running.total[h];
        }
        __syncthreads();
    }
}

static __global__ void join_kernel(const __grid_constant__ struct sinq_cuda_attention a,
                                   const struct sinq_cuda_state *state) {
    begin_kernel();
    const uint32_t head = blockIdx.x, row = blockIdx.y, width = a.cache.value_dim;
    uint32_t parts = 0;
    float largest = -INFINITY, total = 0;
    for (; parts < a.parts; parts++) {
        const struct span span = find_span(a, state->position + row, parts);
        if (span.begin >= span.end) break;
        largest = fmaxf(largest, find_partial(a, row, head, parts)[width]);
    }
    for (uint32_t p = 0; p < parts; p++) {
        const float *const partial = find_partial(a, row, head, p);
        total += partial[width + 1] * expf(partial[width] - largest);
    }
    const float by = finish_total(a, head, largest, total);
    for (uint32_t k = threadIdx.x; k < width; k += blockDim.x) {
        float sum = 0;
        for (uint32_t p = 0; p < parts; p++) {
            const float *const partial = find_partial(a, row, head, p);
            sum += partial[k] * expf(partial[width] - largest);
        }
        a.out.data[(size_t)row * a.out.stride + (size_t)head * width + k] = sum * by;
    }
}

uint64_t sinq_cuda_attention_bytes(const struct sinq_cuda_attention *a, uint32_t rows) {
    if (a->parts <= 1) return 0;
    return (uint64_t)rows * a->heads * a->parts * (a->cache.value_dim + 2) * sizeof(float);
}

template <int HEADS>
static cudaError_t attend(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                          const struct sinq_cuda_state *state) {
    const uint32_t sharing = a->heads / a->cache.kv_heads, padded = divide_up(a->cache.key_dim, EIGHT) * EIGHT;
    const dim3 grid(a->parts, a->cache.kv_heads * divide_up(sharing, HEADS), rows);
    const size_t given = THREADS; /* values of eight each */
    const size_t shared = (HEADS * (padded + TILE) + given * EIGHT) * sizeof(float);
    return launch(line, attend_kernel<HEADS>, grid, THREADS, shared, *a, state);
}

cudaError_t sinq_cuda_attend(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                             const struct sinq_cuda_state *state) {
    const uint32_t sharing = a->heads / a->cache.kv_heads;
    const cudaError_t status = sharing == 1   ? attend<1>(line, a, rows, state)
                               : sharing == 2 ? attend<2>(line, a, rows, state)
                                              : attend<4>(line, a, rows, state);
    if (status != cudaSuccess || a->parts == 1) return status;
    return launch(line, join_kernel, dim3(a->heads, rows), 64, 0, *a, state);
}
