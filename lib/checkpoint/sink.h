/*
 * sink.h: what a format implements so that a checkpoint can be written.
 *
 * Calling sequence
 *   begin(plan)                    checks free space, reserves headers; reports how many leading tensors of the plan are
 *                                  finished already (a resumed run), after checking the fingerprint
 *   for each further tensor, in the plan's order:
 *     begin_tensor, write..., end_tensor
 *   commit(final)                  writes headers, index, config and sidecars, checks what was written by reading it back,
 *                                  syncs, renames
 *   close                          without commit: keeps what can be resumed (at least one finished tensor), else removes all
 * suspend() makes every finished tensor durable; the sink calls it by itself now and then.
 */
#ifndef SINQ_CHECKPOINT_SINK_H
#define SINQ_CHECKPOINT_SINK_H

#include "sinq.h"
#include "tensor/block_types.h"
#include "tensor/reference_matrix.h"

struct sinq_sink_tensor {
    const char *name; /* as in the source; the format decides what it is called in the file */
    enum sinq_dtype dtype;
    uint32_t rank;
    uint64_t shape[SINQ_MAX_RANK];       /* the logical one */
    uint64_t bytes;                      /* predicted; a SINQ_DUAL_SCALE tensor may turn out larger */
    const struct sinq_block_type *block; /* GGUF's type, in place of dtype; NULL: none */
    /* A layer as the reference implementation stores it, in place of dtype; NULL: none. Its method may change until it is written. */
    const struct sinq_reference_matrix *reference;
};

struct sinq_sink_plan {
    const struct sinq_sink_tensor *tensors;
    size_t count;
    const char *fingerprint; /* hexadecimal, of source headers, recipe and program version */
};

struct sinq_sink_final {
    /* JSON object: goes into config.json, or a bare file's metadata. NULL: none, and config.json has none then. */
    const char *quantization;
};

struct sinq_sink_ops {
    int (*begin)(struct sinq_sink *sink, const struct sinq_sink_plan *plan, size_t *finished, struct sinq_error *error);
    int (*begin_tensor)(struct sinq_sink *sink, size_t index, struct sinq_error *error);
    int (*write)(struct sinq_sink *sink, const void *bytes, uint64_t size, struct sinq_error *error);
    /*
     * `note` is one line of JSON text that the sink records with the tensor and gives back by note() after a resume. The sink
     * hashes the bytes of tensors that are not SINQ_DUAL_SCALE itself and stores those checksums.
     */
    int (*end_tensor)(struct sinq_sink *sink, const char *note, struct sinq_error *error);
    const char *(*note)(const struct sinq_sink *sink, size_t index);
    int (*suspend)(struct sinq_sink *sink, struct sinq_error *error);
    int (*commit)(struct sinq_sink *sink, const struct sinq_sink_final *final, sinq_progress_fn *progress, void *user,
                  struct sinq_error *error);
    void (*close)(struct sinq_sink *sink);
};

/* A format embeds this as its first member. */
struct sinq_sink {
    const struct sinq_sink_ops *ops;
    uint64_t bytes_written;
    double seconds_sync; /* spent in fsync */
};

#endif
