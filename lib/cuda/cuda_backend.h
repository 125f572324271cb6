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
#define SINQ_CUDA_STAGE_BYTES ((uint64_t)4 << 20)

/* A piece of a weight that is to be copied to the device; at most a stage. */
struct sinq_cuda_piece {
    uint8_t *to;
    const uint8_t *from;
    uint64_t bytes;
};

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
    uint64_t memory_limit, memory_used; /* limit 0: none; used: what was allocated here */
    uint64_t others, start,
        peak;       /* of the device's memory: other processes'; ours before the first weight; most of ours */
    uint64_t total; /* all of the device's */
    struct sinq_cuda_block *blocks;
    struct sinq_cuda_piece *pieces; /* of weights that are held and not copied yet */
    size_t piece_count, piece_capacity;
    uint8_t *
        upload_stages; /* pinned memory between files and the device: SINQ_CUDA_STAGES for each of `uploaders` threads */
    cudaEvent_t *upload_free;
    unsigned uploaders;
    /* Pinned memory for what sessions copy, and when each piece is free again. */
    uint8_t *stages[SINQ_CUDA_STAGES];
    cudaEvent_t stage_free[SINQ_CUDA_STAGES];
    unsigned next_stage;
    struct sinq_cuda_search *search; /* of the device, for find_best */
    struct sinq_cuda_found *found;   /* pinned */
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

/* ---- card_memory.c: the device's memory as the driver reports it ---- */

/* Bytes of the device that processes have in use; 0 where the driver's library does not tell. Asked before this process has a context. */
uint64_t sinq_cuda_find_used(int device);
/* Reads what this process has in use, and the peak. */
uint64_t sinq_cuda_read_used(struct sinq_cuda_backend *backend);
/* Whether that is within the limit. */
int sinq_cuda_check_limit(struct sinq_cuda_backend *backend, struct sinq_error *error);
void sinq_cuda_measure_memory(struct sinq_backend *backend, struct sinq_device_memory *memory);

/* ---- upload.c: weights' bytes on their way to the device ---- */

/* Copied at the next flush. */
int sinq_cuda_add_upload(struct sinq_cuda_backend *backend, uint8_t *to, const void *from, uint64_t bytes,
                         struct sinq_error *error);
int sinq_cuda_flush_weights(struct sinq_backend *backend, struct sinq_error *error);
void sinq_cuda_free_uploads(struct sinq_cuda_backend *backend);

/* ---- weights.c ---- */

int sinq_cuda_expect_weights(struct sinq_backend *backend, uint64_t bytes, struct sinq_error *error);
int sinq_cuda_hold_weight(struct sinq_backend *backend, uint32_t number, const struct sinq_weight *weight,
                          struct sinq_held **held, struct sinq_error *error);
void sinq_cuda_release_weight(struct sinq_backend *backend, struct sinq_held *held);
void sinq_cuda_free_blocks(struct sinq_cuda_backend *backend);

int sinq_cuda_create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                           struct sinq_queue **queue, struct sinq_error *error);
int sinq_cuda_enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                      struct sinq_error *error);
int sinq_cuda_submit(struct sinq_queue *queue, struct sinq_error *error);
int sinq_cuda_wait(struct sinq_queue *queue, struct sinq_error *error);
void sinq_cuda_close_queue(struct sinq_queue *queue);

#endif
