/*
 * tile_weights.cu: matrices of every form as tiles. A block takes a panel of 16 rows: first a bound of each row's values, which says
 * the power of two, then the values, eight columns a thread.
 */
#include "cuda/tiles.cuh"

#define THREADS 256u
#define RESIDENT 4u /* blocks of a multiprocessor: limits registers */
#define PANEL   16u
#define SHARE   (THREADS / PANEL) /* threads of a row */
#define PANELS  (SINQ_CUDA_TILE_PAIR / PANEL)
#define MOST_LEVELS 256u

/* Four codes of a plane of `WIDTH` bits, as bytes. */
template <int WIDTH>
static __device__ __forceinline__ uint32_t plane_quad(const uint8_t *lines, uint32_t row, uint32_t quad) {
    constexpr uint32_t PER_LINE = 8 / WIDTH;
    const uint32_t word = *(const uint32_t *)(lines + quad / PER_LINE * 64 + 4 * row);
    return word >> WIDTH * (quad % PER_LINE) & ((1u << WIDTH) - 1u) * 0x01010101u;
}
template <int BITS>
static __device__ __forceinline__ uint32_t code_quad(const uint8_t *lines, uint32_t row, uint32_t quad) {
    constexpr int LOW = BITS == 3 ? 2 : BITS == 5 || BITS == 6 ? 4 : BITS, HIGH = BITS - LOW;
    uint32_t codes = plane_quad<LOW>(lines, row, quad);
    if (HIGH != 0) codes |= plane_quad<HIGH == 0 ? 1 : HIGH>(lines + LOW * 64, row, quad) << LOW;
    return codes;
}

/* No value of the thread's share of a row is larger, but for column scales. */
template <int BITS>
static __device__ float bound_share(const struct sinq_cuda_matrix &m, uint32_t row, uint32_t share, float top_level) {
    float bound = 0;
    if constexpr (BITS == 0) {
        for (uint32_t k = share; k < m.cols; k += SHARE) bound = fmaxf(bound, fabsf(dense_value(m, row, k)));
        return bound;
    } else {
        for (uint32_t g = share; g < m.groups; g += SHARE) {
            const float scale = fabsf(scale_of(m, row, g)), zero = fabsf(zero_of(m, row, g));
            bound = fmaxf(bound, m.has_minima ? scale * top_level + zero : scale * (top_level + zero));
        }
        return bound * fabsf(m.factor);
    }
}

/* A code as a number, without a conversion: 2^23 + code is put together from bytes. */
static __device__ __forceinline__ float number_of(uint32_t codes, uint32_t which) {
    return __uint_as_float(__byte_perm(codes, 0x4b000000u, 0x7650u + which)) - 8388608.0f;
}

static __device__ __forceinline__ void load_column_scales(const struct sinq_cuda_matrix &m, uint32_t first, float (&x)[CHUNK]) {
    const uint8_t *const at = m.column_scale + 2 * (size_t)first;
    if (((uintptr_t)at & 15) == 0 && first + CHUNK <= m.cols) {
        union {
            uint4 whole;
            __half2 halves[CHUNK / 2];
        } loaded;
        loaded.whole = *(const uint4 *)at;
#pragma unroll
        for (uint32_t i = 0; i < CHUNK / 2; i++) {
            const float2 pair = __half22float2(loaded.halves[i]);
            x[2 * i] = pair.x, x[2 * i + 1] = pair.y;
        }
        return;
    }
#pragma unroll
    for (uint32_t i = 0; i < CHUNK; i++) x[i] = first + i < m.cols ? load_half(at + 2 * i) : 0.0f;
}

/* Where a row's scales or zero points lie, and what a code of theirs means. */
struct row_aux {
    const uint8_t *entries, *ranges; /* of the first group */
    float low, step;                 /* without ranges */
    bool is_f16, is_plain;           /* not plain: asked for value by value */
};

static __device__ __forceinline__ struct row_aux find_scales(const struct sinq_cuda_matrix &m, uint32_t row) {
    const size_t entry = (size_t)(row / 16) * m.groups * 16 + row % 16;
    return {m.scales + (m.scales_are_f16 ? 2 * entry : entry), m.scale_ranges + (size_t)(row / 32) * m.groups * 4, 0.0f, 0.0f,
            m.scales_are_f16, !m.scales_are_i8 && !m.scales_are_u6 && m.scale_sign == 0};
}
static __device__ __forceinline__ struct row_aux find_zeros(const struct sinq_cuda_matrix &m, uint32_t row) {
    const size_t entry = (size_t)(row / 16) * m.groups * 16 + row % 16;
    const uint8_t *const ranges = m.zero_ranges == NULL ? NULL : m.zero_ranges + (size_t)(row / 32) * m.groups * 4;
    return {m.zeros + (m.zeros_are_f16 ? 2 * entry : entry), ranges, m.zero_low, m.zero_step, m.zeros_are_f16,
            m.zeros != NULL && !m.zeros_are_i8 && !m.zeros_are_u6};
}
static __device__ __forceinline__ float load_aux(const struct row_aux &aux, uint32_t group) {
    if (aux.is_f16) return load_half(aux.entries + group * 32);
    const float code = (float)aux.entries[group * 16];
    if (aux.ranges == NULL) return aux.low + code * aux.step;
    const float2 range = __half22float2(*(const __half2 *)(aux.ranges + group * 4));
    return range.x + code * range.y;
}

/* A row, as what multiplies and moves its codes is found. */
struct row_place {
    const uint8_t *codes; /* of its panel */
    struct row_aux scales, zeros;
    float factor;
    uint32_t row, shift; /* of the group size where that is a power of two, else 32 */
};

static __device__ __forceinline__ struct row_place find_row(const struct sinq_cuda_matrix &m, uint32_t row, float by) {
    const uint32_t size = m.group_size;
    return {m.codes + (size_t)(row / PANEL) * m.column_blocks * (m.bits * 64), find_scales(m, row), find_zeros(m, row),
            m.factor * by, row, size != 0 && (size & (size - 1)) == 0 ? (uint32_t)__ffs((int)size) - 1 : 32};
}

/* Eight values times `by`, 0 beyond the last column. */
template <int BITS>
static __device__ __forceinline__ void load_values(const struct sinq_cuda_matrix &m, const float *levels,
                                                   const struct row_place &at, uint32_t first, float by,
                                                   float (&x)[CHUNK]) {
    if constexpr (BITS == 0) {
#pragma unroll
        for (uint32_t i = 0; i < CHUNK; i++) x[i] = first + i < m.cols ? dense_value(m, at.row, first + i) * by : 0.0f;
    } else {
        const uint32_t group = m.group_size == 0 ? 0 : at.shift < 32 ? first >> at.shift : first / m.group_size;
        const float scale = at.scales.is_plain ? load_aux(at.scales, group) : scale_of(m, at.row, group);
        const float zero = at.zeros.is_plain ? load_aux(at.zeros, group) : zero_of(m, at.row, group);
        const float slope = at.factor * scale;
        const float taken = m.has_minima ? 0.0f : zero, base = m.has_minima ? at.factor * zero : 0.0f;
        const uint8_t *const lines = at.codes + first / 32 * (BITS * 64);
        const uint32_t quad = first % 32 / 4, r = at.row % PANEL;
        const uint32_t codes[2] = {code_quad<BITS>(lines, r, quad), code_quad<BITS>(lines, r, quad + 1)};
        float columns[CHUNK];
        if (m.column_scale != NULL) load_column_scales(m, first, columns);
#pragma unroll
        for (uint32_t i = 0; i < CHUNK; i++) {
            const float level = m.levels == NULL ? number_of(codes[i / 4], i % 4) : levels[codes[i / 4] >> 8 * (i % 4) & 255u];
            x[i] = slope * (level - taken) - base;
            if (m.column_scale != NULL) x[i] *= columns[i];
            if (first + i >= m.cols) x[i] = 0.0f;
        }
    }
}

/* A panel whose rows are rows `to` and following ones of the tiles. */
template <int BITS>
static __device__ void tile_panel(const struct sinq_cuda_matrix &m, const struct sinq_cuda_tiles &tiles,
                                  uint32_t first_row, uint32_t to) {
    __shared__ float bounds[SHARE][PANEL], levels[MOST_LEVELS];
    const uint32_t r = threadIdx.x / 8 % PANEL, row = min(first_row + r, m.rows - 1);
    const uint32_t share = threadIdx.x % 8 + threadIdx.x / 128 * 8; /* eight neighbours write a row of a tile */
    float top_level = (float)((1u << BITS) - 1u), column = 1.0f;
    if (m.levels != NULL) {
        const float level = threadIdx.x < 1u << BITS ? level_of(m, threadIdx.x) : 0.0f;
        levels[threadIdx.x] = level;
        top_level = block_largest(fabsf(level));
    }
    if (m.column_scale != NULL) {
        column = 0;
        for (uint32_t k = threadIdx.x * CHUNK; k < m.cols; k += THREADS * CHUNK) {
            float columns[CHUNK];
            load_column_scales(m, k, columns);
#pragma unroll
            for (uint32_t i = 0; i < CHUNK; i++) column = fmaxf(column, fabsf(columns[i]));
        }
        column = block_largest(column);
    }
    bounds[share][r] = bound_share<BITS>(m, row, share, top_level);
    __syncthreads();
    float bound = 0;
    for (uint32_t i = 0; i < SHARE; i++) bound = fmaxf(bound, bounds[i][r]);
    const float by = find_power(bound * column);
    if (share == 0) tiles.scales[to + r] = 1.0f / by;
    const uint32_t columns = count_columns(tiles);
    const struct row_place at = find_row(m, row, by);
#pragma unroll 2
    for (uint32_t first = share * CHUNK; first < columns; first += SHARE * CHUNK) {
        float x[CHUNK] = {0, 0, 0, 0, 0, 0, 0, 0};
        if (first < m.cols) load_values<BITS>(m, levels, at, first, by, x);
        store_chunk<true>(tiles, to + r, first, x);
    }
}

/* The matrix is a copy: its parts are at hand. */
static __device__ __forceinline__ void tile_any_panel(const struct sinq_cuda_matrix m, const struct sinq_cuda_tiles &tiles,
                                                      uint32_t first_row, uint32_t to) {
    switch (m.bits) {
    case 0:
        tile_panel<0>(m, tiles, first_row, to);
        break;
    case 2:
        tile_panel<2>(m, tiles, first_row, to);
        break;
    case 3:
        tile_panel<3>(m, tiles, first_row, to);
        break;
    case 4:
        tile_panel<4>(m, tiles, first_row, to);
        break;
    case 5:
        tile_panel<5>(m, tiles, first_row, to);
        break;
    case 6:
        tile_panel<6>(m, tiles, first_row, to);
        break;
    default:
        tile_panel<8>(m, tiles, first_row, to);
        break;
    }
}

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    tile_weights_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p, uint32_t first) {
    begin_kernel();
    const uint32_t pair = first + blockIdx.x / PANELS, panel = blockIdx.x % PANELS, to = blockIdx.x * PANEL;
    uint32_t which = 0;
    while (which + 1 < p.count && pair >= p.first_pair[which + 1]) which++;
    const struct sinq_cuda_matrix &m = p.products[which].matrix;
    const uint32_t row = (pair - p.first_pair[which]) * SINQ_CUDA_TILE_PAIR + panel * PANEL;
    if (row < m.rows) tile_any_panel(m, p.weights, row, to);
}

static __global__ void __launch_bounds__(THREADS, RESIDENT)
    tile_experts_kernel(const __grid_constant__ struct sinq_cuda_tiled_products p, uint32_t first) {
    begin_kernel();
    const uint32_t pair = first + blockIdx.x / PANELS, panel = blockIdx.x % PANELS, to = blockIdx.x * PANEL;
    const uint32_t expert = pair / p.first_pair[1], row = pair % p.first_pair[1] * SINQ_CUDA_TILE_PAIR + panel * PANEL;
    __shared__ bool is_chosen;
    if (threadIdx.x == 0) is_chosen = false;
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < *p.map.tile_count; i += THREADS) {
        if (p.map.tile_experts[i] == expert) is_chosen = true;
    }
    __syncthreads();
    if (is_chosen && row < p.products[0].matrix.rows) tile_any_panel(p.experts[expert], p.weights, row, to);
}

cudaError_t sinq_cuda_tile_weights(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *p, uint32_t first,
                                   uint32_t count) {
    const dim3 grid(count * PANELS);
    if (p->experts != NULL) return launch(line, tile_experts_kernel, grid, THREADS, 0, *p, first);
    return launch(line, tile_weights_kernel, grid, THREADS, 0, *p, first);
}
