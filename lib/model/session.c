#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/model.h"
#include "model/profile.h"
#include "model/session_memory.h"
#include "model/session_parts.h"

struct sinq_session {
    const struct sinq_model *model;
    struct sinq_session_memory memory;
    struct sinq_queue *queue;
    struct sinq_buffer **slots;
    struct sinq_cache *caches;
    struct sinq_buffer *tokens;   /* of the batch */
    struct sinq_profile *profile; /* NULL where it was not asked for */
    struct sinq_queue_options queue_options;
    struct sinq_held **weights; /* the model's, some of them replaced; NULL where none ever was */
    struct sinq_frame frame;
    int32_t *history; /* all tokens fed, position by position, room for a whole context */
    uint64_t position;
    uint32_t rows;  /* of the last batch, whose logits can be asked for: its last ones */
    uint32_t spare; /* rows of the last batch before those, which were fed again */
    uint64_t least; /* the sequence will have at least so many positions: sinq_session_announce */
    uint64_t reach; /* the most positions that were fed since the start: windowed caches hold the last ones before it */
    uint64_t length; /* that the cached keys were turned for */
};

/* Bytes of a block of keys from which on a cache is in large pages. */
#define LEAST_BLOCK ((uint64_t)256 << 10)

/* ---- opening and closing ---- */

static int create_slots(struct sinq_session *session, struct sinq_error *error) {
    const struct sinq_graph *const graph = session->model->graph;
    struct sinq_backend *const backend = session->model->backend;
    session->slots = calloc(graph->slot_count + 1, sizeof(struct sinq_buffer *));
    if (session->slots == NULL) return sinq_fail_memory(error, "slots", graph->slot_count);
    int status = SINQ_OK;
    for (uint32_t i = 0; i < graph->slot_count && status == SINQ_OK; i++) {
        status = backend->ops->create_buffer(backend, (struct sinq_use){SINQ_USE_SLOT, i, true},
                                             sinq_slot_bytes(graph, i, &session->memory), &session->slots[i], error);
    }
    return status;
}

/* Where a large page is few blocks of positions; of small models' caches most of one would stay unused. */
static bool fills_large_pages(const struct sinq_cache_layout *layout) {
    const uint64_t position =
        (uint64_t)layout->shape.kv_heads * layout->shape.key_dim * sinq_kv_value_bytes(layout->type);
    return SINQ_CACHE_BLOCK * position >= LEAST_BLOCK;
}

static int create_caches(struct sinq_session *session, enum sinq_kv_type type, struct sinq_error *error) {
    const struct sinq_graph *const graph = session->model->graph;
    struct sinq_backend *const backend = session->model->backend;
    session->caches = calloc(graph->cache_count + 1, sizeof *session->caches);
    if (session->caches == NULL) return sinq_fail_memory(error, "caches", graph->cache_count);
    int status = SINQ_OK;
    for (uint32_t i = 0; i < graph->cache_count && status == SINQ_OK; i++) {
        struct sinq_cache *const cache = &session->caches[i];
        if (!sinq_measure_cache(graph, i, type, &session->memory, &cache->layout))
            return SINQ_FAILED; /* measured before */
        status = backend->ops->create_buffer(backend,
                                             (struct sinq_use){SINQ_USE_CACHE, i, fills_large_pages(&cache->layout)},
                                             cache->layout.bytes * session->memory.sequences, &cache->buffer, error);
    }
    return status;
}

static int create_session(struct sinq_session *session, const struct sinq_session_options *options,
                          struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    struct sinq_session_options sized = *options;
    if (sized.batch == 0 && session->model->has_plan) sized.batch = session->model->plan.batch;
    int status = sinq_measure_session(session->model->graph, &sized, &session->memory, error);
    if (status != SINQ_OK) return status;
    session->queue_options =
        (struct sinq_queue_options){.exact = options->exact,
                                    .threads = options->threads != 0 ? options->threads : sinq_count_processors(),
                                    .batch = session->memory.rows,
                                    .sequences = session->memory.sequences};
    const uint64_t places = (uint64_t)session->memory.context * session->memory.sequences;
    session->history = malloc(places * sizeof *session->history);
    if (session->history == NULL) return sinq_fail_memory(error, "tokens", places);
    status = create_slots(session, error);
    if (status == SINQ_OK) status = create_caches(session, options->kv_type, error);
    if (status == SINQ_OK) {
        status = backend->ops->create_queue(backend, &session->queue_options, &session->queue, error);
    }
    if (status == SINQ_OK) {
        status = backend->ops->create_buffer(backend, (struct sinq_use){SINQ_USE_TOKENS, 0, false},
                                             session->memory.rows * sizeof(int32_t), &session->tokens, error);
    }
    if (status == SINQ_OK && options->profile) {
        session->profile = sinq_profile_create(session->model->graph);
        if (session->profile == NULL) status = sinq_fail_memory(error, "a profile", 0);
    }
    session->frame = (struct sinq_frame){.weights = session->model->held,
                                         .slots = session->slots,
                                         .slot_widths = session->model->graph->slot_widths,
                                         .caches = session->caches,
                                         .ropes = session->model->config.ropes,
                                         .tokens = session->tokens,
                                         .profile = session->profile,
                                         .sequences = session->memory.sequences};
    return status;
}

int sinq_open_session(const struct sinq_model *model, const struct sinq_session_options *options,
                      struct sinq_session **session, struct sinq_error *error) {
    struct sinq_session *const made = calloc(1, sizeof *made);
    if (made == NULL) return sinq_fail_memory(error, "a session", sizeof *made);
    made->model = model;
    const int status = create_session(made, options, error);
    if (status == SINQ_OK) {
        *session = made;
    } else {
        sinq_session_close(made);
    }
    return status;
}

void sinq_session_close(struct sinq_session *session) {
    if (session == NULL) return;
    struct sinq_backend *const backend = session->model->backend;
    if (session->queue != NULL) backend->ops->close_queue(session->queue);
    for (uint32_t i = 0; session->slots != NULL && i < session->model->graph->slot_count; i++) {
        backend->ops->free_buffer(backend, session->slots[i]);
    }
    for (uint32_t i = 0; session->caches != NULL && i < session->model->graph->cache_count; i++) {
        backend->ops->free_buffer(backend, session->caches[i].buffer);
    }
    backend->ops->free_buffer(backend, session->tokens);
    free(session->slots);
    for (uint32_t i = 0; session->weights != NULL && i < session->model->graph->want_count; i++) {
        if (session->weights[i] != session->model->held[i]) backend->ops->release_weight(backend, session->weights[i]);
    }
    free(session->weights);
    free(session->caches);
    free(session->history);
    sinq_profile_free(session->profile);
    free(session);
}

uint64_t sinq_session_context(const struct sinq_session *session) { return session->memory.context; }
uint32_t sinq_session_batch(const struct sinq_session *session) { return session->memory.batch; }
uint64_t sinq_session_position(const struct sinq_session *session) { return session->position; }
uint32_t sinq_session_rows(const struct sinq_session *session) { return session->rows; }

void sinq_session_reset(struct sinq_session *session) {
    session->position = session->reach = session->least = 0;
    session->rows = session->spare = 0;
}

size_t sinq_session_profile(struct sinq_session *session, struct sinq_profile_entry *entries, size_t most) {
    if (session->profile == NULL) return 0;
    return sinq_profile_take(session->profile, session->model->graph, entries, most);
}

void sinq_session_announce(struct sinq_session *session, uint64_t length) { session->least = length; }

/* ---- feeding ---- */

/* Enqueues those of operations [first, end) that are the body's or the head's, and has them begun. */
static int start_operations(struct sinq_session *session, uint32_t first, uint32_t end, bool for_logits,
                            struct sinq_error *error) {
    const struct sinq_graph *const graph = session->model->graph;
    const struct sinq_backend_ops *const ops = session->model->backend->ops;
    int status = SINQ_OK;
    for (uint32_t i = first; i < end && status == SINQ_OK; i++) {
        if (graph->operations[i].for_logits != for_logits) continue;
        status = ops->enqueue(session->queue, &graph->operations[i], &session->frame, error);
    }
    return status == SINQ_OK ? ops->submit(session->queue, error) : status;
}

static int run_operations(struct sinq_session *session, uint32_t first, uint32_t end, bool for_logits,
                          struct sinq_error *error) {
    const int status = start_operations(session, first, end, for_logits, error);
    return status == SINQ_OK ? session->model->backend->ops->wait(session->queue, error) : status;
}

/* One batch of positions [position, + count) of the history. Where one token is fed, logits are asked for next: they wait for both. */
static int run_batch(struct sinq_session *session, uint64_t position, uint32_t count, uint64_t length,
                     struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    const uint32_t sequences = session->memory.sequences;
    const int status = backend->ops->upload(backend, session->tokens, 0, session->history + position * sequences,
                                            (uint64_t)count * sequences * sizeof(int32_t), error);
    if (status != SINQ_OK) return status;
    session->frame.position = (uint32_t)position;
    session->frame.count = count * sequences;
    session->frame.length = length;
    const bool is_ahead = count == 1 && backend->ops->submits_ahead && session->profile == NULL;
    return (is_ahead ? start_operations : run_operations)(session, 0, session->model->graph->operation_count, false,
                                                          error);
}

/* Positions [from, to) batch by batch, the odd one first, so that the last one is as large as can be. */
static int run_history(struct sinq_session *session, uint64_t from, uint64_t to, uint64_t length,
                       struct sinq_error *error) {
    const uint32_t batch = session->memory.batch;
    while (from < to) {
        const uint32_t odd = (uint32_t)((to - from) % batch), count = odd != 0 ? odd : batch;
        const int status = run_batch(session, from, count, length, error);
        if (status != SINQ_OK) return status;
        session->rows = count * session->memory.sequences;
        from += count;
    }
    return SINQ_OK;
}

/* Whether keys in the cache were turned by angles that a sequence of `after` positions does not have. */
static bool switches_rope(const struct sinq_session *session, uint64_t after) {
    const struct sinq_model_config *const config = &session->model->config;
    for (uint32_t i = 0; session->position > 0 && i < config->rope_count; i++) {
        if (sinq_rope_switches(&config->ropes[i], session->length, after)) return true;
    }
    return false;
}

static int check_tokens(const struct sinq_session *session, const int32_t *tokens, size_t count,
                        struct sinq_error *error) {
    const uint32_t vocabulary = session->model->config.vocabulary, sequences = session->memory.sequences;
    if (count % sequences != 0) {
        return sinq_fail(error, SINQ_USAGE, "%zu tokens for %u sequences, expected as many for each", count, sequences);
    }
    if (count / sequences > session->memory.context - session->position) {
        return sinq_fail(error, SINQ_FAILED, "%zu tokens after %llu do not fit a context of %u", count / sequences,
                         (unsigned long long)session->position, session->memory.context);
    }
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= 0 && (uint32_t)tokens[i] < vocabulary) continue;
        return sinq_fail(error, SINQ_FAILED, "token %d is outside the model's vocabulary of %u", tokens[i], vocabulary);
    }
    return SINQ_OK;
}

int sinq_session_feed(struct sinq_session *session, const int32_t *tokens, size_t count, struct sinq_error *error) {
    int status = check_tokens(session, tokens, count, error);
    if (status != SINQ_OK || count == 0) return status;
    const uint32_t sequences = session->memory.sequences;
    const uint64_t end = session->position + count / sequences, length = sinq_max_u64(end, session->least);
    memcpy(session->history + session->position * sequences, tokens, count * sizeof *tokens);
    status = run_history(session, switches_rope(session, length) ? 0 : session->position, end, length, error);
    if (status != SINQ_OK) {
        sinq_session_reset(session);
        return status;
    }
    session->position = end;
    session->length = length;
    session->spare = session->rows > count ? session->rows - (uint32_t)count : 0; /* after starting anew */
    session->rows -= session->spare;
    if (end > session->reach) session->reach = end;
    return SINQ_OK;
}

uint64_t sinq_session_rewind(struct sinq_session *session, uint64_t position) {
    const struct sinq_graph *const graph = session->model->graph;
    uint64_t target = sinq_min_u64(position, session->position);
    for (uint32_t i = 0; i < graph->cache_count; i++) {
        const uint32_t capacity = session->caches[i].layout.capacity, window = graph->caches[i].window;
        /* The next token looks back window - 1 positions, of which none may be overwritten by later ones. */
        const uint64_t oldest = target + 1 > window ? target + 1 - window : 0;
        if (window != 0 && session->reach > oldest + capacity) target = 0;
    }
    if (target == 0) {
        sinq_session_reset(session);
        return 0;
    }
    session->position = target;
    session->rows = 0;
    return target;
}

/* ---- logits ---- */

/* A compiler makes vectors of the first loop; the second is for the message. */
static int check_row(const struct sinq_session *session, const float *logits, uint64_t position,
                     struct sinq_error *error) {
    const uint32_t vocabulary = session->model->config.vocabulary;
    unsigned has_nan = 0;
    for (uint32_t i = 0; i < vocabulary; i++) has_nan |= isnan(logits[i]) != 0;
    if (has_nan == 0) return SINQ_OK;
    uint32_t token = 0;
    while (!isnan(logits[token])) token++;
    return sinq_fail(error, SINQ_FAILED, "the logit of token %llu at position %llu is not a number",
                     (unsigned long long)token, (unsigned long long)position);
}

/* The head's operations on rows [first, first + count). */
static int start_head(struct sinq_session *session, uint32_t first, uint32_t count, struct sinq_error *error) {
    session->frame.first_row = session->spare + first;
    session->frame.row_count = count;
    return start_operations(session, 0, session->model->graph->operation_count, true, error);
}

/* What they gave. */
static int download_logits(struct sinq_session *session, uint32_t first, uint32_t count, float *logits,
                           struct sinq_error *error) {
    const struct sinq_model *const model = session->model;
    struct sinq_backend *const backend = model->backend;
    const uint64_t values = (uint64_t)count * model->config.vocabulary;
    int status = backend->ops->download(backend, session->slots[model->graph->logits_slot], 0, logits,
                                        values * sizeof *logits, error);
    for (uint32_t r = 0; status == SINQ_OK && r < count; r++) {
        status = check_row(session, logits + (size_t)r * model->config.vocabulary,
                           session->position - (session->rows - first - r - 1) / session->memory.sequences - 1, error);
    }
    return status;
}

static int read_block(struct sinq_session *session, uint32_t first, uint32_t count, float *logits,
                      struct sinq_error *error) {
    int status = start_head(session, first, count, error);
    if (status == SINQ_OK) status = session->model->backend->ops->wait(session->queue, error);
    return status == SINQ_OK ? download_logits(session, first, count, logits, error) : status;
}

static int fail_rows(const struct sinq_session *session, uint32_t first, uint32_t count, struct sinq_error *error) {
    return sinq_fail(error, SINQ_USAGE, "logits of rows %u to %u of %u", first, first + count, session->rows);
}

int sinq_session_read_row(struct sinq_session *session, uint32_t row, bool wants_best, int32_t *best, float *logits,
                          struct sinq_error *error) {
    const struct sinq_model *const model = session->model;
    struct sinq_backend *const backend = model->backend;
    struct sinq_best found = {.is_known = false};
    *best = -1;
    if (row >= session->rows) return fail_rows(session, row, 1, error);
    int status = start_head(session, row, 1, error);
    if (status == SINQ_OK && wants_best && backend->ops->find_best != NULL) {
        status = backend->ops->find_best(backend, session->slots[model->graph->logits_slot], 0,
                                         model->config.vocabulary, &found, error);
    }
    if (status == SINQ_OK) status = backend->ops->wait(session->queue, error);
    if (status != SINQ_OK) return status;
    if (!found.is_known) return download_logits(session, row, 1, logits, error);
    *best = (int32_t)found.place;
    return SINQ_OK;
}

int sinq_session_logits(struct sinq_session *session, uint32_t first, uint32_t count, float *logits,
                        struct sinq_error *error) {
    if (first > session->rows || count > session->rows - first) return fail_rows(session, first, count, error);
    int status = SINQ_OK;
    while (count > 0 && status == SINQ_OK) {
        const uint32_t now = count < session->memory.logits_rows ? count : session->memory.logits_rows;
        status = read_block(session, first, now, logits, error);
        first += now;
        count -= now;
        logits += (size_t)now * session->model->config.vocabulary;
    }
    return status;
}

/* ---- piece by piece ---- */

int sinq_session_begin_window(struct sinq_session *session, const int32_t *tokens, uint32_t count,
                              struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    sinq_session_reset(session);
    session->frame.position = 0;
    session->frame.count = count;
    session->frame.length = count;
    session->position = session->rows = count;
    return backend->ops->upload(backend, session->tokens, 0, tokens, count * sizeof *tokens, error);
}

int sinq_session_run_operations(struct sinq_session *session, uint32_t first, uint32_t end, struct sinq_error *error) {
    return run_operations(session, first, end, false, error);
}

int sinq_session_read_head_slot(struct sinq_session *session, uint32_t end, uint32_t slot, uint32_t first,
                                float *values, uint32_t *count, struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    *count = (uint32_t)sinq_min_u64(session->memory.logits_rows, session->frame.count - first);
    session->frame.first_row = first;
    session->frame.row_count = *count;
    const int status = run_operations(session, 0, end, true, error);
    if (status != SINQ_OK) return status;
    const uint64_t bytes = (uint64_t)*count * session->model->graph->slot_widths[slot] * sizeof(float);
    return backend->ops->download(backend, session->slots[slot], 0, values, bytes, error);
}

static uint64_t measure_rows(const struct sinq_session *session, uint32_t slot) {
    return (uint64_t)session->frame.count * session->model->graph->slot_widths[slot] * sizeof(float);
}

int sinq_session_read_slot(struct sinq_session *session, uint32_t slot, float *values, struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    return backend->ops->download(backend, session->slots[slot], 0, values, measure_rows(session, slot), error);
}

int sinq_session_write_slot(struct sinq_session *session, uint32_t slot, const float *values,
                            struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    return backend->ops->upload(backend, session->slots[slot], 0, values, measure_rows(session, slot), error);
}

/* What a queue has prepared for its frame is for the weights that were in it. */
static int renew_queue(struct sinq_session *session, struct sinq_error *error) {
    struct sinq_backend *const backend = session->model->backend;
    backend->ops->close_queue(session->queue);
    session->queue = NULL;
    return backend->ops->create_queue(backend, &session->queue_options, &session->queue, error);
}

int sinq_session_replace_weights(struct sinq_session *session, const uint32_t *numbers, size_t count,
                                 const struct sinq_weight *weights, struct sinq_error *error) {
    const struct sinq_model *const model = session->model;
    struct sinq_backend *const backend = model->backend;
    const size_t bytes = model->graph->want_count * sizeof *session->weights;
    if (session->weights == NULL) {
        session->weights = malloc(bytes + 1);
        if (session->weights == NULL) return sinq_fail_memory(error, "weights", bytes);
        memcpy(session->weights, model->held, bytes);
        session->frame.weights = session->weights;
    }
    for (size_t i = 0; i < count; i++) {
        struct sinq_held **const held = &session->weights[numbers[i]];
        if (*held != model->held[numbers[i]]) backend->ops->release_weight(backend, *held);
        *held = model->held[numbers[i]];
        if (weights == NULL) continue;
        const int status = backend->ops->hold_weight(backend, numbers[i], &weights[i], held, error);
        if (status != SINQ_OK) {
            *held = model->held[numbers[i]];
            return status;
        }
    }
    return renew_queue(session, error);
}
