/* rows.cu: operations that compute each row by itself. */
#include "cuda/values.cuh"

static __global__ void embed_kernel(struct sinq_cuda_matrix matrix, const int32_t *tokens, struct sinq_cuda_rows out,
                                    float scale) {
    begin_kernel();
    const uint32_t row = blockIdx.y, k = blockIdx.x * blockDim.x + threadIdx.x;
    if (k >= matrix.cols) return;
    out.data[(size_t)row * out.stride + k] = weight_value(matrix, (uint32_t)tokens[row], k) * scale;
}

cudaError_t sinq_cuda_embed(struct sinq_cuda_line line, const struct sinq_cuda_matrix *matrix, const int32_t *tokens,
                            struct sinq_cuda_rows out, uint32_t rows, float scale) {
    return launch(line, embed_kernel, dim3(divide_up(matrix->cols, 128), rows), 128, 0, *matrix, tokens, out, scale);
}

/* ---- norms ---- */

static __global__ void norm_kernel(struct sinq_cuda_norm norm, const struct sinq_cuda_state *state) {
    begin_kernel();
    const uint32_t row = blockIdx.y, from = row + (norm.gather ? state->first_row : 0);
    const size_t at = (size_t)blockIdx.x * norm.stride;
    const float *const in = norm.in.data + (size_t)from * norm.in.stride + at;
    float *const out = norm.out.data + (size_t)row * norm.out.stride + at;
    double sum = 0; /* squares of large values do not overflow */
    for (uint32_t i = threadIdx.x; i < norm.width; i += blockDim.x) sum += (double)in[i] * in[i];
    const float inverse = (float)(1.0 / sqrt(block_sum(sum) / norm.width + (double)norm.eps));
    for (uint32_t i = threadIdx.x; i < norm.width; i += blockDim.x) out[i] = in[i] * inverse * norm.weight[i];
}

cudaError_t sinq_cuda_norm(struct sinq_cuda_line line, const struct sinq_cuda_norm *norm, uint32_t rows,
                           const struct sinq_cuda_state *state) {
    const unsigned threads = norm->width <= 128 ? 32 : norm->width <= 1024 ? 128 : 512;
    return launch(line, norm_kernel, dim3(norm->groups, rows), threads, 0, *norm, state);
}

/* ---- rotary positions ---- */

static __global__ void rotation_kernel(const double *frequencies, uint32_t pairs, double factor,
                                       struct sinq_cuda_rows out, const struct sinq_cuda_state *state) {
    begin_kernel();
    const uint32_t row = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pairs) return;
    double sine, cosine;
    sincos((double)(state->position + row) * frequencies[i], &sine, &cosine);
    float *const to = out.data + (size_t)row * out.stride;
    to[i] = (float)(cosine * factor);
    to[pairs + i] = (float)(sine * factor);
}

cudaError_t sinq_cuda_rotation(struct sinq_cuda_line line, const double *frequencies, uint32_t pairs, double factor,
                               struct sinq_cuda_rows out, uint32_t rows, const struct sinq_cuda_state *state) {
    return launch(line, rotation_kernel, dim3(divide_up(pairs, 32), rows), 32, 0, frequencies, pairs, factor, out,
                  state);
}

/* A thread has a pair in hand, or values that are copied: so turning in place is safe. */
static __global__ void rope_kernel(struct sinq_cuda_rope rope) {
    begin_kernel();
    const uint32_t row = blockIdx.y, head = blockIdx.x, pairs = rope.dims / 2;
    const float *const in = rope.in.data + (size_t)row * rope.in.stride + (size_t)head * rope.in_stride;
    float *const out = rope.out.data + (size_t)row * rope.out.stride + (size_t)head * rope.out_stride;
    const float *const cosines = rope.rotation.data + (size_t)row * rope.rotation.stride, *const sines = cosines + pairs;
    for (uint32_t i = threadIdx.x; i < pairs; i += blockDim.x) {
        const uint32_t first = rope.interleaved ? 2 * i : i, second = rope.interleaved ? 2 * i + 1 : i + pairs;
        const float a = in[first], b = in[second], c = cosines[i], s = sines[i];
        out[first] = a * c - b * s;
        out[second] = b * c + a * s;
    }
    if (in == out) return;
    for (uint32_t i = threadIdx.x; i < rope.copy; i += blockDim.x) out[rope.dims + i] = in[rope.dims + i];
}

cudaError_t sinq_cuda_rope(struct sinq_cuda_line line, const struct sinq_cuda_rope *rope, uint32_t rows) {
    return launch(line, rope_kernel, dim3(rope->heads, rows), 64, 0, *rope);
}

/* ---- elementwise ---- */

static __global__ void activate_kernel(struct sinq_cuda_activation a) {
    begin_kernel();
    const uint32_t row = blockIdx.z, segment = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= a.width) return;
    const size_t from = (size_t)segment * a.in_stride + (size_t)i * a.step;
    const float gate = a.gate.data[(size_t)row * a.gate.stride + from], up = a.up.data[(size_t)row * a.up.stride + from];
    a.out.data[(size_t)row * a.out.stride + (size_t)segment * a.out_stride + i] = activate(a.activation, gate, up);
}

cudaError_t sinq_cuda_activate(struct sinq_cuda_line line, const struct sinq_cuda_activation *a, uint32_t rows) {
    return launch(line, activate_kernel, dim3(divide_up(a->width, 256), a->segments, rows), 256, 0, *a);
}

static __global__ void add_kernel(struct sinq_cuda_rows in, struct sinq_cuda_rows out, uint32_t width) {
    begin_kernel();
    const uint32_t row = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < width) out.data[(size_t)row * out.stride + i] += in.data[(size_t)row * in.stride + i];
}

cudaError_t sinq_cuda_add(struct sinq_cuda_line line, struct sinq_cuda_rows in, struct sinq_cuda_rows out,
                          uint32_t width, uint32_t rows) {
    return launch(line, add_kernel, dim3(divide_up(width, 256), rows), 256, 0, in, out, width);
}

static __global__ void softcap_kernel(struct sinq_cuda_rows in_out, uint32_t width, float cap) {
    begin_kernel();
    const uint32_t row = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= width) return;
    float *const at = in_out.data + (size_t)row * in_out.stride + i;
    *at = cap * tanhf(*at / cap);
}

cudaError_t sinq_cuda_softcap(struct sinq_cuda_line line, struct sinq_cuda_rows in_out, uint32_t width, float cap,
                              uint32_t rows) {
    return launch(line, softcap_kernel, dim3(divide_up(width, 256), rows), 256, 0, in_out, width, cap);
}

static __global__ void combine_kernel(struct sinq_cuda_combine c) {
    begin_kernel();
    const uint32_t row = blockIdx.y, i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= c.width) return;
    const float *const shares = c.choices.data + (size_t)row * c.choices.stride + c.chosen;
    const float *const in = c.in.data + (size_t)row * c.in.stride + i;
    float *const out = c.out.data + (size_t)row * c.out.stride + i;
    float sum = c.accumulate ? *out : 0.0f;
    for (uint32_t choice = 0; choice < c.chosen; choice++) sum += shares[choice] * in[(size_t)choice * c.width];
    *out = sum;
}

cudaError_t sinq_cuda_combine(struct sinq_cuda_line line, const struct sinq_cuda_combine *combine, uint32_t rows) {
    return launch(line, combine_kernel, dim3(divide_up(combine->width, 256), rows), 256, 0, *combine);
}
