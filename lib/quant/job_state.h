/*
 * job_state.h: one run of sinq_quantize, shared by its parts: job.c (the plan and the end), job_matrices.c (quantizing),
 * job_blocks.c (types), job_record.c (what the user and the sink are told).
 */
#ifndef SINQ_QUANT_JOB_STATE_H
#define SINQ_QUANT_JOB_STATE_H

#include "checkpoint/sink.h"
#include "checkpoint/source.h"
#include "quant/matrix/load.h"
#include "quant/recipe/recipe.h"
#include "quant/recipe/reference_recipe.h"
#include "quant/statistics/gram_index.h"

/* What became of one tensor; recorded with it, so that a resumed run knows what the first one did. */
struct sinq_tensor_note {
    struct sinq_hash source_hash;
    int64_t source_modified_ns;
    double error_square, norm_square;
    uint64_t bytes;          /* written */
    uint64_t nonfinite;      /* values replaced */
    uint64_t gated, widened; /* matrices */
    /* Of the reference's layout: see struct sinq_reference_matrix. */
    bool has_exponents;
    int factor_exponent, shift;
};

struct sinq_quantize_job {
    const struct sinq_source *source;
    const struct sinq_recipe *recipe;
    struct sinq_sink *sink;
    sinq_progress_fn *progress;
    void *user;
    struct sinq_error *error;

    size_t *order; /* source indices in the order of the output */
    size_t count;
    struct sinq_sink_tensor *planned;
    struct sinq_reference_matrix *references; /* beside them: layers in the reference's layout */
    struct sinq_tensor_note *notes;           /* in the order of the output */
    uint64_t bytes_done, bytes_total;

    struct sinq_loader loader;
    struct sinq_gram_index grams;      /* empty without statistics */
    uint64_t calibrated, uncalibrated; /* matrices */
    const char *first_uncalibrated;
    char plan_fingerprint[33];
};

static inline const struct sinq_recipe_entry *sinq_job_entry(const struct sinq_quantize_job *job, size_t position) {
    return sinq_recipe_entry(job->recipe, job->order[position]);
}

static inline const struct sinq_tensor *sinq_job_tensor(const struct sinq_quantize_job *job, size_t position) {
    return sinq_source_tensor(job->source, job->order[position]);
}

/* job_record.c: tells the user what is being done; SINQ_INTERRUPTED where he wants no more. From the calling thread alone. */
int sinq_job_report(const struct sinq_quantize_job *job, const char *activity, size_t position);
/* Ends a tensor in the sink, with its note. */
int sinq_job_end_tensor(struct sinq_quantize_job *job, size_t position, struct sinq_error *error);
bool sinq_parse_note(const char *text, struct sinq_tensor_note *note);

/* job_matrices.c: quantizes and writes the tensors from `first` up to `end`, all of which are to be quantized. */
int sinq_job_quantize(struct sinq_quantize_job *job, size_t first, size_t end);

/* job_blocks.c: encodes and writes one tensor that gets a type; the hash that this takes of it, alone. */
int sinq_job_encode(struct sinq_quantize_job *job, size_t position);
int sinq_job_hash_blocks(struct sinq_quantize_job *job, size_t position, struct sinq_hash *hash);

/*
 * job_reference.c: a layer in the reference's layout: planned, written, recalled from its note; the quantization_config, malloc'ed,
 * NULL when out of memory.
 */
void sinq_job_plan_reference(struct sinq_quantize_job *job, size_t position);
int sinq_job_write_reference(struct sinq_quantize_job *job, size_t position);
void sinq_job_recall_reference(struct sinq_quantize_job *job, size_t position);
char *sinq_job_print_reference(const struct sinq_quantize_job *job);
/* A layer of the reference's layout, written in ours. */
int sinq_job_repack(struct sinq_quantize_job *job, size_t position);

#endif
