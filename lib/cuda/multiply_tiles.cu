/*
 * multiply_tiles.cu: y = x W^T of tiles (device.h), on matrix units, sums in f32.
 *
 * On devices whose warps multiply in groups (compute capability 9.0) as many blocks as there are multiprocessors go through the
 * results, 128 rows times 256 columns at a time: one warp calls tiles into a ring of four places in shared memory, two groups of
 * four warps take 64 rows each. Elsewhere a block makes 128 times 128 results with mma.sync, with three places.
 */
#include "cuda/tiles.cuh"

#define TILE_ROWS  SINQ_CUDA_TILE_ROWS
#define TILE_BYTES SINQ_CUDA_TILE_BYTES
#define PAIR       SINQ_CUDA_TILE_PAIR

/* What a launch multiplies: pairs of tiles [first, first + count) of the products', or of experts', which lie in `weights`. */
struct job {
    struct sinq_cuda_tiled_products p;
    uint32_t first, count, rows, row_tiles;
};

/* Results that are made at once: rows of one tile with those of a pair. */
struct place {
    const uint8_t *input, *weights;
    const float *input_scales, *weight_scales;
    uint32_t row, column, which, expert; /* the first ones, counted within the product */
};

/* Piece `number` of all; false where it has nothing to do. */
static __device__ __forceinline__ bool find_place(const struct job &job, uint32_t number, struct place &at) {
    const struct sinq_cuda_tiled_products &p = job.p;
    const uint32_t row_tile = number % job.row_tiles;
    uint32_t pair = number / job.row_tiles; /* within the job */
    at.which = 0;
    at.expert = 0;
    if (p.experts != NULL) {
        if (row_tile >= *p.map.tile_count) return false;
        at.expert = p.map.tile_experts[row_tile];
        const uint32_t first = at.expert * p.first_pair[1] + pair; /* here `pair` is one of an expert */
        if (first < job.first || first >= job.first + job.count) return false;
        at.column = pair * PAIR;
        pair = first - job.first;
    } else {
        while (at.which + 1 < p.count && job.first + pair >= p.first_pair[at.which + 1]) at.which++;
        at.column = (job.first + pair - p.first_pair[at.which]) * PAIR;
    }
    at.row = row_tile * TILE_ROWS;
    at.input = p.input.data + (size_t)row_tile * p.input.across * TILE_BYTES;
    at.weights = p.weights.data + (size_t)pair * 2 * p.weights.across * TILE_BYTES;
    at.input_scales = p.input.scales + at.row;
    at.weight_scales = p.weights.scales + pair * PAIR;
    return true;
}

/* Where a row of results goes; NULL: nowhere. `row` and `column` count from the place's. */
static __device__ __forceinline__ float *find_row(const struct job &job, const struct place &at, uint32_t row) {
    const struct sinq_cuda_tiled_products &p = job.p;
    const struct sinq_cuda_tiled_product &product = p.products[at.which];
    row += at.row;
    if (p.experts == NULL) {
        return row < job.rows ? product.y.data + (size_t)row * product.y.stride + at.column : NULL;
    }
    const uint32_t source = p.map.sources[row];
    if (source == SINQ_CUDA_NO_SOURCE) return NULL;
    return product.y.data + (size_t)(source / p.chosen) * product.y.stride +
           (size_t)(source % p.chosen) * product.matrix.rows + at.column;
}

static __device__ __forceinline__ const float *find_bias(const struct job &job, const struct place &at) {
    if (job.p.experts == NULL) return job.p.products[at.which].bias;
    return job.p.biases == NULL ? NULL : job.p.biases[at.expert];
}

/*
 * COUNT pairs of neighbouring results, eight columns from one to the next, `column` the first. All that is read is asked for before
 * anything is written. `y` is where the place's first column goes.
 */
template <int COUNT>
static __device__ __forceinline__ void put(const struct job &job, const struct place &at, float *y, uint32_t column,
                                           float by, const float (&first)[COUNT], const float (&second)[COUNT]) {
    const struct sinq_cuda_tiled_product &product = job.p.products[at.which];
    const float *const bias = find_bias(job, at);
    const uint32_t left = product.matrix.rows - at.column;
    const bool is_even = ((uintptr_t)y & 7) == 0;
    float2 scales[COUNT], terms[COUNT];
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const uint32_t c = column + 8 * i;
        scales[i] = __ldg((const float2 *)&at.weight_scales[c]);
        terms[i] = make_float2(0.0f, 0.0f);
        if (bias != NULL && c < left) terms[i].x = bias[at.column + c];
        if (bias != NULL && c + 1 < left) terms[i].y = bias[at.column + c + 1];
        if (!product.accumulate) continue;
        if (is_even && c + 1 < left) {
            const float2 old = *(const float2 *)&y[c];
            terms[i].x += old.x, terms[i].y += old.y;
        } else {
            if (c < left) terms[i].x += y[c];
            if (c + 1 < left) terms[i].y += y[c + 1];
        }
    }
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        const uint32_t c = column + 8 * i;
        const float2 value = {first[i] * (by * scales[i].x) + terms[i].x, second[i] * (by * scales[i].y) + terms[i].y};
        if (is_even && c + 1 < left) {
            *(float2 *)&y[c] = value;
        } else {
            if (c < left) y[c] = value.x;
            if (c + 1 < left) y[c + 1] = value.y;
        }
    }
}

static __device__ __forceinline__ uint32_t shared_address(const void *at) {
    return (uint32_t)__cvta_generic_to_shared(at);
}

/* ---- groups of warps ---- */

#define STAGES        4u
#define STAGE_BYTES   (3 * TILE_BYTES)
#define AT_ONCE       4u /* pairs of results that a thread puts at once */
#define GROUP_THREADS 288u /* two groups, and the warp that calls tiles */

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
struct ring {
    uint32_t stage, phase;
    __device__ __forceinline__ void advance() {
        if (++stage == STAGES) stage = 0, phase ^= 1;
    }
};

static __device__ __forceinline__ void init_barrier(uint64_t *barrier, uint32_t count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(count));
}
static __device__ __forceinline__ void wait_barrier(uint64_t *barrier, uint32_t phase) {
    asm volatile("{\n.reg .pred p;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@p bra done;\n"
                 "bra again;\ndone:\n}" ::"r"(shared_address(barrier)),
                 "r"(phase)
                 : "memory");
}
static __device__ __forceinline__ void arrive_barrier(uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
static __device__ __forceinline__ void expect_bytes(uint64_t *barrier, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
static __device__ __forceinline__ void copy_tile(uint8_t *to, const uint8_t *from, uint64_t *barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(from), "r"(TILE_BYTES), "r"(shared_address(barrier))
                 : "memory");
}

/* Eights of rows every 1024 bytes, eighths of a row in the places that device.h says (swizzle of 128 bytes). */
static __device__ __forceinline__ uint64_t describe_operand(const uint8_t *at) {
    return (uint64_t)(shared_address(at) >> 4 & 0x3fffu) | (uint64_t)1 << 16 | (uint64_t)64 << 32 | (uint64_t)1 << 62;
}

static __device__ __forceinline__ void multiply_group(float (&d)[128], uint64_t a, uint64_t b, bool adds) {
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
        "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "
        "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "
        "%62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, "
        "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, "
        "%101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, "
        "%117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127 "
        "}, %128, %129, p, 1, 1, 0, 0;\n}"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
          "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]),
          "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]),
          "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]),
          "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]),
          "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]),
          "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]),
          "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),
          "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]),
          "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]),
          "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]),
          "+f"(d[78]), "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]),
          "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]),
          "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]), "+f"(d[97]), "+f"(d[98]),
          "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]), "+f"(d[105]),
          "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), "+f"(d[112]),
          "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]),
          "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]),
          "+f"(d[127])
        : "l"(a), "l"(b), "r"((int)adds));
}

struct memory {
    uint64_t full[STAGES], empty[STAGES];
};

static __device__ __forceinline__ void call_tiles(const struct job &job, uint8_t *stages, struct memory &memory) {
    struct ring ring = {0, 1};
    struct place at;
    const uint32_t pieces = job.row_tiles * (job.p.experts == NULL ? job.count : job.p.first_pair[1]);
    for (uint32_t number = blockIdx.x; number < pieces; number += gridDim.x) {
        if (!find_place(job, number, at)) continue;
        const uint8_t *const second = at.weights + (size_t)job.p.weights.across * TILE_BYTES;
        for (uint32_t k = 0; k < job.p.input.across; k++, ring.advance()) {
            uint8_t *const to = stages + ring.stage * STAGE_BYTES;
            wait_barrier(&memory.empty[ring.stage], ring.phase);
            expect_bytes(&memory.full[ring.stage], STAGE_BYTES);
            copy_tile(to, at.input + (size_t)k * TILE_BYTES, &memory.full[ring.stage]);
            copy_tile(to + TILE_BYTES, at.weights + (size_t)k * TILE_BYTES, &memory.full[ring.stage]);
            copy_tile(to + 2 * TILE_BYTES, second + (size_t)k * TILE_BYTES, &memory.full[ring.stage]);
        }
    }
}

static __device__ __forceinline__ void put_group(const struct job &job, const struct place &at, uint32_t group,
                                                 const float (&d)[128]) {
    const uint32_t lane = threadIdx.x % 32, row = group * 64 + threadIdx.x / 32 % 4 * 16 + lane / 4;
#pragma unroll
    for (uint32_t half = 0; half < 2; half++) {
        float *const y = find_row(job, at, row + 8 * half);
        if (y == NULL) continue;
        const float by = at.input_scales[row + 8 * half];
#pragma unroll
        for (uint32_t j = 0; j < 32; j += AT_ONCE) {
            float first[AT_ONCE], second[AT_ONCE];
#pragma unroll
            for (uint32_t i = 0; i < AT_ONCE; i++) {
                first[i] = d[4 * (j + i) + 2 * half];
                second[i] = d[4 * (j + i) + 2 * half + 1];
            }
            put(job, at, y, 8 * j + 2 * (lane % 4), by, first, second);
        }
    }
}

static __device__ __forceinline__ void multiply_stages(const struct job &job, const uint8_t *stages,
                                                       struct memory &memory) {
    const uint32_t group = threadIdx.x / 128;
    struct ring ring = {0, 0};
    struct place at;
    const uint32_t pieces = job.row_tiles * (job.p.experts == NULL ? job.count : job.p.first_pair[1]);
    for (uint32_t number = blockIdx.x; number < pieces; number += gridDim.x) {
        if (!find_place(job, number, at)) continue;
        float d[128];
        uint32_t before = 0;
        for (uint32_t k = 0; k < job.p.input.across; k++) {
            const uint8_t *const from = stages + ring.stage * STAGE_BYTES;
            wait_barrier(&memory.full[ring.stage], ring.phase);
            const uint64_t a = describe_operand(from + group * 64 * 128), b = describe_operand(from + TILE_BYTES);
            asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) multiply_group(d, a + 2 * i, b + 2 * i, k != 0 || i != 0);
            asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
            /* The one before has ended: its place is free. */
            asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
            if (k != 0 && threadIdx.x % 128 == 0) arrive_barrier(&memory.empty[before]);
            before = ring.stage;
            ring.advance();
        }
        asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
        if (threadIdx.x % 128 == 0) arrive_barrier(&memory.empty[before]);
        put_group(job, at, group, d);
    }
}
#endif

/* Whether the code that this device runs has them: a device of that kind may have to do with code made for others. */
static __device__ uint32_t has_groups =
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    1;
#else
    0;
#endif

extern "C" cudaError_t sinq_cuda_find_groups(bool *found) {
    uint32_t has = 0;
    const cudaError_t status = cudaMemcpyFromSymbol(&has, has_groups, sizeof has);
    *found = has != 0;
    return status;
}

static __global__ void __launch_bounds__(GROUP_THREADS, 1) multiply_groups_kernel(const __grid_constant__ struct job job) {
    begin_kernel();
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    extern __shared__ __align__(1024) uint8_t stages[];
    __shared__ struct memory memory;
    if (threadIdx.x == 0) {
        for (uint32_t i = 0; i < STAGES; i++) {
            init_barrier(&memory.full[i], 1);
            init_barrier(&memory.empty[i], 2);
        }
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
    if (threadIdx.x >= 256) {
        if (threadIdx.x == 256) call_tiles(job, stages, memory);
    } else {
        multiply_stages(job, stages, memory);
    }
#endif
}

/* ---- single warps ---- */

#define PLACES       3u
#define PLACE_BYTES  (2 * TILE_BYTES)
#define WARP_THREADS 256u

static __device__ __forceinline__ void copy_sixteen(uint32_t to, const uint8_t *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from));
}

static __device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t at) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(at));
}

static __device__ __forceinline__ void multiply_warp(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* A warp has 64 rows and 32 columns. */
static __device__ __forceinline__ void multiply_place(float (&d)[4][4][4], uint32_t input, uint32_t weights,
                                                      uint32_t first_row, uint32_t first_column) {
    const uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (uint32_t step = 0; step < 4; step++) {
        uint32_t a[4][4], b[2][4];
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
            load_matrices(a[i], input + find_chunk(first_row + 16 * i + lane % 16, 2 * step + lane / 16));
        }
#pragma unroll
        for (uint32_t j = 0; j < 2; j++) {
            const uint32_t row = first_column + 16 * j + lane / 16 * 8 + lane % 8;
            load_matrices(b[j], weights + find_chunk(row, 2 * step + lane / 8 % 2));
        }
#pragma unroll
        for (uint32_t i = 0; i < 4; i++) {
#pragma unroll
            for (uint32_t j = 0; j < 4; j++) multiply_warp(d[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
        }
    }
}

static __device__ __forceinline__ void call_place(const uint8_t *input, const uint8_t *weights, uint32_t k,
                                                  uint32_t across, uint32_t to) {
    if (k < across) {
#pragma unroll
        for (uint32_t i = 0; i < TILE_BYTES / 16 / WARP_THREADS; i++) {
            const uint32_t at = (i * WARP_THREADS + threadIdx.x) * 16;
            copy_sixteen(to + at, input + (size_t)k * TILE_BYTES + at);
            copy_sixteen(to + TILE_BYTES + at, weights + (size_t)k * TILE_BYTES + at);
        }
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
}

static __global__ void __launch_bounds__(WARP_THREADS) multiply_warps_kernel(const __grid_constant__ struct job job) {
    begin_kernel();
    extern __shared__ __align__(1024) uint8_t stages[];
    const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, half = blockIdx.x % 2, across = job.p.input.across;
    const uint32_t first_row = warp % 2 * 64, first_column = warp / 2 * 32, memory = shared_address(stages);
    struct place at;
    if (!find_place(job, blockIdx.x / 2, at)) return;
    const uint8_t *const weights = at.weights + (size_t)half * across * TILE_BYTES;
    float d[4][4][4] = {};
    for (uint32_t k = 0; k + 1 < PLACES; k++) call_place(at.input, weights, k, across, memory + k * PLACE_BYTES);
    for (uint32_t k = 0; k < across; k++) {
        asm volatile("cp.async.wait_group %0;" ::"n"(PLACES - 2) : "memory");
        __syncthreads();
        call_place(at.input, weights, k + PLACES - 1, across, memory + (k + PLACES - 1) % PLACES * PLACE_BYTES);
        const uint32_t from = memory + k % PLACES * PLACE_BYTES;
        multiply_place(d, from, from + TILE_BYTES, first_row, first_column);
    }
#pragma unroll
    for (uint32_t i = 0; i < 8; i++) {
        const uint32_t row = first_row + i * 8 + lane / 4;
        float *const y = find_row(job, at, row);
        if (y == NULL) continue;
        const float by = at.input_scales[row];
        float first[4], second[4];
#pragma unroll
        for (uint32_t j = 0; j < 4; j++) {
            first[j] = d[i / 2][j][i % 2 * 2];
            second[j] = d[i / 2][j][i % 2 * 2 + 1];
        }
        put(job, at, y, half * TILE_ROWS + first_column + 2 * (lane % 4), by, first, second);
    }
}

/* ---- launching ---- */

cudaError_t sinq_cuda_multiply_tiles(struct sinq_cuda_line line, const struct sinq_cuda_tiled_products *p,
                                     uint32_t first, uint32_t count, uint32_t rows) {
    const struct job job = {*p, first, count, rows,
                            p->experts == NULL ? divide_up(rows, TILE_ROWS) : p->map.most_tiles};
    const uint32_t pieces = job.row_tiles * (p->experts == NULL ? count : p->first_pair[1]);
    const size_t shared = line.has_groups ? STAGES * STAGE_BYTES : PLACES * PLACE_BYTES;
    const cudaError_t status = cudaFuncSetAttribute(line.has_groups ? multiply_groups_kernel : multiply_warps_kernel,
                                                    cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
    if (status != cudaSuccess) return status;
    if (!line.has_groups) return launch(line, multiply_warps_kernel, dim3(2 * pieces), WARP_THREADS, shared, job);
    const uint32_t blocks = pieces < line.processors ? pieces : line.processors;
    return launch(line, multiply_groups_kernel, dim3(blocks), GROUP_THREADS, shared, job);
}
