/* best.cu: the largest of many numbers, as a host chooses the best token: the first of equal ones. */
#include <cfloat>

#include "cuda/launch.cuh"

#define THREADS 256u
#define BLOCKS  64u
#define IS_NAN  (~0ull) /* above all keys */

/* Larger for larger values, then for lower places. Infinities count as the largest finite numbers. */
static __device__ __forceinline__ unsigned long long make_key(float value, uint32_t place) {
    if (isnan(value)) return IS_NAN;
    const uint32_t bits = __float_as_uint(fminf(fmaxf(value, -FLT_MAX), FLT_MAX) + 0.0f); /* no -0 */
    const uint32_t order = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
    return (unsigned long long)order << 32 | ~place;
}

/* The largest key of all that the block looks at, in its first thread. */
static __device__ __forceinline__ unsigned long long find_key(const float *values, uint32_t count) {
    __shared__ unsigned long long keys[THREADS / 32];
    unsigned long long best = 0;
    for (uint32_t i = blockIdx.x * THREADS + threadIdx.x; i < count; i += gridDim.x * THREADS) {
        best = max(best, make_key(values[i], i));
    }
    for (int distance = 16; distance > 0; distance /= 2) {
        best = max(best, __shfl_xor_sync(0xffffffffu, best, distance));
    }
    if (threadIdx.x % 32 == 0) keys[threadIdx.x / 32] = best;
    __syncthreads();
    for (uint32_t w = 0; w < THREADS / 32; w++) best = max(best, keys[w]);
    return best;
}

static __global__ void find_largest_kernel(const float *values, uint32_t count, struct sinq_cuda_search *work,
                                           struct sinq_cuda_found *found) {
    begin_kernel();
    const unsigned long long key = find_key(values, count);
    if (threadIdx.x != 0) return;
    unsigned long long *const best = (unsigned long long *)&work->best;
    atomicMax(best, key);
    __threadfence();
    if (atomicAdd(&work->finished, 1) + 1 < gridDim.x) return;
    __threadfence();
    const unsigned long long largest = atomicExch(best, 0);
    work->finished = 0;
    found->place = ~(uint32_t)largest;
    found->has_nan = largest == IS_NAN;
}

cudaError_t sinq_cuda_find_largest(struct sinq_cuda_line line, const float *values, uint32_t count,
                                   struct sinq_cuda_search *work, struct sinq_cuda_found *found) {
    return launch(line, find_largest_kernel, dim3(BLOCKS), THREADS, 0, values, count, work, found);
}
