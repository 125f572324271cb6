/*
 * heads.cuh: norm and rope of one head, and a vector on its way into the cache. A warp does it. All that comes from memory is asked
 * for at once, before anything is stored.
 */
#ifndef SINQ_CUDA_HEADS_CUH
#define SINQ_CUDA_HEADS_CUH

#include "cuda/values.cuh"

#define STRIP      8u
#define STRIP_SIZE (32u * STRIP) /* values of a strip */
static_assert(STRIP_SIZE == SINQ_CUDA_MOST_TURNED, "a head is one strip");

/* Values of a vector, every 32nd of which is a lane's; 0 beyond the last. */
struct strip {
    float value[STRIP];
    __device__ __forceinline__ void load(const float *from, uint32_t count) {
#pragma unroll
        for (uint32_t j = 0; j < STRIP; j++) {
            const uint32_t i = threadIdx.x % 32 + 32 * j;
            value[j] = i < count ? from[i] : 0.0f;
        }
    }
    __device__ __forceinline__ void store(float *to, uint32_t count) const {
#pragma unroll
        for (uint32_t j = 0; j < STRIP; j++) {
            const uint32_t i = threadIdx.x % 32 + 32 * j;
            if (i < count) to[i] = value[j];
        }
    }
    /* The largest magnitude over the warp; infinity where one is not finite. */
    __device__ __forceinline__ float find_largest() const {
        float largest = 0;
#pragma unroll
        for (uint32_t j = 0; j < STRIP; j++) largest = fmaxf(largest, isfinite(value[j]) ? fabsf(value[j]) : INFINITY);
        return warp_largest(largest);
    }
};

/* Part of a vector into the cache, as codes that are multiplied by `by` or as they are. */
static __device__ __forceinline__ void store_strip(int type, const struct strip &values, uint32_t count, float by,
                                                   uint8_t *section, size_t first) {
#pragma unroll
    for (uint32_t j = 0; j < STRIP; j++) {
        const uint32_t i = threadIdx.x % 32 + 32 * j;
        if (i >= count) break;
        const float v = values.value[j];
        if (type == SINQ_KV_F32) ((float *)section)[first + i] = v;
        if (type == SINQ_KV_F16) ((__half *)section)[first + i] = __float2half_rn(v);
        if (type == SINQ_KV_I8) {
            ((int8_t *)section)[first + i] = (int8_t)(by == 0 ? 0 : max(-127, min(127, __float2int_rn(v * by))));
        }
    }
}

/* The factor of codes, whose scale is stored. What is not finite must show. What is below 2^-100 counts as zero. */
static __device__ __forceinline__ float store_scale(float largest, float *scale_at) {
    const bool is_zero = largest < 0x1p-100f || largest == INFINITY;
    if (threadIdx.x % 32 == 0) *scale_at = largest == INFINITY ? NAN : is_zero ? 0.0f : largest / 127.0f;
    return is_zero ? 0.0f : 127.0f / largest;
}

static __device__ __forceinline__ void store_loaded(int type, const struct strip &values, uint32_t count, size_t entry,
                                                    uint8_t *section, float *scales, uint8_t *copy) {
    const float by = type == SINQ_KV_I8 ? store_scale(values.find_largest(), scales + entry) : 1.0f;
    store_strip(type, values, count, by, section, entry * count);
    if (copy != NULL) store_strip(type, values, count, by, copy, 0);
}

static __device__ __forceinline__ void store_vector(int type, const float *values, uint32_t count, size_t entry,
                                                    uint8_t *section, float *scales) {
    struct strip strip;
    float largest = 0;
    for (uint32_t at = 0; type == SINQ_KV_I8 && at < count; at += STRIP_SIZE) {
        strip.load(values + at, count - at);
        largest = fmaxf(largest, strip.find_largest());
    }
    const float by = type == SINQ_KV_I8 ? store_scale(largest, scales + entry) : 1.0f;
    for (uint32_t at = 0; at < count; at += STRIP_SIZE) {
        strip.load(values + at, count - at);
        store_strip(type, strip, min(count - at, STRIP_SIZE), by, section, entry * count + at);
    }
}

/* How far the pairs of a head turn. */
struct angles {
    float cosines[STRIP / 2], sines[STRIP / 2];
    __device__ __forceinline__ void load(const struct sinq_cuda_turn &t, uint32_t row) {
        const float *const from = t.rotation.data + (size_t)row * t.rotation.stride;
        const uint32_t pairs = t.dims / 2;
#pragma unroll
        for (uint32_t j = 0; j < STRIP / 2; j++) {
            const uint32_t i = threadIdx.x % 32 + 32 * j;
            cosines[j] = i < pairs ? from[i] : 0.0f;
            sines[j] = i < pairs ? from[pairs + i] : 0.0f;
        }
    }
};

/* A head's values, divided by their root mean square where they are normed, and turned, go to shared memory. */
static __device__ __forceinline__ void turn_head(const struct sinq_cuda_turn &t, const struct angles &by,
                                                 bool is_normed, const struct strip &weights, float eps,
                                                 struct strip &values, float *head) {
    const uint32_t width = t.cache.key_dim, pairs = t.dims / 2;
    if (is_normed) {
        float sum = 0;
#pragma unroll
        for (uint32_t j = 0; j < STRIP; j++) sum += values.value[j] * values.value[j];
        const float inverse = 1.0f / sqrtf(warp_sum(sum) / width + eps);
#pragma unroll
        for (uint32_t j = 0; j < STRIP; j++) values.value[j] = values.value[j] * inverse * weights.value[j];
    }
    values.store(head, width);
    __syncwarp();
#pragma unroll
    for (uint32_t j = 0; j < STRIP / 2; j++) {
        const uint32_t i = threadIdx.x % 32 + 32 * j;
        if (i >= pairs) break;
        const uint32_t first = t.interleaved ? 2 * i : i, second = t.interleaved ? 2 * i + 1 : i + pairs;
        const float a = head[first], b = head[second];
        head[first] = a * by.cosines[j] - b * by.sines[j];
        head[second] = b * by.cosines[j] + a * by.sines[j];
    }
    __syncwarp();
}

static __device__ __forceinline__ size_t find_entry(const struct sinq_cuda_cache &cache, uint32_t kv_head,
                                                    uint32_t position) {
    return (size_t)kv_head * cache.capacity + position % cache.capacity;
}

/* A key that was turned, into the cache; `copy`: where it goes as well, as it is stored, or NULL. */
static __device__ __forceinline__ void store_key(const struct sinq_cuda_cache &cache, uint32_t kv_head,
                                                 uint32_t position, const float *head, uint8_t *copy) {
    struct strip turned;
    turned.load(head, cache.key_dim);
    store_loaded(cache.type, turned, cache.key_dim, find_entry(cache, kv_head, position), cache.keys, cache.key_scales,
                 copy);
}

#endif
