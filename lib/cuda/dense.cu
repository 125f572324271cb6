/* dense.cu: products with dense matrices, and, element by element, with those that have levels of their own. A warp takes a row. */
#include "cuda/values.cuh"

#define WARPS 8u

/* Eight consecutive elements, which lie on 16 bytes (f32: on 32). */
static __device__ __forceinline__ void load_eight(const struct sinq_cuda_matrix &m, size_t at, float (&w)[8]) {
    if (m.dtype == SINQ_F32) {
        const float4 a = ((const float4 *)((const float *)m.elements + at))[0];
        const float4 b = ((const float4 *)((const float *)m.elements + at))[1];
        w[0] = a.x, w[1] = a.y, w[2] = a.z, w[3] = a.w, w[4] = b.x, w[5] = b.y, w[6] = b.z, w[7] = b.w;
        return;
    }
    const uint4 v = *(const uint4 *)(m.elements + 2 * at);
    const uint32_t words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        if (m.dtype == SINQ_F16) {
            const float2 pair = __half22float2(*(const __half2 *)&words[i]);
            w[2 * i] = pair.x, w[2 * i + 1] = pair.y;
        } else {
            w[2 * i] = __uint_as_float(words[i] << 16), w[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }
}

/* In every lane. */
static __device__ float dot_row(const struct sinq_cuda_matrix &m, uint32_t row, const float *x) {
    const bool is_plain = m.bits == 0 && (m.dtype == SINQ_F32 || m.dtype == SINQ_F16 || m.dtype == SINQ_BF16);
    const uint32_t lane = threadIdx.x % 32, eights = is_plain && m.cols % 8 == 0 ? m.cols / 8 : 0;
    float sum = 0;
#pragma unroll 4
    for (uint32_t i = lane; i < eights; i += 32) {
        float w[8];
        load_eight(m, (size_t)row * m.cols + 8 * (size_t)i, w);
#pragma unroll
        for (int k = 0; k < 8; k++) sum += w[k] * x[8 * i + k];
    }
    for (uint32_t k = 8 * eights + lane; k < m.cols; k += 32) sum += weight_value(m, row, k) * x[k];
    return warp_sum(sum);
}

static __global__ void dense_kernel(const __grid_constant__ struct sinq_cuda_matrix m, struct sinq_cuda_rows in,
                                    struct sinq_cuda_rows y, const float *bias, bool accumulate) {
    begin_kernel();
    const uint32_t row = blockIdx.x * WARPS + threadIdx.x / 32, token = blockIdx.y;
    if (row >= m.rows) return;
    const float sum = dot_row(m, row, in.data + (size_t)token * in.stride) + (bias == NULL ? 0.0f : bias[row]);
    float *const at = y.data + (size_t)token * y.stride + row;
    if (threadIdx.x % 32 == 0) *at = accumulate ? *at + sum : sum;
}

cudaError_t sinq_cuda_multiply_dense(struct sinq_cuda_line line, const struct sinq_cuda_matrix *matrix,
                                     struct sinq_cuda_rows in, struct sinq_cuda_rows y, const float *bias,
                                     bool accumulate, uint32_t rows) {
    const dim3 grid(divide_up(matrix->rows, WARPS), rows);
    return launch(line, dense_kernel, grid, 32 * WARPS, 0, *matrix, in, y, bias, accumulate);
}

static __global__ void dense_experts_kernel(struct sinq_cuda_expert_products p) {
    begin_kernel();
    const uint32_t row = blockIdx.x * WARPS + threadIdx.x / 32, choice = blockIdx.y, token = blockIdx.z;
    const uint32_t expert = (uint32_t)p.choices.data[(size_t)token * p.choices.stride + choice];
    const struct sinq_cuda_matrix &m = p.matrices[expert];
    if (row >= m.rows) return;
    const float *const x = p.in.data + (size_t)token * p.in.stride + (p.per_choice ? (size_t)choice * m.cols : 0);
    const float sum = dot_row(m, row, x) + (p.biases == NULL ? 0.0f : p.biases[expert][row]);
    if (threadIdx.x % 32 == 0) p.out.data[(size_t)token * p.out.stride + (size_t)choice * m.rows + row] = sum;
}

cudaError_t sinq_cuda_multiply_dense_experts(struct sinq_cuda_line line, const struct sinq_cuda_expert_products *p,
                                             uint32_t rows) {
    const dim3 grid(divide_up(p->first.rows, WARPS), p->chosen, rows);
    return launch(line, dense_experts_kernel, grid, 32 * WARPS, 0, *p);
}

/* ---- a matrix's own rows for each head ---- */

static __global__ void heads_kernel(const __grid_constant__ struct sinq_cuda_head_product p) {
    begin_kernel();
    const uint32_t head = blockIdx.y, token = blockIdx.z, first = p.first_row + head * p.row_stride;
    const float *const in = p.in.data + (size_t)token * p.in.stride + (size_t)head * p.in_stride;
    float *const out = p.out.data + (size_t)token * p.out.stride + (size_t)head * p.out_stride;
    if (p.transposed) {
        const uint32_t k = blockIdx.x * blockDim.x + threadIdx.x;
        if (k >= p.matrix.cols) return;
        float sum = 0;
        for (uint32_t r = 0; r < p.rows; r++) sum += in[r] * weight_value(p.matrix, first + r, k);
        out[k] = sum;
        return;
    }
    const uint32_t row = blockIdx.x * WARPS + threadIdx.x / 32;
    if (row >= p.rows) return;
    const float sum = dot_row(p.matrix, first + row, in);
    if (threadIdx.x % 32 == 0) out[row] = sum;
}

cudaError_t sinq_cuda_multiply_heads(struct sinq_cuda_line line, const struct sinq_cuda_head_product *p,
                                     uint32_t rows) {
    const unsigned blocks = p->transposed ? divide_up(p->matrix.cols, 32 * WARPS) : divide_up(p->rows, WARPS);
    return launch(line, heads_kernel, dim3(blocks, p->heads, rows), 32 * WARPS, 0, *p);
}
