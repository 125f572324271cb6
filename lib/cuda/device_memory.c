/* device_memory.c: memory of the device, and copies to and from it. */
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "cuda/cuda_backend.h"

int sinq_cuda_check(const struct sinq_cuda_backend *backend, cudaError_t status, const char *doing,
                    struct sinq_error *error) {
    if (status == cudaSuccess) return SINQ_OK;
    (void)cudaGetLastError(); /* what can be forgotten is */
    return sinq_fail(error, SINQ_FAILED, "CUDA device %d: %s: %s", backend->device, doing, cudaGetErrorString(status));
}

int sinq_cuda_allocate(struct sinq_cuda_backend *backend, uint64_t bytes, const char *purpose, uint8_t **memory,
                       struct sinq_error *error) {
    void *made = NULL;
    *memory = NULL;
    cudaError_t status = cudaSetDevice(backend->device); /* of this thread */
    if (status != cudaSuccess) return sinq_cuda_check(backend, status, "choosing it", error);
    const uint64_t used = sinq_cuda_read_used(backend);
    if (backend->memory_limit != 0 && (used > backend->memory_limit || bytes > backend->memory_limit - used)) {
        return sinq_fail(error, SINQ_FAILED,
                         "CUDA device %d: %llu bytes for %s are beyond the limit: %llu of %llu are in use",
                         backend->device, (unsigned long long)bytes, purpose, (unsigned long long)used,
                         (unsigned long long)backend->memory_limit);
    }
    status = cudaMalloc(&made, (size_t)sinq_max_u64(bytes, 1));
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        return sinq_fail(error, SINQ_FAILED, "CUDA device %d: %llu bytes for %s: %s", backend->device,
                         (unsigned long long)bytes, purpose, cudaGetErrorString(status));
    }
    backend->memory_used += bytes;
    const int fits = sinq_cuda_check_limit(backend, error);
    if (fits == SINQ_OK) {
        *memory = made;
    } else {
        sinq_cuda_free(backend, made, bytes);
    }
    return fits;
}

void sinq_cuda_free(struct sinq_cuda_backend *backend, uint8_t *memory, uint64_t bytes) {
    if (memory == NULL) return;
    (void)cudaFree(memory);
    backend->memory_used -= bytes;
}

/* ---- copies ---- */

/* The next piece of pinned memory, free to be written. */
static int take_stage(struct sinq_cuda_backend *backend, unsigned *stage, struct sinq_error *error) {
    *stage = backend->next_stage;
    backend->next_stage = (*stage + 1) % SINQ_CUDA_STAGES;
    return sinq_cuda_check(backend, cudaEventSynchronize(backend->stage_free[*stage]), "copying to it", error);
}

int sinq_cuda_copy_in(struct sinq_cuda_backend *backend, uint8_t *to, const void *from, uint64_t bytes,
                      struct sinq_error *error) {
    for (uint64_t done = 0; done < bytes;) {
        const size_t size = (size_t)sinq_min_u64(bytes - done, SINQ_CUDA_STAGE_BYTES);
        unsigned stage;
        const int status = take_stage(backend, &stage, error);
        if (status != SINQ_OK) return status;
        memcpy(backend->stages[stage], (const uint8_t *)from + done, size);
        cudaError_t result =
            cudaMemcpyAsync(to + done, backend->stages[stage], size, cudaMemcpyHostToDevice, backend->line.stream);
        if (result == cudaSuccess) result = cudaEventRecord(backend->stage_free[stage], backend->line.stream);
        if (result != cudaSuccess) return sinq_cuda_check(backend, result, "copying to it", error);
        done += size;
    }
    return SINQ_OK;
}

int sinq_cuda_copy_out(struct sinq_cuda_backend *backend, void *to, const uint8_t *from, uint64_t bytes,
                       struct sinq_error *error) {
    for (uint64_t done = 0; done < bytes;) {
        const size_t size = (size_t)sinq_min_u64(bytes - done, SINQ_CUDA_STAGE_BYTES);
        unsigned stage;
        const int status = take_stage(backend, &stage, error);
        if (status != SINQ_OK) return status;
        cudaError_t result =
            cudaMemcpyAsync(backend->stages[stage], from + done, size, cudaMemcpyDeviceToHost, backend->line.stream);
        if (result == cudaSuccess) result = cudaStreamSynchronize(backend->line.stream);
        if (result != cudaSuccess) return sinq_cuda_check(backend, result, "copying from it", error);
        memcpy((uint8_t *)to + done, backend->stages[stage], size);
        done += size;
    }
    return SINQ_OK;
}
