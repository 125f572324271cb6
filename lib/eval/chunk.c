#include "eval/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "tensor/dtype.h"

#define CHUNK_VALUES      ((uint64_t)1 << 18)
#define PANEL_ROWS        16u                   /* quantized rows are read by this many at once */
#define CHUNKS_A_THREAD   4u                    /* in a batch, between two looks at progress */
#define MOST_BUFFER_BYTES ((uint64_t)256 << 20) /* of all threads, where chunks are large: then fewer threads work */

/* How the values are cut. A unit is a row or a value. */
struct plan {
    bool by_rows;
    uint64_t cols;
    uint64_t first, units, units_a_chunk, chunk_count;
};

struct run {
    const struct sinq_chunk_job *job;
    struct plan plan;
    unsigned threads;
    uint64_t batch;       /* chunks */
    uint64_t chunk_bytes; /* of the larger side, rounded up */
    uint8_t *buffers;     /* of each thread, two sides */
    uint8_t *partials;    /* the rest: of each chunk of a batch */
    uint64_t *counts;
    struct sinq_error *errors;
};

unsigned sinq_choose_threads(unsigned threads) { return threads > 0 ? threads : sinq_count_processors(); }

struct sinq_position sinq_find_position(const struct sinq_tensor *tensor, uint64_t index) {
    const uint64_t cols = sinq_tensor_matrix_shape(tensor).cols;
    if (cols == 0) return (struct sinq_position){0, 0};
    return (struct sinq_position){index / cols, index % cols};
}

void sinq_select_all_rows(struct sinq_chunk_job *job) {
    const struct sinq_matrix_shape shape =
        sinq_tensor_matrix_shape(sinq_source_tensor(job->sources[0], job->tensors[0]));
    job->first_row = 0;
    job->row_count = shape.count * shape.rows;
}

/* ---- values ---- */

static void widen_f64(const uint8_t *from, uint32_t count, double *out) { memcpy(out, from, count * sizeof *out); }

#define DEFINE_WIDEN(name, type)                                                                                       \
    static void widen_##name(const uint8_t *from, uint32_t count, double *out) {                                       \
        for (uint32_t i = 0; i < count; i++) {                                                                         \
            type value;                                                                                                \
            memcpy(&value, from + i * sizeof value, sizeof value);                                                     \
            out[i] = (double)value;                                                                                    \
        }                                                                                                              \
    }

DEFINE_WIDEN(i64, int64_t)
DEFINE_WIDEN(u64, uint64_t)
DEFINE_WIDEN(i32, int32_t)
DEFINE_WIDEN(u32, uint32_t)
DEFINE_WIDEN(f32, float)

void sinq_widen_piece(const struct sinq_chunk *chunk, uint64_t first, uint32_t count, double *out) {
    const uint8_t *const from = chunk->elements + first * sinq_dtype_size(chunk->dtype);
    float narrow[SINQ_PIECE_VALUES];
    switch (chunk->dtype) {
    case SINQ_F64:
        widen_f64(from, count, out);
        break;
    case SINQ_F32:
        widen_f32(from, count, out);
        break;
    case SINQ_I64:
        widen_i64(from, count, out);
        break;
    case SINQ_U64:
        widen_u64(from, count, out);
        break;
    case SINQ_I32:
        widen_i32(from, count, out);
        break;
    case SINQ_U32:
        widen_u32(from, count, out);
        break;
    default:
        sinq_convert_to_float(chunk->dtype, from, count, narrow);
        widen_f32((const uint8_t *)narrow, count, out);
        break;
    }
}

/* ---- the plan ---- */

static bool is_rebuilt(const struct sinq_tensor *tensor) {
    return tensor->dtype == SINQ_DUAL_SCALE || tensor->scale_tensor >= 0;
}

static uint64_t element_bytes(const struct sinq_tensor *tensor) {
    return is_rebuilt(tensor) ? sizeof(float) : sinq_dtype_size(tensor->dtype);
}

/* A matrix stored transposed is rebuilt as a whole, however few rows are asked for. */
static int find_transposed(const struct sinq_source *source, size_t index, bool *transposed, struct sinq_error *error) {
    struct sinq_matrix_info info;
    *transposed = false;
    if (sinq_source_tensor(source, index)->dtype != SINQ_DUAL_SCALE) return SINQ_OK;
    const int status = sinq_source_matrix_info(source, index, 0, &info, error);
    if (status == SINQ_OK) *transposed = info.transposed;
    return status;
}

static uint64_t choose_rows(uint64_t cols) {
    const uint64_t rows = CHUNK_VALUES / sinq_max_u64(cols, 1);
    return rows >= PANEL_ROWS ? rows / PANEL_ROWS * PANEL_ROWS : sinq_max_u64(rows, 1);
}

static int make_plan(const struct sinq_chunk_job *job, struct run *run, struct sinq_error *error) {
    const struct sinq_matrix_shape shape =
        sinq_tensor_matrix_shape(sinq_source_tensor(job->sources[0], job->tensors[0]));
    struct plan *const plan = &run->plan;
    bool is_whole = false;
    uint64_t size = 1;
    *plan = (struct plan){.by_rows = job->whole_rows, .cols = shape.cols};
    for (size_t side = 0; side < job->sides; side++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(job->sources[side], job->tensors[side]);
        bool transposed;
        const int status = find_transposed(job->sources[side], job->tensors[side], &transposed, error);
        if (status != SINQ_OK) return status;
        is_whole = is_whole || transposed;
        plan->by_rows = plan->by_rows || is_rebuilt(tensor);
        size = sinq_max_u64(size, element_bytes(tensor));
    }
    const uint64_t unit_values = plan->by_rows ? shape.cols : 1, units_a_row = plan->by_rows ? 1 : shape.cols;
    plan->first = job->first_row * units_a_row;
    plan->units = shape.cols == 0 ? 0 : job->row_count * units_a_row;
    plan->units_a_chunk = !plan->by_rows ? CHUNK_VALUES : is_whole ? shape.rows : choose_rows(shape.cols);
    plan->units_a_chunk = sinq_max_u64(1, sinq_min_u64(plan->units_a_chunk, plan->units));
    plan->chunk_count = sinq_divide_up(plan->units, plan->units_a_chunk);
    if (!sinq_multiply_u64(plan->units_a_chunk * size, unit_values, &run->chunk_bytes) ||
        run->chunk_bytes > SIZE_MAX / 4) {
        return sinq_fail_memory(error, "rows of a tensor", UINT64_MAX);
    }
    run->chunk_bytes = sinq_round_up(sinq_max_u64(run->chunk_bytes, 1), 64);
    return SINQ_OK;
}

static int allocate_run(struct run *run, struct sinq_error *error) {
    const struct sinq_chunk_job *const job = run->job;
    const uint64_t thread_bytes = run->chunk_bytes * job->sides;
    const uint64_t affordable = sinq_max_u64(1, MOST_BUFFER_BYTES / thread_bytes);
    uint64_t threads = sinq_min_u64(sinq_choose_threads(job->threads), run->plan.chunk_count);
    threads = sinq_max_u64(1, sinq_min_u64(threads, affordable));
    run->threads = (unsigned)threads;
    run->batch = sinq_min_u64(threads * CHUNKS_A_THREAD, run->plan.chunk_count);
    const uint64_t partial_bytes = sinq_max_u64(job->partial_bytes, 1);
    run->buffers = malloc((size_t)(threads * thread_bytes));
    run->partials = malloc((size_t)(run->batch * partial_bytes) + 1);
    run->counts = calloc((size_t)run->batch + 1, sizeof *run->counts);
    run->errors = calloc((size_t)run->batch + 1, sizeof *run->errors);
    const bool failed = run->buffers == NULL || run->partials == NULL || run->counts == NULL || run->errors == NULL;
    return failed ? sinq_fail_memory(error, "rows of a tensor", threads * thread_bytes) : SINQ_OK;
}

/* ---- running ---- */

/* Chunk `index` of one side into `buffer`. */
static int read_chunk(const struct run *run, size_t side, uint64_t index, uint8_t *buffer, struct sinq_chunk *chunk,
                      struct sinq_error *error) {
    const struct plan *const plan = &run->plan;
    const struct sinq_source *const source = run->job->sources[side];
    const size_t which = run->job->tensors[side];
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, which);
    const uint64_t first = plan->first + index * plan->units_a_chunk;
    const uint64_t units = sinq_min_u64(plan->units_a_chunk, plan->first + plan->units - first);
    const uint64_t unit_values = plan->by_rows ? plan->cols : 1;
    *chunk = (struct sinq_chunk){tensor->dtype, buffer, first * unit_values, units * unit_values, 0};
    if (is_rebuilt(tensor)) {
        chunk->dtype = SINQ_F32;
        return sinq_read_rows(source, which, first, units, (float *)(void *)buffer, error);
    }
    const uint64_t size = sinq_dtype_size(tensor->dtype);
    return sinq_read_bytes(source, which, chunk->first * size, chunk->count * size, buffer, error);
}

/* Chunk `index`, place `slot` of its batch. The status is left in the slot's error. */
static void do_chunk(struct run *run, uint64_t index, uint64_t slot, unsigned worker) {
    const struct sinq_chunk_job *const job = run->job;
    struct sinq_chunk chunks[2] = {{0}};
    struct sinq_error *const error = &run->errors[slot];
    uint8_t *const partial = run->partials + slot * job->partial_bytes;
    uint8_t *const buffer = run->buffers + (uint64_t)worker * job->sides * run->chunk_bytes;
    memset(partial, 0, job->partial_bytes);
    error->status = SINQ_OK;
    for (size_t side = 0; side < job->sides; side++) {
        error->status = read_chunk(run, side, index, buffer + side * run->chunk_bytes, &chunks[side], error);
        if (error->status != SINQ_OK) return;
    }
    run->counts[slot] = chunks[0].count;
    chunks[0].worker = chunks[1].worker = worker;
    job->measure(job->user, chunks, partial);
}

struct batch {
    struct run *run;
    uint64_t first;
};

static void do_slot(void *context, uint64_t slot, unsigned worker) {
    const struct batch *const batch = context;
    do_chunk(batch->run, batch->first + slot, slot, worker);
}

static int do_batch(struct run *run, uint64_t first, uint64_t count, struct sinq_error *error) {
    const struct sinq_chunk_job *const job = run->job;
    struct batch batch = {run, first};
    sinq_parallel_for(run->threads, count, do_slot, &batch);
    for (uint64_t slot = 0; slot < count; slot++) {
        if (run->errors[slot].status != SINQ_OK) {
            if (error != NULL) *error = run->errors[slot];
            return run->errors[slot].status;
        }
        if (job->merge == NULL) continue;
        const int status = job->merge(job->user, run->partials + slot * job->partial_bytes, run->counts[slot], error);
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

int sinq_run_chunk_job(const struct sinq_chunk_job *job, struct sinq_error *error) {
    struct run run = {.job = job};
    int status = make_plan(job, &run, error);
    if (status == SINQ_OK && run.plan.chunk_count > 0) status = allocate_run(&run, error);
    for (uint64_t first = 0; first < run.plan.chunk_count && status == SINQ_OK; first += run.batch) {
        status = do_batch(&run, first, sinq_min_u64(run.batch, run.plan.chunk_count - first), error);
    }
    free(run.buffers);
    free(run.partials);
    free(run.counts);
    free(run.errors);
    return status;
}
