/*
 * test_backend.c: the seam between models and what carries them out. A backend that only counts and copies stands in for a device
 * with memory of its own: models and sessions must reach everything through it, free all they took, and pass on its failures.
 */
#include <string.h>

#include "base/error.h"
#include "formats.h"
#include "model/model.h"
#include "unit.h"

struct sinq_buffer {
    uint8_t *bytes; /* the device's memory */
    uint64_t size;
};

struct sinq_held {
    uint8_t *copy; /* of a weight's bytes, as a device makes it */
};

struct counting_backend {
    struct sinq_backend base;
    int64_t weights, buffers, queues; /* alive */
    uint64_t weight_bytes, uploaded, downloaded;
    uint64_t operations[SINQ_OP_KIND_COUNT];
    uint64_t submitted, waited;
    int64_t calls_until_failure; /* -1: never */
    bool is_closed;
};

struct sinq_queue {
    struct counting_backend *backend;
    bool is_submitted;
    uint64_t enqueued;
};

static struct counting_backend *counting(struct sinq_backend *backend) {
    return (struct counting_backend *)(void *)backend;
}

/* Every call that can fail goes through here. */
static int count_call(struct counting_backend *backend, struct sinq_error *error) {
    if (backend->calls_until_failure < 0 || backend->calls_until_failure-- > 0) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "the device failed");
}

static int hold(struct sinq_backend *backend, uint32_t number, const struct sinq_weight *weight,
                struct sinq_held **held, struct sinq_error *error) {
    const int status = count_call(counting(backend), error);
    (void)number;
    if (status != SINQ_OK) return status;
    *held = malloc(sizeof **held);
    (*held)->copy = malloc((size_t)weight->size);
    memcpy((*held)->copy, weight->bytes, (size_t)weight->size);
    counting(backend)->weights++;
    counting(backend)->weight_bytes += weight->size;
    return SINQ_OK;
}

static void release(struct sinq_backend *backend, struct sinq_held *held) {
    counting(backend)->weights--;
    free(held->copy);
    free(held);
}

static int create_buffer(struct sinq_backend *backend, struct sinq_use use, uint64_t bytes, struct sinq_buffer **buffer,
                         struct sinq_error *error) {
    (void)use;
    const int status = count_call(counting(backend), error);
    if (status != SINQ_OK) return status;
    *buffer = malloc(sizeof **buffer);
    **buffer = (struct sinq_buffer){.bytes = calloc(1, (size_t)bytes + 1), .size = bytes};
    counting(backend)->buffers++;
    return SINQ_OK;
}

static void free_buffer(struct sinq_backend *backend, struct sinq_buffer *buffer) {
    if (buffer == NULL) return;
    counting(backend)->buffers--;
    free(buffer->bytes);
    free(buffer);
}

static int upload(struct sinq_backend *backend, struct sinq_buffer *buffer, uint64_t offset, const void *bytes,
                  uint64_t size, struct sinq_error *error) {
    ck_assert_uint_le(offset + size, buffer->size);
    memcpy(buffer->bytes + offset, bytes, (size_t)size);
    counting(backend)->uploaded += size;
    return count_call(counting(backend), error);
}

static int download(struct sinq_backend *backend, const struct sinq_buffer *buffer, uint64_t offset, void *bytes,
                    uint64_t size, struct sinq_error *error) {
    ck_assert_uint_le(offset + size, buffer->size);
    memcpy(bytes, buffer->bytes + offset, (size_t)size);
    counting(backend)->downloaded += size;
    return count_call(counting(backend), error);
}

static int create_queue(struct sinq_backend *backend, const struct sinq_queue_options *options,
                        struct sinq_queue **queue, struct sinq_error *error) {
    ck_assert_uint_ge(options->threads, 1);
    ck_assert_uint_ge(options->batch, 1);
    const int status = count_call(counting(backend), error);
    if (status != SINQ_OK) return status;
    *queue = calloc(1, sizeof **queue);
    (*queue)->backend = counting(backend);
    counting(backend)->queues++;
    return SINQ_OK;
}

static int enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                   struct sinq_error *error) {
    ck_assert_msg(!queue->is_submitted, "operations are enqueued before what was submitted is waited for");
    ck_assert_uint_lt(operation->kind, SINQ_OP_KIND_COUNT);
    ck_assert_uint_ge(operation->for_logits ? frame->row_count : frame->count, 1);
    queue->backend->operations[operation->kind]++;
    queue->enqueued++;
    return count_call(queue->backend, error);
}

static int submit(struct sinq_queue *queue, struct sinq_error *error) {
    ck_assert_uint_ge(queue->enqueued, 1);
    queue->is_submitted = true;
    queue->backend->submitted++;
    return count_call(queue->backend, error);
}

static int wait_queue(struct sinq_queue *queue, struct sinq_error *error) {
    ck_assert(queue->is_submitted);
    queue->is_submitted = false;
    queue->enqueued = 0;
    queue->backend->waited++;
    return count_call(queue->backend, error);
}

static void close_queue(struct sinq_queue *queue) {
    queue->backend->queues--;
    free(queue);
}

static void close_backend(struct sinq_backend *backend) { counting(backend)->is_closed = true; }

static void open_counting(struct counting_backend *backend) {
    static const struct sinq_backend_ops ops = {
        .name = "counting",
        .hold_weight = hold,
        .release_weight = release,
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
    *backend = (struct counting_backend){.base = {&ops}, .calls_until_failure = -1};
}

static struct sinq_source *open_example(void) {
    struct sinq_source *source;
    struct sinq_error error;
    ck_assert_msg(sinq_open_checkpoint(getenv("SINQ_EXAMPLE"), &source, &error) == SINQ_OK, "%s", error.message);
    return source;
}

enum { TOKENS = 40, BATCH = 16, LAYERS = 6, VOCABULARY = 4096 };

/* Loads, feeds 40 tokens in batches of 16 and asks for logits; closes all. */
static int use_everything(const struct sinq_source *source, struct counting_backend *backend, float *logits,
                          struct sinq_error *error) {
    const struct sinq_session_options options = {.batch = BATCH, .context = 64, .threads = 2};
    struct sinq_model *model = NULL;
    struct sinq_session *session = NULL;
    int32_t tokens[TOKENS];
    for (int i = 0; i < TOKENS; i++) tokens[i] = i;
    int status = sinq_load_model_on(source, &backend->base, &model, error);
    if (status == SINQ_OK) status = sinq_open_session(model, &options, &session, error);
    if (status == SINQ_OK) status = sinq_session_feed(session, tokens, TOKENS, error);
    if (status == SINQ_OK) status = sinq_session_logits(session, BATCH - 2, 2, logits, error);
    sinq_session_close(session);
    sinq_model_free(model);
    return status;
}

START_TEST(all_of_a_model_goes_through_the_seam) {
    struct sinq_source *const source = open_example();
    struct counting_backend backend;
    struct sinq_error error;
    float *const logits = malloc(2 * VOCABULARY * sizeof *logits);
    open_counting(&backend);
    ck_assert_msg(use_everything(source, &backend, logits, &error) == SINQ_OK, "%s", error.message);
    const uint64_t batches = 3; /* 8, 16 and 16 tokens */
    const struct {
        enum sinq_operation_kind kind;
        uint64_t count;
    } expected[] = {
        {SINQ_OP_EMBED, batches},
        {SINQ_OP_LINEAR, batches * LAYERS * 7 + 1}, /* q k v o gate up down; the head */
        {SINQ_OP_NORM, batches * LAYERS * 4 + 1},   /* two a layer, those of queries and keys; the last */
        {SINQ_OP_STORE, batches * LAYERS},
        {SINQ_OP_ATTENTION, batches * LAYERS},
        {SINQ_OP_ACTIVATE, batches * LAYERS},
        {SINQ_OP_ROPE, batches * LAYERS * 2},
        {SINQ_OP_ROTATION, batches},
        {SINQ_OP_ROUTE, 0},
        {SINQ_OP_EXPERT_LINEAR, 0},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert_msg(backend.operations[expected[i].kind] == expected[i].count, "operation %d: %llu, expected %llu",
                      (int)expected[i].kind, (unsigned long long)backend.operations[expected[i].kind],
                      (unsigned long long)expected[i].count);
    }
    ck_assert_uint_eq(backend.uploaded, TOKENS * sizeof(int32_t));
    ck_assert_uint_eq(backend.downloaded, 2 * VOCABULARY * sizeof(float));
    ck_assert_uint_eq(backend.submitted, batches + 1);
    ck_assert_uint_eq(backend.waited, backend.submitted);
    ck_assert_uint_ge(backend.weight_bytes, 6700000);
    ck_assert(logits[0] == 0.0f); /* the device's zeroed memory */
    free(logits);
    sinq_source_close(source);
}
END_TEST

START_TEST(what_was_taken_is_given_back_whatever_fails) {
    struct sinq_source *const source = open_example();
    float *const logits = malloc(2 * VOCABULARY * sizeof *logits);
    int64_t call = 0;
    for (int status = SINQ_FAILED; status != SINQ_OK; call++) {
        struct counting_backend backend;
        struct sinq_error error = {.status = 0};
        open_counting(&backend);
        backend.calls_until_failure = call;
        status = use_everything(source, &backend, logits, &error);
        ck_assert_msg(status == SINQ_OK || strcmp(error.message, "the device failed") == 0, "call %lld: %s",
                      (long long)call, error.message);
        ck_assert_msg(backend.weights == 0 && backend.buffers == 0 && backend.queues == 0 && backend.is_closed,
                      "call %lld: %lld weights, %lld buffers, %lld queues left", (long long)call,
                      (long long)backend.weights, (long long)backend.buffers, (long long)backend.queues);
    }
    ck_assert_int_ge(call, 300);
    free(logits);
    sinq_source_close(source);
}
END_TEST

UNIT_MAIN("backend", all_of_a_model_goes_through_the_seam, what_was_taken_is_given_back_whatever_fails)
