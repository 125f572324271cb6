/* values.cuh: single values: elements of weights as they are stored, and activations. */
#ifndef SINQ_CUDA_VALUES_CUH
#define SINQ_CUDA_VALUES_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include "cuda/launch.cuh"
#include "model/operation.h"
#include "sinq.h"

__device__ __forceinline__ float load_half(const uint8_t *at) { return __half2float(*(const __half *)at); }

/* low + code * step of a range. */
__device__ __forceinline__ float apply_range(const uint8_t *range, unsigned code) {
    return load_half(range) + (float)code * load_half(range + 2);
}

/* The factor of i8 scales or zeros of a row's 256 columns around a group. */
__device__ __forceinline__ float super_of(const struct sinq_cuda_matrix &m, const uint8_t *supers, uint32_t row,
                                          uint32_t group) {
    const size_t at = ((size_t)(row / 16) * m.supers + group * m.group_size / 256) * 16 + row % 16;
    return ((const float *)supers)[at];
}

/* low + magnitude * step, or what is below zero by as much. `sign`: the bit of the code that says so, or 0. */
__device__ __forceinline__ float apply_signed_range(const uint8_t *range, unsigned code, uint32_t sign) {
    const float value = apply_range(range, sign == 0 ? code : code & (sign - 1));
    return (code & sign) != 0 ? -value : value;
}

/* An entry of 6 bits: docs/format.md, 5.2. */
__device__ __forceinline__ unsigned load_u6(const uint8_t *entries, uint32_t row, uint32_t group, uint32_t groups) {
    const uint8_t *const quad = entries + ((size_t)(row / 16) * ((groups + 3) / 4) + group / 4) * 48 + row % 16;
    const uint32_t place = group % 4;
    return (quad[place / 2 * 16] >> place % 2 * 4 & 15u) | (quad[32] >> 2 * place & 3u) << 4;
}

__device__ __forceinline__ float scale_of(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t group) {
    const size_t entry = ((size_t)(row / 16) * m.groups + group) * 16 + row % 16;
    if (m.scales_are_f16) return load_half(m.scales + 2 * entry);
    if (m.scales_are_i8) return super_of(m, m.scale_ranges, row, group) * (float)(int8_t)m.scales[entry];
    const unsigned code = m.scales_are_u6 ? load_u6(m.scales, row, group, m.groups) : m.scales[entry];
    return apply_signed_range(m.scale_ranges + ((size_t)(row / 32) * m.groups + group) * 4, code, m.scale_sign);
}

__device__ __forceinline__ float zero_of(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t group) {
    const size_t entry = ((size_t)(row / 16) * m.groups + group) * 16 + row % 16;
    if (m.zeros == NULL) return m.zero_low;
    if (m.zeros_are_f16) return load_half(m.zeros + 2 * entry);
    if (m.zeros_are_i8) return super_of(m, m.zero_ranges, row, group) * (float)(int8_t)m.zeros[entry];
    const unsigned code = m.zeros_are_u6 ? load_u6(m.zeros, row, group, m.groups) : m.zeros[entry];
    if (m.zero_ranges == NULL) return m.zero_low + (float)code * m.zero_step;
    return apply_range(m.zero_ranges + ((size_t)(row / 32) * m.groups + group) * 4, code);
}

/* A plane of `width` bits: docs/format.md, 5.1. */
__device__ __forceinline__ unsigned plane_code(const uint8_t *lines, unsigned width, uint32_t row, uint32_t column) {
    const unsigned quad = column / 4, per_line = 8 / width;
    const unsigned byte = lines[quad / per_line * 64 + 4 * row + column % 4];
    return byte >> width * (quad % per_line) & ((1u << width) - 1u);
}

__device__ __forceinline__ unsigned code_of(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t k) {
    const uint8_t *const lines = m.codes + ((size_t)(row / 16) * m.column_blocks + k / 32) * m.bits * 64;
    const unsigned low = m.bits == 3 ? 2 : m.bits == 5 || m.bits == 6 ? 4 : m.bits;
    unsigned code = plane_code(lines, low, row % 16, k % 32);
    if (low != m.bits) code |= plane_code(lines + low * 64, m.bits - low, row % 16, k % 32) << low;
    return code;
}

/* What a code stands for, zero point aside. */
__device__ __forceinline__ float level_of(const struct sinq_cuda_matrix &m, unsigned code) {
    if (m.levels == NULL) return (float)code;
    return m.has_byte_levels ? (float)(m.levels[code] & 127u) : ((const float *)m.levels)[code];
}

__device__ __forceinline__ float quantized_value(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t k) {
    const uint32_t group = m.group_size == 0 ? 0 : k / m.group_size;
    const unsigned code = code_of(m, row, k);
    const float level = level_of(m, code);
    const float scale = scale_of(m, row, group), zero = zero_of(m, row, group);
    const float value = m.factor * (m.has_minima ? scale * level - zero : scale * (level - zero));
    return m.column_scale == NULL ? value : value * load_half(m.column_scale + 2 * (size_t)k);
}

__device__ __forceinline__ float dense_value(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t k) {
    const size_t at = (size_t)row * m.cols + k;
    float value;
    if (m.dtype == SINQ_F32) {
        value = ((const float *)m.elements)[at];
    } else if (m.dtype == SINQ_F16) {
        value = __half2float(((const __half *)m.elements)[at]);
    } else if (m.dtype == SINQ_BF16) {
        value = __bfloat162float(((const __nv_bfloat16 *)m.elements)[at]);
    } else {
        const __nv_fp8_interpretation_t kind = m.dtype == SINQ_F8_E4M3 ? __NV_E4M3 : __NV_E5M2;
        value = __half2float(__half(__nv_cvt_fp8_to_halfraw(m.elements[at], kind)));
    }
    if (m.block_scales == NULL) return value;
    return value * m.block_scales[(size_t)(row / m.block_rows) * m.scale_cols + k / m.block_cols];
}

__device__ __forceinline__ float weight_value(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t k) {
    return m.bits == 0 ? dense_value(m, row, k) : quantized_value(m, row, k);
}

__device__ __forceinline__ float sigmoid_times(float x, float alpha) { return x / (1.0f + expf(-alpha * x)); }

__device__ __forceinline__ float activate(int activation, float gate, float up) {
    if (activation == SINQ_ACTIVATION_SILU) return sigmoid_times(gate, 1.0f) * up;
    if (activation == SINQ_ACTIVATION_GELU) return 0.5f * gate * (1.0f + erff(gate * 0.7071067812f)) * up;
    if (activation == SINQ_ACTIVATION_GELU_TANH) {
        const float cubic = gate + 0.044715f * gate * gate * gate;
        return 0.5f * gate * (1.0f + tanhf(0.7978845608f * cubic)) * up; /* sqrt(2 / pi) */
    }
    const float g = gate > 7.0f ? 7.0f : gate, u = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
    return (u + 1.0f) * sigmoid_times(g, 1.702f);
}

#endif
