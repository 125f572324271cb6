/*
 * attention.cu: softmax(q k^T) v over the cache.
 *
 * A block attends for one token, some of the query heads that share a head of the cache, and a part of the positions, 32 of them
 * at a time: four threads make one position's scores, then warps update the running largest and sum, then threads add up values,
 * eight of a row each. Values are asked for together with keys, so that memory is waited for once. Parts are joined later.
 */
#include "cuda/attention.cuh"
#include "cuda/heads.cuh"
#include "cuda/input.cuh"

#define THREADS 128u
#define TILE    ATTENTION_TILE
#define QUARTER 4u /* threads of a position */
#define EARLY   4u /* positions whose values a thread asks for before scores are there */
#define EIGHT   8u

/* Eight values of a vector, as they lie in memory. IS_WHOLE: vectors are multiples of eight long, so that eights are aligned. */
template <int TYPE, bool IS_WHOLE>
struct eight {
    uint4 words[TYPE == SINQ_KV_F32 ? 2 : 1];
    __device__ __forceinline__ void load(const uint8_t *section, size_t entry, uint32_t width, uint32_t first);
    __device__ __forceinline__ void spread(float (&out)[8]) const;
};

template <int TYPE, bool IS_WHOLE>
__device__ __forceinline__ void eight<TYPE, IS_WHOLE>::load(const uint8_t *section, size_t entry, uint32_t width,
                                                            uint32_t first) {
    constexpr size_t SIZE = TYPE == SINQ_KV_F32 ? 4 : TYPE == SINQ_KV_F16 ? 2 : 1;
    const uint8_t *const at = section + (entry * width + first) * SIZE;
    if (!IS_WHOLE) {
        uint8_t bytes[8 * SIZE];
#pragma unroll
        for (uint32_t i = 0; i < 8 * SIZE; i++) bytes[i] = first + i / SIZE < width ? at[i] : 0;
        memcpy(words, bytes, sizeof bytes);
    } else if (TYPE == SINQ_KV_I8) {
        const uint2 v = *(const uint2 *)at;
        words[0].x = v.x, words[0].y = v.y;
    } else {
        words[0] = ((const uint4 *)at)[0];
        if (TYPE == SINQ_KV_F32) words[TYPE == SINQ_KV_F32] = ((const uint4 *)at)[1];
    }
}

template <int TYPE, bool IS_WHOLE>
__device__ __forceinline__ void eight<TYPE, IS_WHOLE>::spread(float (&out)[8]) const {
    const uint32_t flat[4] = {words[0].x, words[0].y, words[0].z, words[0].w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (TYPE == SINQ_KV_F16) {
            const float2 pair = __half22float2(*(const __half2 *)&flat[i]);
            out[2 * i] = pair.x, out[2 * i + 1] = pair.y;
        } else if (TYPE == SINQ_KV_I8) {
            out[i] = (float)(int8_t)(flat[0] >> 8 * i & 255u);
            out[4 + i] = (float)(int8_t)(flat[1] >> 8 * i & 255u);
        } else {
            out[i] = __uint_as_float(flat[i]);
        }
    }
    if (TYPE != SINQ_KV_F32) return;
    const uint4 &last = words[TYPE == SINQ_KV_F32];
    out[4] = __uint_as_float(last.x), out[5] = __uint_as_float(last.y);
    out[6] = __uint_as_float(last.z), out[7] = __uint_as_float(last.w);
}

template <int HEADS>
struct running {
    float largest[HEADS], total[HEADS], shrink[HEADS];
};

/* The thread's quarter of one position's scores with all of the block's heads; the four join them. */
template <int HEADS, int TYPE, bool IS_WHOLE>
static __device__ __forceinline__ void make_scores(const struct sinq_cuda_attention &a, uint32_t kv_head,
                                                   uint32_t position, bool is_seen, uint32_t padded,
                                                   const float *queries, float *scores) {
    constexpr uint32_t AT_ONCE = TYPE == SINQ_KV_F32 ? 2 : 4; /* eights in flight */
    const struct sinq_cuda_cache &cache = a.cache;
    const size_t entry = (size_t)kv_head * cache.capacity + position % cache.capacity;
    float sums[HEADS] = {};
    for (uint32_t first = threadIdx.x % QUARTER * EIGHT; is_seen && first < padded; first += EIGHT * QUARTER * AT_ONCE) {
        eight<TYPE, IS_WHOLE> keys[AT_ONCE];
#pragma unroll
        for (uint32_t e = 0; e < AT_ONCE; e++) {
            const uint32_t k = first + EIGHT * QUARTER * e;
            if (k < padded) keys[e].load(cache.keys, entry, cache.key_dim, k);
        }
#pragma unroll
        for (uint32_t e = 0; e < AT_ONCE; e++) {
            const uint32_t k = first + EIGHT * QUARTER * e;
            if (k >= padded) break;
            float key[8];
            keys[e].spread(key);
#pragma unroll
            for (int h = 0; h < HEADS; h++) {
                const float4 low = *(const float4 *)&queries[h * padded + k];
                const float4 high = *(const float4 *)&queries[h * padded + k + 4];
                sums[h] += low.x * key[0] + low.y * key[1] + low.z * key[2] + low.w * key[3];
                sums[h] += high.x * key[4] + high.y * key[5] + high.z * key[6] + high.w * key[7];
            }
        }
    }
    const float by = a.scale * (is_seen && TYPE == SINQ_KV_I8 ? cache.key_scales[entry] : 1.0f);
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        float score = sums[h];
        score += __shfl_xor_sync(0xffffffffu, score, 1);
        score += __shfl_xor_sync(0xffffffffu, score, 2);
        score *= by;
        if (a.cap != 0.0f) score = a.cap * tanhf(score / a.cap);
        if (threadIdx.x % QUARTER == 0) scores[h * TILE + threadIdx.x / QUARTER] = is_seen ? score : -INFINITY;
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
/* Where values are, which may be the beginnings of keys. */
struct value_place {
    const uint8_t *section;
    size_t first_entry;
    uint32_t width, column, group, groups;
};

template <int HEADS, int TYPE, bool IS_WHOLE>
static __device__ __forceinline__ void add_value(const eight<TYPE, IS_WHOLE> &stored, const float *scores,
                                                 float (&sums)[HEADS][8]) {
    float value[8];
    stored.spread(value);
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        const float share = scores[h * TILE];
#pragma unroll
        for (int i = 0; i < 8; i++) sums[h][i] += share * value[i];
    }
}

/* Calls keys and values of the first tile into the second-level cache. */
template <int TYPE>
static __device__ void call_entries(const struct sinq_cuda_cache &cache, uint32_t kv_head, struct span span) {
    constexpr uint32_t SIZE = TYPE == SINQ_KV_F32 ? 4 : TYPE == SINQ_KV_F16 ? 2 : 1;
    const uint32_t key_bytes = cache.key_dim * SIZE, value_bytes = cache.shared ? 0 : cache.value_dim * SIZE;
    const uint32_t position = span.begin + threadIdx.x / QUARTER;
    if (position >= span.end) return;
    const size_t entry = (size_t)kv_head * cache.capacity + position % cache.capacity;
    for (uint32_t at = threadIdx.x % QUARTER * 128; at < key_bytes; at += QUARTER * 128) {
        asm volatile("prefetch.global.L2 [%0];" ::"l"(cache.keys + entry * key_bytes + at));
    }
    for (uint32_t at = threadIdx.x % QUARTER * 128; at < value_bytes; at += QUARTER * 128) {
        asm volatile("prefetch.global.L2 [%0];" ::"l"(cache.values + entry * value_bytes + at));
    }
}

/*
 * Of one row: the block's queries are normed and turned, a warp each; where the newest position is the block's, so is the key of that,
 * which goes to the cache with its value.
 */
template <int HEADS>
static __device__ __forceinline__ void turn_heads(const struct sinq_cuda_turn &t, uint32_t kv_head, uint32_t first_head,
                                                  uint32_t heads, uint32_t position, bool is_newest, uint32_t padded,
                                                  float *queries, float *key) {
    static_assert(HEADS <= THREADS / 32, "each has a warp");
    const struct sinq_cuda_cache &cache = t.cache;
    const uint32_t warp = threadIdx.x / 32, last = THREADS / 32 - 1;
    const bool has_key = is_newest && warp == last, has_value = is_newest && warp == last - 1;
    struct strip query, other;
    struct turning turning, key_turning;
    if (warp < heads) {
        query.load(t.queries.data + (size_t)(first_head + warp) * cache.key_dim, cache.key_dim);
        turning.load(t, 0, t.query_weight);
    }
    if (has_key) {
        other.load(t.keys.data + (size_t)kv_head * cache.key_dim, cache.key_dim);
        key_turning.load(t, 0, t.key_weight);
    }
    if (has_value) other.load(t.values.data + (size_t)kv_head * cache.value_dim, cache.value_dim);
    if (has_key) {
        turn_head(t, key_turning, t.key_weight != NULL, t.key_eps, other, key);
        store_key(cache, kv_head, position, key);
    }
    if (has_value) {
        store_loaded(cache.type, other, cache.value_dim, find_entry(cache, kv_head, position), cache.values,
                     cache.value_scales);
    }
    if (warp < heads) turn_head(t, turning, t.query_weight != NULL, t.query_eps, query, queries + warp * padded);
}

/* Whether all other parts of these heads are there. */
static __device__ __forceinline__ bool comes_last(uint32_t *finished, uint32_t parts) {
    __shared__ bool is_last;
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        is_last = atomicAdd(finished, 1) + 1 == parts;
        if (is_last) *finished = 0;
        __threadfence();
    }
    __syncthreads();
    return is_last;
}

/* All parts of the block's heads become columns of the next product's input. */
static __device__ __forceinline__ void join_parts(const struct sinq_cuda_attention &a, uint32_t row, uint32_t first_head,
                                                  uint32_t heads, uint32_t parts) {
    const uint32_t width = a.cache.value_dim, begin = first_head * width, count = heads * width;
    for (uint32_t at = threadIdx.x * THREAD_COLS; at < (count + 255) / 256 * 256; at += THREADS * THREAD_COLS) {
        const uint32_t first = begin + at;
        float x[THREAD_COLS] = {}, scales[THREAD_COLS];
        if (at < count) {
            for (uint32_t i = 0; i < THREAD_COLS; i++) {
                scales[i] = a.column_scale == NULL ? 1.0f : load_half(a.column_scale + 2 * (size_t)(first + i));
            }
            join_values<THREAD_COLS, 8>(a, parts, row, first / width, first % width, x);
#pragma unroll
            for (uint32_t i = 0; i < THREAD_COLS; i++) {
                a.out.data[(size_t)row * a.out.stride + first + i] = x[i];
                x[i] *= scales[i];
            }
        }
        store_columns(a.input, row, at < count ? first : a.input.padded, x);
    }
}

template <int HEADS, int TYPE, bool IS_WHOLE>
static __global__ void __launch_bounds__(THREADS, 4) attend_kernel(const __grid_constant__ struct sinq_cuda_attention a,
                                                                const struct sinq_cuda_state *state) {
    call_dependents();
    extern __shared__ __align__(16) float memory[];
    __shared__ struct running<HEADS> running;
    const struct sinq_cuda_cache &cache = a.cache;
    const uint32_t sharing = a.heads / cache.kv_heads, chunks = (sharing + HEADS - 1) / HEADS;
    const uint32_t part = blockIdx.x, kv_head = blockIdx.y / chunks, chunk = blockIdx.y % chunks, row = blockIdx.z;
    const uint32_t first_head = kv_head * sharing + chunk * HEADS, heads = min((uint32_t)HEADS, sharing - chunk * HEADS);
    const uint32_t padded = (cache.key_dim + EIGHT - 1) / EIGHT * EIGHT;
    const uint32_t columns = (cache.value_dim + EIGHT - 1) / EIGHT, groups = THREADS / columns;
    float *const queries = memory, *const scores = queries + HEADS * padded, *const given = scores + HEADS * TILE;
    const struct span span = find_span(a, state->position + row, part); /* no kernel writes it */
    call_entries<TYPE>(cache, kv_head, span);
    await_kernel();
    if (span.begin >= span.end) return; /* the join knows */

    for (uint32_t i = threadIdx.x; i < HEADS * padded; i += THREADS) {
        const uint32_t h = i / padded, k = i % padded;
        const bool is_there = h < heads && k < cache.key_dim;
        if (a.turns && is_there) continue;
        const float *const query = a.queries.data + (size_t)row * a.queries.stride;
        queries[i] = is_there ? query[(size_t)(first_head + h) * cache.key_dim + k] : 0.0f;
    }
    if (a.turns) {
        const uint32_t newest = state->position;
        turn_heads<HEADS>(a.turn, kv_head, first_head, heads, newest, span.end == newest + 1, padded, queries, given);
    }
    if (threadIdx.x < HEADS) {
        running.largest[threadIdx.x] = -INFINITY;
        running.total[threadIdx.x] = 0;
    }
    __syncthreads();
    const struct value_place place = {cache.shared ? cache.keys : cache.values, (size_t)kv_head * cache.capacity,
                                      cache.shared ? cache.key_dim : cache.value_dim, threadIdx.x % columns * EIGHT,
                                      threadIdx.x / columns, groups};
    float sums[HEADS][8] = {};
    for (uint32_t first = span.begin; first < span.end; first += TILE) {
        const uint32_t position = first + threadIdx.x / QUARTER, end = min(first + TILE, span.end);
        const uint32_t own = place.group < groups ? first + place.group : end; /* the first whose values it adds */
        eight<TYPE, IS_WHOLE> early[EARLY];
#pragma unroll
        for (uint32_t i = 0; i < EARLY; i++) {
            const uint32_t p = own + i * groups;
            if (p < end) early[i].load(place.section, place.first_entry + p % cache.capacity, place.width, place.column);
        }
        make_scores<HEADS, TYPE, IS_WHOLE>(a, kv_head, position, position < end, padded, queries, scores);
        __syncthreads();
        for (uint32_t h = threadIdx.x / 32; h < HEADS; h += THREADS / 32) {
            update_head(cache, kv_head, first, end, scores + h * TILE, &running.largest[h], &running.total[h],
                        &running.shrink[h]);
        }
        __syncthreads();
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
#pragma unroll
            for (int i = 0; i < 8; i++) sums[h][i] *= running.shrink[h];
        }
#pragma unroll
        for (uint32_t i = 0; i < EARLY; i++) {
            const uint32_t p = own + i * groups;
            if (p < end) add_value<HEADS, TYPE, IS_WHOLE>(early[i], scores + (p - first), sums);
        }
        for (uint32_t p = own + EARLY * groups; p < end; p += groups) {
            early[0].load(place.section, place.first_entry + p % cache.capacity, place.width, place.column);
            add_value<HEADS, TYPE, IS_WHOLE>(early[0], scores + (p - first), sums);
        }
        __syncthreads();
    }
    if (place.group < groups) {
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
#pragma unroll
            for (int i = 0; i < 8; i++) given[(h * groups + place.group) * columns * EIGHT + place.column + i] = sums[h][i];
        }
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < heads * cache.value_dim; i += THREADS) {
        const uint32_t h = i / cache.value_dim, k = i % cache.value_dim, head = first_head + h;
        float sum = 0;
        for (uint32_t g = 0; g < groups; g++) sum += given[(h * groups + g) * columns * EIGHT + k];
        if (a.parts > 1) {
            find_partial(a, row, head, part)[k] = sum;
        } else {
            const float by = finish_total(a, head, running.largest[h], running.total[h]);
            a.out.data[(size_t)row * a.out.stride + (size_t)head * cache.value_dim + k] = sum * by;
        }
    }
    if (a.parts > 1 && threadIdx.x < heads) {
        float *const partial = find_partial(a, row, first_head + threadIdx.x, part) + cache.value_dim;
        partial[0] = running.largest[threadIdx.x];
        partial[1] = running.total[threadIdx.x];
    }
    if (a.finished == NULL) return;
    const uint32_t parts = count_parts(a, state->position + row);
    if (comes_last(a.finished + row * gridDim.y + blockIdx.y, parts)) join_parts(a, row, first_head, heads, parts);
}

static __global__ void join_kernel(const __grid_constant__ struct sinq_cuda_attention a,
                                   const struct sinq_cuda_state *state) {
    begin_kernel();
    const uint32_t head = blockIdx.x, row = blockIdx.y, width = a.cache.value_dim;
    const uint32_t parts = count_parts(a, state->position + row);
    for (uint32_t k = threadIdx.x; k < width; k += blockDim.x) {
        float value[1];
        join_values<1, 8>(a, parts, row, head, k, value);
        a.out.data[(size_t)row * a.out.stride + (size_t)head * width + k] = value[0];
    }
}

cudaError_t sinq_cuda_join(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                           const struct sinq_cuda_state *state) {
    return launch(line, join_kernel, dim3(a->heads, rows), 64, 0, *a, state);
}

uint64_t sinq_cuda_attention_bytes(const struct sinq_cuda_attention *a, uint32_t rows) {
    if (a->parts <= 1) return 0;
    return (uint64_t)rows * a->heads * a->parts * ((a->cache.value_dim + 2 + 3) / 4 * 4) * sizeof(float);
}

typedef void attention_kernel(const struct sinq_cuda_attention, const struct sinq_cuda_state *);

template <int HEADS, int TYPE>
static attention_kernel *find_width(bool is_whole) {
    return is_whole ? attend_kernel<HEADS, TYPE, true> : attend_kernel<HEADS, TYPE, false>;
}

template <int HEADS>
static attention_kernel *find_kernel(const struct sinq_cuda_cache &cache) {
    const bool is_whole = cache.key_dim % EIGHT == 0 && cache.value_dim % EIGHT == 0;
    if (cache.type == SINQ_KV_F16) return find_width<HEADS, SINQ_KV_F16>(is_whole);
    return cache.type == SINQ_KV_I8 ? find_width<HEADS, SINQ_KV_I8>(is_whole) : find_width<HEADS, SINQ_KV_F32>(is_whole);
}

template <int HEADS>
static cudaError_t attend(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                          const struct sinq_cuda_state *state) {
    const uint32_t sharing = a->heads / a->cache.kv_heads, padded = divide_up(a->cache.key_dim, EIGHT) * EIGHT;
    const dim3 grid(a->parts, a->cache.kv_heads * divide_up(sharing, HEADS), rows);
    const size_t shared = HEADS * (padded + TILE + THREADS * EIGHT) * sizeof(float);
    return launch(line, find_kernel<HEADS>(a->cache), grid, THREADS, shared, *a, state);
}

cudaError_t sinq_cuda_attend(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                             const struct sinq_cuda_state *state) {
    const uint32_t sharing = a->heads / a->cache.kv_heads;
    if (sharing == 1) return attend<1>(line, a, rows, state);
    return sharing == 2 ? attend<2>(line, a, rows, state) : attend<4>(line, a, rows, state);
}
