/* launch.cuh: putting kernels on a stream, and what every kernel begins with. */
#ifndef SINQ_CUDA_LAUNCH_CUH
#define SINQ_CUDA_LAUNCH_CUH

#include "cuda/device.h"

/* Once all blocks have come here, the next kernel may be set up and do what does not depend on this one. */
__device__ __forceinline__ void call_dependents() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}
/* Nothing that an earlier kernel writes may be read before this, and nothing that it reads be written. */
__device__ __forceinline__ void await_kernel() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void begin_kernel() {
    call_dependents();
    await_kernel();
}

template <typename... Parameters, typename... Arguments>
static cudaError_t launch(struct sinq_cuda_line line, void (*kernel)(Parameters...), dim3 grid, unsigned threads,
                          size_t shared, Arguments... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(threads);
    config.dynamicSmemBytes = shared;
    config.stream = line.stream;
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    config.attrs = &attribute;
    config.numAttrs = line.overlaps ? 1 : 0;
    /* A multiprocessor splits its memory anew only when it is empty: kernels that are to overlap want one split. */
    if (line.overlaps) {
        const cudaError_t status = cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                                                        cudaSharedmemCarveoutMaxShared);
        if (status != cudaSuccess) return status;
    }
    return cudaLaunchKernelEx(&config, kernel, arguments...);
}

static inline unsigned divide_up(uint64_t a, uint64_t b) { return (unsigned)((a + b - 1) / b); }

/* The sum over a warp, in every lane. */
template <typename T> __device__ __forceinline__ T warp_sum(T value) {
    for (int distance = 16; distance > 0; distance /= 2) value += __shfl_xor_sync(0xffffffffu, value, distance);
    return value;
}
__device__ __forceinline__ float warp_largest(float value) {
    for (int distance = 16; distance > 0; distance /= 2) {
        value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, distance));
    }
    return value;
}

/* The sum over a block of at most 1024 threads, in every thread. */
__device__ __forceinline__ double block_sum(double value) {
    __shared__ double sums[32];
    value = warp_sum(value);
    __syncthreads();
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    double sum = 0;
    for (unsigned i = 0; i < (blockDim.x + 31) / 32; i++) sum += sums[i];
    return sum;
}

#endif
