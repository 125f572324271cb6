/*
 * attention.cu: softmax(q k^T) v over the cache.
 *
 * A block attends for one token, some of the query heads that share a head of the cache, and a part of the positions, 32 of them
 * at a time: four threads make one position's scores, then warps update the running largest and sum, then threads add up values,
 * eight of a row each. Values are asked for together with keys, so that memory is waited for once; those of earlier tokens before the
 * kernel before has ended.
 *
 * Parts are joined later, or by the block that comes last. Every thread has few instructions to itself: they come one after the other.
 */
#include "cuda/eights.cuh"
#include "cuda/input.cuh"

#define THREADS 128u

template <int HEADS> struct running { float largest[HEADS], total[HEADS], shrink[HEADS]; };

/* The newest position's key and value, as they are stored. */
struct newest {
    __align__(16) uint8_t key[SINQ_CUDA_MOST_TURNED * 4];
    __align__(16) uint8_t value[SINQ_CUDA_MOST_TURNED * 4];
};

/*
 * Of one row: the block's queries are normed and turned, a warp each; where the newest position is the block's, so is the key of that,
 * which goes to the cache with its value. Weights are loaded before the kernel before has ended.
 */
template <int HEADS> struct turn {
    static_assert(HEADS <= THREADS / 32, "each has a warp");
    struct strip query_weights, key_weights;
    bool has_query, has_key, has_value;

    __device__ __forceinline__ void prepare(const struct sinq_cuda_turn &t, uint32_t heads, bool is_newest) {
        const uint32_t warp = threadIdx.x / 32, last = THREADS / 32 - 1;
        has_query = warp < heads, has_key = is_newest && warp == last, has_value = is_newest && warp == last - 1;
        if (has_query && t.query_weight != NULL) query_weights.load(t.query_weight, t.cache.key_dim);
        if (has_key && t.key_weight != NULL) key_weights.load(t.key_weight, t.cache.key_dim);
    }
    __device__ __forceinline__ void make(const struct sinq_cuda_turn &t, uint32_t kv_head, uint32_t first_head,
                                         uint32_t position, uint32_t padded, float *queries, float *key,
                                         struct newest *newest) {
        const struct sinq_cuda_cache &cache = t.cache;
        const uint32_t warp = threadIdx.x / 32;
        struct strip query, other;
        struct angles angles;
        if (has_query) query.load(t.queries.data + (size_t)(first_head + warp) * cache.key_dim, cache.key_dim);
        if (has_key) other.load(t.keys.data + (size_t)kv_head * cache.key_dim, cache.key_dim);
        if (has_value) other.load(t.values.data + (size_t)kv_head * cache.value_dim, cache.value_dim);
        if (has_query || has_key) angles.load(t, 0);
        if (has_key) {
            turn_head(t, angles, t.key_weight != NULL, key_weights, t.key_eps, other, key);
            store_key(cache, kv_head, position, key, newest->key);
        }
        if (has_value) {
            store_loaded(cache.type, other, cache.value_dim, find_entry(cache, kv_head, position), cache.values,
                         cache.value_scales, newest->value);
        }
        if (has_query) {
            turn_head(t, angles, t.query_weight != NULL, query_weights, t.query_eps, query, queries + warp * padded);
        }
    }
};

/* ---- joining ---- */

/* Calls the column scales of the block's heads into the second-level cache. */
static __device__ __forceinline__ void call_scales(const struct sinq_cuda_attention &a, uint32_t first_head,
                                                   uint32_t heads) {
    const uint32_t width = a.cache.value_dim, at = threadIdx.x * 64;
    if (a.finished != NULL && a.column_scale != NULL && at < heads * width) {
        call_line(a.column_scale + 2 * (size_t)(first_head * width + at));
    }
}

/* Whether all other parts of these heads are there: what their blocks wrote may be read then. */
static __device__ __forceinline__ bool comes_last(uint32_t *finished, uint32_t parts) {
    __shared__ bool is_last;
    __syncthreads();
    if (threadIdx.x == 0) {
        uint32_t before;
        asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], 1;" : "=r"(before) : "l"(finished) : "memory");
        is_last = before + 1 == parts;
        if (is_last) *finished = 0;
    }
    __syncthreads();
    return is_last;
}

/*
 * All parts of the block's heads become columns of the next product's input. Half a warp has 128 columns of every second part, the other
 * half those of the others.
 */
static __device__ __forceinline__ void join_parts(const struct sinq_cuda_attention &a, uint32_t row,
                                                  uint32_t first_head, uint32_t heads, uint32_t parts) {
    const uint32_t width = a.cache.value_dim, begin = first_head * width, end = begin + heads * width;
    const uint32_t half = threadIdx.x % 32 / 16, lane = threadIdx.x / 32 * 16 + threadIdx.x % 16;
    const uint32_t columns = THREADS / 2 * THREAD_COLS, rounds = (end - begin + columns - 1) / columns;
#pragma unroll 1
    for (uint32_t round = 0; round < rounds; round++) {
        const uint32_t first = begin + round * columns + lane * THREAD_COLS;
        const bool is_there = first < end;
        const uint4 scales = load_column_scales(is_there ? a.column_scale : NULL, first);
        struct joined joined = {-INFINITY, 0};
        float x[THREAD_COLS] = {};
        if (is_there)
            joined =
                join_sums<THREAD_COLS, 4>(find_parts(a, row, first / width), half, 2, parts, width, first % width, x);
        const float other = __shfl_xor_sync(0xffffffffu, joined.largest, 16), largest = fmaxf(joined.largest, other);
        const float shrink = joined.largest == -INFINITY ? 0.0f : expf(joined.largest - largest);
        float total = joined.total * shrink;
        total += __shfl_xor_sync(0xffffffffu, total, 16);
        const float by = shrink * (is_there ? finish_total(a, first / width, largest, total) : 0.0f);
#pragma unroll
        for (uint32_t i = 0; i < THREAD_COLS; i++) {
            x[i] *= by;
            x[i] += __shfl_xor_sync(0xffffffffu, x[i], 16);
        }
        const bool is_stored = is_there && half == 0;
        if (is_stored) {
            float4 *const out = (float4 *)(a.out.data + (size_t)row * a.out.stride + first);
            out[0] = make_float4(x[0], x[1], x[2], x[3]);
            out[1] = make_float4(x[4], x[5], x[6], x[7]);
        }
        store_scaled(a.input, row, is_stored ? first : a.input.padded, x, scales);
    }
}

/* ---- the kernel ---- */

/* Threads' sums of values, group by group, become one part's, or all there is. */
template <int HEADS>
static __device__ __forceinline__ void
give_sums(const struct sinq_cuda_attention &a, const struct running<HEADS> &running, uint32_t row, uint32_t first_head,
          uint32_t heads, uint32_t groups, uint32_t stride, const float *given) {
    const uint32_t width = a.cache.value_dim, size = partial_size(a);
    float *partial = find_partial(a, row, first_head, blockIdx.x);
    float *const out = a.out.data + (size_t)row * a.out.stride + (size_t)first_head * width;
    for (uint32_t k = threadIdx.x; k < width; k += THREADS) {
        float sums[HEADS] = {};
        const float *from = given + k;
#pragma unroll 2
        for (uint32_t g = 0; g < groups; g++, from += stride) {
#pragma unroll
            for (uint32_t h = 0; h < HEADS; h++) sums[h] += from[h * groups * stride];
        }
#pragma unroll
        for (uint32_t h = 0; h < HEADS; h++) {
            if (h >= heads) break;
            if (a.parts > 1) {
                partial[h * a.parts * size + k] = sums[h];
            } else {
                out[h * width + k] = sums[h] * finish_total(a, first_head + h, running.largest[h], running.total[h]);
            }
        }
    }
    if (a.parts == 1 || threadIdx.x >= heads) return;
    partial += threadIdx.x * a.parts * size + width;
    partial[0] = running.largest[threadIdx.x];
    partial[1] = running.total[threadIdx.x];
}

/* Queries that are as they are to be. */
static __device__ __forceinline__ void load_queries(const struct sinq_cuda_attention &a, uint32_t row,
                                                    uint32_t first_head, uint32_t heads, uint32_t padded,
                                                    float *queries) {
    const float *const from = a.queries.data + (size_t)row * a.queries.stride + (size_t)first_head * a.cache.key_dim;
    for (uint32_t i = threadIdx.x; i < heads * padded; i += THREADS) {
        const uint32_t k = i % padded;
        if (k < a.cache.key_dim) queries[i] = from[i / padded * a.cache.key_dim + k];
    }
}

/* A tile's values, those that are not loaded yet included. */
template <int HEADS, int TYPE, bool IS_WHOLE>
static __device__ __forceinline__ void
add_values(const struct sinq_cuda_cache &cache, const struct value_place &place, uint32_t kv_head, uint32_t first,
           uint32_t end, const struct running<HEADS> &running, struct entries<TYPE, IS_WHOLE> &entries,
           const float *scores, float (&sums)[HEADS][8]) {
    const uint32_t own = place.group < place.groups ? first + place.group : end; /* the first whose values it adds */
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
#pragma unroll
        for (int i = 0; i < 8; i++) sums[h][i] *= running.shrink[h];
    }
#pragma unroll
    for (uint32_t i = 0; i < EARLY; i++) {
        const uint32_t p = own + i * place.groups;
        if (p < end) add_value<HEADS, TYPE, IS_WHOLE>(entries.values[i], scores + (p - first), sums);
    }
    for (uint32_t p = own + EARLY * place.groups; p < end; p += place.groups) {
        entries.values[0].load(place.section, find_entry(cache, kv_head, p), place.width, place.column, far_loads());
        add_value<HEADS, TYPE, IS_WHOLE>(entries.values[0], scores + (p - first), sums);
    }
}

template <int HEADS, int TYPE, bool IS_WHOLE>
static __global__ void __launch_bounds__(THREADS, 4)
    attend_kernel(const __grid_constant__ struct sinq_cuda_attention a, const struct sinq_cuda_state *state) {
    call_dependents();
    extern __shared__ __align__(16) float memory[];
    __shared__ struct running<HEADS> running;
    __shared__ struct newest newest_entry;
    const struct sinq_cuda_cache &cache = a.cache;
    const uint32_t sharing = a.heads / cache.kv_heads, chunks = (sharing + HEADS - 1) / HEADS;
    const uint32_t part = blockIdx.x, kv_head = blockIdx.y / chunks, chunk = blockIdx.y % chunks, row = blockIdx.z;
    const uint32_t first_head = kv_head * sharing + chunk * HEADS,
                   heads = min((uint32_t)HEADS, sharing - chunk * HEADS);
    const uint32_t padded = (cache.key_dim + EIGHT - 1) / EIGHT * EIGHT;
    const uint32_t columns = (cache.value_dim + EIGHT - 1) / EIGHT, groups = THREADS / columns;
    float *const queries = memory, *const scores = queries + HEADS * padded, *const given = scores + HEADS * TILE;
    const uint32_t newest = state->position; /* no kernel writes it */
    const struct span span = find_span(a, newest + row, part);
    if (span.begin >= span.end) return; /* the join knows */

    const struct value_place place = {cache.shared ? cache.keys : cache.values,
                                      cache.shared ? cache.key_dim : cache.value_dim, threadIdx.x % columns * EIGHT,
                                      threadIdx.x / columns, groups};
    struct turn<HEADS> turn;
    struct entries<TYPE, IS_WHOLE> entries;
    entries.load(cache, place, kv_head, span.begin, 0, min(span.end, newest)); /* those of earlier tokens */
    if (a.turns) turn.prepare(a.turn, heads, span.end == newest + 1);
    call_scales(a, first_head, heads);
    if (padded != cache.key_dim || heads != HEADS) {
        for (uint32_t i = threadIdx.x; i < HEADS * padded; i += THREADS) {
            if (i / padded >= heads || i % padded >= cache.key_dim) queries[i] = 0.0f;
        }
    }
    if (threadIdx.x < HEADS) {
        running.largest[threadIdx.x] = -INFINITY;
        running.total[threadIdx.x] = 0;
    }
    await_kernel();
    if (a.turns) {
        turn.make(a.turn, kv_head, first_head, newest, padded, queries, given, &newest_entry);
    } else {
        load_queries(a, row, first_head, heads, padded, queries);
    }
    __syncthreads();
    float sums[HEADS][8] = {};
    for (uint32_t first = span.begin; first < span.end; first += TILE) {
        const uint32_t position = first + threadIdx.x / QUARTER, end = min(first + TILE, span.end);
        if (first != span.begin) {
            entries.load(cache, place, kv_head, first, 0, end);
        } else if (a.turns) {
            entries.load_newest(cache, place, first, newest, newest_entry.key, newest_entry.value);
        } else {
            entries.load(cache, place, kv_head, first, newest, end);
        }
        make_scores<HEADS, TYPE, IS_WHOLE>(a, kv_head, position, position < end, padded, entries, queries, scores);
        __syncthreads();
        for (uint32_t h = threadIdx.x / 32; h < HEADS; h += THREADS / 32) {
            update_head(cache, kv_head, first, end, scores + h * TILE, &running.largest[h], &running.total[h],
                        &running.shrink[h]);
        }
        __syncthreads();
        add_values<HEADS, TYPE, IS_WHOLE>(cache, place, kv_head, first, end, running, entries, scores, sums);
        __syncthreads();
    }
    if (place.group < groups) {
#pragma unroll
        for (int h = 0; h < HEADS; h++) {
            float4 *const to = (float4 *)(given + (h * groups + place.group) * columns * EIGHT + place.column);
            to[0] = make_float4(sums[h][0], sums[h][1], sums[h][2], sums[h][3]);
            to[1] = make_float4(sums[h][4], sums[h][5], sums[h][6], sums[h][7]);
        }
    }
    __syncthreads();
    give_sums<HEADS>(a, running, row, first_head, heads, groups, columns * EIGHT, given);
    if (a.finished == NULL) return;
    const uint32_t parts = count_parts(a, newest + row);
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

template <int HEADS, int TYPE> static attention_kernel *find_width(bool is_whole) {
    return is_whole ? attend_kernel<HEADS, TYPE, true> : attend_kernel<HEADS, TYPE, false>;
}

template <int HEADS> static attention_kernel *find_kernel(const struct sinq_cuda_cache &cache) {
    const bool is_whole = cache.key_dim % EIGHT == 0 && cache.value_dim % EIGHT == 0;
    if (cache.type == SINQ_KV_F16) return find_width<HEADS, SINQ_KV_F16>(is_whole);
    return cache.type == SINQ_KV_I8 ? find_width<HEADS, SINQ_KV_I8>(is_whole)
                                    : find_width<HEADS, SINQ_KV_F32>(is_whole);
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
    return sharing == 1 ? attend<1>(line, a, rows, state) : attend<SINQ_CUDA_ATTENDED_HEADS>(line, a, rows, state);
}
