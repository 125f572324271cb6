/* prepare.cu: inputs of products with quantized matrices as integers of 16 bits, one scale a group of columns. */
#include "cuda/attention.cuh"
#include "cuda/input.cuh"

#define THREADS      256u
#define FEW_THREADS  128u
#define MOST_THREADS 1024u
#define SLICE        (THREADS * THREAD_COLS)

static __device__ float load_column_scale(const uint8_t *column_scale, uint32_t k) {
    return column_scale == NULL ? 1.0f : load_half(column_scale + 2 * (size_t)k);
}

/* What does not depend on earlier kernels. */
struct constants {
    float weights[THREAD_COLS], column_scales[THREAD_COLS];
    __device__ __forceinline__ void load(const struct sinq_cuda_preparation &p, uint32_t which, uint32_t first) {
        const bool is_normed = p.values.origin == SINQ_CUDA_NORMED;
#pragma unroll
        for (uint32_t i = 0; i < THREAD_COLS; i++) {
            const uint32_t k = first + i;
            weights[i] = is_normed && k < p.cols ? p.values.weight[k] : 1.0f;
            column_scales[i] = k < p.cols ? load_column_scale(p.column_scales[which], k) : 0.0f;
        }
    }
};

/* One over the root mean square of a row, of which a thread has `x` and, where blocks share out a row, other blocks the rest. */
static __device__ float find_inverse(const struct sinq_cuda_values &values, const float *in, uint32_t cols,
                                     const float (&x)[THREAD_COLS]) {
    double sum = 0;
    if (gridDim.x == 1) {
#pragma unroll
        for (uint32_t i = 0; i < THREAD_COLS; i++) sum += (double)x[i] * x[i];
    } else {
#pragma unroll 8
        for (uint32_t i = threadIdx.x; i < cols; i += blockDim.x) sum += (double)in[i] * in[i];
    }
    return 1.0f / sqrtf((float)(block_sum(sum) / cols + (double)values.eps));
}

/* The thread's columns, 0 beyond the last. */
static __device__ void load_columns(const struct sinq_cuda_preparation &p, const struct sinq_cuda_state &state,
                                    uint32_t row, uint32_t first, const float (&weights)[THREAD_COLS],
                                    float (&x)[THREAD_COLS]) {
    const struct sinq_cuda_values &values = p.values;
    if (values.origin == SINQ_CUDA_ATTENDED) {
        const uint32_t width = values.attention.cache.value_dim;
        const uint32_t parts = count_parts(values.attention, state.position + row);
        for (uint32_t i = 0; i < THREAD_COLS; i++) x[i] = 0;
        if (first < p.cols) join_values<THREAD_COLS, 4>(values.attention, parts, row, first / width, first % width, x);
        return;
    }
    const uint32_t from = row + (values.gather ? state.first_row : 0);
    const float *const in = values.in.data + (size_t)from * values.in.stride;
    const float *const up = values.up.data + (size_t)row * values.up.stride;
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        const uint32_t k = first + i;
        x[i] = k < p.cols ? in[k] : 0.0f;
        if (values.origin == SINQ_CUDA_ACTIVATED && k < p.cols) x[i] = activate(values.activation, x[i], up[k]);
    }
    if (values.origin != SINQ_CUDA_NORMED) return;
    const float inverse = find_inverse(values, in, p.cols, x);
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) x[i] = x[i] * inverse * weights[i];
}

static __global__ void __launch_bounds__(MOST_THREADS)
    prepare_kernel(const __grid_constant__ struct sinq_cuda_preparation p, const struct sinq_cuda_state *state) {
    call_dependents();
    const uint32_t row = blockIdx.y, which = blockIdx.z, first = (blockIdx.x * blockDim.x + threadIdx.x) * THREAD_COLS;
    const struct sinq_cuda_rows &to = p.values.out;
    float *const out = to.data == NULL || which != 0 ? NULL : to.data + (size_t)row * to.stride;
    struct constants constants;
    float x[THREAD_COLS];
    constants.load(p, which, first);
    struct sinq_cuda_state now = {};
    if (p.values.origin == SINQ_CUDA_ATTENDED || p.values.gather) now = *state; /* no kernel writes it */
    await_kernel();
    load_columns(p, now, row, first, constants.weights, x);
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        if (out != NULL && first + i < p.cols) out[first + i] = x[i];
        x[i] *= constants.column_scales[i];
    }
    store_columns(p.inputs[which], row, first, x);
}

/* A norm's row has one block where it can, which then reads it once. */
cudaError_t sinq_cuda_prepare(struct sinq_cuda_line line, const struct sinq_cuda_preparation *preparation,
                              uint32_t rows, const struct sinq_cuda_state *state) {
    const uint32_t padded = preparation->inputs[0].padded, whole = divide_up(padded, 32 * THREAD_COLS) * 32;
    const bool is_normed = preparation->values.origin == SINQ_CUDA_NORMED;
    const uint32_t threads = is_normed && whole <= MOST_THREADS ? whole : FEW_THREADS;
    const dim3 grid(divide_up(padded, threads * THREAD_COLS), rows, preparation->count);
    return launch(line, prepare_kernel, grid, threads, 0, *preparation, state);
}

/* A row for each choice: its expert's column scale. */
static __global__ void __launch_bounds__(THREADS) prepare_experts_kernel(struct sinq_cuda_expert_products p) {
    begin_kernel();
    const uint32_t row = blockIdx.y, choice = blockIdx.z, first = blockIdx.x * SLICE + threadIdx.x * THREAD_COLS;
    const uint32_t expert = (uint32_t)p.choices.data[(size_t)row * p.choices.stride + choice], cols = p.first.cols;
    const uint8_t *const column_scale = p.matrices[expert].column_scale;
    const float *const in = p.in.data + (size_t)row * p.in.stride + (p.per_choice ? (size_t)choice * cols : 0);
    float x[THREAD_COLS];
#pragma unroll
    for (uint32_t i = 0; i < THREAD_COLS; i++) {
        const uint32_t k = first + i;
        x[i] = k < cols ? in[k] * load_column_scale(column_scale, k) : 0.0f;
    }
    store_columns(p.input, row * p.chosen + choice, first, x);
}

cudaError_t sinq_cuda_prepare_experts(struct sinq_cuda_line line, const struct sinq_cuda_expert_products *products,
                                      uint32_t rows) {
    const dim3 grid(divide_up(products->input.padded, SLICE), rows, products->chosen);
    return launch(line, prepare_experts_kernel, grid, THREADS, 0, *products);
}
