/* cache.cu: keys and values into the cache, with the norms and ropes that come before. A block takes a head. */
#include "cuda/values.cuh"

#define THREADS 128u

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

/* ---- norms, ropes and the cache of one head at once ---- */

/* In shared memory: a head's values, divided by their root mean square where there is a weight. */
static __device__ void load_head(const float *in, const float *weight, uint32_t width, float eps, float *head) {
    double sum = 0;
    for (uint32_t i = threadIdx.x; i < width; i += THREADS) {
        head[i] = in[i];
        sum += (double)in[i] * in[i];
    }
    if (weight == NULL) return;
    const float inverse = (float)(1.0 / sqrt(block_sum(sum) / width + (double)eps));
    for (uint32_t i = threadIdx.x; i < width; i += THREADS) head[i] = head[i] * inverse * weight[i];
}

static __device__ void turn_head(const struct sinq_cuda_turn &t, const float *cosines, float *head) {
    const uint32_t pairs = t.dims / 2;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < pairs; i += THREADS) {
        const uint32_t first = t.interleaved ? 2 * i : i, second = t.interleaved ? 2 * i + 1 : i + pairs;
        const float a = head[first], b = head[second], c = cosines[i], s = cosines[pairs + i];
        head[first] = a * c - b * s;
        head[second] = b * c + a * s;
    }
    __syncthreads();
}

static __global__ void __launch_bounds__(THREADS) turn_kernel(const __grid_constant__ struct sinq_cuda_turn t,
                                                              const struct sinq_cuda_state *state) {
    extern __shared__ float head[];
    const uint32_t row = blockIdx.y, kv_heads = t.cache.kv_heads, width = t.cache.key_dim;
    begin_kernel();
    const float *const cosines = t.rotation.data + (size_t)row * t.rotation.stride;
    if (blockIdx.x < t.heads) {
        float *const at = t.queries.data + (size_t)row * t.queries.stride + (size_t)blockIdx.x * width;
        load_head(at, t.query_weight, width, t.query_eps, head);
        turn_head(t, cosines, head);
        for (uint32_t i = threadIdx.x; i < width; i += THREADS) at[i] = head[i];
        return;
    }
    const uint32_t kv_head = (blockIdx.x - t.heads) % kv_heads;
    const size_t entry = (size_t)kv_head * t.cache.capacity + (state->position + row) % t.cache.capacity;
    if (blockIdx.x >= t.heads + kv_heads) {
        const float *const value = t.values.data + (size_t)row * t.values.stride + (size_t)kv_head * t.cache.value_dim;
        store_vector(t.cache.type, value, t.cache.value_dim, entry, t.cache.values, t.cache.value_scales);
        return;
    }
    float *const at = t.keys.data + (size_t)row * t.keys.stride + (size_t)kv_head * width;
    load_head(at, t.key_weight, width, t.key_eps, head);
    turn_head(t, cosines, head);
    for (uint32_t i = threadIdx.x; i < width; i += THREADS) at[i] = head[i];
    store_vector(t.cache.type, head, width, entry, t.cache.keys, t.cache.key_scales);
}

cudaError_t sinq_cuda_turn(struct sinq_cuda_line line, const struct sinq_cuda_turn *turn, uint32_t rows,
                           const struct sinq_cuda_state *state) {
    const uint32_t heads = turn->heads + 2 * turn->cache.kv_heads;
    return launch(line, turn_kernel, dim3(heads, rows), THREADS, turn->cache.key_dim * sizeof(float), *turn, state);
}
