/*
 * export_view.h: the inside of sinq_open_gguf_view: export_view.c finds out which tensors there are and of what shapes, export_rows.c
 * reads their rows.
 */
#ifndef SINQ_FORMATS_EXPORT_VIEW_H
#define SINQ_FORMATS_EXPORT_VIEW_H

#include <pthread.h>

#include "checkpoint/source.h"
#include "model/gguf_config.h"

/* One tensor of the view. */
struct sinq_export_part {
    char name[SINQ_GGUF_NAME_BYTES];
    enum sinq_gguf_change change;
    bool is_bias;
    int layer;       /* -1 outside layers */
    size_t position; /* in the source */
    size_t *members; /* tensors of the source: one, or one an expert; NULL of a rope's factors */
    size_t member_count, found;
    const float *factors;
};

/* Columns of a matrix of the source that are the view's rows. */
struct sinq_export_turned {
    bool is_used;
    size_t tensor;
    uint64_t first_row;
    uint64_t column, step; /* the first column, and how far the next one is */
    float *values;
    uint64_t capacity;
};

struct sinq_export_view {
    struct sinq_source base;
    const struct sinq_source *source;
    struct sinq_model_config config;
    struct sinq_export_part *parts;
    size_t count, capacity;
    struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES];
    uint32_t rope_count;
    pthread_mutex_t lock; /* of `turned` */
    struct sinq_export_turned turned;
};

static inline struct sinq_export_view *sinq_to_export_view(const struct sinq_source *source) {
    return (struct sinq_export_view *)(uintptr_t)source;
}

static inline const struct sinq_tensor *sinq_export_member(const struct sinq_export_view *view,
                                                           const struct sinq_export_part *part, uint64_t member) {
    return &view->source->tensors[part->members[member]];
}

/* ops->read_bytes of a view. */
int sinq_read_export_bytes(const struct sinq_source *source, size_t index, uint64_t offset, uint64_t size, void *out,
                           struct sinq_error *error);

#endif
