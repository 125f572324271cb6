/* cpu_backend.c: the CPU as a backend: buffers are memory, weights stay where they are, a batch runs in one parallel region. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/huge_memory.h"
#include "kernels/matmul.h"
#include "model/cpu_operations.h"
#include "sinq.h"

/* A session has few kinds of batches: one token, a prompt's, the head's. */
#define KEPT_PROGRAMS 4u

struct sinq_queue {
    struct sinq_queue_options options;
    struct sinq_cpu_step *steps;
    uint32_t step_count, step_capacity;
    struct sinq_cpu_program programs[KEPT_PROGRAMS];
    unsigned next_program;              /* to make room for a new one */
    struct sinq_buffer shared, scratch; /* of all workers together, and theirs one behind the other */
};

/* ---- weights and buffers ---- */

static int hold_weight(struct sinq_backend *backend, uint32_t number, const struct sinq_weight *weight,
                       struct sinq_held **held, struct sinq_error *error) {
    (void)backend;
    (void)number;
    *held = malloc(sizeof **held);
    if (*held == NULL) return sinq_fail_memory(error, "a weight", sizeof **held);
    (*held)->weight = *weight;
    return SINQ_OK;
}

static void release_weight(struct sinq_backend *backend, struct sinq_held *held) {
    (void)backend;
    free(held);
}

/*
 * Zeroed memory aligned to 64. calloc, so that pages that are never used are never there. `is_huge`: rows of activations and keys lie
 * far apart, and each would take a page's address, which takes as long to look up as the row to read.
 */
static int fill_buffer(struct sinq_buffer *buffer, const char *purpose, uint64_t bytes, bool is_huge,
                       struct sinq_error *error) {
    const uint64_t alignment = is_huge ? sinq_huge_alignment(bytes) : 64;
    const bool fits = bytes <= SIZE_MAX - 2 * alignment;
    const uint64_t size =
        fits ? sinq_round_up(bytes, alignment) : 0; /* huge pages are there as a whole or not at all */
    *buffer = (struct sinq_buffer){.memory = fits ? calloc(1, (size_t)(size + alignment)) : NULL};
    if (buffer->memory == NULL) return sinq_fail_memory(error, purpose, bytes);
    buffer->data = (uint8_t *)buffer->memory + (alignment - ((uintptr_t)buffer->memory & (alignment - 1)));
    buffer->bytes = bytes;
    if (alignment > 64) sinq_ask_for_huge_pages(buffer->data, size);
    return SINQ_OK;
}

static int create_buffer(struct sinq_backend *backend, struct sinq_use use, uint64_t bytes, struct sinq_buffer **buffer,
                         struct sinq_error *error) {
    (void)backend;
    *buffer = malloc(sizeof **buffer);
    if (*buffer == NULL) return sinq_fail_memory(error, "a buffer", sizeof **buffer);
    const int status = fill_buffer(*buffer, "a buffer", bytes, use.in_large_pages, error);
    if (status == SINQ_OK) return SINQ_OK;
    free(*buffer);
    *buffer = NULL;
    return status;
}

static void free_buffer(struct sinq_backend *backend, struct sinq_buffer *buffer) {
    (void)backend;
    if (buffer == NULL) return;
    free(buffer->memory);
    free(buffer);
}

static int upload(struct sinq_backend *backend, struct sinq_buffer *buffer, uint64_t offset, const void *bytes,
                  uint64_t size, struct sinq_error *error) {
    (void)backend;
    (void)error;
    if (size > 0) memcpy(buffer->data + offset, bytes, (size_t)size);
    return SINQ_OK;
}

static int download(struct sinq_backend *backend, const struct sinq_buffer *buffer, uint64_t offset, void *bytes,
                    uint64_t size, struct sinq_error *error) {
    (void)backend;
    (void)error;
    if (size > 0) memcpy(bytes, buffer->data + offset, (size_t)size);
    return SINQ_OK;
}

/* ---- queues ---- */

/* More workers than processors would only wait for each other. Results do not depend on their number. */
static unsigned limit_workers(unsigned threads) {
    const unsigned processors = sinq_count_processors();
    return threads < processors ? threads : processors;
}

static int create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                        struct sinq_queue **queue, struct sinq_error *error) {
    (void)backend;
    *queue = calloc(1, sizeof **queue);
    if (*queue == NULL) return sinq_fail_memory(error, "a queue", sizeof **queue);
    (*queue)->options = *options;
    (*queue)->options.threads = limit_workers(options->threads);
    return SINQ_OK;
}

static void close_queue(struct sinq_queue *queue) {
    if (queue == NULL) return;
    for (unsigned i = 0; i < KEPT_PROGRAMS; i++) sinq_cpu_empty_program(&queue->programs[i]);
    free(queue->steps);
    free(queue->shared.memory);
    free(queue->scratch.memory);
    free(queue);
}

static int enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                   struct sinq_error *error) {
    uint32_t rows;
    const int status = sinq_count_rows(operation, frame, &rows, error);
    if (status != SINQ_OK || rows == 0) return status;
    if (queue->step_count == queue->step_capacity) {
        const uint32_t capacity = queue->step_capacity == 0 ? 256 : queue->step_capacity * 2;
        struct sinq_cpu_step *const steps = realloc(queue->steps, capacity * sizeof *steps);
        if (steps == NULL) return sinq_fail_memory(error, "operations", capacity * sizeof *steps);
        queue->steps = steps;
        queue->step_capacity = capacity;
    }
    queue->steps[queue->step_count++] = (struct sinq_cpu_step){
        .operation = operation, .frame = frame, .rows = rows, .exact = queue->options.exact, .own_slot = SINQ_NO_VIEW};
    return SINQ_OK;
}

/* ---- running ---- */

/* At least `wanted` bytes: what it held is lost. */
static int grow(struct sinq_buffer *buffer, size_t wanted, struct sinq_error *error) {
    if (wanted <= buffer->bytes) return SINQ_OK;
    free(buffer->memory);
    return fill_buffer(buffer, "scratch memory", wanted, true, error);
}

/* Whether it is the program of the steps that are enqueued. */
static bool fits_program(const struct sinq_cpu_program *program, const struct sinq_queue *queue) {
    if (program->step_count != queue->step_count) return false;
    for (uint32_t i = 0; i < queue->step_count; i++) {
        const struct sinq_cpu_step *const a = &program->steps[i], *const b = &queue->steps[i];
        if (a->operation != b->operation || a->frame != b->frame || a->rows != b->rows) return false;
    }
    return true;
}

static int find_program(struct sinq_queue *queue, const struct sinq_cpu_program **found, struct sinq_error *error) {
    for (unsigned i = 0; i < KEPT_PROGRAMS; i++) {
        *found = &queue->programs[i];
        if (queue->programs[i].steps != NULL && fits_program(&queue->programs[i], queue)) return SINQ_OK;
    }
    struct sinq_cpu_program *const program = &queue->programs[queue->next_program++ % KEPT_PROGRAMS];
    sinq_cpu_empty_program(program);
    const int status = sinq_cpu_compile(program, queue->steps, queue->step_count, queue->options.threads, error);
    if (status != SINQ_OK) sinq_cpu_empty_program(program);
    *found = program;
    return status;
}

struct run {
    const struct sinq_queue *queue;
    const struct sinq_cpu_program *program;
    size_t scratch_bytes; /* of one worker */
};

static void run_worker(void *context, struct sinq_worker *worker) {
    const struct run *const run = context;
    const struct sinq_cpu_hand hand = {worker, run->queue->shared.data,
                                       run->queue->scratch.data + worker->index * run->scratch_bytes};
    sinq_cpu_run(run->program, &hand);
}

static int submit(struct sinq_queue *queue, struct sinq_error *error) {
    struct run run = {.queue = queue};
    int status = find_program(queue, &run.program, error);
    if (status == SINQ_OK) {
        const struct sinq_cpu_needs needs = sinq_cpu_find_needs(run.program);
        run.scratch_bytes = (size_t)sinq_round_up(needs.scratch, 64);
        status = grow(&queue->shared, needs.shared, error);
    }
    if (status == SINQ_OK) status = grow(&queue->scratch, run.scratch_bytes * run.program->workers, error);
    if (status == SINQ_OK) sinq_run_team(run.program->workers, run_worker, &run);
    queue->step_count = 0;
    return status;
}

static int wait_queue(struct sinq_queue *queue, struct sinq_error *error) {
    (void)queue;
    (void)error;
    return SINQ_OK;
}

/* ---- planning ---- */

/* What a product with a weight of that shape needs at most, in whichever form it is stored. */
static struct sinq_cpu_needs find_most(const struct sinq_want *want, bool exact, uint32_t rows) {
    struct sinq_weight weight = {.dtype = SINQ_F32, .rows = want->rows, .cols = want->cols};
    struct sinq_cpu_needs most = {sinq_prepared_bytes(&weight, rows, exact),
                                  sinq_multiply_scratch(&weight, rows, exact)};
    weight.dtype = SINQ_DUAL_SCALE;
    weight.matrix = (struct sinq_dual_scale){.rows = want->rows,
                                             .cols = want->cols,
                                             .group_size = 64,
                                             .bits = 8,
                                             .scale_type = SINQ_AUX_U8,
                                             .zero_type = SINQ_AUX_U8,
                                             .has_column_scale = true,
                                             .factor = 1.0f};
    if (!sinq_dual_scale_measure(&weight.matrix, &weight.sizes)) return most;
    most.shared = sinq_max_u64(most.shared, sinq_prepared_bytes(&weight, rows, exact));
    most.scratch = sinq_max_u64(most.scratch, sinq_multiply_scratch(&weight, rows, exact));
    return most;
}

/* Experts: choices are gathered, and what they give is scattered. */
static struct sinq_cpu_needs find_expert_needs(const struct sinq_graph *graph, const struct sinq_operation *op,
                                               const struct sinq_queue_options *options) {
    const struct sinq_want *const want = &graph->wants[op->expert_linear.first_weight];
    const uint32_t choices = options->batch * op->expert_linear.chosen;
    struct sinq_cpu_needs needs = find_most(want, options->exact, choices);
    needs.shared += (size_t)(choices * (want->rows + want->cols) * sizeof(float));
    return needs;
}

uint64_t sinq_cpu_queue_bytes(const struct sinq_graph *graph, const struct sinq_queue_options *options) {
    struct sinq_cpu_needs most = {0, 0}, one = {0, 0};
    size_t prepared = 0; /* of products behind each other, which may be prepared together */
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        const struct sinq_operation *const op = &graph->operations[i];
        struct sinq_cpu_needs needs = {0, 0};
        if (op->kind == SINQ_OP_LINEAR)
            needs = find_most(&graph->wants[op->linear.weight], options->exact, options->batch);
        if (op->kind == SINQ_OP_EXPERT_LINEAR) needs = find_expert_needs(graph, op, options);
        if (op->kind == SINQ_OP_LINEAR) one = find_most(&graph->wants[op->linear.weight], options->exact, 1);
        prepared = op->kind == SINQ_OP_LINEAR ? prepared + needs.shared : 0;
        most.shared = sinq_max_u64(most.shared, sinq_max_u64(prepared, needs.shared));
        most.scratch = sinq_max_u64(most.scratch, sinq_max_u64(needs.scratch, one.scratch + 3 * one.shared));
    }
    return most.shared + (uint64_t)most.scratch * limit_workers(options->threads);
}

static void close_backend(struct sinq_backend *backend) { free(backend); }

int sinq_open_cpu_backend(struct sinq_backend **backend, struct sinq_error *error) {
    static const struct sinq_backend_ops ops = {
        .name = "cpu",
        .hold_weight = hold_weight,
        .release_weight = release_weight,
        .create_buffer = create_buffer,
        .free_buffer = free_buffer,
        .upload = upload,
        .download = download,
        .create_queue = create_queue,
        .enqueue = enqueue,
        .submit = submit,
        .wait = wait_queue,
        .close_queue = close_queue,
        .close = close_backend,
    };
    *backend = malloc(sizeof **backend);
    if (*backend == NULL) return sinq_fail_memory(error, "a backend", sizeof **backend);
    (*backend)->ops = &ops;
    return SINQ_OK;
}
