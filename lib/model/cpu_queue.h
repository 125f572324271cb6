/*
 * cpu_queue.h: what the files of the CPU backend share: how an operation sees its rows, and what a team's worker has in hand.
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
    /* Steps of one row: a worker's own copy of that slot's row, or SINQ_NO_VIEW. */
    uint32_t own_slot;
    float *own_row;
};

/* Scratch memory that a stage needs: shared by all workers, and for each. */
struct sinq_cpu_needs {
    size_t shared, scratch;
};

/* One worker of a team at work. */
struct sinq_cpu_hand {
    struct sinq_worker *worker;
    uint8_t *shared;  /* scratch of all workers, aligned to 64 */
    uint8_t *scratch; /* its own, likewise */
};

static inline float *sinq_cpu_row(const struct sinq_cpu_step *step, struct sinq_view view, uint32_t row) {
    const struct sinq_frame *const frame = step->frame;
    if (view.slot == step->own_slot) return step->own_row + view.offset;
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

#endif
