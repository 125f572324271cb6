/*
 * cpu_queue.h: what the files of the CPU backend share: how an operation sees its rows, and how a team carries it out.
 *
 * Row operations compute each row by itself; any worker takes any rows. Team operations have rounds of items of their own; all
 * workers run them together, and they end with a meeting.
 */
#ifndef SINQ_MODEL_CPU_QUEUE_H
#define SINQ_MODEL_CPU_QUEUE_H

#include "base/parallel.h"
#include "model/backend.h"

struct sinq_buffer {
    void *memory;  /* as it was allocated */
    uint8_t *data; /* in it, aligned to 64 */
    uint64_t bytes;
};

struct sinq_held {
    struct sinq_weight weight;
};

/* An operation with what it stands for. */
struct sinq_cpu_step {
    const struct sinq_operation *operation;
    const struct sinq_frame *frame;
    uint32_t rows; /* tokens, or rows whose logits are asked for */
    bool exact;
    uint8_t *shared;  /* scratch of all workers, aligned to 64 */
    uint8_t *scratch; /* of the workers, scratch_bytes each */
    size_t scratch_bytes;
};

/* Scratch memory that a step needs: shared by all workers, and for each. */
struct sinq_cpu_needs {
    size_t shared, scratch;
};

static inline float *sinq_cpu_row(const struct sinq_cpu_step *step, struct sinq_view view, uint32_t row) {
    const struct sinq_frame *const frame = step->frame;
    float *const data = (float *)(void *)frame->slots[view.slot]->data;
    return data + (size_t)row * frame->slot_widths[view.slot] + view.offset;
}

static inline size_t sinq_cpu_stride(const struct sinq_cpu_step *step, struct sinq_view view) {
    return step->frame->slot_widths[view.slot];
}

/* NULL where there is none. */
static inline const struct sinq_weight *sinq_cpu_weight(const struct sinq_cpu_step *step, uint32_t weight) {
    const struct sinq_held *const held = weight == SINQ_NO_WEIGHT ? NULL : step->frame->weights[weight];
    return held == NULL ? NULL : &held->weight;
}

/* A vector's values, or NULL. */
static inline const float *sinq_cpu_vector(const struct sinq_cpu_step *step, uint32_t weight) {
    const struct sinq_weight *const vector = sinq_cpu_weight(step, weight);
    return vector == NULL ? NULL : (const float *)(const void *)vector->bytes;
}

static inline void *sinq_cpu_scratch(const struct sinq_cpu_step *step, const struct sinq_worker *worker) {
    return step->scratch + worker->index * step->scratch_bytes;
}

/* Row operations: rows [first, first + count). NULL for kinds that are team operations. */
typedef void sinq_cpu_rows_fn(const struct sinq_cpu_step *step, uint32_t first, uint32_t count);
sinq_cpu_rows_fn *sinq_cpu_rows_of(enum sinq_operation_kind kind);

/* Team operations. */
void sinq_cpu_linear(const struct sinq_cpu_step *step, struct sinq_worker *worker);
void sinq_cpu_head_linear(const struct sinq_cpu_step *step, struct sinq_worker *worker);
void sinq_cpu_attention(const struct sinq_cpu_step *step, struct sinq_worker *worker);
void sinq_cpu_expert_linear(const struct sinq_cpu_step *step, struct sinq_worker *worker);

struct sinq_cpu_needs sinq_cpu_linear_needs(const struct sinq_cpu_step *step);
struct sinq_cpu_needs sinq_cpu_head_linear_needs(const struct sinq_cpu_step *step);
struct sinq_cpu_needs sinq_cpu_attention_needs(const struct sinq_cpu_step *step);
struct sinq_cpu_needs sinq_cpu_expert_linear_needs(const struct sinq_cpu_step *step);

/* Panels of 16 rows that one item of a product takes, so that each worker finds several. */
static inline uint64_t sinq_cpu_panels_per_item(uint64_t panels, unsigned workers) {
    const uint64_t share = panels / ((uint64_t)workers * 8);
    return share == 0 ? 1 : share;
}

#endif
