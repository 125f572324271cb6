/* tile_input.cu: inputs of products as tiles, a block a row; and which rows go to which expert. */
#include "cuda/tiles.cuh"

#define MOST_THREADS 512u

/* What a row's values are made of. */
struct origin {
    const struct sinq_cuda_values &values;
    const float *in, *up;
    uint32_t cols;
};

static __device__ __forceinline__ void load_eight(const float *row, uint32_t first, uint32_t cols, float (&x)[CHUNK]) {
    if (((uintptr_t)row & 15) == 0 && first + CHUNK <= cols) {
        const float4 low = *(const float4 *)&row[first], high = *(const float4 *)&row[first + 4];
        x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
        x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < CHUNK; i++) x[i] = first + i < cols ? row[first + i] : 0.0f;
}

static __device__ __forceinline__ void store_eight(float *row, uint32_t first, uint32_t cols, const float (&x)[CHUNK]) {
    if (((uintptr_t)row & 15) == 0 && first + CHUNK <= cols) {
        *(float4 *)&row[first] = make_float4(x[0], x[1], x[2], x[3]);
        *(float4 *)&row[first + 4] = make_float4(x[4], x[5], x[6], x[7]);
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < CHUNK; i++) {
        if (first + i < cols) row[first + i] = x[i];
    }
}

/* Eight values, before a norm multiplies by what is common to all of a row; squares are summed up for it. */
static __device__ __forceinline__ void find_eight(const struct origin &o, uint32_t first, float (&x)[CHUNK], double &squares) {
    float other[CHUNK];
    load_eight(o.in, first, o.cols, x);
    if (o.values.origin == SINQ_CUDA_NORMED) {
        load_eight(o.values.weight, first, o.cols, other);
#pragma unroll
        for (uint32_t i = 0; i < CHUNK; i++) {
            squares += (double)x[i] * x[i];
            x[i] *= other[i];
        }
    } else if (o.values.origin == SINQ_CUDA_ACTIVATED) {
        load_eight(o.up, first, o.cols, other);
#pragma unroll
        for (uint32_t i = 0; i < CHUNK; i++) x[i] = first + i < o.cols ? activate(o.values.activation, x[i], other[i]) : 0.0f;
    }
}

static __device__ __forceinline__ float find_largest(const float (&x)[CHUNK], float largest) {
#pragma unroll
    for (uint32_t i = 0; i < CHUNK; i++) largest = fmaxf(largest, fabsf(x[i])); /* NaN shows in what is stored */
    return largest;
}

static __device__ __forceinline__ void put_eight(const struct origin &o, const struct sinq_cuda_tiles &tiles, uint32_t row,
                                                 uint32_t first, float (&x)[CHUNK], float inverse, float by, float *out) {
#pragma unroll
    for (uint32_t i = 0; i < CHUNK; i++) x[i] *= inverse;
    if (out != NULL) store_eight(out, first, o.cols, x);
#pragma unroll
    for (uint32_t i = 0; i < CHUNK; i++) x[i] *= by;
    store_chunk<false>(tiles, row, first, x);
}

/* KEPT: how many eights a thread keeps; longer rows are read again. */
template <uint32_t KEPT>
static __device__ void tile_row(const struct origin &o, const struct sinq_cuda_tiles &tiles, uint32_t row, float *out) {
    const uint32_t columns = count_columns(tiles), step = blockDim.x * CHUNK, begin = threadIdx.x * CHUNK;
    double squares = 0, ignored = 0;
    float kept[KEPT][CHUNK], largest = 0, inverse = 1.0f;
#pragma unroll
    for (uint32_t j = 0; j < KEPT; j++) {
        if (begin + j * step >= columns) continue;
        find_eight(o, begin + j * step, kept[j], squares);
        largest = find_largest(kept[j], largest);
    }
    for (uint32_t first = begin + KEPT * step; first < columns; first += step) {
        float x[CHUNK];
        find_eight(o, first, x, squares);
        largest = find_largest(x, largest);
    }
    largest = block_largest(largest);
    if (o.values.origin == SINQ_CUDA_NORMED) {
        inverse = 1.0f / sqrtf((float)(block_sum(squares) / o.cols + (double)o.values.eps));
    }
    const float by = find_power(largest * inverse);
    if (threadIdx.x == 0) tiles.scales[row] = 1.0f / by;
#pragma unroll
    for (uint32_t j = 0; j < KEPT; j++) {
        if (begin + j * step < columns) put_eight(o, tiles, row, begin + j * step, kept[j], inverse, by, out);
    }
    for (uint32_t first = begin + KEPT * step; first < columns; first += step) {
        float x[CHUNK];
        find_eight(o, first, x, ignored);
        put_eight(o, tiles, row, first, x, inverse, by, out);
    }
}

template <uint32_t KEPT>
static __global__ void __launch_bounds__(MOST_THREADS)
    tile_input_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p, const struct sinq_cuda_state *state) {
    begin_kernel();
    const struct sinq_cuda_values &v = p.values;
    const uint32_t row = blockIdx.x, from = row + (v.gather ? state->first_row : 0);
    const struct origin origin = {v, v.in.data + (size_t)from * v.in.stride, v.up.data + (size_t)row * v.up.stride,
                                  p.products[0].matrix.cols};
    tile_row<KEPT>(origin, p.input, row, v.out.data == NULL ? NULL : v.out.data + (size_t)row * v.out.stride);
}

static __global__ void __launch_bounds__(MOST_THREADS)
    tile_choices_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p) {
    begin_kernel();
    const uint32_t row = blockIdx.x, source = p.map.sources[row], cols = p.products[0].matrix.cols;
    if (source == SINQ_CUDA_NO_SOURCE) return;
    const uint32_t token = source / p.chosen, choice = source % p.chosen;
    const float *const in = p.values.in.data + (size_t)token * p.values.in.stride;
    const struct origin origin = {p.values, in + (p.per_choice ? (size_t)choice * cols : 0), NULL, cols};
    tile_row<1>(origin, p.input, row, NULL);
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
    const uint32_t eights = p->input.across * SINQ_CUDA_TILE_COLS / CHUNK;
    const unsigned threads = eights <= 64 ? 64 : eights <= 256 ? 256 : MOST_THREADS;
    if (p->experts == NULL) {
        if (eights <= 2 * threads) return launch(line, tile_input_kernel<2>, dim3(rows), threads, 0, *p, state);
        return launch(line, tile_input_kernel<7>, dim3(rows), threads, 0, *p, state);
    }
    const size_t shared = 2 * (size_t)p->expert_count * sizeof(uint32_t);
    const cudaError_t status = launch(line, map_kernel, dim3(1), MAP_THREADS, shared, *p, rows * p->chosen);
    if (status != cudaSuccess) return status;
    return launch(line, tile_choices_kernel, dim3(p->map.most_tiles * SINQ_CUDA_TILE_ROWS), threads, 0, *p);
}
