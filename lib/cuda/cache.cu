/* cache.cu: keys and values into the cache, with the norms and ropes that come before. A block, one warp, takes a head. */
#include "cuda/heads.cuh"

#define THREADS 32u

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

static __global__ void __launch_bounds__(THREADS) turn_kernel(const __grid_constant__ struct sinq_cuda_turn t,
                                                              const struct sinq_cuda_state *state) {
    extern __shared__ float head[];
    const uint32_t row = blockIdx.y, kv_heads = t.cache.kv_heads, width = t.cache.key_dim;
    const uint32_t number = blockIdx.x < t.heads ? blockIdx.x : (blockIdx.x - t.heads) % kv_heads;
    begin_kernel();
    if (blockIdx.x >= t.heads + kv_heads) {
        store_value(t, row, number, state->position + row);
        return;
    }
    const struct sinq_cuda_rows &rows = blockIdx.x < t.heads ? t.queries : t.keys;
    if (blockIdx.x < t.heads) {
        turn_query(t, row, number, head);
    } else {
        turn_key(t, row, number, state->position + row, head);
    }
    float *const at = rows.data + (size_t)row * rows.stride + (size_t)number * width;
    for (uint32_t i = threadIdx.x; i < width; i += THREADS) at[i] = head[i];
}

cudaError_t sinq_cuda_turn(struct sinq_cuda_line line, const struct sinq_cuda_turn *turn, uint32_t rows,
                           const struct sinq_cuda_state *state) {
    const uint32_t heads = turn->heads + 2 * turn->cache.kv_heads;
    return launch(line, turn_kernel, dim3(heads, rows), THREADS, turn->cache.key_dim * sizeof(float), *turn, state);
}
