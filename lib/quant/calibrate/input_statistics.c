/*
 * input_statistics.c: a model is run layer by layer: each layer over all windows before the next one begins. Between layers the slots
 * that are still read lie in memory, window by window; the matrices of a layer are there only while it runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "kernels/quantize.h"
#include "model/input_points.h"
#include "model/live_slots.h"
#include "model/model.h"
#include "model/placement.h"
#include "model/session_parts.h"
#include "quant/calibrate/sensitivities.h"
#include "quant/calibrate/window_slots.h"
#include "quant/recipe/statistics_memory.h"
#include "quant/statistics/point_sums.h"
#include "quant/statistics/sensitive_weights.h"

struct sweep {
    const struct sinq_source *source;
    const struct sinq_model *model;
    const struct sinq_graph *graph;
    const struct sinq_statistics_options *options;
    const int32_t *tokens;
    uint64_t windows;
    uint32_t window;
    unsigned threads;
    struct sinq_session *session;
    struct sinq_input_points points;
    uint32_t *parts;
    struct sinq_window_slots held; /* what is read on */
    struct sinq_point_sums *sums;  /* of each point */
    float *rows, *choices;         /* of a window */
    float *panels, *gathered;
    float *gram; /* of a matrix of a point, as sensitivities are told it */
    int64_t gram_point;
    uint32_t gram_matrix;
    struct sinq_sensitivities *sensitivities;
    struct sinq_progress report;
};

/* Rows of a window as the head reads them. */
static int read_head_rows(struct sweep *s, const struct sinq_input_point *point, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint32_t first = 0, count; first < s->window && status == SINQ_OK; first += count) {
        float *const to = s->rows + (size_t)first * s->graph->slot_widths[point->view.slot];
        status = sinq_session_read_head_slot(s->session, point->operation, point->view.slot, first, to, &count, error);
    }
    return status;
}

static int add_point(struct sweep *s, size_t number, struct sinq_error *error) {
    const struct sinq_input_point *const point = &s->points.points[number];
    const bool has_choices = point->matrices > 1;
    struct sinq_point_rows rows = {.values = s->rows,
                                   .stride = s->graph->slot_widths[point->view.slot],
                                   .choices = s->choices,
                                   .choice_stride = has_choices ? s->graph->slot_widths[point->choices.slot] : 0,
                                   .rows = s->window};
    int status = point->for_logits ? read_head_rows(s, point, error)
                                   : sinq_session_read_slot(s->session, point->view.slot, s->rows, error);
    if (status == SINQ_OK && has_choices) {
        status = sinq_session_read_slot(s->session, point->choices.slot, s->choices, error);
    }
    if (status == SINQ_OK) sinq_add_point_rows(&s->sums[number], &rows, s->panels, s->gathered, s->threads);
    return status;
}

/* Operations [first, end), stopping at each point [point, last). */
static int run_piece(struct sweep *s, uint32_t first, uint32_t end, size_t point, size_t last,
                     struct sinq_error *error) {
    int status = SINQ_OK;
    for (; point < last && status == SINQ_OK; point++) {
        const uint32_t stop = s->points.points[point].operation;
        if (stop > first) status = sinq_session_run_operations(s->session, first, stop, error);
        first = stop;
        if (status == SINQ_OK) status = add_point(s, point, error);
    }
    return status == SINQ_OK && end > first ? sinq_session_run_operations(s->session, first, end, error) : status;
}

static int report_tokens(void *user, uint64_t tokens, struct sinq_error *error) {
    struct sweep *const s = user;
    s->report.bytes += tokens;
    if (s->options->progress == NULL || s->options->progress(s->options->user, &s->report) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "calibrating was interrupted");
}

static int make_sums(struct sweep *s, size_t first, size_t last, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = first; i < last && status == SINQ_OK; i++) {
        status = sinq_make_point_sums(&s->points.points[i], &s->sums[i], error);
    }
    return status;
}

static int finish_sums(struct sweep *s, size_t first, size_t last, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = first; i < last && status == SINQ_OK; i++) status = sinq_finish_point_sums(&s->sums[i], error);
    return status;
}

/* The matrix of a want of the layer in hand. */
static int give_gram(void *user, uint32_t want, const float **gram, uint64_t *width, struct sinq_error *error) {
    struct sweep *const s = user;
    const int64_t point = s->points.of_want[want];
    const uint32_t matrix = s->points.matrix_of_want[want];
    *gram = NULL;
    if (point < 0 || s->sums[point].sums == NULL) return SINQ_OK;
    *width = s->points.points[point].width;
    if (s->gram_point != point || s->gram_matrix != matrix) {
        free(s->gram);
        s->gram_point = -1;
        s->gram = malloc((size_t)(*width * *width) * sizeof *s->gram);
        if (s->gram == NULL) return sinq_fail_memory(error, "statistics of a layer", *width * *width * 4);
        for (size_t row = 0; row < *width; row++) {
            sinq_read_point_row(&s->sums[point], matrix, row, s->gram + row * *width);
        }
        s->gram_point = point;
        s->gram_matrix = matrix;
    }
    *gram = s->gram;
    return SINQ_OK;
}

static int write_sums(struct sweep *s, size_t first, size_t last, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = first; i < last && status == SINQ_OK; i++) {
        const struct sinq_input_point *const point = &s->points.points[i];
        const uint64_t rows = (uint64_t)point->matrices * point->width;
        for (uint64_t r = 0; r < rows && status == SINQ_OK; r++) {
            sinq_read_point_row(&s->sums[i], (uint32_t)(r / point->width), (size_t)(r % point->width), s->rows);
            status = s->options->write(s->options->writer, s->rows, point->width * sizeof *s->rows, error);
        }
        sinq_free_point_sums(&s->sums[i]);
    }
    return status;
}

/* One layer: its operations, points, and which slots hold what comes from before it and what is read behind it. */
struct part {
    uint32_t first, end;
    size_t point, last;
    bool *comes, *stays, *either;
};

static int run_window(struct sweep *s, const struct part *part, uint64_t window, struct sinq_error *error) {
    int status = sinq_session_begin_window(s->session, s->tokens + window * s->window, s->window, error);
    if (status == SINQ_OK) status = sinq_put_window(&s->held, window, part->comes, s->session, error);
    if (status == SINQ_OK) status = run_piece(s, part->first, part->end, part->point, part->last, error);
    if (status == SINQ_OK) status = sinq_take_window(&s->held, window, part->stays, s->session, error);
    return status == SINQ_OK ? report_tokens(s, s->window, error) : status;
}

/* The head, which comes last, ends the streams. */
static int run_sensitivities(struct sweep *s, const struct part *part, struct sinq_error *error) {
    if (s->graph->operations[part->first].for_logits) return sinq_finish_sensitivities(s->sensitivities, error);
    return sinq_run_sensitivities(s->sensitivities, part->first, part->end, error);
}

static int run_part(struct sweep *s, struct part *part, struct sinq_error *error) {
    sinq_find_live_slots(s->graph, part->first, part->comes);
    sinq_find_live_slots(s->graph, part->end, part->stays);
    for (uint32_t i = 0; i < s->graph->slot_count; i++) part->either[i] = part->comes[i] || part->stays[i];
    int status = sinq_hold_slots(&s->held, part->either, error);
    if (status == SINQ_OK) status = make_sums(s, part->point, part->last, error);
    for (uint64_t w = 0; w < s->windows && status == SINQ_OK; w++) status = run_window(s, part, w, error);
    if (status == SINQ_OK) status = sinq_hold_slots(&s->held, part->stays, error);
    if (status == SINQ_OK) status = finish_sums(s, part->point, part->last, error);
    if (status == SINQ_OK) status = run_sensitivities(s, part, error);
    return status == SINQ_OK ? write_sums(s, part->point, part->last, error) : status;
}

static int run_parts(struct sweep *s, struct sinq_error *error) {
    const uint32_t count = s->graph->operation_count, slots = s->graph->slot_count;
    bool *const marks = calloc(3 * ((size_t)slots + 1), sizeof *marks);
    struct part part = {.comes = marks, .stays = marks + slots + 1, .either = marks + 2 * ((size_t)slots + 1)};
    int status = marks == NULL ? sinq_fail_memory(error, "slots", slots) : SINQ_OK;
    while (part.first < count && part.point < s->points.count && status == SINQ_OK) {
        for (part.end = part.first + 1; part.end < count && s->parts[part.end] == s->parts[part.first];) part.end++;
        part.last = part.point;
        while (part.last < s->points.count && s->points.points[part.last].operation < part.end) part.last++;
        status = run_part(s, &part, error);
        /* Mapped pages of this layer's weights need not stay. */
        if (s->source->ops->forget != NULL) s->source->ops->forget(s->source);
        s->report.item++;
        part.first = part.end;
        part.point = part.last;
    }
    free(marks);
    return status;
}

static int write_sensitivities(struct sweep *s, struct sinq_error *error) {
    size_t count;
    const double *const values = sinq_get_sensitivities(s->sensitivities, &count);
    int status = SINQ_OK;
    for (size_t i = 0; i < count && status == SINQ_OK; i++) {
        const float value = (float)values[i];
        status = s->options->write(s->options->writer, &value, sizeof value, error);
    }
    return status;
}

/* ---- the whole ---- */

static int prepare(struct sweep *s, struct sinq_error *error) {
    size_t widest = 0, read = 0, chosen = 0;
    for (size_t i = 0; i < s->points.count; i++) {
        const struct sinq_input_point *const point = &s->points.points[i];
        const size_t padded = (size_t)sinq_round_up(point->width, SINQ_LANES);
        widest = padded > widest ? padded : widest;
        read = sinq_max_u64(read, s->graph->slot_widths[point->view.slot]);
        if (point->matrices > 1) chosen = sinq_max_u64(chosen, s->graph->slot_widths[point->choices.slot]);
    }
    s->parts = sinq_find_parts(s->graph);
    s->sums = calloc(s->points.count + 1, sizeof *s->sums);
    s->rows = malloc((s->window * read + widest + 1) * sizeof *s->rows);
    s->choices = malloc((s->window * chosen + 1) * sizeof *s->choices);
    s->gathered = malloc((chosen > 0 ? s->window * widest : 1) * sizeof *s->gathered);
    s->panels = aligned_alloc(64, (size_t)sinq_round_up((widest + 1) * s->window * sizeof *s->panels, 64));
    if (s->parts == NULL || s->sums == NULL || s->rows == NULL || s->choices == NULL || s->panels == NULL ||
        s->gathered == NULL) {
        return sinq_fail_memory(error, "statistics", widest * s->window * sizeof *s->panels);
    }
    int status = sinq_make_window_slots(s->graph, s->windows, s->window, &s->held, error);
    if (status != SINQ_OK) return status;
    const struct sinq_session_options session = sinq_describe_calibration(s->window, s->threads);
    status = sinq_open_session(s->model, &session, &s->session, error);
    const struct sinq_sensitivities_options options = {.tokens = s->tokens,
                                                       .count = s->windows * s->window,
                                                       .window = s->window,
                                                       .threads = s->threads,
                                                       .grams = {give_gram, s},
                                                       .report = report_tokens,
                                                       .user = s};
    if (status != SINQ_OK) return status;
    return sinq_open_sensitivities(s->source, s->model, &options, &s->sensitivities, error);
}

static void clean_up(struct sweep *s) {
    sinq_free_window_slots(&s->held);
    for (size_t i = 0; s->sums != NULL && i < s->points.count; i++) sinq_free_point_sums(&s->sums[i]);
    sinq_free_input_points(&s->points);
    sinq_session_close(s->session);
    sinq_close_sensitivities(s->sensitivities);
    free(s->gram);
    free(s->parts);
    free(s->sums);
    free(s->rows);
    free(s->choices);
    free(s->panels);
    free(s->gathered);
}

static int check_text(const struct sweep *s, size_t count, struct sinq_error *error) {
    if (s->windows == 0) {
        return sinq_fail(error, SINQ_FAILED, "%zu tokens to calibrate with, expected a window of %u at least", count,
                         s->window);
    }
    const uint32_t vocabulary = s->model->config.vocabulary;
    for (size_t i = 0; i < s->windows * s->window; i++) {
        if (s->tokens[i] >= 0 && (uint32_t)s->tokens[i] < vocabulary) continue;
        return sinq_fail(error, SINQ_FAILED, "token %d is outside the model's vocabulary of %u", s->tokens[i],
                         vocabulary);
    }
    return SINQ_OK;
}

static void list_inputs(const struct sinq_input_points *points, const struct sinq_sensitive_weights *weights,
                        struct sinq_layer_input *inputs) {
    for (size_t i = 0; i < points->count; i++) {
        memcpy(inputs[i].name, points->points[i].name, sizeof inputs[i].name);
        inputs[i].width = points->points[i].width;
        inputs[i].count = points->points[i].matrices;
    }
    for (size_t i = 0; i < weights->count; i++) {
        struct sinq_layer_input *const input = &inputs[points->count + i];
        (void)snprintf(input->name, sizeof input->name, "%s", weights->names[i]);
        input->width = input->count = 1;
    }
}

int sinq_list_layer_inputs(const struct sinq_model *model, struct sinq_layer_input **inputs, size_t *count,
                           struct sinq_error *error) {
    struct sinq_input_points points = {.count = 0};
    struct sinq_sensitive_weights weights = {.count = 0};
    uint32_t *const parts = sinq_find_parts(model->graph);
    *count = 0;
    *inputs = NULL;
    int status = parts == NULL ? sinq_fail_memory(error, "a model's inputs", model->graph->operation_count) : SINQ_OK;
    if (status == SINQ_OK) status = sinq_find_input_points(model->graph, &points, error);
    if (status == SINQ_OK) status = sinq_find_sensitive_weights(model->graph, parts, &weights, error);
    if (status == SINQ_OK) {
        *inputs = calloc(points.count + weights.count + 1, sizeof **inputs);
        if (*inputs == NULL) status = sinq_fail_memory(error, "a model's inputs", points.count + weights.count);
    }
    if (status == SINQ_OK) {
        list_inputs(&points, &weights, *inputs);
        *count = points.count + weights.count;
    }
    sinq_free_sensitive_weights(&weights);
    sinq_free_input_points(&points);
    free(parts);
    return status;
}

int sinq_collect_statistics(const struct sinq_source *source, const struct sinq_model *model, const int32_t *tokens,
                            size_t count, const struct sinq_statistics_options *options, struct sinq_error *error) {
    const uint32_t window = options->window;
    struct sweep s = {.source = source,
                      .model = model,
                      .graph = model->graph,
                      .options = options,
                      .tokens = tokens,
                      .windows = window > 0 ? count / window : 0,
                      .window = window,
                      .threads = options->threads != 0 ? options->threads : sinq_count_processors(),
                      .gram_point = -1};
    int status = check_text(&s, count, error);
    if (status == SINQ_OK) status = sinq_find_input_points(model->graph, &s.points, error);
    if (status == SINQ_OK) status = prepare(&s, error);
    s.report = (struct sinq_progress){.activity = "calibrating",
                                      .unit = "tokens",
                                      .items = model->config.layers + 1,
                                      .bytes_total = (model->config.layers + 1) * s.windows * window};
    if (status == SINQ_OK) s.report.bytes_total += sinq_count_stream_passes(s.sensitivities);
    if (status == SINQ_OK) status = run_parts(&s, error);
    if (status == SINQ_OK) status = write_sensitivities(&s, error);
    clean_up(&s);
    return status;
}
