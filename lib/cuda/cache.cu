/* cache.cu: keys and values into the cache, with the norms and ropes that come before. A block, one warp, takes a head. */
#include "cuda/heads.cuh"

#define THREADS 32u

static __global__ void store_kernel(struct sinq_cuda_cache cache, struct sinq_cuda_rows keys,
                                    struct sinq_cuda_rows values, const struct sinq_cuda_state *state) {
    begin_kernel();
    const uint32_t head = blockIdx.x, row = blockIdx.y;
    const size_t entry = find_entry(cache, head, state->position + row);
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

static __global__ void __launch_bounds__(THREADS)
    turn_kernel(const __grid_constant__ struct sinq_cuda_turn t, const struct sinq_cuda_state *state) {
    __shared__ float head[STRIP_SIZE];
    const struct sinq_cuda_cache &cache = t.cache;
    const uint32_t row = blockIdx.y, position = state->position + row; /* no kernel writes it */
    const bool is_query = blockIdx.x < t.heads;
    const uint32_t number = is_query ? blockIdx.x : (blockIdx.x - t.heads) % cache.kv_heads;
    begin_kernel();
    if (blockIdx.x >= t.heads + cache.kv_heads) {
        const float *const value = t.values.data + (size_t)row * t.values.stride + (size_t)number * cache.value_dim;
        store_vector(cache.type, value, cache.value_dim, find_entry(cache, number, position), cache.values,
                     cache.value_scales);
        return;
    }
    const struct sinq_cuda_rows &rows = is_query ? t.queries : t.keys;
    const float *const weight = is_query ? t.query_weight : t.key_weight;
    float *const at = rows.data + (size_t)row * rows.stride + (size_t)number * cache.key_dim;
    struct strip values;
    struct strip weights;
    struct angles angles;
    values.load(at, cache.key_dim);
    if (weight != NULL) weights.load(weight, cache.key_dim);
    angles.load(t, row);
    turn_head(t, angles, weight != NULL, weights, is_query ? t.query_eps : t.key_eps, values, head);
    if (!is_query) store_key(cache, number, position, head, NULL);
    values.load(head, cache.key_dim);
    values.store(at, cache.key_dim);
}

cudaError_t sinq_cuda_turn(struct sinq_cuda_line line, const struct sinq_cuda_turn *turn, uint32_t rows,
                           const struct sinq_cuda_state *state) {
    const uint32_t heads = turn->heads + 2 * turn->cache.kv_heads;
    return launch(line, turn_kernel, dim3(heads, rows), THREADS, 0, *turn, state);
}
