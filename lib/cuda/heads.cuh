/* heads.cuh: norm and rope of one head, and a vector on its way into the cache. A warp does it. */
#ifndef SINQ_CUDA_HEADS_CUH
#define SINQ_CUDA_HEADS_CUH

#include "cuda/values.cuh"

static __device__ __forceinline__ void store_int8(const float *values, uint32_t count, int8_t *codes, float *scale_at) {
    const uint32_t lane = threadIdx.x % 32;
    float largest = 0;
    for (uint32_t i = lane; i < count; i += 32) {
        largest = isfinite(values[i]) ? fmaxf(largest, fabsf(values[i])) : INFINITY;
        if (largest == INFINITY) break;
    }
    largest = warp_largest(largest);
    /* What is not finite must show. What is below 2^-100 counts as zero. */
    const bool is_zero = largest < 0x1p-100f || largest == INFINITY;
    const float by = is_zero ? 0.0f : 127.0f / largest;
    for (uint32_t i = lane; i < count; i += 32) {
        codes[i] = (int8_t)(is_zero ? 0 : max(-127, min(127, __float2int_rn(values[i] * by))));
    }
    if (lane == 0) *scale_at = largest == INFINITY ? NAN : is_zero ? 0.0f : largest / 127.0f;
}

static __device__ __forceinline__ void store_vector(int type, const float *values, uint32_t count, size_t entry,
                                                    uint8_t *section, float *scales) {
    if (type == SINQ_KV_I8) {
        store_int8(values, count, (int8_t *)section + entry * count, scales + entry);
        return;
    }
    for (uint32_t i = threadIdx.x % 32; i < count; i += 32) {
        if (type == SINQ_KV_F32) ((float *)section)[entry * count + i] = values[i];
        if (type == SINQ_KV_F16) ((__half *)section)[entry * count + i] = __float2half_rn(values[i]);
    }
}

/* Into shared memory: a head's values, divided by their root mean square where there is a weight, and turned. */
static __device__ __forceinline__ void turn_head(const struct sinq_cuda_turn &t, uint32_t row, const float *in,
                                                 const float *weight, float eps, float *head) {
    const uint32_t lane = threadIdx.x % 32, width = t.cache.key_dim, pairs = t.dims / 2;
    const float *const cosines = t.rotation.data + (size_t)row * t.rotation.stride;
    double sum = 0;
    for (uint32_t i = lane; i < width; i += 32) {
        head[i] = in[i];
        sum += (double)in[i] * in[i];
    }
    if (weight != NULL) {
        const float inverse = (float)(1.0 / sqrt(warp_sum(sum) / width + (double)eps));
        for (uint32_t i = lane; i < width; i += 32) head[i] = head[i] * inverse * weight[i];
    }
    __syncwarp();
    for (uint32_t i = lane; i < pairs; i += 32) {
        const uint32_t first = t.interleaved ? 2 * i : i, second = t.interleaved ? 2 * i + 1 : i + pairs;
        const float a = head[first], b = head[second], c = cosines[i], s = cosines[pairs + i];
        head[first] = a * c - b * s;
        head[second] = b * c + a * s;
    }
    __syncwarp();
}

/* A head of queries. */
static __device__ __forceinline__ void turn_query(const struct sinq_cuda_turn &t, uint32_t row, uint32_t number,
                                                  float *head) {
    const float *const in = t.queries.data + (size_t)row * t.queries.stride + (size_t)number * t.cache.key_dim;
    turn_head(t, row, in, t.query_weight, t.query_eps, head);
}

/* A head of keys, into the cache, too. */
static __device__ __forceinline__ void turn_key(const struct sinq_cuda_turn &t, uint32_t row, uint32_t number,
                                                uint32_t position, float *head) {
    const float *const in = t.keys.data + (size_t)row * t.keys.stride + (size_t)number * t.cache.key_dim;
    const size_t entry = (size_t)number * t.cache.capacity + position % t.cache.capacity;
    turn_head(t, row, in, t.key_weight, t.key_eps, head);
    store_vector(t.cache.type, head, t.cache.key_dim, entry, t.cache.keys, t.cache.key_scales);
}

static __device__ __forceinline__ void store_value(const struct sinq_cuda_turn &t, uint32_t row, uint32_t number,
                                                   uint32_t position) {
    const float *const in = t.values.data + (size_t)row * t.values.stride + (size_t)number * t.cache.value_dim;
    const size_t entry = (size_t)number * t.cache.capacity + position % t.cache.capacity;
    store_vector(t.cache.type, in, t.cache.value_dim, entry, t.cache.values, t.cache.value_scales);
}

#endif
