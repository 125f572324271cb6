#include "quant/recipe/statistics_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "kernels/quantize.h"
#include "model/input_points.h"
#include "model/live_slots.h"
#include "model/outline.h"
#include "model/placement.h"
#include "quant/recipe/peak_memory.h"
#include "quant/statistics/point_sums.h"
#include "quant/statistics/sensitive_weights.h"

/* Shorter windows see other sensitivities than the model has; fewer windows see those of a few sentences (docs/calibration.md). */
enum { STREAM_WINDOW = 256, MOST_WINDOWS = 4 };

int sinq_find_calibration_window(const struct sinq_source *source, uint32_t *window, struct sinq_error *error) {
    struct sinq_model_config config;
    const int status = sinq_find_model_config(source, &config, error);
    if (status == SINQ_OK) *window = (uint32_t)sinq_min_u64(SINQ_CALIBRATION_WINDOW, config.context);
    sinq_model_config_free(&config);
    return status;
}

struct sinq_session_options sinq_describe_calibration(uint32_t window, unsigned threads) {
    return (struct sinq_session_options){
        .context = window, .batch = window, .kv_type = SINQ_KV_F32, .exact = true, .threads = threads};
}

uint32_t sinq_find_stream_window(uint32_t window) { return window < STREAM_WINDOW ? window : STREAM_WINDOW; }

uint64_t sinq_count_stream_windows(size_t subjects, uint64_t count, uint32_t window) {
    const uint64_t length = sinq_find_stream_window(window), affordable = 3 * count / (length * (subjects + 1));
    return sinq_max_u64(1, sinq_min_u64(MOST_WINDOWS, sinq_min_u64(affordable, count / length)));
}

struct counting {
    const struct sinq_graph *graph;
    struct sinq_input_points points;
    uint64_t *weights; /* bytes of each want */
    uint32_t *parts;
    bool *seen; /* wants of the part in hand */
    bool *is_live;
    uint64_t part_bytes; /* weights of the part in hand */
};

static void count_weight(void *context, uint32_t weight) {
    struct counting *const c = context;
    if (!c->seen[weight]) c->part_bytes = sinq_add_saturating(c->part_bytes, c->weights[weight]);
    c->seen[weight] = true;
}

/* Values that cross a cut, for each token. */
static uint64_t count_live(const struct counting *c, uint32_t cut) {
    uint64_t width = 0;
    sinq_find_live_slots(c->graph, cut, c->is_live);
    for (uint32_t i = 0; i < c->graph->slot_count; i++) width += c->is_live[i] ? c->graph->slot_widths[i] : 0;
    return width;
}

static uint64_t measure_points(const struct counting *c, uint32_t first, uint32_t end) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->points.count; i++) {
        const struct sinq_input_point *const point = &c->points.points[i];
        if (point->operation < first || point->operation >= end) continue;
        bytes = sinq_add_saturating(bytes, sinq_measure_point_sums(point));
    }
    return bytes;
}

/* Of the layer that takes most: its weights, its matrices, and what is held on both sides of it. */
static uint64_t measure_parts(struct counting *c, uint64_t tokens) {
    const uint32_t count = c->graph->operation_count;
    uint64_t most = 0;
    for (uint32_t first = 0, end; first < count; first = end) {
        memset(c->seen, 0, c->graph->want_count * sizeof *c->seen);
        c->part_bytes = 0;
        for (end = first; end < count && c->parts[end] == c->parts[first]; end++) {
            sinq_visit_weights(&c->graph->operations[end], count_weight, c);
        }
        const uint64_t width = count_live(c, first) + count_live(c, end);
        const uint64_t held = sinq_multiply_saturating(tokens, width * sizeof(float));
        const uint64_t bytes = sinq_add_saturating(c->part_bytes, measure_points(c, first, end));
        most = sinq_max_u64(most, sinq_add_saturating(held, bytes));
    }
    return most;
}

/* Of the widest cut between two layers: values of a token. */
static uint64_t find_live_width(struct counting *c) {
    uint64_t most = 0;
    for (uint32_t i = 1; i < c->graph->operation_count; i++) {
        if (c->parts[i] != c->parts[i - 1]) most = sinq_max_u64(most, count_live(c, i));
    }
    return most;
}

/* Of quantizing one matrix with statistics, beside what it becomes. */
static uint64_t measure_trial(const struct sinq_source *source, const struct sinq_outline *outline, uint32_t number,
                              unsigned threads) {
    char name[180];
    const struct sinq_want *const want = &outline->graph->wants[number];
    (void)snprintf(name, sizeof name, "%.159s%.15s", want->module, want->suffix);
    const int64_t tensor = sinq_name_index_find(outline->names, name);
    const uint64_t rows = sinq_max_u64(want->rows, want->tensor_rows);
    const uint64_t element = tensor < 0 ? sizeof(float) : sinq_held_bytes(source->tensors[tensor].dtype);
    const uint64_t blob = sinq_multiply_saturating(rows, want->cols) / 2;
    const uint64_t matrix = sinq_estimate_peak_memory(rows, want->cols, element, 32, blob, threads);
    return sinq_add_saturating(
        matrix, sinq_add_saturating(4 * want->cols * want->cols, sinq_estimate_feedback_memory(want->cols, threads)));
}

/*
 * Of sensitivities.h: the streams' slots, and one more while a layer runs; a subject's matrices, quantized, and the one at work; blocks
 * of logits.
 */
static int measure_sensitivities(const struct sinq_source *source, const struct sinq_outline *outline,
                                 struct counting *c, uint64_t tokens, uint32_t window, unsigned threads,
                                 uint64_t *bytes, struct sinq_error *error) {
    struct sinq_sensitive_weights weights;
    uint64_t most = 0, subject = 0;
    const int status = sinq_find_sensitive_weights(c->graph, c->parts, &weights, error);
    for (size_t i = 0; i < weights.use_count && status == SINQ_OK; i++) {
        const struct sinq_sensitive_use *const use = &weights.uses[i];
        const struct sinq_want *const want = &c->graph->wants[use->want];
        if (i == 0 || use->subject != weights.uses[i - 1].subject) subject = 0;
        subject = sinq_add_saturating(subject, sinq_multiply_saturating(want->rows, want->cols) / 2);
        most = sinq_max_u64(most, sinq_add_saturating(subject, measure_trial(source, outline, use->want, threads)));
    }
    const uint64_t count = sinq_count_stream_windows(weights.count, tokens, window) * sinq_find_stream_window(window);
    const uint64_t row = find_live_width(c) * sizeof(float);
    const uint64_t streams = sinq_multiply_saturating(weights.use_count + 2, sinq_multiply_saturating(count, row));
    const uint64_t logits = sinq_max_u64((uint64_t)32 << 20, 8 * (uint64_t)c->graph->config->vocabulary);
    *bytes = sinq_add_saturating(most, sinq_add_saturating(streams, logits));
    sinq_free_sensitive_weights(&weights);
    return status;
}

/* A window of one slot, of one input in panels and as experts' rows are gathered, and of choices. */
static uint64_t measure_window(const struct counting *c, uint32_t window) {
    uint64_t widest = 0;
    for (uint32_t i = 0; i < c->graph->slot_count; i++) widest = sinq_max_u64(widest, c->graph->slot_widths[i]);
    return sinq_multiply_saturating(4 * (widest + SINQ_LANES) * sizeof(float), (uint64_t)window + 1);
}

static int prepare(const struct sinq_source *source, const struct sinq_outline *outline, struct counting *c,
                   struct sinq_error *error) {
    c->graph = outline->graph;
    c->weights = calloc(c->graph->want_count + 1, sizeof *c->weights);
    c->seen = calloc(c->graph->want_count + 1, sizeof *c->seen);
    c->is_live = calloc(c->graph->slot_count + 1, sizeof *c->is_live);
    c->parts = sinq_find_parts(c->graph);
    if (c->weights == NULL || c->seen == NULL || c->is_live == NULL || c->parts == NULL) {
        return sinq_fail_memory(error, "a plan", c->graph->want_count * sizeof *c->weights);
    }
    const int status = sinq_find_input_points(c->graph, &c->points, error);
    return status == SINQ_OK ? sinq_measure_wants(source, c->graph, outline->names, c->weights, error) : status;
}

int sinq_estimate_statistics_memory(const struct sinq_source *source, uint64_t tokens, unsigned threads,
                                    uint64_t *bytes, struct sinq_error *error) {
    struct sinq_outline outline;
    struct counting c = {.graph = NULL};
    struct sinq_plan plan;
    uint32_t window = 0;
    int status = sinq_outline_model(source, &outline, error);
    if (status == SINQ_OK) status = prepare(source, &outline, &c, error);
    if (status == SINQ_OK) status = sinq_find_calibration_window(source, &window, error);
    const struct sinq_session_options session = sinq_describe_calibration(window, threads);
    if (status == SINQ_OK) status = sinq_plan_session(source, &session, &plan, error);
    if (status == SINQ_OK) {
        const uint64_t fixed = SINQ_BASE_MEMORY + plan.owned_bytes + plan.kv_bytes + plan.scratch_bytes;
        *bytes = sinq_add_saturating(fixed, sinq_add_saturating(measure_parts(&c, tokens), measure_window(&c, window)));
        uint64_t sensitivities;
        status = measure_sensitivities(source, &outline, &c, tokens, window, threads, &sensitivities, error);
        /* They have a session of their own. */
        const uint64_t session_bytes = plan.kv_bytes + plan.scratch_bytes;
        *bytes = sinq_add_saturating(*bytes, sinq_add_saturating(sensitivities, session_bytes));
    }
    sinq_free_input_points(&c.points);
    free(c.weights);
    free(c.seen);
    free(c.is_live);
    free(c.parts);
    sinq_free_outline(&outline);
    return status;
}
