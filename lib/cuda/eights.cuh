/* eights.cuh: keys and values of the cache in eights, a position's scores and sums of values: for attention.cu. */
#ifndef SINQ_CUDA_EIGHTS_CUH
#define SINQ_CUDA_EIGHTS_CUH

#include "cuda/attention.cuh"
#include "cuda/heads.cuh"

#define TILE    ATTENTION_TILE
#define QUARTER 4u /* threads of a position */
#define EARLY   4u /* positions whose values a thread asks for before scores are there */
#define EIGHT   8u

/*
 * How the cache is read: past the first-level cache, as other multiprocessors may have written parts of its lines after they were
 * read here; and a block's own shared memory.
 */
struct far_loads {
    template <typename T> __device__ __forceinline__ T operator()(const T *at) const { return __ldcg(at); }
};
struct near_loads {
    template <typename T> __device__ __forceinline__ T operator()(const T *at) const { return *at; }
};

/* Eight values of a vector, as they lie in memory. IS_WHOLE: vectors are multiples of eight long, so that eights are aligned. */
template <int TYPE, bool IS_WHOLE> struct eight {
    static constexpr size_t SIZE = TYPE == SINQ_KV_F32 ? 4 : TYPE == SINQ_KV_F16 ? 2 : 1;
    uint4 words[TYPE == SINQ_KV_F32 ? 2 : 1];
    template <typename LOADS>
    __device__ __forceinline__ void load(const uint8_t *section, size_t entry, uint32_t width, uint32_t first,
                                         LOADS load);
    __device__ __forceinline__ void spread(float (&out)[8]) const;
};

template <int TYPE, bool IS_WHOLE>
template <typename LOADS>
__device__ __forceinline__ void eight<TYPE, IS_WHOLE>::load(const uint8_t *section, size_t entry, uint32_t width,
                                                            uint32_t first, LOADS load) {
    const uint8_t *const at = section + (entry * width + first) * SIZE;
    if (!IS_WHOLE) {
        uint8_t bytes[8 * SIZE];
#pragma unroll
        for (uint32_t i = 0; i < 8 * SIZE; i++) bytes[i] = first + i / SIZE < width ? load(at + i) : 0;
        memcpy(words, bytes, sizeof bytes);
    } else if (TYPE == SINQ_KV_I8) {
        const uint2 v = load((const uint2 *)at);
        words[0].x = v.x, words[0].y = v.y;
    } else {
        words[0] = load((const uint4 *)at);
        if (TYPE == SINQ_KV_F32) words[TYPE == SINQ_KV_F32] = load((const uint4 *)at + 1);
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

/* Where a thread's values are, which may be the beginnings of keys: eight columns of every `groups`-th position. */
struct value_place {
    const uint8_t *section;
    uint32_t width, column, group, groups;
};

/* What a thread loads of a tile: a quarter of a position's key, or the beginning of it, and its eights of values. */
template <int TYPE, bool IS_WHOLE> struct entries {
    static constexpr uint32_t KEYS = TYPE == SINQ_KV_F32 ? 2 : 4; /* in flight */
    eight<TYPE, IS_WHOLE> keys[KEYS], values[EARLY];

    template <typename LOADS>
    __device__ __forceinline__ void load_keys(const uint8_t *section, size_t entry, uint32_t width, uint32_t first,
                                              LOADS load) {
#pragma unroll
        for (uint32_t e = 0; e < KEYS; e++) {
            const uint32_t k = first + EIGHT * QUARTER * e;
            if (k < width) keys[e].load(section, entry, width, k, load);
        }
    }
    /* Of the tile that begins with position `first`: what lies in [begin, end), which come one by one after each other. */
    __device__ __forceinline__ void load(const struct sinq_cuda_cache &cache, const struct value_place &place,
                                         uint32_t kv_head, uint32_t first, uint32_t begin, uint32_t end) {
        const uint32_t position = first + threadIdx.x / QUARTER;
#pragma unroll
        for (uint32_t i = 0; i < EARLY; i++) {
            const uint32_t p = first + place.group + i * place.groups;
            if (place.group >= place.groups || p < begin || p >= end) continue;
            values[i].load(place.section, find_entry(cache, kv_head, p), place.width, place.column, far_loads());
        }
        if (position < begin || position >= end) return;
        load_keys(cache.keys, find_entry(cache, kv_head, position), cache.key_dim, threadIdx.x % QUARTER * EIGHT,
                  far_loads());
    }
    /* One position of it, which lies in shared memory as in the cache. */
    __device__ __forceinline__ void load_newest(const struct sinq_cuda_cache &cache, const struct value_place &place,
                                                uint32_t first, uint32_t newest, const uint8_t *key,
                                                const uint8_t *value) {
#pragma unroll
        for (uint32_t i = 0; i < EARLY; i++) {
            if (place.group >= place.groups || first + place.group + i * place.groups != newest) continue;
            values[i].load(value, 0, place.width, place.column, near_loads());
        }
        if (first + threadIdx.x / QUARTER != newest) return;
        load_keys(key, 0, cache.key_dim, threadIdx.x % QUARTER * EIGHT, near_loads());
    }
};

/* The thread's quarter of one position's scores with all of the block's heads, whose first keys are loaded; the four join them. */
template <int HEADS, int TYPE, bool IS_WHOLE>
static __device__ __forceinline__ void
make_scores(const struct sinq_cuda_attention &a, uint32_t kv_head, uint32_t position, bool is_seen, uint32_t padded,
            struct entries<TYPE, IS_WHOLE> &own, const float *queries, float *scores) {
    constexpr uint32_t AT_ONCE = entries<TYPE, IS_WHOLE>::KEYS, STEP = EIGHT * QUARTER * AT_ONCE;
    const struct sinq_cuda_cache &cache = a.cache;
    const uint32_t begin = threadIdx.x % QUARTER * EIGHT;
    float sums[HEADS] = {};
    for (uint32_t first = begin; is_seen && first < padded; first += STEP) {
        if (first != begin) {
            own.load_keys(cache.keys, find_entry(cache, kv_head, position), cache.key_dim, first, far_loads());
        }
#pragma unroll
        for (uint32_t e = 0; e < AT_ONCE; e++) {
            const uint32_t k = first + EIGHT * QUARTER * e;
            if (k >= padded) break;
            float key[8];
            own.keys[e].spread(key);
#pragma unroll
            for (int h = 0; h < HEADS; h++) {
                const float4 low = *(const float4 *)&queries[h * padded + k];
                const float4 high = *(const float4 *)&queries[h * padded + k + 4];
                sums[h] += low.x * key[0] + low.y * key[1] + low.z * key[2] + low.w * key[3];
                sums[h] += high.x * key[4] + high.y * key[5] + high.z * key[6] + high.w * key[7];
            }
        }
    }
    float by = a.scale;
    if (TYPE == SINQ_KV_I8 && is_seen) by *= __ldcg(cache.key_scales + find_entry(cache, kv_head, position));
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
        sums[h] += __shfl_xor_sync(0xffffffffu, sums[h], 1);
        sums[h] += __shfl_xor_sync(0xffffffffu, sums[h], 2);
        sums[h] *= by;
    }
    if (a.cap != 0.0f) {
#pragma unroll
        for (int h = 0; h < HEADS; h++) sums[h] = a.cap * tanhf(sums[h] / a.cap);
    }
    if (threadIdx.x % QUARTER != 0) return;
#pragma unroll
    for (int h = 0; h < HEADS; h++) scores[h * TILE + threadIdx.x / QUARTER] = is_seen ? sums[h] : -INFINITY;
}

/* Scores of a head become shares of its values; a warp takes a head. */
static __device__ void update_head(const struct sinq_cuda_cache &cache, uint32_t kv_head, uint32_t first, uint32_t end,
                                   float *scores, float *largest_at, float *total_at, float *shrink_at) {
    static_assert(TILE == 32, "a lane has a position");
    const uint32_t lane = threadIdx.x % 32;
    const float before = *largest_at, after = fmaxf(before, warp_largest(scores[lane]));
    float share = first + lane < end ? expf(scores[lane] - after) : 0.0f; /* NaN stays NaN */
    const float total = warp_sum(share);
    if (cache.type == SINQ_KV_I8 && first + lane < end) {
        const float *const by = cache.shared ? cache.key_scales : cache.value_scales;
        share *= __ldcg(by + (size_t)kv_head * cache.capacity + (first + lane) % cache.capacity);
    }
    scores[lane] = share;
    __syncwarp();
    if (lane != 0) return;
    const float shrink = before == -INFINITY ? 0.0f : expf(before - after);
    *largest_at = after;
    *total_at = *total_at * shrink + total;
    *shrink_at = shrink;
}

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

#endif
