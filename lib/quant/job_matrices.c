/*
 * job_matrices.c: matrices on their way from source to sink, up to three at once.
 *
 * While threads quantize one matrix they also read the next, and seal and write the one before: all three are items of one
 * loop, so that no thread waits for another but at the end of a matrix. Two matrices are in memory only where both take little;
 * a large one is alone, but for the blob of the one before, which is written while it is read.
 */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "quant/job_state.h"
#include "quant/matrix/packing.h"
#include "quant/matrix/rounding.h"
#include "quant/recipe/peak_memory.h"
#include "quant/statistics/input_scales.h"

/* Where one matrix is in the output's order. */
struct place {
    size_t position; /* of its tensor */
    uint64_t index;  /* in its stack */
};

/* One matrix on its way. */
struct stage {
    bool is_used;
    struct place place;
    unsigned slot;
    struct sinq_matrix_load *load;
    struct sinq_packing *packing;
    struct sinq_hash hash;
    uint64_t replaced_before, nonfinite; /* values replaced before it was read, and in it */
    int status;                          /* of reading or writing, which report when the matrix's turn comes */
    struct sinq_error error;
};

struct pipeline {
    struct sinq_quantize_job *job;
    size_t end;
    /* Memory of two matrices; what is read, quantized and written takes turns in it. */
    struct sinq_unit_matrix units[2];
    struct sinq_blob blobs[2];
    struct stage read, work, write;
    float *factors;             /* of the matrix in work: input_scales.h */
    struct sinq_hasher *hasher; /* of the hashes of the stack being quantized */
};

static uint64_t count_matrices(const struct sinq_quantize_job *job, size_t position) {
    return sinq_tensor_matrix_shape(sinq_job_tensor(job, position)).count;
}

static bool find_next(const struct pipeline *p, struct place place, struct place *next) {
    *next = (struct place){place.position, place.index + 1};
    if (next->index == count_matrices(p->job, place.position)) *next = (struct place){place.position + 1, 0};
    return next->position < p->end;
}

/* ---- writing ---- */

static int write_matrix(struct pipeline *p, struct stage *stage) {
    struct sinq_quantize_job *const job = p->job;
    struct sinq_sink *const sink = job->sink;
    const struct place place = stage->place;
    struct sinq_tensor_note *const note = &job->notes[place.position];
    struct sinq_matrix_outcome outcome;
    struct sinq_dual_scale description;
    struct sinq_dual_scale_sizes sizes;
    int status = SINQ_OK;
    if (place.index == 0) status = sink->ops->begin_tensor(sink, place.position, &stage->error);
    if (status != SINQ_OK) return status;
    sinq_packing_finish(stage->packing, &description, &outcome);
    if (!sinq_dual_scale_measure(&description, &sizes)) {
        return sinq_fail(&stage->error, SINQ_FAILED, "tensor %s: its quantized matrix has no possible size",
                         sinq_job_tensor(job, place.position)->name);
    }
    note->error_square += outcome.error_square;
    note->norm_square += outcome.norm_square;
    note->gated += outcome.was_gated;
    note->widened += outcome.was_widened;
    note->bytes += sizes.bytes;
    status = sink->ops->write(sink, p->blobs[stage->slot].bytes, sizes.bytes, &stage->error);
    if (status != SINQ_OK || place.index + 1 < count_matrices(job, place.position)) return status;
    return sinq_job_end_tensor(job, place.position, &stage->error);
}

/* ---- one round: whatever of the three there is, shared out between the threads ---- */

struct round {
    struct pipeline *pipeline;
    bool writes;
    uint64_t chunks;
};

static void run_item(void *context, uint64_t item, unsigned worker) {
    const struct round *const round = context;
    struct pipeline *const p = round->pipeline;
    /* Writing comes first: it is the longest item. */
    if (round->writes && item == 0) {
        p->write.status = write_matrix(p, &p->write);
        return;
    }
    item -= round->writes ? 1 : 0;
    if (item < round->chunks) {
        sinq_load_chunk(p->read.load, item, worker);
    } else {
        sinq_packing_run_unit(p->work.packing, item - round->chunks, worker);
    }
}

static void end_reading(struct pipeline *p) {
    struct stage *const read = &p->read;
    if (read->load == NULL) return;
    read->status = sinq_load_end(read->load, &read->hash, &read->error);
    read->nonfinite = p->job->loader.nonfinite_replaced - read->replaced_before;
    read->load = NULL;
}

static void end_stage(struct stage *stage) {
    sinq_packing_free(stage->packing);
    *stage = (struct stage){.is_used = false};
}

/* Fails where writing does; a failure to read shows in p->read. */
static int run_round(struct pipeline *p, bool does_work) {
    struct round round = {.pipeline = p, .writes = p->write.is_used};
    round.chunks = p->read.load != NULL ? sinq_load_chunk_count(p->read.load) : 0;
    const uint64_t units = does_work ? p->units[p->work.slot].unit_count : 0;
    sinq_parallel_for(p->job->recipe->threads, (round.writes ? 1 : 0) + round.chunks + units, run_item, &round);
    end_reading(p);
    const int status = p->write.status;
    if (status != SINQ_OK && p->job->error != NULL) *p->job->error = p->write.error;
    if (round.writes) end_stage(&p->write);
    return status;
}

/* ---- reading ---- */

static void begin_reading(struct pipeline *p, struct place place, unsigned slot) {
    struct sinq_quantize_job *const job = p->job;
    const struct sinq_recipe_entry *const entry = sinq_job_entry(job, place.position);
    p->read = (struct stage){
        .is_used = true, .place = place, .slot = slot, .replaced_before = job->loader.nonfinite_replaced};
    p->read.status = sinq_load_begin(&job->loader, job->order[place.position], place.index, entry->transposed,
                                     entry->group_size, &p->units[slot], &p->read.load, &p->read.error);
}

/* What a matrix makes a slot hold: what it takes, or what larger ones took there before. */
static uint64_t measure_slot(const struct pipeline *p, unsigned slot, struct place place) {
    const struct sinq_tensor *const tensor = sinq_job_tensor(p->job, place.position);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    const uint64_t blob = sinq_job_entry(p->job, place.position)->bytes_after / shape.count;
    return sinq_max_u64(p->units[slot].capacity + p->blobs[slot].capacity,
                        sinq_matrix_memory(shape.rows, shape.cols, tensor->dtype, blob));
}

/* Whether the matrix at `next` may be read beside the one in `slot`. One thread would gain nothing by it. */
static bool may_overlap(const struct pipeline *p, unsigned slot, struct place place, struct place next) {
    const uint64_t here = measure_slot(p, slot, place), there = measure_slot(p, 1 - slot, next);
    return p->job->recipe->threads > 1 && here <= SINQ_OVERLAP_MEMORY && there <= SINQ_OVERLAP_MEMORY - here;
}

/* ---- quantizing ---- */

static void count_calibrated(struct sinq_quantize_job *job, const struct sinq_tensor *tensor, bool is_calibrated) {
    job->calibrated += is_calibrated;
    job->uncalibrated += !is_calibrated;
    if (!is_calibrated && job->first_uncalibrated == NULL) job->first_uncalibrated = tensor->name;
}

/* A-SINQ: what statistics are for is then done. */
static int scale_inputs(struct pipeline *p, const struct sinq_unit_matrix *units, const struct sinq_dual_scale *wished,
                        struct sinq_matrix_method *method, bool *is_scaled) {
    struct sinq_error *const error = p->job->error;
    const float *const gram = method->gram;
    float *const factors = realloc(p->factors, (size_t)units->cols * sizeof *factors);
    if (factors == NULL) return sinq_fail_memory(error, "column scales", units->cols * sizeof *factors);
    p->factors = factors;
    method->gram = NULL;
    method->column_factors = factors;
    return sinq_find_input_scales(units, method, wished, gram, &p->blobs[p->work.slot], factors, is_scaled, error);
}

/* Takes the matrix that was read as the one to work on. */
static int begin_work(struct pipeline *p) {
    struct sinq_quantize_job *const job = p->job;
    p->work = p->read;
    p->read = (struct stage){.is_used = false};
    if (p->work.status != SINQ_OK) {
        if (job->error != NULL) *job->error = p->work.error;
        return p->work.status;
    }
    const struct place place = p->work.place;
    const struct sinq_recipe_entry *const entry = sinq_job_entry(job, place.position);
    const struct sinq_tensor *const tensor = sinq_job_tensor(job, place.position);
    const struct sinq_unit_matrix *const units = &p->units[p->work.slot];
    const int status = sinq_job_report(job, "quantizing", place.position);
    if (status != SINQ_OK) return status;
    struct sinq_dual_scale wished;
    sinq_describe_matrix(entry, units->rows, units->cols, &wished);
    if (tensor->rank > 2) {
        wished.stack_index = (uint32_t)place.index;
        wished.stack_count = (uint32_t)count_matrices(job, place.position);
    }
    struct sinq_matrix_method method = {.method = entry->method,
                                        .bits = (unsigned)entry->bits,
                                        .effort = job->recipe->effort,
                                        .kurtosis_gate = job->recipe->kurtosis_gate,
                                        .threads = job->recipe->threads};
    bool is_scaled = false;
    int found = SINQ_OK;
    if (sinq_can_calibrate(job->recipe, entry->method)) {
        found =
            sinq_read_gram(&job->grams, job->order[place.position], place.index, units->cols, &method.gram, job->error);
    }
    const bool has_gram = method.gram != NULL;
    if (found == SINQ_OK && has_gram && job->recipe->scales_inputs) {
        found = scale_inputs(p, units, &wished, &method, &is_scaled);
    }
    if (found != SINQ_OK) return found;
    found = sinq_packing_begin(units, &method, &wished, &p->blobs[p->work.slot], &p->work.packing, job->error);
    if (found == SINQ_OK && has_gram) {
        count_calibrated(job, tensor, is_scaled || sinq_packing_is_calibrated(p->work.packing));
    }
    return found;
}

/* After the units of the matrix in work: it is next to be written. */
static int end_work(struct pipeline *p) {
    struct sinq_quantize_job *const job = p->job;
    const struct place place = p->work.place;
    const uint64_t count = count_matrices(job, place.position);
    for (bool again = true; again;) {
        int status = sinq_packing_settle(p->work.packing, &again, job->error);
        if (status == SINQ_OK && again) status = run_round(p, true);
        if (status != SINQ_OK) return status;
    }
    if (place.index == 0) p->hasher = sinq_hasher_create();
    if (p->hasher == NULL) return sinq_fail_memory(job->error, "a hash", 1);
    sinq_hasher_update(p->hasher, &p->work.hash, sizeof p->work.hash);
    struct sinq_tensor_note *const note = &job->notes[place.position];
    note->nonfinite += p->work.nonfinite;
    if (place.index + 1 == count) {
        note->source_hash = sinq_hasher_finish(p->hasher);
        p->hasher = NULL;
    }
    job->bytes_done += sinq_job_tensor(job, place.position)->bytes / count;
    p->write = p->work;
    p->work = (struct stage){.is_used = false};
    return SINQ_OK;
}

/* Gives back the memory of the slot that a large matrix does without. */
static void empty_slot(struct pipeline *p, unsigned slot) {
    sinq_free_units(&p->units[slot]);
    free(p->blobs[slot].bytes);
    p->blobs[slot] = (struct sinq_blob){.bytes = NULL};
}

/* Quantizes what was read, and reads the next where there is one. */
static int quantize_matrix(struct pipeline *p) {
    struct place next;
    const struct place place = p->read.place;
    const unsigned slot = p->read.slot;
    const bool has_next = find_next(p, place, &next), overlaps = has_next && may_overlap(p, slot, place, next);
    int status = begin_work(p);
    if (status != SINQ_OK) return status;
    if (overlaps) begin_reading(p, next, 1 - slot);
    status = run_round(p, true);
    if (status == SINQ_OK) status = end_work(p);
    if (status != SINQ_OK || !has_next || overlaps) return status;
    empty_slot(p, 1 - slot);
    begin_reading(p, next, slot);
    return run_round(p, false);
}

static void free_pipeline(struct pipeline *p) {
    if (p->read.load != NULL) end_reading(p);
    end_stage(&p->work);
    end_stage(&p->write);
    for (unsigned slot = 0; slot < 2; slot++) empty_slot(p, slot);
    sinq_hasher_free(p->hasher);
    free(p->factors);
}

int sinq_job_quantize(struct sinq_quantize_job *job, size_t first, size_t end) {
    struct pipeline p = {.job = job, .end = end};
    begin_reading(&p, (struct place){first, 0}, 0);
    int status = run_round(&p, false);
    while (status == SINQ_OK && p.read.is_used) status = quantize_matrix(&p);
    /* What is quantized is worth writing whatever happened to the next; the first failure is the one to report. */
    if (p.write.is_used) {
        struct sinq_error *const error = job->error, ignored;
        if (status != SINQ_OK) job->error = &ignored;
        const int written = run_round(&p, false);
        job->error = error;
        if (status == SINQ_OK) status = written;
    }
    free_pipeline(&p);
    return status;
}
