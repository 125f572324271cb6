#include "quant/calibrate/sensitivities.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "checkpoint/source.h"
#include "model/live_slots.h"
#include "model/load_weight.h"
#include "model/placement.h"
#include "model/session_parts.h"
#include "model/tensor_names.h"
#include "quant/calibrate/trial.h"
#include "quant/calibrate/window_slots.h"
#include "quant/recipe/damage.h"
#include "quant/recipe/recipe.h"
#include "quant/recipe/statistics_memory.h"
#include "quant/statistics/sensitive_weights.h"

enum { TRIAL_BITS = 3, TRIAL_GROUP = 32 };

/* What a model's predictions are like in one stream. */
struct stream {
    size_t subject; /* of the exact one: SIZE_MAX */
    struct sinq_window_slots slots;
};

struct sinq_sensitivities {
    struct sinq_sensitivities_options options;
    const struct sinq_model *model;
    const struct sinq_graph *graph;
    struct sinq_recipe *recipe;
    struct sinq_source *trial;
    struct sinq_weight_loader loader; /* of the trial; what it owns is one subject's */
    struct sinq_name_index *names;
    struct sinq_session *session;
    struct sinq_sensitive_weights weights;
    uint32_t *parts;
    uint32_t window; /* of a stream */
    uint64_t windows;
    struct stream *streams; /* the exact one first; no more than uses */
    size_t stream_count;
    double *damages;              /* of each subject: nats */
    bool *comes, *stays, *either; /* slots before and behind the part in hand */
    uint32_t *numbers;            /* wants of the subject in hand */
    struct sinq_weight *replacements;
    size_t replaced;
};

/* ---- opening ---- */

static int open_trial(struct sinq_sensitivities *s, const struct sinq_source *source, struct sinq_error *error) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    options.bits = options.head_bits = options.embed_bits = TRIAL_BITS;
    options.group_size = TRIAL_GROUP;
    options.method = SINQ_METHOD_SINQ_LEVELS;
    options.scale_type = SINQ_AUX_U6;
    options.effort = SINQ_EFFORT_FAST;
    options.is_trial = options.allow_requantize = true;
    options.threads = s->options.threads;
    int status = sinq_make_recipe(source, &options, &s->recipe, error);
    if (status == SINQ_OK) status = sinq_open_trial(source, s->recipe, &s->trial, error);
    if (status != SINQ_OK) return status;
    s->names = sinq_index_tensors(s->trial);
    if (s->names == NULL) return sinq_fail_memory(error, source->path, 32 * (uint64_t)source->tensor_count);
    s->loader = (struct sinq_weight_loader){.source = s->trial, .names = s->names};
    return SINQ_OK;
}

static int allocate(struct sinq_sensitivities *s, struct sinq_error *error) {
    const size_t slots = s->graph->slot_count + 1, uses = s->weights.use_count + 1;
    s->streams = calloc(uses, sizeof *s->streams);
    s->damages = calloc(s->weights.count + 1, sizeof *s->damages);
    s->comes = calloc(3 * slots, sizeof *s->comes);
    s->numbers = calloc(uses, sizeof *s->numbers);
    s->replacements = calloc(uses, sizeof *s->replacements);
    if (s->streams == NULL || s->damages == NULL || s->comes == NULL || s->numbers == NULL || s->replacements == NULL) {
        return sinq_fail_memory(error, "sensitivities", uses * sizeof *s->replacements);
    }
    s->stays = s->comes + slots;
    s->either = s->stays + slots;
    s->streams[0].subject = SIZE_MAX;
    s->stream_count = 1;
    return sinq_make_window_slots(s->graph, s->windows, s->window, &s->streams[0].slots, error);
}

static int prepare(struct sinq_sensitivities *s, const struct sinq_source *source, struct sinq_error *error) {
    s->parts = sinq_find_parts(s->graph);
    if (s->parts == NULL) return sinq_fail_memory(error, "a model's parts", s->graph->operation_count);
    int status = sinq_find_sensitive_weights(s->graph, s->parts, &s->weights, error);
    if (status != SINQ_OK) return status;
    s->window = sinq_find_stream_window(s->options.window);
    s->windows = sinq_count_stream_windows(s->weights.count, s->options.count, s->options.window);
    status = allocate(s, error);
    if (status == SINQ_OK) status = open_trial(s, source, error);
    const struct sinq_session_options session = sinq_describe_calibration(s->window, s->options.threads);
    return status == SINQ_OK ? sinq_open_session(s->model, &session, &s->session, error) : status;
}

int sinq_open_sensitivities(const struct sinq_source *source, const struct sinq_model *model,
                            const struct sinq_sensitivities_options *options, struct sinq_sensitivities **opened,
                            struct sinq_error *error) {
    struct sinq_sensitivities *const s = calloc(1, sizeof *s);
    *opened = NULL;
    if (s == NULL) return sinq_fail_memory(error, "sensitivities", sizeof *s);
    s->options = *options;
    s->model = model;
    s->graph = model->graph;
    const int status = prepare(s, source, error);
    if (status == SINQ_OK) {
        *opened = s;
    } else {
        sinq_close_sensitivities(s);
    }
    return status;
}

static void free_replacements(struct sinq_sensitivities *s) {
    for (size_t i = 0; i < s->loader.owned_count; i++) free(s->loader.owned[i]);
    free(s->loader.owned);
    s->loader = (struct sinq_weight_loader){.source = s->trial, .names = s->names};
    s->replaced = 0;
}

void sinq_close_sensitivities(struct sinq_sensitivities *s) {
    if (s == NULL) return;
    sinq_session_close(s->session);
    free_replacements(s);
    for (size_t i = 0; i < s->stream_count; i++) sinq_free_window_slots(&s->streams[i].slots);
    sinq_source_close(s->trial);
    sinq_recipe_free(s->recipe);
    sinq_name_index_free(s->names);
    sinq_free_sensitive_weights(&s->weights);
    free(s->parts);
    free(s->streams);
    free(s->damages);
    free(s->comes);
    free(s->numbers);
    free(s->replacements);
    free(s);
}

/* ---- replacing ---- */

/* A tensor that no recipe quantizes (a router) is not measured. */
static int load_replacement(struct sinq_sensitivities *s, uint32_t number, struct sinq_error *error) {
    const float *gram = NULL;
    uint64_t width = 0;
    bool is_there;
    struct sinq_weight *const weight = &s->replacements[s->replaced];
    int status = s->options.grams.give(s->options.grams.user, number, &gram, &width, error);
    if (status != SINQ_OK) return status;
    sinq_set_trial_gram(s->trial, gram, width);
    status = sinq_load_weight(&s->loader, &s->graph->wants[number], weight, &is_there, error);
    sinq_set_trial_gram(s->trial, NULL, 0);
    if (status != SINQ_OK || !is_there || weight->dtype != SINQ_DUAL_SCALE) return status;
    s->numbers[s->replaced++] = number;
    return SINQ_OK;
}

/* What of the subject is read in that part, ready to take the place of the model's own. */
static int load_subject(struct sinq_sensitivities *s, size_t subject, uint32_t part, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < s->weights.use_count && status == SINQ_OK; i++) {
        const struct sinq_sensitive_use *const use = &s->weights.uses[i];
        if (use->subject == subject && use->part == part) status = load_replacement(s, use->want, error);
    }
    return status;
}

static int replace_weights(struct sinq_sensitivities *s, struct sinq_error *error) {
    return sinq_session_replace_weights(s->session, s->numbers, s->replaced, s->replacements, error);
}

static int restore_weights(struct sinq_sensitivities *s, struct sinq_error *error) {
    const int status = sinq_session_replace_weights(s->session, s->numbers, s->replaced, NULL, error);
    free_replacements(s);
    return status;
}

/* ---- running ---- */

/* A stream's windows are beginnings of the text's, evenly spread. */
static const int32_t *find_tokens(const struct sinq_sensitivities *s, uint64_t window) {
    const uint64_t whole = s->options.count / s->options.window;
    if (s->windows <= whole) return s->options.tokens + window * whole / s->windows * s->options.window;
    return s->options.tokens + window * s->window;
}

/* From what `from` holds to what `to` does, which may be the same. */
static int run_windows(struct sinq_sensitivities *s, uint32_t first, uint32_t end, const struct stream *from,
                       struct stream *to, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint64_t w = 0; w < s->windows && status == SINQ_OK; w++) {
        status = sinq_session_begin_window(s->session, find_tokens(s, w), s->window, error);
        if (status == SINQ_OK) status = sinq_put_window(&from->slots, w, s->comes, s->session, error);
        if (status == SINQ_OK) status = sinq_session_run_operations(s->session, first, end, error);
        if (status == SINQ_OK) status = sinq_take_window(&to->slots, w, s->stays, s->session, error);
        if (status == SINQ_OK) status = s->options.report(s->options.user, s->window, error);
    }
    return status;
}

static int run_stream(struct sinq_sensitivities *s, uint32_t first, uint32_t end, struct stream *stream,
                      struct sinq_error *error) {
    int status = sinq_hold_slots(&stream->slots, s->either, error);
    if (status == SINQ_OK) status = run_windows(s, first, end, stream, stream, error);
    return status == SINQ_OK ? sinq_hold_slots(&stream->slots, s->stays, error) : status;
}

static int begin_stream(struct sinq_sensitivities *s, uint32_t first, uint32_t end, size_t subject,
                        struct sinq_error *error) {
    int status = load_subject(s, subject, s->parts[first], error);
    if (status != SINQ_OK || s->replaced == 0) return status;
    struct stream *const stream = &s->streams[s->stream_count++];
    stream->subject = subject;
    status = sinq_make_window_slots(s->graph, s->windows, s->window, &stream->slots, error);
    if (status == SINQ_OK) status = sinq_hold_slots(&stream->slots, s->stays, error);
    if (status == SINQ_OK) status = replace_weights(s, error);
    if (status == SINQ_OK) status = run_windows(s, first, end, &s->streams[0], stream, error);
    const int restored = restore_weights(s, error);
    return status == SINQ_OK ? restored : status;
}

static bool is_read_in(const struct sinq_sensitivities *s, size_t subject, uint32_t part) {
    for (size_t i = 0; i < s->weights.use_count; i++) {
        if (s->weights.uses[i].subject == subject && s->weights.uses[i].part == part) return true;
    }
    return false;
}

int sinq_run_sensitivities(struct sinq_sensitivities *s, uint32_t first, uint32_t end, struct sinq_error *error) {
    sinq_find_live_slots(s->graph, first, s->comes);
    sinq_find_live_slots(s->graph, end, s->stays);
    for (uint32_t i = 0; i < s->graph->slot_count; i++) s->either[i] = s->comes[i] || s->stays[i];
    int status = SINQ_OK;
    const size_t before = s->stream_count;
    for (size_t i = 1; i < before && status == SINQ_OK; i++) status = run_stream(s, first, end, &s->streams[i], error);
    for (size_t i = 0; i < s->weights.count && status == SINQ_OK; i++) {
        if (is_read_in(s, i, s->parts[first])) status = begin_stream(s, first, end, i, error);
    }
    return status == SINQ_OK ? run_stream(s, first, end, &s->streams[0], error) : status;
}

uint64_t sinq_count_stream_passes(const struct sinq_sensitivities *s) {
    const uint32_t count = s->graph->operation_count, head = s->parts[count - 1];
    uint64_t streams = 1, passes = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0 && s->parts[i] == s->parts[i - 1]) continue;
        for (size_t k = 0; k < s->weights.count; k++) streams += is_read_in(s, k, s->parts[i]);
        passes += streams - (s->parts[i] == head);
    }
    return passes * s->windows * s->window;
}

/* ---- the head ---- */

/* Rows of logits that are looked at together, of the exact stream and of another one. */
struct comparison {
    float *exact, *other;
    double *damages; /* of each row */
    uint32_t vocabulary;
};

/*
 * KL(P || Q) to second order in d, the difference of logits: half the variance of d under P. It is what errors that are smaller cost in
 * proportion, which sensitivities are for, and needs no exponentials of Q.
 */
static void compare_row(void *context, uint64_t row, unsigned worker) {
    const struct comparison *const c = context;
    const float *const exact = c->exact + row * c->vocabulary, *const other = c->other + row * c->vocabulary;
    double weights = 0, sum = 0, squares = 0;
    float peak = -INFINITY;
    (void)worker;
    for (uint32_t i = 0; i < c->vocabulary; i++) peak = exact[i] > peak ? exact[i] : peak;
    for (uint32_t i = 0; i < c->vocabulary; i++) {
        const double p = (double)expf(exact[i] - peak);
        const double difference = p > 0 ? (double)other[i] - (double)exact[i] : 0;
        weights += p;
        sum += p * difference;
        squares += p * difference * difference;
    }
    const double mean = sum / weights;
    c->damages[row] = (squares / weights - mean * mean) / 2;
}

/* Two blocks of logits are 32 MB at most, but for a row of each. */
static uint32_t count_block_rows(const struct sinq_sensitivities *s) {
    const uint64_t rows = ((uint64_t)16 << 20) / (sizeof(float) * (uint64_t)s->model->config.vocabulary);
    return (uint32_t)sinq_max_u64(1, sinq_min_u64(rows, s->window));
}

static int read_logits(struct sinq_sensitivities *s, const struct stream *stream, uint64_t window, uint32_t first,
                       uint32_t count, float *logits, struct sinq_error *error) {
    int status = sinq_session_begin_window(s->session, find_tokens(s, window), s->window, error);
    if (status == SINQ_OK) status = sinq_put_window(&stream->slots, window, s->comes, s->session, error);
    return status == SINQ_OK ? sinq_session_logits(s->session, first, count, logits, error) : status;
}

static void add_damages(struct sinq_sensitivities *s, struct comparison *c, size_t subject, uint32_t rows) {
    sinq_parallel_for(s->options.threads, rows, compare_row, c);
    for (uint32_t r = 0; r < rows; r++) s->damages[subject] += c->damages[r];
}

/* Logits [first, + rows) of a window, of all streams. */
static int compare_streams(struct sinq_sensitivities *s, struct comparison *c, uint64_t window, uint32_t first,
                           uint32_t rows, struct sinq_error *error) {
    int status = read_logits(s, &s->streams[0], window, first, rows, c->exact, error);
    for (size_t i = 1; i < s->stream_count && status == SINQ_OK; i++) {
        status = read_logits(s, &s->streams[i], window, first, rows, c->other, error);
        if (status == SINQ_OK) add_damages(s, c, s->streams[i].subject, rows);
        if (status == SINQ_OK) status = s->options.report(s->options.user, rows, error);
    }
    return status;
}

/* Of the exact stream, with the head's own matrices replaced. */
static int compare_replaced(struct sinq_sensitivities *s, struct comparison *c, uint64_t window, uint32_t first,
                            uint32_t rows, struct sinq_error *error) {
    int status = read_logits(s, &s->streams[0], window, first, rows, c->exact, error);
    if (status == SINQ_OK) status = replace_weights(s, error);
    if (status == SINQ_OK) status = read_logits(s, &s->streams[0], window, first, rows, c->other, error);
    if (status == SINQ_OK) status = sinq_session_replace_weights(s->session, s->numbers, s->replaced, NULL, error);
    return status == SINQ_OK ? s->options.report(s->options.user, rows, error) : status;
}

typedef int compare_fn(struct sinq_sensitivities *s, struct comparison *c, uint64_t window, uint32_t first,
                       uint32_t rows, struct sinq_error *error);

static int compare_blocks(struct sinq_sensitivities *s, struct comparison *c, compare_fn *compare, size_t subject,
                          struct sinq_error *error) {
    const uint32_t most = count_block_rows(s);
    int status = SINQ_OK;
    for (uint64_t w = 0; w < s->windows; w++) {
        for (uint32_t first = 0; first < s->window && status == SINQ_OK; first += most) {
            const uint32_t rows = s->window - first < most ? s->window - first : most;
            status = compare(s, c, w, first, rows, error);
            if (status == SINQ_OK && subject != SIZE_MAX) add_damages(s, c, subject, rows);
        }
    }
    return status;
}

/* Each matrix of the head by itself. */
static int replace_in_head(struct sinq_sensitivities *s, struct comparison *c, uint32_t part,
                           struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < s->weights.count && status == SINQ_OK; i++) {
        if (!is_read_in(s, i, part)) continue;
        status = load_subject(s, i, part, error);
        if (status == SINQ_OK && s->replaced > 0) status = compare_blocks(s, c, compare_replaced, i, error);
        const int restored = restore_weights(s, error);
        status = status == SINQ_OK ? restored : status;
    }
    return status;
}

/* From nats of all tokens to those for each unit of error. */
static void scale_damages(struct sinq_sensitivities *s) {
    const double error = sinq_expect_error(SINQ_METHOD_SINQ_LEVELS, TRIAL_BITS, TRIAL_GROUP);
    const double tokens = (double)(s->windows * s->window);
    for (size_t i = 0; i < s->weights.count; i++) {
        const double value = s->damages[i] / (tokens * error);
        s->damages[i] = isfinite(value) && value > 0 ? value : 0;
    }
}

int sinq_finish_sensitivities(struct sinq_sensitivities *s, struct sinq_error *error) {
    const uint32_t operations = s->graph->operation_count;
    const size_t block = (size_t)count_block_rows(s) * s->model->config.vocabulary;
    struct comparison c = {.exact = malloc(block * sizeof(float)),
                           .other = malloc(block * sizeof(float)),
                           .damages = malloc(s->window * sizeof(double)),
                           .vocabulary = s->model->config.vocabulary};
    int status = SINQ_OK;
    if (c.exact == NULL || c.other == NULL || c.damages == NULL) {
        status = sinq_fail_memory(error, "logits", 2 * block * sizeof(float));
    }
    memcpy(s->comes, s->stays, s->graph->slot_count * sizeof *s->comes);
    if (status == SINQ_OK) status = compare_blocks(s, &c, compare_streams, SIZE_MAX, error);
    if (status == SINQ_OK) status = replace_in_head(s, &c, s->parts[operations - 1], error);
    scale_damages(s);
    free(c.exact);
    free(c.other);
    free(c.damages);
    return status;
}

const double *sinq_get_sensitivities(const struct sinq_sensitivities *s, size_t *count) {
    *count = s->weights.count;
    return s->damages;
}
