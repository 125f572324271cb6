/* queue.c: batches of operations on the device. What is run for one token is recorded as a CUDA graph. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "cuda/program.h"

/* A session has few kinds of batches: one token, a prompt's, the head's. */
#define KEPT_PROGRAMS 4u

/* Batches that are submitted before one waits: a token's layers, and its head. */
#define MOST_SUBMITTED 2u

/* Products of that many pairs of panels may have their columns shared out; larger ones have blocks enough. Blocks exchange sums there. */
#define MOST_SHARED_PAIRS 32768u

static int create_finished(struct sinq_queue *queue, struct sinq_error *error) {
    struct sinq_buffer *const finished = &queue->finished;
    const uint64_t bytes = MOST_SHARED_PAIRS * sizeof(uint32_t);
    const int status = sinq_cuda_allocate(queue->backend, bytes, "a queue", &finished->data, error);
    if (status != SINQ_OK) return status;
    finished->bytes = bytes;
    const cudaError_t result = cudaMemsetAsync(finished->data, 0, (size_t)bytes, queue->backend->line.stream);
    return sinq_cuda_check(queue->backend, result, "clearing memory", error);
}

int sinq_cuda_create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                           struct sinq_queue **queue, struct sinq_error *error) {
    if (options->sequences > 1) return sinq_fail(error, SINQ_USAGE, "sequences side by side are for a CPU only");
    struct sinq_queue *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a queue", sizeof *made);
    made->backend = sinq_cuda_of(backend);
    made->options = *options;
    made->programs = calloc(KEPT_PROGRAMS, sizeof *made->programs);
    void *host = NULL;
    uint8_t *state = NULL;
    int status = made->programs == NULL
                     ? sinq_fail_memory(error, "programs", KEPT_PROGRAMS * sizeof *made->programs)
                     : sinq_cuda_allocate(made->backend, sizeof *made->state, "a queue", &state, error);
    if (status == SINQ_OK) {
        status = sinq_cuda_check(made->backend,
                                 cudaHostAlloc(&host, MOST_SUBMITTED * sizeof *made->host_states, cudaHostAllocDefault),
                                 "pinned memory", error);
    }
    if (status == SINQ_OK) status = create_finished(made, error);
    made->state = (struct sinq_cuda_state *)(void *)state;
    made->host_states = host;
    if (status == SINQ_OK) {
        *queue = made;
    } else {
        sinq_cuda_close_queue(made);
    }
    return status;
}

static void drop_programs(struct sinq_queue *queue) {
    for (unsigned i = 0; queue->programs != NULL && i < KEPT_PROGRAMS; i++)
        sinq_cuda_empty_program(&queue->programs[i]);
}

void sinq_cuda_close_queue(struct sinq_queue *queue) {
    if (queue == NULL) return;
    (void)cudaStreamSynchronize(queue->backend->line.stream);
    drop_programs(queue);
    sinq_cuda_free_tables(queue);
    sinq_cuda_free(queue->backend, queue->scratch.data, queue->scratch.bytes);
    sinq_cuda_free(queue->backend, queue->finished.data, queue->finished.bytes);
    sinq_cuda_free(queue->backend, (uint8_t *)queue->state, sizeof *queue->state);
    if (queue->host_states != NULL) (void)cudaFreeHost(queue->host_states);
    free(queue->programs);
    free(queue->steps);
    free(queue);
}

int sinq_cuda_enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                      struct sinq_error *error) {
    uint32_t rows;
    const int status = sinq_count_rows(operation, frame, &rows, error);
    if (status != SINQ_OK || rows == 0) return status;
    if (queue->step_count == queue->step_capacity) {
        const uint32_t capacity = queue->step_capacity == 0 ? 256 : queue->step_capacity * 2;
        struct sinq_cuda_step *const steps = realloc(queue->steps, capacity * sizeof *steps);
        if (steps == NULL) return sinq_fail_memory(error, "operations", capacity * sizeof *steps);
        queue->steps = steps;
        queue->step_capacity = capacity;
    }
    queue->steps[queue->step_count++] = (struct sinq_cuda_step){operation, frame, rows};
    return SINQ_OK;
}

/* ---- programs ---- */

static bool fits_program(const struct sinq_cuda_program *program, const struct sinq_queue *queue) {
    if (program->steps == NULL || program->step_count != queue->step_count) return false;
    for (uint32_t i = 0; i < queue->step_count; i++) {
        const struct sinq_cuda_step *const a = &program->steps[i], *const b = &queue->steps[i];
        if (a->operation != b->operation || a->frame != b->frame || a->rows != b->rows) return false;
    }
    return true;
}

/* More scratch memory: programs that know the old one are gone. */
static int grow_scratch(struct sinq_queue *queue, uint64_t bytes, struct sinq_error *error) {
    if (bytes <= queue->scratch.bytes) return SINQ_OK;
    drop_programs(queue);
    sinq_cuda_free(queue->backend, queue->scratch.data, queue->scratch.bytes);
    queue->scratch = (struct sinq_buffer){.data = NULL};
    const int status = sinq_cuda_allocate(queue->backend, bytes, "scratch memory", &queue->scratch.data, error);
    if (status == SINQ_OK) queue->scratch.bytes = bytes;
    return status;
}

static int make_program(struct sinq_queue *queue, struct sinq_cuda_program *made, struct sinq_error *error) {
    struct sinq_cuda_program measured;
    int status = sinq_cuda_compile(queue, queue->steps, queue->step_count, NULL, &measured, error);
    const uint64_t bytes = measured.scratch_bytes;
    sinq_cuda_empty_program(&measured);
    if (status == SINQ_OK) status = grow_scratch(queue, bytes, error);
    if (status != SINQ_OK) return status;
    status = sinq_cuda_compile(queue, queue->steps, queue->step_count, queue->scratch.data, made, error);
    if (status != SINQ_OK) sinq_cuda_empty_program(made);
    return status;
}

static int find_program(struct sinq_queue *queue, struct sinq_cuda_program **found, struct sinq_error *error) {
    for (unsigned i = 0; i < KEPT_PROGRAMS; i++) {
        *found = &queue->programs[i];
        if (fits_program(&queue->programs[i], queue)) return SINQ_OK;
    }
    *found = &queue->programs[queue->next_program++ % KEPT_PROGRAMS];
    sinq_cuda_empty_program(*found);
    return make_program(queue, *found, error);
}

/* ---- running ---- */

static cudaError_t run_actions(const struct sinq_queue *queue, const struct sinq_cuda_program *program) {
    cudaError_t status = cudaSuccess;
    for (uint32_t i = 0; i < program->action_count && status == cudaSuccess; i++) {
        status = sinq_cuda_run_action(queue->backend->line, &program->actions[i], queue->state);
    }
    return status;
}

/* Action by action, with the time that each takes. */
static cudaError_t run_profiled(const struct sinq_queue *queue, const struct sinq_cuda_program *program,
                                const struct sinq_profile *profile) {
    cudaError_t status = cudaStreamSynchronize(queue->backend->line.stream);
    for (uint32_t i = 0; i < program->action_count && status == cudaSuccess; i++) {
        const struct sinq_cuda_action *const action = &program->actions[i];
        const double since = sinq_read_clock();
        status = sinq_cuda_run_action(queue->backend->line, action, queue->state);
        if (status == cudaSuccess) status = cudaStreamSynchronize(queue->backend->line.stream);
        profile->seconds[action->operation - profile->operations] += sinq_read_clock() - since;
    }
    return status;
}

static cudaError_t record(const struct sinq_queue *queue, struct sinq_cuda_program *program) {
    const cudaStream_t stream = queue->backend->line.stream;
    cudaGraph_t graph = NULL;
    cudaError_t status = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    if (status != cudaSuccess) return status;
    status = run_actions(queue, program);
    const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
    if (status == cudaSuccess) status = ended;
    if (status == cudaSuccess) status = cudaGraphInstantiate(&program->graph, graph, 0);
    if (graph != NULL) (void)cudaGraphDestroy(graph);
    return status;
}

static cudaError_t run_recorded(const struct sinq_queue *queue, struct sinq_cuda_program *program) {
    const cudaError_t status = program->graph == NULL ? record(queue, program) : cudaSuccess;
    return status == cudaSuccess ? cudaGraphLaunch(program->graph, queue->backend->line.stream) : status;
}

int sinq_cuda_submit(struct sinq_queue *queue, struct sinq_error *error) {
    struct sinq_cuda_program *program = NULL;
    if (queue->step_count == 0) return SINQ_OK;
    const struct sinq_frame *const frame = queue->steps[0].frame;
    const uint32_t rows = queue->steps[0].rows;
    /* Of this thread. */
    int status = sinq_cuda_check(queue->backend, cudaSetDevice(queue->backend->device), "choosing it", error);
    if (status == SINQ_OK) status = find_program(queue, &program, error);
    const bool is_new = status == SINQ_OK && !program->was_run; /* what is loaded and recorded for it takes memory */
    if (is_new) program->was_run = true;
    if (status == SINQ_OK) status = sinq_cuda_update_frequencies(queue, frame->length, error);
    queue->step_count = 0;
    if (status != SINQ_OK) return status;
    if (queue->submitted == MOST_SUBMITTED) status = sinq_cuda_wait(queue, error);
    if (status != SINQ_OK) return status;
    struct sinq_cuda_state *const state = &queue->host_states[queue->submitted++];
    *state = (struct sinq_cuda_state){frame->position, frame->count, frame->first_row, frame->row_count};
    cudaError_t result =
        cudaMemcpyAsync(queue->state, state, sizeof *queue->state, cudaMemcpyHostToDevice, queue->backend->line.stream);
    if (result == cudaSuccess) {
        result = frame->profile != NULL ? run_profiled(queue, program, frame->profile)
                 : rows == 1            ? run_recorded(queue, program)
                                        : run_actions(queue, program);
    }
    status = sinq_cuda_check(queue->backend, result, "starting kernels", error);
    return status == SINQ_OK && is_new ? sinq_cuda_check_limit(queue->backend, error) : status;
}

int sinq_cuda_wait(struct sinq_queue *queue, struct sinq_error *error) {
    queue->submitted = 0;
    return sinq_cuda_check(queue->backend, cudaStreamSynchronize(queue->backend->line.stream), "running kernels",
                           error);
}
