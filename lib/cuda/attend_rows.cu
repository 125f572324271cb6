/*
 * attend_rows.cu: attention of many rows on matrix units. A block takes 64 rows of a query head, a warp 16 of them, and goes through
 * the positions 64 at a time: scores, their largest and sum so far, then values times shares. Keys, values, queries and
 * shares are f16, sums f32.
 */
#include "cuda/attention.cuh"

#define THREADS    128u
#define BLOCK_ROWS 64u
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

static __device__ __forceinline__ void copy_sixteen(__half *to, const uint8_t *from, bool is_there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"((uint32_t)__cvta_generic_to_shared(to)), "l"(from),
                 "r"(is_there ? 16 : 0));
}

/* Eight int8 times their scale. */
static __device__ __forceinline__ uint4 spread_bytes(const uint8_t *at, float by) {
    const uint2 v = *(const uint2 *)at;
    const uint32_t words[2] = {v.x, v.y};
    uint32_t halves[4];
#pragma unroll
    for (uint32_t j = 0; j < 4; j++) {
        const uint32_t word = words[j / 2] >> 16 * (j % 2);
        halves[j] = pack((float)(int8_t)(word & 255u) * by, (float)(int8_t)(word >> 8 & 255u) * by);
    }
    return make_uint4(halves[0], halves[1], halves[2], halves[3]);
}

/* Keys or values of a head of the cache. */
struct section {
    const uint8_t *bytes;
    const float *scales;
    uint32_t capacity, stride, width;
};

template <bool IS_I8>
static __device__ __forceinline__ struct section find_section(const uint8_t *bytes, const float *scales, uint32_t capacity,
                                                              uint32_t stride, uint32_t width, uint32_t kv_head) {
    const size_t first = (size_t)kv_head * capacity;
    return {bytes + first * stride * (IS_I8 ? 1 : 2), IS_I8 ? scales + first : NULL, capacity, stride, width};
}

/* Positions [first, first + POSITIONS), zeros from `end` on, in rows of WIDTH + 8; those in f16 come by and by. */
template <uint32_t WIDTH, bool IS_I8>
static __device__ __forceinline__ void fetch(const struct section &s, uint32_t first, uint32_t end, __half *to) {
    constexpr uint32_t CHUNKS = WIDTH / 8, STEP = THREADS / CHUNKS;
    const uint32_t k = threadIdx.x % CHUNKS * 8, begin = threadIdx.x / CHUNKS, base = first % s.capacity;
    const uint32_t count = k < s.width && first < end ? end - first : 0; /* positions that are there */
#pragma unroll 8
    for (uint32_t i = begin; i < POSITIONS; i += STEP) {
        uint32_t entry = i < count ? base + i : 0;
        if (entry >= s.capacity) entry = s.capacity >= POSITIONS ? entry - s.capacity : entry % s.capacity;
        const size_t at = (size_t)entry * s.stride + (i < count ? k : 0);
        __half *const place = &to[i * (WIDTH + 8) + k];
        if (IS_I8) {
            *(uint4 *)place = i < count ? spread_bytes(s.bytes + at, s.scales[entry]) : make_uint4(0, 0, 0, 0);
        } else {
            copy_sixteen(place, s.bytes + 2 * at, i < count);
        }
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
    const bool is_cut = first + POSITIONS > position || a.window != 0; /* not all rows see all positions */
#pragma unroll
    for (uint32_t j = 0; j < POSITIONS / 8; j++) {
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            const uint32_t p = first + 8 * j + lane % 4 * 2 + i % 2, own = position + i / 2 * 8;
            if (a.cap != 0.0f) scores[j][i] = a.cap * tanhf(scores[j][i] / a.cap);
            if (is_cut && (p > own || (a.window != 0 && p + a.window <= own))) scores[j][i] = -INFINITY;
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

/* Wide heads have room for one piece of positions at a time, others for two: the next one comes meanwhile. */
template <uint32_t WIDTH>
struct shape {
    static constexpr uint32_t BUFFERS = WIDTH <= 128 ? 2 : 1, RESIDENT = WIDTH <= 128 ? 3 : 1, ROW = WIDTH + 8, BUFFER = 2 * POSITIONS * ROW;
};

template <uint32_t WIDTH, bool IS_I8>
static __global__ void __launch_bounds__(THREADS, shape<WIDTH>::RESIDENT) attend_rows_kernel(const __grid_constant__ struct sinq_cuda_attention a,
                                                                     uint32_t count, const struct sinq_cuda_state *state) {
    using S = shape<WIDTH>;
    begin_kernel();
    extern __shared__ __align__(16) __half shared[];
    const struct sinq_cuda_cache &c = a.cache;
    const uint32_t head = blockIdx.y, kv_head = head / (a.heads / c.kv_heads);
    const uint32_t first_row = (gridDim.x - 1 - blockIdx.x) * BLOCK_ROWS; /* the longest ones first */
    const uint32_t row = first_row + threadIdx.x / 32 * 16 + threadIdx.x % 32 / 4;
    const uint32_t seen = state->position + first_row, end = state->position + min(first_row + BLOCK_ROWS, count);
    const uint32_t begin = a.window != 0 && seen + 1 > a.window ? seen + 1 - a.window : 0;
    const struct section keys = find_section<IS_I8>(c.keys, c.key_scales, c.capacity, c.key_dim, c.key_dim, kv_head);
    const struct section values =
        c.shared ? find_section<IS_I8>(c.keys, c.key_scales, c.capacity, c.key_dim, c.value_dim, kv_head)
                 : find_section<IS_I8>(c.values, c.value_scales, c.capacity, c.value_dim, c.value_dim, kv_head);
    uint32_t queries[WIDTH / 16][4], buffer = 0;
    struct rows<WIDTH> rows = {};
    rows.largest[0] = rows.largest[1] = -INFINITY;
    load_queries<WIDTH>(a, head, row, count, queries);
    const uint32_t from = begin / POSITIONS * POSITIONS;
    fetch<WIDTH, IS_I8>(keys, from, end, shared);
    fetch<WIDTH, IS_I8>(values, from, end, shared + POSITIONS * S::ROW);
    for (uint32_t first = from; first < end; first += POSITIONS) {
        float scores[POSITIONS / 8][4];
        __half *const at = shared + buffer * S::BUFFER;
        asm volatile("cp.async.wait_all;" ::: "memory");
        __syncthreads();
        if (S::BUFFERS == 2 && first + POSITIONS < end) {
            buffer ^= 1;
            fetch<WIDTH, IS_I8>(keys, first + POSITIONS, end, shared + buffer * S::BUFFER);
            fetch<WIDTH, IS_I8>(values, first + POSITIONS, end, shared + buffer * S::BUFFER + POSITIONS * S::ROW);
        }
        make_scores<WIDTH>(a, queries, at, first, state->position + row, scores);
        make_shares<WIDTH>(rows, scores);
        add_values<WIDTH>(rows, scores, at + POSITIONS * S::ROW);
        if (S::BUFFERS == 2 || first + POSITIONS >= end) continue;
        __syncthreads();
        fetch<WIDTH, IS_I8>(keys, first + POSITIONS, end, shared);
        fetch<WIDTH, IS_I8>(values, first + POSITIONS, end, shared + POSITIONS * S::ROW);
    }
    put_rows<WIDTH>(a, rows, head, row, count);
}

typedef void attend_kernel(const struct sinq_cuda_attention, uint32_t, const struct sinq_cuda_state *);

template <bool IS_I8>
static attend_kernel *find_kernel(uint32_t width) {
    if (width == 64) return attend_rows_kernel<64, IS_I8>;
    return width == 128 ? attend_rows_kernel<128, IS_I8> : attend_rows_kernel<WIDEST, IS_I8>;
}

bool sinq_cuda_can_attend_rows(const struct sinq_cuda_attention *a, uint32_t rows) {
    const struct sinq_cuda_cache *const c = &a->cache;
    return rows >= 16 && c->type != SINQ_KV_F32 && c->key_dim <= WIDEST && c->value_dim <= WIDEST && c->key_dim % 8 == 0 &&
           c->value_dim % 8 == 0;
}

cudaError_t sinq_cuda_attend_rows(struct sinq_cuda_line line, const struct sinq_cuda_attention *a, uint32_t rows,
                                  const struct sinq_cuda_state *state) {
    const uint32_t widest = a->cache.key_dim > a->cache.value_dim ? a->cache.key_dim : a->cache.value_dim;
    const uint32_t width = widest <= 64 ? 64 : widest <= 128 ? 128 : WIDEST;
    attend_kernel *const kernel = a->cache.type == SINQ_KV_I8 ? find_kernel<true>(width) : find_kernel<false>(width);
    const size_t shared = (width <= 128 ? 2 : 1) * 2 * POSITIONS * (width + 8) * sizeof(__half);
    const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (status != cudaSuccess) return status;
    return launch(line, kernel, dim3(divide_up(rows, BLOCK_ROWS), a->heads), THREADS, shared, *a, rows, state);
}
