/*
 * cuda_backend.h: what the C files of the CUDA backend share.
 *
 * All of a backend's work goes to one stream, in order: copies of weights, uploads, kernels, downloads. Threads may share a backend as
 * long as only one of them uses it at a time.
 */
#ifndef SINQ_CUDA_BACKEND_H
#define SINQ_CUDA_BACKEND_H

#include "cuda/device.h"
#include "model/backend.h"

#define SINQ_CUDA_STAGES      2u
#define SINQ_CUDA_STAGE_BYTES ((uint64_t)16 << 20)

/* A block of device memory that weights are cut from, one behind the other. */
struct sinq_cuda_block {
    uint8_t *bytes;
    uint64_t size, used;
    struct sinq_cuda_block *next;
};

struct sinq_cuda_backend {
    struct sinq_backend base;
    int device;
    struct sinq_cuda_line line;
    uint64_t memory_limit, memory_used; /* limit 0: none */
    struct sinq_cuda_block *blocks;
    /* Pinned memory between files and the device, and when each piece is free again. */
    uint8_t *stages[SINQ_CUDA_STAGES];
    cudaEvent_t stage_free[SINQ_CUDA_STAGES];
    unsigned next_stage;
    /* The bytes that were copied last: parts of one fused tensor follow each other. */
    const uint8_t *last_bytes;
    uint8_t *last_copy;
};

struct sinq_buffer {
    uint8_t *data; /* of the device */
    uint64_t bytes;
};

struct sinq_held {
    struct sinq_cuda_matrix matrix;
};

static inline struct sinq_cuda_backend *sinq_cuda_of(struct sinq_backend *backend) {
    return (struct sinq_cuda_backend *)(void *)backend;
}

/* What a CUDA function's failure means, in one line: "CUDA device 0: <doing>: <reason>". SINQ_OK where there is none. */
int sinq_cuda_check(const struct sinq_cuda_backend *backend, cudaError_t status, const char *doing,
                    struct sinq_error *error);

/* Device memory, counted against the limit. */
int sinq_cuda_allocate(struct sinq_cuda_backend *backend, uint64_t bytes, const char *purpose, uint8_t **memory,
                       struct sinq_error *error);
void sinq_cuda_free(struct sinq_cuda_backend *backend, uint8_t *memory, uint64_t bytes);

/* Copies through pinned memory. A copy to the device is over when the stream has come there, one to the host on return. */
int sinq_cuda_copy_in(struct sinq_cuda_backend *backend, uint8_t *to, const void *from, uint64_t bytes,
                      struct sinq_error *error);
int sinq_cuda_copy_out(struct sinq_cuda_backend *backend, void *to, const uint8_t *from, uint64_t bytes,
                       struct sinq_error *error);

int sinq_cuda_hold_weight(struct sinq_backend *backend, const struct sinq_weight *weight, struct sinq_held **held,
                          struct sinq_error *error);
void sinq_cuda_release_weight(struct sinq_backend *backend, struct sinq_held *held);
void sinq_cuda_free_blocks(struct sinq_cuda_backend *backend);

int sinq_cuda_create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                           struct sinq_queue **queue, struct sinq_error *error);
int sinq_cuda_enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                      struct sinq_error *error);
int sinq_cuda_submit(struct sinq_queue *queue, struct sinq_error *error);
int sinq_cuda_wait(struct sinq_queue *queue, struct sinq_error *error);
void sinq_cuda_close_queue(struct sinq_queue *queue);
uint64_t sinq_cuda_queue_bytes(const struct sinq_graph *graph, const struct sinq_queue_options *options);

#endif
