/* text_evaluation.c: one pass of a model, and of its reference, over the windows of a text. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "eval/text_prediction.h"
#include "eval/text_statistics.h"
#include "eval/text_windows.h"

#define BLOCK_BYTES ((uint64_t)1 << 25) /* of logits, each side's: what is fetched at once */

typedef unsigned long long number;

struct side {
    const struct sinq_model *model;
    struct sinq_session *session;
    float *logits; /* [block][vocabulary] */
};

struct evaluation {
    struct sinq_text_windows windows;
    struct side sides[2]; /* the model and the reference */
    unsigned side_count, threads;
    uint32_t vocabulary;
    uint32_t step;                            /* tokens fed at once */
    uint32_t block;                           /* predictions scored at once */
    int32_t *tokens;                          /* of the window in hand */
    struct sinq_text_prediction *predictions; /* [block] */
    bool *is_sound;                           /* [block] */
    const int32_t *next;                      /* the tokens that came, of the block in hand */
    struct sinq_text_statistics statistics;
    sinq_progress_fn *progress;
    void *user;
    struct sinq_progress report;
};

static double read_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- one block of predictions ---- */

static void score_row(void *context, uint64_t row, unsigned worker) {
    struct evaluation *const e = context;
    const size_t offset = (size_t)row * e->vocabulary;
    const float *const reference = e->side_count > 1 ? e->sides[1].logits + offset : NULL;
    (void)worker;
    e->is_sound[row] = sinq_score_prediction(e->sides[0].logits + offset, reference, e->vocabulary, e->next[row],
                                             &e->predictions[row]);
}

/* Predictions made at positions `position` .. of the window, the batch in hand having begun at `batch_start`. */
static int score_block(struct evaluation *e, uint64_t batch_start, uint64_t position, uint32_t count,
                       struct sinq_error *error) {
    for (unsigned i = 0; i < e->side_count; i++) {
        const int status = sinq_session_logits(e->sides[i].session, (uint32_t)(position - batch_start), count,
                                               e->sides[i].logits, error);
        if (status != SINQ_OK) return status;
    }
    e->next = e->tokens + position + 1;
    sinq_parallel_for(e->threads, count, score_row, e);
    for (uint32_t row = 0; row < count; row++) {
        if (!e->is_sound[row])
            return sinq_fail(error, SINQ_FAILED,
                             "window %llu: the logits after %llu tokens are no distribution: not finite",
                             (number)e->report.item + 1, (number)(position + row + 1));
        sinq_add_prediction(&e->statistics, &e->predictions[row]);
    }
    return SINQ_OK;
}

/* ---- one window ---- */

static int report_progress(const struct evaluation *e, struct sinq_error *error) {
    if (e->progress == NULL || e->progress(e->user, &e->report) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "evaluating was interrupted");
}

static int feed_sides(struct evaluation *e, uint64_t start, uint32_t count, struct sinq_error *error) {
    for (unsigned i = 0; i < e->side_count; i++) {
        int status = sinq_session_feed(e->sides[i].session, e->tokens + start, count, error);
        if (status == SINQ_OK) status = report_progress(e, error);
        if (status != SINQ_OK) return status;
    }
    e->report.bytes += count;
    return SINQ_OK;
}

/* Feeds all but the window's last token, of which nothing is predicted, and scores the predictions that count. */
static int evaluate_window(struct evaluation *e, const struct sinq_text_window *window, struct sinq_error *error) {
    for (unsigned i = 0; i < e->side_count; i++) sinq_session_reset(e->sides[i].session);
    for (uint64_t start = 0, end; start < window->to; start = end) {
        end = sinq_min_u64(start + e->step, window->to);
        int status = feed_sides(e, start, (uint32_t)(end - start), error);
        for (uint64_t at = sinq_max_u64(start, window->from), count; status == SINQ_OK && at < end; at += count) {
            count = sinq_min_u64(e->block, end - at);
            status = score_block(e, start, at, (uint32_t)count, error);
        }
        if (status != SINQ_OK) return status;
    }
    return SINQ_OK;
}

static int evaluate_windows(struct evaluation *e, const int32_t *tokens, const struct sinq_text_options *options,
                            struct sinq_error *error) {
    int status = report_progress(e, error);
    for (uint64_t i = 0; i < e->windows.count && status == SINQ_OK; i++) {
        const struct sinq_text_window window = sinq_find_window(&e->windows, i);
        memcpy(e->tokens, tokens + window.start, (size_t)e->windows.length * sizeof *tokens);
        if (options->bos) e->tokens[0] = (int32_t)sinq_model_facts(e->sides[0].model).bos;
        e->report.item = i;
        status = evaluate_window(e, &window, error);
        e->report.item = i + 1;
        if (status == SINQ_OK) status = report_progress(e, error);
    }
    return status;
}

/* ---- the whole ---- */

static int check_models(const struct evaluation *e, const struct sinq_text_options *options, struct sinq_error *error) {
    const struct sinq_model_facts facts = sinq_model_facts(e->sides[0].model);
    if (e->side_count > 1) {
        const uint32_t other = sinq_model_facts(e->sides[1].model).vocabulary;
        if (other != facts.vocabulary)
            return sinq_fail(error, SINQ_FAILED, "the model's vocabulary has %lu tokens, the reference's %lu",
                             (unsigned long)facts.vocabulary, (unsigned long)other);
    }
    if (options->bos && (facts.bos < 0 || facts.bos >= (int64_t)facts.vocabulary))
        return sinq_fail(error, SINQ_FAILED, "the model's configuration names no BOS token to begin windows with");
    return SINQ_OK;
}

static int check_tokens(const struct evaluation *e, const int32_t *tokens, size_t count, struct sinq_error *error) {
    for (size_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= e->vocabulary)
            return sinq_fail(error, SINQ_FAILED,
                             "token %zu of the text has id %ld, the model's vocabulary has %lu tokens", i,
                             (long)tokens[i], (unsigned long)e->vocabulary);
    return SINQ_OK;
}

static uint64_t find_context(const struct evaluation *e) {
    uint64_t context = UINT64_MAX;
    for (unsigned i = 0; i < e->side_count; i++)
        context = sinq_min_u64(context, sinq_model_facts(e->sides[i].model).context);
    return context;
}

static int open_sides(struct evaluation *e, const struct sinq_text_options *options, struct sinq_error *error) {
    const struct sinq_session_options wanted = {
        .context = e->windows.length, .kv_type = options->kv_type, .exact = options->exact, .threads = e->threads};
    e->step = UINT32_MAX;
    for (unsigned i = 0; i < e->side_count; i++) {
        const int status = sinq_open_session(e->sides[i].model, &wanted, &e->sides[i].session, error);
        if (status != SINQ_OK) return status;
        const uint32_t batch = sinq_session_batch(e->sides[i].session);
        e->step = batch < e->step ? batch : e->step;
    }
    return SINQ_OK;
}

static int allocate_blocks(struct evaluation *e, struct sinq_error *error) {
    const uint64_t row_bytes = (uint64_t)e->vocabulary * sizeof(float);
    e->block = (uint32_t)sinq_max_u64(1, sinq_min_u64(e->step, BLOCK_BYTES / row_bytes));
    e->tokens = malloc((size_t)e->windows.length * sizeof *e->tokens);
    e->predictions = malloc(e->block * sizeof *e->predictions);
    e->is_sound = malloc(e->block * sizeof *e->is_sound);
    bool failed = e->tokens == NULL || e->predictions == NULL || e->is_sound == NULL;
    for (unsigned i = 0; i < e->side_count; i++) {
        e->sides[i].logits = malloc((size_t)(e->block * row_bytes));
        failed |= e->sides[i].logits == NULL;
    }
    return failed ? sinq_fail_memory(error, "a block of logits", e->side_count * e->block * row_bytes) : SINQ_OK;
}

static int prepare(struct evaluation *e, const int32_t *tokens, size_t count, const struct sinq_text_options *options,
                   struct sinq_error *error) {
    int status = check_models(e, options, error);
    if (status == SINQ_OK) status = sinq_lay_windows(options, count, find_context(e), &e->windows, error);
    e->vocabulary = sinq_model_facts(e->sides[0].model).vocabulary;
    if (status == SINQ_OK) status = check_tokens(e, tokens, count, error);
    if (status == SINQ_OK) status = open_sides(e, options, error);
    if (status == SINQ_OK) status = allocate_blocks(e, error);
    if (status == SINQ_OK)
        status = sinq_open_text_statistics(&e->statistics, e->side_count > 1, e->windows.scored, error);
    e->report = (struct sinq_progress){.activity = "evaluating",
                                       .unit = "tokens",
                                       .items = e->windows.count,
                                       .bytes_total = e->windows.count * (e->windows.length - 1)};
    return status;
}

static void clean_up(struct evaluation *e) {
    for (unsigned i = 0; i < 2; i++) {
        sinq_session_close(e->sides[i].session);
        free(e->sides[i].logits);
    }
    free(e->tokens);
    free(e->predictions);
    free(e->is_sound);
    sinq_free_text_statistics(&e->statistics);
}

int sinq_evaluate_text(const struct sinq_model *model, const struct sinq_model *reference, const int32_t *tokens,
                       size_t count, const struct sinq_text_options *options, sinq_progress_fn *progress, void *user,
                       struct sinq_text_report *report, struct sinq_error *error) {
    const double started = read_clock();
    struct evaluation e = {.sides = {{.model = model}, {.model = reference}},
                           .side_count = reference != NULL ? 2 : 1,
                           .threads = options->threads != 0 ? options->threads : sinq_count_processors(),
                           .progress = progress,
                           .user = user};
    *report = (struct sinq_text_report){0};
    int status = prepare(&e, tokens, count, options, error);
    if (status == SINQ_OK) status = evaluate_windows(&e, tokens, options, error);
    if (status == SINQ_OK) {
        report->tokens = count;
        report->windows = e.windows.count;
        report->window = e.windows.length;
        report->stride = e.windows.stride;
        sinq_report_text_statistics(&e.statistics, report);
        report->seconds = read_clock() - started;
    }
    clean_up(&e);
    return status;
}
