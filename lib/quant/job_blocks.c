/*
 * job_blocks.c: tensors that get a type, on their way into GGUF or a plain checkpoint: rows are read as f32, encoded and written chunk by
 * chunk. A few chunks for each thread are in memory; they are written in order. Where chunks begin depends on the shape alone, and so
 * does every sum over them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "quant/blocks/encode_blocks.h"
#include "quant/job_state.h"
#include "quant/matrix/column_scales.h"
#include "quant/recipe/block_recipe.h"
#include "tensor/dtype.h"

/* What one chunk became. */
struct chunk {
    float *values;
    uint8_t *bytes;
    uint64_t rows;
    struct sinq_hash hash; /* of the values as read */
    double error_square, norm_square;
    uint64_t nonfinite;
    int status;
    struct sinq_error error;
};

/* A tensor in hand. */
struct encoding {
    struct sinq_quantize_job *job;
    size_t tensor; /* of the source */
    const struct sinq_block_type *type;
    uint64_t rows, cols, row_bytes, chunk_rows, chunk_count;
    uint64_t matrix_rows; /* of one matrix of a stack */
    float *importance;    /* of each matrix's columns; NULL: all count alike */
    uint64_t first;       /* chunk of the round */
    bool is_encoded;      /* else only hashed */
    struct chunk *chunks;
    float *decoded; /* a row for each thread */
    size_t slots;
};

/* ---- one chunk ---- */

/* "FILE: tensor NAME", and what it is made of where that has another name. */
static int fail_value(const struct encoding *e, struct chunk *chunk, uint64_t row, uint64_t col, const char *why) {
    const struct sinq_source *const source = e->job->source;
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, e->tensor), *const origin = sinq_source_origin(
                                                                                        source, e->tensor);
    const bool is_other = strcmp(tensor->name, origin->name) != 0;
    return sinq_fail(&chunk->error, SINQ_FAILED, "%s: tensor %s%s%s%s: the value at row %llu, column %llu is %s",
                     sinq_source_path(source), tensor->name, is_other ? " (" : "", is_other ? origin->name : "",
                     is_other ? ")" : "", (unsigned long long)row, (unsigned long long)col, why);
}

static int replace_nonfinite(const struct encoding *e, struct chunk *chunk, uint64_t row) {
    const size_t count = (size_t)(chunk->rows * e->cols);
    for (size_t at = 0; at < count;) {
        const int64_t found = sinq_find_nonfinite(SINQ_F32, chunk->values + at, count - at);
        if (found < 0) return SINQ_OK;
        at += (size_t)found;
        if (!e->job->recipe->replace_nonfinite) {
            return fail_value(e, chunk, row + at / e->cols, at % e->cols,
                              "not finite (--nonfinite zero replaces such values)");
        }
        chunk->values[at] = 0;
        chunk->nonfinite++;
    }
    return SINQ_OK;
}

static int fail_too_large(const struct encoding *e, struct chunk *chunk, uint64_t row, uint64_t col, float value) {
    char why[80];
    (void)snprintf(why, sizeof why, "%g, beyond what %s holds", (double)value, e->type->name);
    return fail_value(e, chunk, row, col, why);
}

/* `first`: the tensor's row that the chunk begins with. */
static int encode_rows(const struct encoding *e, struct chunk *chunk, uint64_t first, float *decoded) {
    for (uint64_t i = 0; i < chunk->rows; i++) {
        const float *const row = chunk->values + i * e->cols;
        uint8_t *const bytes = chunk->bytes + i * e->row_bytes;
        const float *const importance =
            e->importance == NULL ? NULL : e->importance + (first + i) / e->matrix_rows * e->cols;
        sinq_encode_blocks(e->type, row, importance, (size_t)e->cols, bytes);
        sinq_decode_blocks(e->type, bytes, (size_t)e->cols, decoded);
        const int64_t large = sinq_find_nonfinite(SINQ_F32, decoded, (size_t)e->cols);
        if (large >= 0) return fail_too_large(e, chunk, first + i, (uint64_t)large, row[large]);
        for (uint64_t k = 0; k < e->cols; k++) {
            const double value = (double)row[k], difference = value - (double)decoded[k];
            chunk->norm_square += value * value;
            chunk->error_square += difference * difference;
        }
    }
    return SINQ_OK;
}

static void run_chunk(void *context, uint64_t item, unsigned worker) {
    const struct encoding *const e = context;
    struct chunk *const chunk = &e->chunks[item];
    const uint64_t row = (e->first + item) * e->chunk_rows;
    chunk->rows = sinq_min_u64(e->chunk_rows, e->rows - row);
    chunk->error_square = chunk->norm_square = 0;
    chunk->nonfinite = 0;
    chunk->status = sinq_read_rows(e->job->source, e->tensor, row, chunk->rows, chunk->values, &chunk->error);
    if (chunk->status != SINQ_OK) return;
    chunk->hash = sinq_hash_bytes(chunk->values, (size_t)(chunk->rows * e->cols * sizeof(float)));
    if (!e->is_encoded) return;
    chunk->status = replace_nonfinite(e, chunk, row);
    if (chunk->status == SINQ_OK) chunk->status = encode_rows(e, chunk, row, e->decoded + worker * e->cols);
}

/* ---- all of a tensor ---- */

static void free_encoding(struct encoding *e) {
    for (size_t i = 0; e->chunks != NULL && i < e->slots; i++) {
        free(e->chunks[i].values);
        free(e->chunks[i].bytes);
    }
    free(e->chunks);
    free(e->decoded);
    free(e->importance);
}

/* Before there are chunks: it takes a matrix in memory. */
static int find_importance(struct encoding *e, const struct sinq_recipe_entry *entry) {
    const struct sinq_recipe *const recipe = e->job->recipe;
    const bool is_weighed = recipe->weighs_columns && entry->is_linear && entry->action == SINQ_QUANTIZE;
    if (!e->is_encoded || !is_weighed) return SINQ_OK;
    const uint64_t count = e->rows / e->matrix_rows;
    e->importance = malloc((size_t)(count * e->cols) * sizeof *e->importance);
    if (e->importance == NULL) return sinq_fail_memory(e->job->error, "importance of columns", count * e->cols);
    return sinq_find_importance(e->job->source, e->tensor, recipe->threads, recipe->replace_nonfinite, e->importance,
                                e->job->error);
}

static int prepare(struct encoding *e, size_t position) {
    struct sinq_quantize_job *const job = e->job;
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(sinq_job_tensor(job, position));
    const unsigned threads = job->recipe->threads;
    e->tensor = job->order[position];
    e->type = sinq_find_block_type_named(sinq_job_entry(job, position)->type);
    e->rows = shape.count * shape.rows;
    e->cols = shape.cols;
    e->matrix_rows = shape.rows;
    const int status = find_importance(e, sinq_job_entry(job, position));
    if (status != SINQ_OK) return status;
    e->chunk_rows = sinq_min_u64(sinq_block_chunk_rows(e->cols), e->rows);
    e->chunk_count = sinq_divide_up(e->rows, e->chunk_rows);
    e->slots = (size_t)sinq_min_u64((uint64_t)threads * SINQ_BLOCK_CHUNKS, e->chunk_count);
    e->chunks = calloc(e->slots, sizeof *e->chunks);
    e->decoded = malloc((size_t)(e->cols * threads) * sizeof *e->decoded);
    bool is_there = sinq_measure_block_row(e->type, e->cols, &e->row_bytes) && e->chunks != NULL && e->decoded != NULL;
    for (size_t i = 0; i < e->slots && is_there; i++) {
        e->chunks[i].values = malloc((size_t)(e->chunk_rows * e->cols) * sizeof(float));
        e->chunks[i].bytes = malloc((size_t)(e->chunk_rows * e->row_bytes));
        is_there = e->chunks[i].values != NULL && e->chunks[i].bytes != NULL;
    }
    return is_there ? SINQ_OK : sinq_fail_memory(job->error, "chunks of a tensor", e->chunk_rows * e->cols);
}

/* Takes over what a chunk became, in order. */
static int settle_chunk(const struct encoding *e, const struct chunk *chunk, struct sinq_hasher *hasher,
                        struct sinq_tensor_note *note) {
    struct sinq_quantize_job *const job = e->job;
    if (chunk->status != SINQ_OK) {
        if (job->error != NULL) *job->error = chunk->error;
        return chunk->status;
    }
    sinq_hasher_update(hasher, &chunk->hash, sizeof chunk->hash);
    if (!e->is_encoded) return SINQ_OK;
    note->error_square += chunk->error_square;
    note->norm_square += chunk->norm_square;
    note->nonfinite += chunk->nonfinite;
    note->bytes += chunk->rows * e->row_bytes;
    return job->sink->ops->write(job->sink, chunk->bytes, chunk->rows * e->row_bytes, job->error);
}

static int run_rounds(struct encoding *e, size_t position, struct sinq_hasher *hasher, struct sinq_tensor_note *note) {
    struct sinq_quantize_job *const job = e->job;
    const uint64_t bytes = sinq_job_tensor(job, position)->bytes, before = job->bytes_done;
    int status = SINQ_OK;
    for (e->first = 0; e->first < e->chunk_count && status == SINQ_OK; e->first += e->slots) {
        const uint64_t count = sinq_min_u64(e->slots, e->chunk_count - e->first);
        sinq_parallel_for(job->recipe->threads, count, run_chunk, e);
        for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
            status = settle_chunk(e, &e->chunks[i], hasher, note);
        }
        if (!e->is_encoded || status != SINQ_OK) continue;
        job->bytes_done = before + bytes / e->chunk_count * (e->first + count);
        status = sinq_job_report(job, e->type->is_plain ? "copying" : "quantizing", position);
    }
    if (e->is_encoded && status == SINQ_OK) job->bytes_done = before + bytes;
    return status;
}

static int run_encoding(struct encoding *e, size_t position, struct sinq_hash *hash, struct sinq_tensor_note *note) {
    struct sinq_hasher *const hasher = sinq_hasher_create();
    int status = hasher == NULL ? sinq_fail_memory(e->job->error, "a hash", 1) : prepare(e, position);
    if (status == SINQ_OK) status = run_rounds(e, position, hasher, note);
    if (hasher != NULL) *hash = sinq_hasher_finish(hasher);
    free_encoding(e);
    return status;
}

int sinq_job_hash_blocks(struct sinq_quantize_job *job, size_t position, struct sinq_hash *hash) {
    struct encoding e = {.job = job};
    return run_encoding(&e, position, hash, NULL);
}

int sinq_job_encode(struct sinq_quantize_job *job, size_t position) {
    struct encoding e = {.job = job, .is_encoded = true};
    struct sinq_tensor_note *const note = &job->notes[position];
    int status = job->sink->ops->begin_tensor(job->sink, position, job->error);
    if (status == SINQ_OK) status = run_encoding(&e, position, &note->source_hash, note);
    return status == SINQ_OK ? sinq_job_end_tensor(job, position, job->error) : status;
}
