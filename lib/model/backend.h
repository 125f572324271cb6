/*
 * backend.h: where a model runs. A backend holds weights and buffers and carries out operations that are enqueued; the CPU's
 * is one implementation, a GPU's another, and a test's counts and copies.
 *
 * Calling sequence
 *   expect_weights(); hold_weight() for each weight of a model; flush_weights() now and then and at the end
 *   create_queue() for each session
 *   for each batch: enqueue() its operations in order, submit(), wait(); upload() and download() between batches
 *   free what was created; close()
 *
 * Threads: a backend is shared by threads, a queue belongs to one session.
 */
#ifndef SINQ_MODEL_BACKEND_H
#define SINQ_MODEL_BACKEND_H

#include "model/graph.h"
#include "tensor/weight.h"

struct sinq_buffer; /* a backend's */
struct sinq_held;   /* a weight as a backend holds it */

struct sinq_queue_options {
    bool exact;       /* activations stay f32 in products with quantized matrices */
    unsigned threads; /* of a CPU */
    uint32_t batch;   /* most rows of a batch */
    uint32_t sequences;
};

/* A layer's keys and values: of each sequence, one behind the other. */
struct sinq_cache {
    struct sinq_cache_layout layout; /* of one */
    struct sinq_buffer *buffer;
};

/*
 * Where the time of operations goes, for those who look for it: seconds[i] is of operations[i], by the clock of whoever carries it
 * out, waiting for others included. Of several that are carried out as one, all of it goes to one of them.
 */
struct sinq_profile {
    const struct sinq_operation *operations;
    double *seconds;
};

/*
 * What the numbers in operations stand for, and which tokens are at hand. Borrowed by a queue until wait() returns. As long as
 * a queue lives, a frame at the same address stands for the same weights, slots, caches and ropes; only the second half changes.
 */
struct sinq_frame {
    struct sinq_held *const *weights; /* NULL entries: optional weights that are missing */
    struct sinq_buffer *const *slots;
    const uint32_t *slot_widths;
    const struct sinq_cache *caches;
    const struct sinq_rope *ropes;
    struct sinq_buffer *tokens;         /* int32 */
    const struct sinq_profile *profile; /* NULL: no one looks */

    uint32_t position,
        count;          /* so many rows are at hand: of `sequences` at the first position, then of all at the next */
    uint32_t sequences; /* 1 or more */
    uint64_t length;    /* for ropes: see rope.h */
    uint32_t first_row, row_count; /* rows of the batch whose logits are asked for: operations with for_logits */
};

struct sinq_queue;

/* The largest of numbers, the first of equal ones. */
struct sinq_best {
    bool is_known; /* false: one of them is not a number, or no one looked */
    uint32_t place;
};

/* What a buffer is for: one of the graph's slots or caches, or the tokens of a batch. */
struct sinq_use {
    enum sinq_use_kind { SINQ_USE_SLOT, SINQ_USE_CACHE, SINQ_USE_TOKENS } kind;
    uint32_t number;
    bool in_large_pages; /* a wish: most of what such a page holds will be used */
};

struct sinq_backend {
    const struct sinq_backend_ops *ops;
};

struct sinq_backend_ops {
    const char *name;
    bool submits_ahead; /* submit() may be called again before wait(), which then waits for all */
    /* `number` is the want's. The weight's bytes outlive what is held: a CPU keeps no copy. */
    int (*hold_weight)(struct sinq_backend *backend, uint32_t number, const struct sinq_weight *weight,
                       struct sinq_held **held, struct sinq_error *error);
    void (*release_weight)(struct sinq_backend *backend, struct sinq_held *held);
    /* Of a device, else NULL: how many bytes of weights are to come; and that those that are held be there on return. */
    int (*expect_weights)(struct sinq_backend *backend, uint64_t bytes, struct sinq_error *error);
    int (*flush_weights)(struct sinq_backend *backend, struct sinq_error *error);
    int (*create_buffer)(struct sinq_backend *backend, struct sinq_use use, uint64_t bytes, struct sinq_buffer **buffer,
                         struct sinq_error *error); /* zeroed */
    void (*free_buffer)(struct sinq_backend *backend, struct sinq_buffer *buffer);
    int (*upload)(struct sinq_backend *backend, struct sinq_buffer *buffer, uint64_t offset, const void *bytes,
                  uint64_t size, struct sinq_error *error);
    int (*download)(struct sinq_backend *backend, const struct sinq_buffer *buffer, uint64_t offset, void *bytes,
                    uint64_t size, struct sinq_error *error);
    /* Of a device, else NULL: the best of `count` f32, without a copy of all; also between submit() and wait(). */
    int (*find_best)(struct sinq_backend *backend, const struct sinq_buffer *buffer, uint64_t offset, uint32_t count,
                     struct sinq_best *best, struct sinq_error *error);
    int (*create_queue)(struct sinq_backend *backend, const struct sinq_queue_options *options,
                        struct sinq_queue **queue, struct sinq_error *error);
    /* Operations and frame are borrowed until wait() returns. */
    int (*enqueue)(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                   struct sinq_error *error);
    int (*submit)(struct sinq_queue *queue, struct sinq_error *error);
    int (*wait)(struct sinq_queue *queue, struct sinq_error *error);
    void (*close_queue)(struct sinq_queue *queue);
    /* Of a device, else NULL. */
    void (*measure_memory)(struct sinq_backend *backend, struct sinq_device_memory *memory);
    void (*close)(struct sinq_backend *backend);
};

/* ---- for backends ---- */

/* A weight that an operation cannot do without, or SINQ_NO_WEIGHT where it needs none. */
uint32_t sinq_main_weight(const struct sinq_operation *operation);
/* How many rows an operation has in a frame; an error where it lacks its main weight. */
int sinq_count_rows(const struct sinq_operation *operation, const struct sinq_frame *frame, uint32_t *rows,
                    struct sinq_error *error);

/* Whose token row `row` is, and where. */
static inline uint32_t sinq_row_sequence(const struct sinq_frame *frame, uint32_t row) {
    return row % frame->sequences;
}
static inline uint64_t sinq_row_position(const struct sinq_frame *frame, uint32_t row) {
    return (uint64_t)frame->position + row / frame->sequences;
}

/* Scratch memory of the CPU's queues for that graph, in bytes: for plans. */
uint64_t sinq_cpu_queue_bytes(const struct sinq_graph *graph, const struct sinq_queue_options *options);
int sinq_open_cpu_backend(struct sinq_backend **backend, struct sinq_error *error);

#endif
