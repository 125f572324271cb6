/*
 * upload.c: weights' bytes to the device. They are collected and copied many at once: several threads move pieces from where they lie,
 * mapped files mostly, to pinned memory of their own, two pieces each, so that one is filled while the other travels.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "cuda/cuda_backend.h"
#include "sinq.h"

/* More do not make it faster: the bus is what they wait for. */
#define MOST_UPLOADERS 16u

/* ---- collecting ---- */

static int add_piece(struct sinq_cuda_backend *backend, struct sinq_cuda_piece piece, struct sinq_error *error) {
    if (backend->piece_count == backend->piece_capacity) {
        const size_t capacity = backend->piece_capacity == 0 ? 512 : 2 * backend->piece_capacity;
        struct sinq_cuda_piece *const grown = realloc(backend->pieces, capacity * sizeof *grown);
        if (grown == NULL) return sinq_fail_memory(error, "weights on their way", capacity * sizeof *grown);
        backend->pieces = grown;
        backend->piece_capacity = capacity;
    }
    backend->pieces[backend->piece_count++] = piece;
    return SINQ_OK;
}

int sinq_cuda_add_upload(struct sinq_cuda_backend *backend, uint8_t *to, const void *from, uint64_t bytes,
                         struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint64_t done = 0; done < bytes && status == SINQ_OK; done += SINQ_CUDA_STAGE_BYTES) {
        const struct sinq_cuda_piece piece = {to + done, (const uint8_t *)from + done,
                                              sinq_min_u64(bytes - done, SINQ_CUDA_STAGE_BYTES)};
        status = add_piece(backend, piece, error);
    }
    return status;
}

/* ---- copying ---- */

struct copying {
    struct sinq_cuda_backend *backend;
    unsigned next[MOST_UPLOADERS]; /* stage of each worker */
    _Atomic int result;            /* cudaError_t, the first that is one */
};

static cudaError_t copy_piece(struct copying *copying, const struct sinq_cuda_piece *piece, unsigned worker) {
    struct sinq_cuda_backend *const backend = copying->backend;
    const unsigned number = worker * SINQ_CUDA_STAGES + copying->next[worker]++ % SINQ_CUDA_STAGES;
    uint8_t *const stage = backend->upload_stages + number * SINQ_CUDA_STAGE_BYTES;
    cudaError_t status = cudaSetDevice(backend->device); /* of this thread */
    if (status == cudaSuccess) status = cudaEventSynchronize(backend->upload_free[number]);
    if (status != cudaSuccess) return status;
    memcpy(stage, piece->from, (size_t)piece->bytes);
    status = cudaMemcpyAsync(piece->to, stage, (size_t)piece->bytes, cudaMemcpyHostToDevice, backend->line.stream);
    return status == cudaSuccess ? cudaEventRecord(backend->upload_free[number], backend->line.stream) : status;
}

static void work(void *context, uint64_t item, unsigned worker) {
    struct copying *const copying = context;
    if (atomic_load(&copying->result) != cudaSuccess) return;
    const cudaError_t status = copy_piece(copying, &copying->backend->pieces[item], worker);
    if (status != cudaSuccess) atomic_store(&copying->result, (int)status);
}

static int create_stages(struct sinq_cuda_backend *backend, struct sinq_error *error) {
    if (backend->upload_stages != NULL) return SINQ_OK;
    const unsigned threads = (unsigned)sinq_min_u64(sinq_count_processors(), MOST_UPLOADERS);
    const unsigned count = threads * SINQ_CUDA_STAGES;
    void *stages = NULL;
    backend->upload_free = calloc(count, sizeof(cudaEvent_t));
    if (backend->upload_free == NULL) return sinq_fail_memory(error, "weights on their way", count);
    cudaError_t status = cudaHostAlloc(&stages, count * SINQ_CUDA_STAGE_BYTES, cudaHostAllocDefault);
    backend->upload_stages = stages;
    backend->uploaders = threads;
    for (unsigned i = 0; i < count && status == cudaSuccess; i++) {
        status = cudaEventCreateWithFlags(&backend->upload_free[i], cudaEventDisableTiming);
    }
    return sinq_cuda_check(backend, status, "pinned memory", error);
}

int sinq_cuda_flush_weights(struct sinq_backend *base, struct sinq_error *error) {
    struct sinq_cuda_backend *const backend = sinq_cuda_of(base);
    struct copying copying = {.backend = backend, .result = cudaSuccess};
    if (backend->piece_count == 0) return SINQ_OK;
    const int status = create_stages(backend, error);
    if (status != SINQ_OK) return status;
    sinq_parallel_for(backend->uploaders, backend->piece_count, work, &copying);
    backend->piece_count = 0;
    cudaError_t result = (cudaError_t)atomic_load(&copying.result);
    if (result == cudaSuccess) result = cudaStreamSynchronize(backend->line.stream);
    return sinq_cuda_check(backend, result, "copying weights to it", error);
}

void sinq_cuda_free_uploads(struct sinq_cuda_backend *backend) {
    for (unsigned i = 0; backend->upload_free != NULL && i < backend->uploaders * SINQ_CUDA_STAGES; i++) {
        if (backend->upload_free[i] != NULL) (void)cudaEventDestroy(backend->upload_free[i]);
    }
    if (backend->upload_stages != NULL) (void)cudaFreeHost(backend->upload_stages);
    free(backend->upload_free);
    free(backend->pieces);
}
