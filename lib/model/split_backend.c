/* split_backend.c: keeps a thing of each side for each thing of a model, and hands operations to the side they are on. */
#include "model/split_backend.h"

#include <stdlib.h>

#include "base/error.h"

struct split_backend {
    struct sinq_backend base;
    const struct sinq_graph *graph;
    struct sinq_backend *sides[SINQ_SIDE_COUNT];
    struct sinq_placement placement;
};

struct sinq_held {
    struct sinq_held *sides[SINQ_SIDE_COUNT]; /* NULL where the side does not need it */
};

struct sinq_buffer {
    struct sinq_buffer *sides[SINQ_SIDE_COUNT];
    uint8_t writer; /* the side whose bytes are the last ones */
};

/* What the frame's numbers stand for on a side. */
struct side_frame {
    struct sinq_frame frame;
    struct sinq_held **weights;
    struct sinq_buffer **slots;
    struct sinq_cache *caches;
};

struct sinq_queue {
    struct split_backend *backend;
    struct sinq_queue *sides[SINQ_SIDE_COUNT];
    struct side_frame frames[SINQ_SIDE_COUNT];
    const struct sinq_frame *frame; /* that they are made from */
    uint32_t *operations;           /* that were enqueued, by number */
    uint32_t count;
    bool is_busy[SINQ_SIDE_COUNT]; /* something was submitted and not waited for */
    uint8_t *bytes;                /* on their way across */
    uint64_t capacity;
};

static struct split_backend *split(struct sinq_backend *backend) { return (struct split_backend *)(void *)backend; }

static bool is_on(uint8_t mask, unsigned side) { return ((unsigned)mask >> side & 1u) != 0; }

/* ---- weights ---- */

static void release_weight(struct sinq_backend *base, struct sinq_held *held) {
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) {
        struct sinq_backend *const side = split(base)->sides[i];
        if (held->sides[i] != NULL) side->ops->release_weight(side, held->sides[i]);
    }
    free(held);
}

static int hold_weight(struct sinq_backend *base, uint32_t number, const struct sinq_weight *weight,
                       struct sinq_held **held, struct sinq_error *error) {
    struct split_backend *const backend = split(base);
    struct sinq_held *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a weight", sizeof *made);
    int status = SINQ_OK;
    for (unsigned i = 0; i < SINQ_SIDE_COUNT && status == SINQ_OK; i++) {
        struct sinq_backend *const side = backend->sides[i];
        if (!is_on(backend->placement.weights[number], i)) continue;
        status = side->ops->hold_weight(side, number, weight, &made->sides[i], error);
    }
    if (status == SINQ_OK) {
        *held = made;
    } else {
        release_weight(base, made);
    }
    return status;
}

static int expect_weights(struct sinq_backend *base, uint64_t bytes, struct sinq_error *error) {
    struct sinq_backend *const device = split(base)->sides[SINQ_ON_DEVICE];
    return device->ops->expect_weights == NULL ? SINQ_OK : device->ops->expect_weights(device, bytes, error);
}

static int flush_weights(struct sinq_backend *base, struct sinq_error *error) {
    struct sinq_backend *const device = split(base)->sides[SINQ_ON_DEVICE];
    return device->ops->flush_weights == NULL ? SINQ_OK : device->ops->flush_weights(device, error);
}

/* ---- buffers ---- */

static uint8_t find_sides(const struct sinq_placement *placement, struct sinq_use use) {
    if (use.kind == SINQ_USE_TOKENS) return placement->tokens;
    return use.kind == SINQ_USE_CACHE ? placement->caches[use.number] : placement->slots[use.number];
}

static void free_buffer(struct sinq_backend *base, struct sinq_buffer *buffer) {
    if (buffer == NULL) return;
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) {
        struct sinq_backend *const side = split(base)->sides[i];
        if (buffer->sides[i] != NULL) side->ops->free_buffer(side, buffer->sides[i]);
    }
    free(buffer);
}

static int create_buffer(struct sinq_backend *base, struct sinq_use use, uint64_t bytes, struct sinq_buffer **buffer,
                         struct sinq_error *error) {
    const struct split_backend *const backend = split(base);
    const uint8_t sides = find_sides(&backend->placement, use);
    struct sinq_buffer *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a buffer", sizeof *made);
    if (use.kind == SINQ_USE_SLOT) made->writer = backend->placement.writers[use.number];
    int status = SINQ_OK;
    for (unsigned i = 0; i < SINQ_SIDE_COUNT && status == SINQ_OK; i++) {
        struct sinq_backend *const side = backend->sides[i];
        if (is_on(sides, i)) status = side->ops->create_buffer(side, use, bytes, &made->sides[i], error);
    }
    if (status == SINQ_OK) {
        *buffer = made;
    } else {
        free_buffer(base, made);
    }
    return status;
}

static int upload(struct sinq_backend *base, struct sinq_buffer *buffer, uint64_t offset, const void *bytes,
                  uint64_t size, struct sinq_error *error) {
    int status = SINQ_OK;
    for (unsigned i = 0; i < SINQ_SIDE_COUNT && status == SINQ_OK; i++) {
        struct sinq_backend *const side = split(base)->sides[i];
        if (buffer->sides[i] != NULL) status = side->ops->upload(side, buffer->sides[i], offset, bytes, size, error);
    }
    return status;
}

static int download(struct sinq_backend *base, const struct sinq_buffer *buffer, uint64_t offset, void *bytes,
                    uint64_t size, struct sinq_error *error) {
    struct sinq_backend *const side = split(base)->sides[buffer->writer];
    return side->ops->download(side, buffer->sides[buffer->writer], offset, bytes, size, error);
}

static int find_best(struct sinq_backend *base, const struct sinq_buffer *buffer, uint64_t offset, uint32_t count,
                     struct sinq_best *best, struct sinq_error *error) {
    struct sinq_backend *const side = split(base)->sides[buffer->writer];
    *best = (struct sinq_best){.is_known = false};
    if (side->ops->find_best == NULL) return SINQ_OK;
    return side->ops->find_best(side, buffer->sides[buffer->writer], offset, count, best, error);
}

/* ---- queues ---- */

static void close_queue(struct sinq_queue *queue) {
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) {
        if (queue->sides[i] != NULL) queue->backend->sides[i]->ops->close_queue(queue->sides[i]);
        free(queue->frames[i].weights);
        free(queue->frames[i].slots);
        free(queue->frames[i].caches);
    }
    free(queue->operations);
    free(queue->bytes);
    free(queue);
}

static int fill_queue(struct sinq_queue *queue, const struct sinq_queue_options *options, struct sinq_error *error) {
    const struct sinq_graph *const graph = queue->backend->graph;
    queue->operations = calloc(graph->operation_count + 1, sizeof *queue->operations);
    if (queue->operations == NULL) return sinq_fail_memory(error, "a queue", graph->operation_count);
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) {
        struct side_frame *const frame = &queue->frames[i];
        struct sinq_backend *const side = queue->backend->sides[i];
        const int status = side->ops->create_queue(side, options, &queue->sides[i], error);
        if (status != SINQ_OK) return status;
        frame->weights = calloc(graph->want_count + 1, sizeof(struct sinq_held *));
        frame->slots = calloc(graph->slot_count + 1, sizeof(struct sinq_buffer *));
        frame->caches = calloc(graph->cache_count + 1, sizeof *frame->caches);
        if (frame->weights == NULL || frame->slots == NULL || frame->caches == NULL) {
            return sinq_fail_memory(error, "a queue", graph->want_count);
        }
    }
    return SINQ_OK;
}

static int create_queue(struct sinq_backend *base, const struct sinq_queue_options *options, struct sinq_queue **queue,
                        struct sinq_error *error) {
    struct sinq_queue *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a queue", sizeof *made);
    made->backend = split(base);
    const int status = fill_queue(made, options, error);
    if (status == SINQ_OK) {
        *queue = made;
    } else {
        close_queue(made);
    }
    return status;
}

/* A frame at the same address stands for the same things. */
static void learn_frame(struct sinq_queue *queue, const struct sinq_frame *frame) {
    const struct sinq_graph *const graph = queue->backend->graph;
    if (queue->frame == frame) return;
    queue->frame = frame;
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) {
        struct side_frame *const side = &queue->frames[i];
        for (uint32_t k = 0; k < graph->want_count; k++)
            side->weights[k] = frame->weights[k] == NULL ? NULL : frame->weights[k]->sides[i];
        for (uint32_t k = 0; k < graph->slot_count; k++) side->slots[k] = frame->slots[k]->sides[i];
        for (uint32_t k = 0; k < graph->cache_count; k++)
            side->caches[k] = (struct sinq_cache){frame->caches[k].layout, frame->caches[k].buffer->sides[i]};
    }
}

static int enqueue(struct sinq_queue *queue, const struct sinq_operation *operation, const struct sinq_frame *frame,
                   struct sinq_error *error) {
    const struct sinq_graph *const graph = queue->backend->graph;
    if (queue->count == graph->operation_count)
        return sinq_fail(error, SINQ_FAILED, "more operations than the graph's");
    learn_frame(queue, frame);
    queue->operations[queue->count++] = (uint32_t)(operation - graph->operations);
    return SINQ_OK;
}

/* ---- running ---- */

static int wait_for_side(struct sinq_queue *queue, unsigned side, struct sinq_error *error) {
    if (!queue->is_busy[side]) return SINQ_OK;
    queue->is_busy[side] = false;
    return queue->backend->sides[side]->ops->wait(queue->sides[side], error);
}

static int reserve_bytes(struct sinq_queue *queue, uint64_t bytes, struct sinq_error *error) {
    if (bytes <= queue->capacity) return SINQ_OK;
    uint8_t *const grown = realloc(queue->bytes, (size_t)bytes);
    if (grown == NULL) return sinq_fail_memory(error, "activations", bytes);
    queue->bytes = grown;
    queue->capacity = bytes;
    return SINQ_OK;
}

/* The rows that operation `next` or one behind it may read. */
static int move_slot(struct sinq_queue *queue, uint32_t next, uint32_t slot, struct sinq_error *error) {
    const struct split_backend *const backend = queue->backend;
    const struct sinq_graph *const graph = backend->graph;
    const struct sinq_frame *const frame = queue->frame;
    const unsigned to = backend->placement.operations[next], from = SINQ_SIDE_COUNT - 1 - to;
    const bool is_head = graph->operations[next].for_logits, is_logits = graph->slot_for_logits[slot];
    const uint64_t row = (uint64_t)graph->slot_widths[slot] * sizeof(float);
    const uint64_t offset = is_head && !is_logits ? row * frame->first_row : 0;
    const uint64_t size = row * (is_head ? frame->row_count : frame->count);
    struct sinq_backend *const source = backend->sides[from], *const target = backend->sides[to];
    int status = reserve_bytes(queue, size, error);
    if (status == SINQ_OK) {
        status = source->ops->download(source, queue->frames[from].slots[slot], offset, queue->bytes, size, error);
    }
    if (status == SINQ_OK) {
        status = target->ops->upload(target, queue->frames[to].slots[slot], offset, queue->bytes, size, error);
    }
    return status;
}

/* What was enqueued on the other side is carried out, and what is left of it comes over. */
static int cross(struct sinq_queue *queue, uint32_t next, const bool *crossing, struct sinq_error *error) {
    const struct split_backend *const backend = queue->backend;
    const unsigned from = SINQ_SIDE_COUNT - 1 - backend->placement.operations[next];
    int status = wait_for_side(queue, from, error);
    for (uint32_t s = 0; status == SINQ_OK && s < backend->graph->slot_count; s++) {
        if (crossing[s]) status = move_slot(queue, next, s, error);
    }
    return status;
}

/* The operations from the i-th on that are of one side; *end becomes the first that is not. */
static int run_side(struct sinq_queue *queue, uint32_t i, uint32_t *end, struct sinq_error *error) {
    const struct split_backend *const backend = queue->backend;
    const struct sinq_placement *const placement = &backend->placement;
    const uint32_t first = queue->operations[i];
    const unsigned side = placement->operations[first];
    const struct sinq_backend_ops *const ops = backend->sides[side]->ops;
    int status = placement->crossing[first] == NULL ? SINQ_OK : cross(queue, first, placement->crossing[first], error);
    for (; status == SINQ_OK && i < queue->count && placement->operations[queue->operations[i]] == side; i++) {
        status = ops->enqueue(queue->sides[side], &backend->graph->operations[queue->operations[i]],
                              &queue->frames[side].frame, error);
    }
    *end = i;
    if (status == SINQ_OK) status = ops->submit(queue->sides[side], error);
    queue->is_busy[side] = status == SINQ_OK;
    return status;
}

static void update_frames(struct sinq_queue *queue) {
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) {
        struct side_frame *const side = &queue->frames[i];
        side->frame = *queue->frame;
        side->frame.weights = side->weights;
        side->frame.slots = side->slots;
        side->frame.caches = side->caches;
        side->frame.tokens = queue->frame->tokens->sides[i];
    }
}

static int submit(struct sinq_queue *queue, struct sinq_error *error) {
    int status = SINQ_OK;
    if (queue->count == 0) return SINQ_OK;
    update_frames(queue);
    for (uint32_t i = 0; i < queue->count && status == SINQ_OK;) status = run_side(queue, i, &i, error);
    queue->count = 0;
    return status;
}

static int wait_queue(struct sinq_queue *queue, struct sinq_error *error) {
    int status = SINQ_OK;
    for (unsigned i = 0; i < SINQ_SIDE_COUNT && status == SINQ_OK; i++) status = wait_for_side(queue, i, error);
    return status;
}

/* ---- the backend ---- */

static void measure_memory(struct sinq_backend *base, struct sinq_device_memory *memory) {
    struct sinq_backend *const device = split(base)->sides[SINQ_ON_DEVICE];
    if (device->ops->measure_memory != NULL) device->ops->measure_memory(device, memory);
}

static void close_backend(struct sinq_backend *base) {
    struct split_backend *const backend = split(base);
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) backend->sides[i]->ops->close(backend->sides[i]);
    sinq_free_placement(&backend->placement);
    free(backend);
}

int sinq_open_split_backend(const struct sinq_graph *graph, const struct sinq_cut *cut,
                            struct sinq_backend *const sides[SINQ_SIDE_COUNT], struct sinq_backend **backend,
                            struct sinq_error *error) {
    static const struct sinq_backend_ops ops = {
        .name = "split",
        .hold_weight = hold_weight,
        .release_weight = release_weight,
        .expect_weights = expect_weights,
        .flush_weights = flush_weights,
        .create_buffer = create_buffer,
        .free_buffer = free_buffer,
        .upload = upload,
        .download = download,
        .find_best = find_best,
        .create_queue = create_queue,
        .enqueue = enqueue,
        .submit = submit,
        .wait = wait_queue,
        .close_queue = close_queue,
        .measure_memory = measure_memory,
        .close = close_backend,
    };
    struct split_backend *const made = calloc(1, sizeof *made);
    if (made == NULL) {
        for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) sides[i]->ops->close(sides[i]);
        return sinq_fail_memory(error, "a backend", sizeof *made);
    }
    *made = (struct split_backend){.base = {&ops}, .graph = graph};
    for (unsigned i = 0; i < SINQ_SIDE_COUNT; i++) made->sides[i] = sides[i];
    const int status = sinq_place_graph(graph, cut, &made->placement, error);
    if (status == SINQ_OK) {
        *backend = &made->base;
    } else {
        close_backend(&made->base);
    }
    return status;
}
