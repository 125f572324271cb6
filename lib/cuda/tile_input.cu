/* tile_input.cu: inputs of products as tiles, a block a row; and which rows go to which expert. */
#include "cuda/tiles.cuh"

#define THREADS 256u

/* What a row's values are made of. */
struct origin {
    const struct sinq_cuda_values &values;
    const float *in, *up;
    uint32_t cols;
};

/* Before a norm multiplies by what is common to all of a row. */
static __device__ __forceinline__ float find_value(const struct origin &o, uint32_t k) {
    const float x = o.in[k];
    if (o.values.origin == SINQ_CUDA_NORMED) return x * o.values.weight[k];
    return o.values.origin == SINQ_CUDA_ACTIVATED ? activate(o.values.activation, x, o.up[k]) : x;
}

static __device__ void tile_row(const struct origin &o, const struct sinq_cuda_tiles &tiles, uint32_t row, float *out) {
    const bool is_normed = o.values.origin == SINQ_CUDA_NORMED;
    double squares = 0;
    float largest = 0, inverse = 1.0f;
#pragma unroll 4
    for (uint32_t k = threadIdx.x; k < o.cols; k += THREADS) {
        if (is_normed) squares += (double)o.in[k] * o.in[k];
        const float value = fabsf(find_value(o, k));
        largest = value > largest || isnan(value) ? value : largest;
    }
    largest = block_largest(largest);
    if (is_normed) inverse = 1.0f / sqrtf((float)(block_sum(squares) / o.cols + (double)o.values.eps));
    const float by = find_power(largest * inverse);
    if (threadIdx.x == 0) tiles.scales[row] = 1.0f / by;
    const uint32_t columns = count_columns(tiles);
    for (uint32_t first = threadIdx.x * CHUNK; first < columns; first += THREADS * CHUNK) {
        float x[CHUNK];
#pragma unroll
        for (uint32_t i = 0; i < CHUNK; i++) {
            const uint32_t k = first + i;
            x[i] = k < o.cols ? find_value(o, k) * inverse : 0.0f;
            if (out != NULL && k < o.cols) out[k] = x[i];
            x[i] *= by;
        }
        store_chunk<false>(tiles, row, first, x);
    }
}

static __global__ void __launch_bounds__(THREADS)
    tile_input_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p, const struct sinq_cuda_state *state) {
    begin_kernel();
    const struct sinq_cuda_values &v = p.values;
    const uint32_t row = blockIdx.x, from = row + (v.gather ? state->first_row : 0);
    const struct origin origin = {v, v.in.data + (size_t)from * v.in.stride, v.up.data + (size_t)row * v.up.stride,
                                  p.products[0].matrix.cols};
    tile_row(origin, p.input, row, v.out.data == NULL ? NULL : v.out.data + (size_t)row * v.out.stride);
}

static __global__ void __launch_bounds__(THREADS)
    tile_choices_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p) {
    begin_kernel();
    const uint32_t row = blockIdx.x, source = p.map.sources[row], cols = p.products[0].matrix.cols;
    if (source == SINQ_CUDA_NO_SOURCE) return;
    const uint32_t token = source / p.chosen, choice = source % p.chosen;
    const float *const in = p.values.in.data + (size_t)token * p.values.in.stride;
    const struct origin origin = {p.values, in + (p.per_choice ? (size_t)choice * cols : 0), NULL, cols};
    tile_row(origin, p.input, row, NULL);
}

/* ---- experts ---- */

#define MAP_THREADS 1024u

static __device__ uint32_t find_expert(const struct sinq_cuda_tiled_products &p, uint32_t source) {
    return (uint32_t)p.choices.data[(size_t)(source / p.chosen) * p.choices.stride + source % p.chosen];
}

/* One block. Rows of an expert are in no particular order, which changes nothing. */
static __global__ void __launch_bounds__(MAP_THREADS)
    map_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p, uint32_t sources) {
    begin_kernel();
    extern __shared__ uint32_t counts[]; /* [experts], then where their rows begin */
    uint32_t *const begins = counts + p.expert_count;
    for (uint32_t e = threadIdx.x; e < p.expert_count; e += MAP_THREADS) counts[e] = 0;
    for (uint32_t i = threadIdx.x; i < p.map.most_tiles * SINQ_CUDA_TILE_ROWS; i += MAP_THREADS) {
        p.map.sources[i] = SINQ_CUDA_NO_SOURCE;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < sources; i += MAP_THREADS) atomicAdd(&counts[find_expert(p, i)], 1);
    __syncthreads();
    if (threadIdx.x == 0) {
        uint32_t tiles = 0;
        for (uint32_t e = 0; e < p.expert_count; e++) {
            begins[e] = tiles * SINQ_CUDA_TILE_ROWS;
            for (uint32_t i = 0; i < counts[e]; i += SINQ_CUDA_TILE_ROWS) p.map.tile_experts[tiles++] = e;
        }
        *p.map.tile_count = tiles;
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < sources; i += MAP_THREADS) {
        p.map.sources[atomicAdd(&begins[find_expert(p, i)], 1)] = i;
    }
}

cudaError_t sinq_cuda_tile_input(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *p, uint32_t rows,
                                 const struct sinq_cuda_state *state) {
    if (p->experts == NULL) return launch(line, tile_input_kernel, dim3(rows), THREADS, 0, *p, state);
    const size_t shared = 2 * (size_t)p->expert_count * sizeof(uint32_t);
    const cudaError_t status = launch(line, map_kernel, dim3(1), MAP_THREADS, shared, *p, rows * p->chosen);
    if (status != cudaSuccess) return status;
    return launch(line, tile_choices_kernel, dim3(p->map.most_tiles * SINQ_CUDA_TILE_ROWS), THREADS, 0, *p);
}
