/* cpu_backend.c: the CPU as a backend: buffers are memory, weights stay where they are, a batch runs in one parallel region. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/matmul.h"
#include "model/cpu_queue.h"

/* Multiplications a step, on average, from which on another worker pays: some microseconds of them. */
#define WORK_PER_WORKER 16384.0

struct sinq_queue {
    struct sinq_queue_options options;
    struct sinq_cpu_step *steps;
    size_t step_count, step_capacity;
    struct sinq_buffer shared, scratch; /* of all workers together, and theirs one behind the other */
};

/* ---- weights and buffers ---- */

static int hold_weight(struct sinq_backend *backend, const struct sinq_weight *weight, struct sinq_held **held,
                       struct sinq_error *error) {
    (void)backend;
    *held = malloc(sizeof **held);
    if (*held == NULL) return sinq_fail_memory(error, "a weight", sizeof **held);
    (*held)->weight = *weight;
    return SINQ_OK;
}

static void release_weight(struct sinq_backend *backend, struct sinq_held *held) {
    (void)backend;
    free(held);
}

/* Zeroed memory aligned to 64. calloc, so that pages that are never used are never there. */
static int fill_buffer(struct sinq_buffer *buffer, const char *purpose, uint64_t bytes, struct sinq_error *error) {
    *buffer = (struct sinq_buffer){.memory = bytes > SIZE_MAX - 64 ? NULL : calloc(1, (size_t)bytes + 64)};
    if (buffer->memory == NULL) return sinq_fail_memory(error, purpose, bytes);
    buffer->data = (uint8_t *)buffer->memory + (64 - ((uintptr_t)buffer->memory & 63));
    buffer->bytes = bytes;
    return SINQ_OK;
}

static int create_buffer(struct sinq_backend *backend, uint64_t bytes, struct sinq_buffer **buffer,
                         struct sinq_error *error) {
    (void)backend;
    *buffer = malloc(sizeof **buffer);
    if (*buffer == NULL) return sinq_fail_memory(error, "a buffer", sizeof **buffer);
    const int status = fill_buffer(*buffer, "a buffer", bytes, error);
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

static int create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                        struct sinq_queue **queue, struct sinq_error *error) {
    (void)backend;
    *queue = calloc(1, sizeof **queue);
    if (*queue == NULL) return sinq_fail_memory(error, "a queue", sizeof **queue);
    (*queue)->options = *options;
    return SINQ_OK;
}

static void close_queue(struct sinq_queue *queue) {
    if (queue == NULL) return;
    free(queue->steps);
    free(queue->shared.memory);
    free(queue->scratch.memory);
    free(queue);
}

/* A weight that an operation cannot do without, or a valid number where it needs none. */
static uint32_t main_weight(const struct sinq_operation *operation) {
    switch (operation->kind) {
    case SINQ_OP_EMBED:
        return operation->embed.weight;
    case SINQ_OP_NORM:
        return operation->norm.weight;
    case SINQ_OP_LINEAR:
        return operation->linear.weight;
    case SINQ_OP_HEAD_LINEAR:
        return operation->head_linear.weight;
    case SINQ_OP_EXPERT_LINEAR:
        return operation->expert_linear.first_weight;
    default:
        return SINQ_NO_WEIGHT;
    }
}

static int enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                   struct sinq_error *error) {
    const uint32_t rows = operation->for_logits ? frame->row_count : frame->count;
    const uint32_t weight = main_weight(operation);
    if (rows == 0) return SINQ_OK;
    if (weight != SINQ_NO_WEIGHT && frame->weights[weight] == NULL) {
        return sinq_fail(error, SINQ_FAILED, "operation %d needs weight %u, which is missing", (int)operation->kind,
                         weight);
    }
    if (queue->step_count == queue->step_capacity) {
        const size_t capacity = queue->step_capacity == 0 ? 256 : queue->step_capacity * 2;
        struct sinq_cpu_step *const steps = realloc(queue->steps, capacity * sizeof *steps);
        if (steps == NULL) return sinq_fail_memory(error, "operations", capacity * sizeof *steps);
        queue->steps = steps;
        queue->step_capacity = capacity;
    }
    queue->steps[queue->step_count++] =
        (struct sinq_cpu_step){.operation = operation, .frame = frame, .rows = rows, .exact = queue->options.exact};
    return SINQ_OK;
}

/* ---- running ---- */

typedef void team_fn(const struct sinq_cpu_step *step, struct sinq_worker *worker);
typedef struct sinq_cpu_needs needs_fn(const struct sinq_cpu_step *step);

static const struct team_operation {
    team_fn *run;
    needs_fn *needs;
} team_operations[SINQ_OP_KIND_COUNT] = {
    [SINQ_OP_LINEAR] = {sinq_cpu_linear, sinq_cpu_linear_needs},
    [SINQ_OP_HEAD_LINEAR] = {sinq_cpu_head_linear, sinq_cpu_head_linear_needs},
    [SINQ_OP_ATTENTION] = {sinq_cpu_attention, sinq_cpu_attention_needs},
    [SINQ_OP_EXPERT_LINEAR] = {sinq_cpu_expert_linear, sinq_cpu_expert_linear_needs},
};

/* At least `wanted` bytes: what it held is lost. */
static int grow(struct sinq_buffer *buffer, size_t wanted, struct sinq_error *error) {
    if (wanted <= buffer->bytes) return SINQ_OK;
    free(buffer->memory);
    return fill_buffer(buffer, "scratch memory", wanted, error);
}

static int provide_scratch(struct sinq_queue *queue, struct sinq_error *error) {
    struct sinq_cpu_needs most = {0, 0};
    for (size_t i = 0; i < queue->step_count; i++) {
        needs_fn *const find = team_operations[queue->steps[i].operation->kind].needs;
        if (find == NULL) continue;
        const struct sinq_cpu_needs needs = find(&queue->steps[i]);
        if (needs.shared > most.shared) most.shared = needs.shared;
        if (needs.scratch > most.scratch) most.scratch = needs.scratch;
    }
    const size_t each = (size_t)sinq_round_up(most.scratch, 64);
    int status = grow(&queue->shared, most.shared, error);
    if (status == SINQ_OK) status = grow(&queue->scratch, each * queue->options.threads, error);
    for (size_t i = 0; i < queue->step_count; i++) {
        queue->steps[i].shared = queue->shared.data;
        queue->steps[i].scratch = queue->scratch.data;
        queue->steps[i].scratch_bytes = each;
    }
    return status;
}

/* Rows of one token are not worth a meeting: the first worker does them alone. */
static bool is_solo(const struct sinq_cpu_step *step) {
    return step->rows == 1 && team_operations[step->operation->kind].run == NULL;
}

static void share_rows(const struct sinq_cpu_step *step, struct sinq_worker *worker) {
    sinq_cpu_rows_fn *const run = sinq_cpu_rows_of(step->operation->kind);
    const uint32_t share = step->rows / (worker->size * 4), size = share == 0 ? 1 : share;
    for (uint64_t i; (i = sinq_next_item(worker)) * size < step->rows;) {
        const uint32_t first = (uint32_t)i * size;
        run(step, first, (uint32_t)sinq_min_u64(size, step->rows - first));
    }
    sinq_meet(worker);
}

static void run_steps(void *context, struct sinq_worker *worker) {
    const struct sinq_queue *const queue = context;
    bool is_ahead = false; /* the first worker alone has done something since the last meeting */
    for (size_t i = 0; i < queue->step_count; i++) {
        const struct sinq_cpu_step *const step = &queue->steps[i];
        if (is_solo(step)) {
            if (worker->index == 0) sinq_cpu_rows_of(step->operation->kind)(step, 0, 1);
            is_ahead = true;
            continue;
        }
        if (is_ahead) sinq_meet(worker);
        is_ahead = false;
        team_fn *const run = team_operations[step->operation->kind].run;
        if (run != NULL) {
            run(step, worker);
        } else {
            share_rows(step, worker);
        }
    }
}

/* Multiplications of a step, roughly: what a product does with its weights, all others next to nothing. */
static double estimate_work(const struct sinq_cpu_step *step) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t number = main_weight(op);
    if (number == SINQ_NO_WEIGHT || op->kind == SINQ_OP_EMBED || op->kind == SINQ_OP_NORM) return 0;
    const struct sinq_weight *const weight = sinq_cpu_weight(step, number);
    const double factor = op->kind == SINQ_OP_EXPERT_LINEAR ? op->expert_linear.chosen : 1;
    return factor * step->rows * (double)weight->rows * (double)weight->cols;
}

/* A worker more costs a meeting more at every step: it must have enough to do. Results do not depend on it. */
static unsigned choose_workers(const struct sinq_queue *queue) {
    double work = 0;
    for (size_t i = 0; i < queue->step_count; i++) work += estimate_work(&queue->steps[i]);
    const double useful = 1 + work / (WORK_PER_WORKER * (double)(queue->step_count + 1));
    return useful < queue->options.threads ? (unsigned)useful : queue->options.threads;
}

static int submit(struct sinq_queue *queue, struct sinq_error *error) {
    const int status = provide_scratch(queue, error);
    if (status == SINQ_OK) sinq_run_team(choose_workers(queue), run_steps, queue);
    queue->step_count = 0;
    return status;
}

static int wait_queue(struct sinq_queue *queue, struct sinq_error *error) {
    (void)queue;
    (void)error;
    return SINQ_OK;
}

/* ---- planning ---- */

/* What an operation with a weight of that shape needs at most, in whichever form it is stored. */
static void add_needs(const struct sinq_want *want, const struct sinq_queue_options *options, uint32_t rows,
                      struct sinq_cpu_needs *most) {
    struct sinq_weight weight = {.dtype = SINQ_F32, .rows = want->rows, .cols = want->cols};
    for (int form = 0; form < 2; form++) {
        const size_t shared = sinq_prepared_bytes(&weight, rows, options->exact);
        const size_t scratch = sinq_multiply_scratch(&weight, rows, options->exact);
        if (shared > most->shared) most->shared = shared;
        if (scratch > most->scratch) most->scratch = scratch;
        weight.dtype = SINQ_DUAL_SCALE;
        weight.matrix = (struct sinq_dual_scale){.rows = want->rows,
                                                 .cols = want->cols,
                                                 .group_size = 64,
                                                 .bits = 8,
                                                 .scale_type = SINQ_AUX_U8,
                                                 .zero_type = SINQ_AUX_U8,
                                                 .has_column_scale = true,
                                                 .factor = 1.0f};
        if (!sinq_dual_scale_measure(&weight.matrix, &weight.sizes)) return;
    }
}

static uint64_t queue_bytes(const struct sinq_graph *graph, const struct sinq_queue_options *options) {
    struct sinq_cpu_needs most = {0, 0};
    for (uint32_t i = 0; i < graph->operation_count; i++) {
        const struct sinq_operation *const op = &graph->operations[i];
        if (op->kind == SINQ_OP_LINEAR) add_needs(&graph->wants[op->linear.weight], options, options->batch, &most);
        if (op->kind == SINQ_OP_EXPERT_LINEAR) {
            add_needs(&graph->wants[op->expert_linear.first_weight], options, options->batch * op->expert_linear.chosen,
                      &most);
        }
    }
    return most.shared + (uint64_t)most.scratch * options->threads;
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
        .queue_bytes = queue_bytes,
        .close = close_backend,
    };
    *backend = malloc(sizeof **backend);
    if (*backend == NULL) return sinq_fail_memory(error, "a backend", sizeof **backend);
    (*backend)->ops = &ops;
    return SINQ_OK;
}
