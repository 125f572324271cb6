/*
 * attend_rows.cu: attention of many rows on matrix units. A block takes 128 rows of a query head, a warp 16 of them, and goes through
 * the positions 64 at a time: scores, their largest and sum so far, then values times shares. Keys, values, queries and
 * shares are f16, sums f32.
 */
#include "cuda/attention.cuh"

#define THREADS    256u
#define BLOCK_ROWS 128u
#define POSITIONS  64u
#define WIDEST     256u

static __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], const __half *at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(at)));
}
static __device__ __forceinline__ void load_turned(uint32_t (&r)[4], const __half *at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"((uint32_t)__cvta_generic_to_shared(at)));
}
static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
static __device__ __forceinline__ uint32_t pack(float a, float b) {
    const __half2 halves = __floats2half2_rn(a, b);
    return *(const uint32_t *)&halves;
}

/* Positions [first, first + POSITIONS) of a section of the cache, zeros from `end` on, in rows of WIDTH + 8. */
template <uint32_t WIDTH>
static __device__ void fetch(const uint8_t *section, const float *scales, bool is_i8, size_t first_entry,
                             uint32_t capacity, uint32_t stride, uint32_t width, uint32_t first, uint32_t end,
                             __half *to) {
    constexpr uint32_t CHUNKS = WIDTH / 8;
#pragma unroll 4
    for (uint32_t i = threadIdx.x; i < POSITIONS * CHUNKS; i += THREADS) {
        const uint32_t p = first + i / CHUNKS, k = i % CHUNKS * 8;
        uint4 chunk = make_uint4(0, 0, 0, 0);
        if (p < end && k < width) {
            const size_t entry = first_entry + p % capacity;
            if (is_i8) {
                const uint2 v = *(const uint2 *)(section + entry * stride + k);
                const float by = scales[entry];
                const uint32_t words[2] = {v.x, v.y};
                uint32_t halves[4];
#pragma unroll
                for (uint32_t j = 0; j < 4; j++) {
                    const uint32_t word = words[j / 2] >> 16 * (j % 2);
                    halves[j] = pack((float)(int8_t)(word & 255u) * by, (float)(int8_t)(word >> 8 & 255u) * by);
                }
                chunk = make_uint4(halves[0], halves[1], halves[2], halves[3]);
            } else {
                chunk = *(const uint4 *)(section + (entry * stride + k) * 2);
            }
        }
        *(uint4 *)&to[i / CHUNKS * (WIDTH + 8) + k] = chunk;
    }
}

/* What a thread keeps of its two rows, of which four neighbouring threads have a quarter each. */
template <uint32_t WIDTH>
struct rows {
    float values[WIDTH / 8][4], largest[2], total[2];
};

/* A warp's queries times the scale, as the left side of products. */
template <uint32_t WIDTH>
static __device__ __forceinline__ void load_queries(const struct sinq_cuda_attention &a, uint32_t head, uint32_t row,
                                                    uint32_t rows, uint32_t (&queries)[WIDTH / 16][4]) {
    const uint32_t width = a.cache.key_dim, column = threadIdx.x % 4 * 2;
#pragma unroll
    for (uint32_t s = 0; s < WIDTH / 16; s++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t r = row + i % 2 * 8, k = s * 16 + i / 2 * 8 + column;
            const float *const at = a.queries.data + (size_t)r * a.queries.stride + (size_t)head * width + k;
            queries[s][i] = r < rows && k < width ? pack(at[0] * a.scale, at[1] * a.scale) : 0;
        }
    }
}

/* Scores of positions [first, ...), -infinity where a row does not see one. */
template <uint32_t WIDTH>
static __device__ __forceinline__ void make_scores(const struct sinq_cuda_attention &a, const uint32_t (&queries)[WIDTH / 16][4],
                                                   const __half *keys, uint32_t first, uint32_t position,
                                                   float (&scores)[POSITIONS / 8][4]) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (uint32_t j = 0; j < POSITIONS / 8; j++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) scores[j][i] = 0;
    }
#pragma unroll
    for (uint32_t s = 0; s < WIDTH / 16; s++) {
#pragma unroll
        for (uint32_t j = 0; j < POSITIONS / 16; j++) {
            uint32_t b[4];
            const uint32_t p = 16 * j + lane / 16 * 8 + lane % 8;
            load_matrices(b, &keys[p * (WIDTH + 8) + s * 16 + lane / 8 % 2 * 8]);
            multiply(scores[2 * j], queries[s], b[0], b[1]);
            multiply(scores[2 * j + 1], queries[s], b[2], b[3]);
        }
    }
#pragma unroll
    for (uint32_t j = 0; j < POSITIONS / 8; j++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t p = first + 8 * j + lane % 4 * 2 + i % 2, own = position + i / 2 * 8;
            if (a.cap != 0.0f) scores[j][i] = a.cap * tanhf(scores[j][i] / a.cap);
            if (p > own || (a.window != 0 && p + a.window <= own)) scores[j][i] = -INFINITY;
        }
    }
}

/* Scores become shares of the values so far. */
template <uint32_t WIDTH>
static __device__ __forceinline__ void make_shares(struct rows<WIDTH> &rows, float (&scores)[POSITIONS / 8][4]) {
#pragma unroll
    for (uint32_t h = 0; h < 2; h++) {
        float largest = rows.largest[h];
#pragma unroll
        for (uint32_t j = 0; j < POSITIONS / 8; j++) {
            largest = fmaxf(largest, fmaxf(scores[j][2 * h], scores[j][2 * h + 1]));
        }
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
        largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
        const float from = largest == -INFINITY ? 0.0f : largest; /* nothing seen yet */
        const float shrink = __expf(rows.largest[h] - from);
        float total = 0;
#pragma unroll
        for (uint32_t j = 0; j < POSITIONS / 8; j++) {
#pragma unroll
            for (uint32_t i = 0; i < 2; i++) {
                scores[j][2 * h + i] = __expf(scores[j][2 * h + i] - from);
                total += scores[j][2 * h + i];
            }
        }
        rows.total[h] = rows.total[h] * shrink + total;
        rows.largest[h] = largest;
#pragma unroll
        for (uint32_t j = 0; j < WIDTH / 8; j++) {
            rows.values[j][2 * h] *= shrink;
            rows.values[j][2 * h + 1] *= shrink;
        }
    }
}

template <uint32_t WIDTH>
static __device__ __forceinline__ void add_values(struct rows<WIDTH> &rows, const float (&scores)[POSITIONS / 8][4],
                                                  const __half *values) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (uint32_t s = 0; s < POSITIONS / 16; s++) {
        const uint32_t shares[4] = {pack(scores[2 * s][0], scores[2 * s][1]), pack(scores[2 * s][2], scores[2 * s][3]),
                                    pack(scores[2 * s + 1][0], scores[2 * s + 1][1]),
                                    pack(scores[2 * s + 1][2], scores[2 * s + 1][3])};
#pragma unroll
        for (uint32_t j = 0; j < WIDTH / 16; j++) {
            uint32_t b[4];
            load_turned(b, &values[(s * 16 + lane % 16) * (WIDTH + 8) + j * 16 + lane / 16 * 8]);
            multiply(rows.values[2 * j], shares, b[0], b[1]);
            multiply(rows.values[2 * j + 1], shares, b[2], b[3]);
        }
    }
}

template <uint32_t WIDTH>
static __device__ __forceinline__ void put_rows(const struct sinq_cuda_attention &a, struct rows<WIDTH> &rows,
                                                uint32_t head, uint32_t row, uint32_t count) {
#pragma unroll
    for (uint32_t h = 0; h < 2; h++) {
        float total = rows.total[h];
        total += __shfl_xor_sync(0xffffffffu, total, 1);
        total += __shfl_xor_sync(0xffffffffu, total, 2);
        const uint32_t r = row + 8 * h;
        if (r >= count) continue;
        const float by = finish_total(a, head, rows.largest[h], total);
        float *const out = a.out.data + (size_t)r * a.out.stride + (size_t)head * a.cache.value_dim;
#pragma unroll
        for (uint32_t j = 0; j < WIDTH / 8; j++) {
            const uint32_t k = 8 * j + threadIdx.x % 4 * 2;
            if (k >= a.cache.value_dim) continue;
            out[k] = rows.values[j][2 * h] * by;
            out[k + 1] = rows.values[j][2 * h + 1] * by;
        }
    }
}

template <uint32_t WIDTH>
static __global__ void __launch_bounds__(THREADS, WIDTH <= 128 ? 1 : 1)
    attend_rows_kernel(const __grid_constant__ struct sinq_cuda_attention a, uint32_t count,
                       const struct sinq_cuda_state *state) {
    begin_kernel();
    extern __shared__ __align__(16) __half shared[];
    __half *const keys = shared, *const values = shared + POSITIONS * (WIDTH + 8);
    const struct sinq_cuda_cache &c = a.cache;
    const uint32_t head = blockIdx.y, kv_head = head / (a.heads / c.kv_heads);
    const uint32_t first_row = (gridDim.x - 1 - blockIdx.x) * BLOCK_ROWS; /* the longest ones first */
    const uint32_t row = first_row + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
    const uint32_t seen = state->position + first_row, end = state->position + min(first_row + BLOCK_ROWS, count);
    const uint32_t begin = a.window != 0 && seen + 1 > a.window ? seen + 1 - a.window : 0;
    const size_t first_entry = (size_t)kv_head * c.capacity;
    const bool is_i8 = c.type == SINQ_KV_I8;
    uint32_t queries[WIDTH / 16][4];
    struct rows<WIDTH> rows = {};
    rows.largest[0] = rows.largest[1] = -INFINITY;
    load_queries<WIDTH>(a, head, row, count, queries);
    for (uint32_t first = begin / POSITIONS * POSITIONS; first < end; first += POSITIONS) {
        float scores[POSITIONS / 8][4];
        fetch<WIDTH>(c.keys, c.key_scales, is_i8, first_entry, c.capacity, c.key_dim, c.key_dim, first, end, keys);
        fetch<WIDTH>(c.shared ? c.keys : c.values, c.shared ? c.key_scales : c.value_scales, is_i8, first_entry,
                     c.capacity, c.shared ? c.key_dim : c.value_dim, c.value_dim, first, end, values);
        __syncthreads();
        make_scores<WIDTH>(a, queries, keys, first, state->position + row, scores);
        make_shares<WIDTH>(rows, scores);
        add_values<WIDTH>(rows, scores, values);
        __syncthreads();
    }
    put_rows<WIDTH>(a, rows, head, row, count);
}

typedef void attend_kernel(const struct sinq_cuda_attention, uint32_t, const struct sinq_cuda_state *);

bool sinq_cuda_can_attend_rows(const struct sinq_cuda_attention *a, uint32_t rows) {
    const struct sinq_cuda_cache *const c = &a->cache;
    return rows >= 16 && c->type != SINQ_KV_F32 && c->key_dim <= WIDEST && c->value_dim <= WIDEST && c->key_dim % 8 == 0 &&
           c->value_dim % 8 == 0;
}

cudaError_t sinq_cuda_attend_rows(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                                  const struct sinq_cuda_state *state) {
    const uint32_t widest = a->cache.key_dim > a->cache.value_dim ? a->cache.key_dim : a->cache.value_dim;
    const uint32_t width = widest <= 64 ? 64 : widest <= 128 ? 128 : WIDEST;
    attend_kernel *const kernel = width == 64    ? attend_rows_kernel<64>
                                  : width == 128 ? attend_rows_kernel<128>
                                                 : attend_rows_kernel<WIDEST>;
    const size_t shared = 2 * POSITIONS * (width + 8) * sizeof(__half);
    const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (status != cudaSuccess) return status;
    return launch(line, kernel, dim3(divide_up(rows, BLOCK_ROWS), a->heads), THREADS, shared, *a, rows, state);
}
