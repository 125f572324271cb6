/* text_evaluation.c: one pass of a model, and of its reference, over the windows of a text. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/parallel.h"
#include "eval/text_prediction.h"
#include "eval/text_statistics.h"
#include "eval/text_windows.h"

#define BLOCK_BYTES ((uint64_t)1 << 26) /* of logits that are fetched at once, of all models together */

typedef unsigned long long number;

struct side {
    const struct sinq_model *model;
    bool exact;
    struct sinq_session *session;
    float *logits; /* [block][vocabulary] */
    /* Of a subject, not of the reference: */
    struct sinq_text_prediction *predictions; /* [block] */
    bool *is_sound;                           /* [block] */
    struct sinq_text_statistics statistics;
};

struct evaluation {
    struct sinq_text_windows windows;
    struct side *sides; /* the subjects, then the reference if there is one */
    size_t subject_count, side_count;
    unsigned threads;
    uint32_t vocabulary;
    uint32_t step;       /* tokens fed at once */
    uint32_t block;      /* predictions scored at once */
    int32_t *tokens;     /* of the window in hand */
    const int32_t *next; /* the tokens that came, of the block in hand */
    sinq_progress_fn *progress;
    void *user;
    struct sinq_progress report;
    sinq_text_score_fn *score;
    void *score_user;
};

/* ---- one block of predictions ---- */

/* Rows of all subjects, one subject behind the other of each position: they share the reference's row in the cache. */
static void score_row(void *context, uint64_t item, unsigned worker) {
    struct evaluation *const e = context;
    const size_t row = (size_t)(item / e->subject_count), offset = row * e->vocabulary;
    struct side *const subject = &e->sides[item % e->subject_count];
    const bool has_reference = e->side_count > e->subject_count;
    const float *const reference = has_reference ? e->sides[e->subject_count].logits + offset : NULL;
    (void)worker;
    subject->is_sound[row] = sinq_score_prediction(subject->logits + offset, reference, e->vocabulary, e->next[row],
                                                   &subject->predictions[row]);
}

static void tell_score(const struct evaluation *e, const struct side *subject, uint64_t position,
                       const struct sinq_text_prediction *prediction) {
    if (e->score == NULL) return;
    const struct sinq_text_score score = {.subject = (size_t)(subject - e->sides),
                                          .window = e->report.item,
                                          .position = position,
                                          .nll = prediction->nll,
                                          .reference_nll = prediction->reference_nll,
                                          .kl = prediction->kl,
                                          .same_top = prediction->same_top};
    e->score(e->score_user, &score);
}

static int add_predictions(struct evaluation *e, struct side *subject, uint64_t position, uint32_t count,
                           struct sinq_error *error) {
    for (uint32_t row = 0; row < count; row++) {
        if (!subject->is_sound[row])
            return sinq_fail(error, SINQ_FAILED,
                             "window %llu: the logits after %llu tokens are no distribution: not finite",
                             (number)e->report.item + 1, (number)(position + row + 1));
        sinq_add_prediction(&subject->statistics, &subject->predictions[row]);
        tell_score(e, subject, position + row, &subject->predictions[row]);
    }
    return SINQ_OK;
}

/* Predictions made at positions `position` .. of the window, the batch in hand having begun at `batch_start`. */
static int score_block(struct evaluation *e, uint64_t batch_start, uint64_t position, uint32_t count,
                       struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < e->side_count && status == SINQ_OK; i++)
        status = sinq_session_logits(e->sides[i].session, (uint32_t)(position - batch_start), count, e->sides[i].logits,
                                     error);
    if (status != SINQ_OK) return status;
    e->next = e->tokens + position + 1;
    sinq_parallel_for(e->threads, (uint64_t)count * e->subject_count, score_row, e);
    for (size_t i = 0; i < e->subject_count && status == SINQ_OK; i++)
        status = add_predictions(e, &e->sides[i], position, count, error);
    return status;
}

/* ---- one window ---- */

static int report_progress(const struct evaluation *e, struct sinq_error *error) {
    if (e->progress == NULL || e->progress(e->user, &e->report) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "evaluating was interrupted");
}

static int feed_sides(struct evaluation *e, uint64_t start, uint32_t count, struct sinq_error *error) {
    for (size_t i = 0; i < e->side_count; i++) {
        int status = sinq_session_feed(e->sides[i].session, e->tokens + start, count, error);
        if (status == SINQ_OK) status = report_progress(e, error);
        if (status != SINQ_OK) return status;
    }
    e->report.bytes += count;
    return SINQ_OK;
}

/* Feeds all but the window's last token, of which nothing is predicted, and scores the predictions that count. */
static int evaluate_window(struct evaluation *e, const struct sinq_text_window *window, struct sinq_error *error) {
    for (size_t i = 0; i < e->side_count; i++) {
        sinq_session_reset(e->sides[i].session);
        sinq_session_announce(e->sides[i].session, e->windows.length);
    }
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
    for (size_t i = 1; i < e->side_count; i++) {
        const uint32_t other = sinq_model_facts(e->sides[i].model).vocabulary;
        if (other != facts.vocabulary)
            return sinq_fail(error, SINQ_FAILED, "the model's vocabulary has %lu tokens, the %s's %lu",
                             (unsigned long)facts.vocabulary, i < e->subject_count ? "next" : "reference",
                             (unsigned long)other);
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
    for (size_t i = 0; i < e->side_count; i++)
        context = sinq_min_u64(context, sinq_model_facts(e->sides[i].model).context);
    return context;
}

static int open_sides(struct evaluation *e, const struct sinq_text_options *options, struct sinq_error *error) {
    e->step = UINT32_MAX;
    for (size_t i = 0; i < e->side_count; i++) {
        const struct sinq_session_options wanted = {.context = e->windows.length,
                                                    .kv_type = options->kv_type,
                                                    .exact = e->sides[i].exact,
                                                    .threads = e->threads};
        const int status = sinq_open_session(e->sides[i].model, &wanted, &e->sides[i].session, error);
        if (status != SINQ_OK) return status;
        const uint32_t batch = sinq_session_batch(e->sides[i].session);
        e->step = batch < e->step ? batch : e->step;
    }
    return SINQ_OK;
}

static int allocate_blocks(struct evaluation *e, struct sinq_error *error) {
    const uint64_t row_bytes = (uint64_t)e->vocabulary * sizeof(float);
    e->block = (uint32_t)sinq_max_u64(1, sinq_min_u64(e->step, BLOCK_BYTES / e->side_count / row_bytes));
    e->tokens = malloc((size_t)e->windows.length * sizeof *e->tokens);
    bool failed = e->tokens == NULL;
    for (size_t i = 0; i < e->side_count; i++) {
        struct side *const side = &e->sides[i];
        side->logits = malloc((size_t)(e->block * row_bytes));
        side->predictions = malloc(e->block * sizeof *side->predictions);
        side->is_sound = malloc(e->block * sizeof *side->is_sound);
        failed |= side->logits == NULL || side->predictions == NULL || side->is_sound == NULL;
    }
    if (failed) return sinq_fail_memory(error, "a block of logits", e->side_count * e->block * row_bytes);
    int status = SINQ_OK;
    for (size_t i = 0; i < e->subject_count && status == SINQ_OK; i++)
        status = sinq_open_text_statistics(&e->sides[i].statistics, e->side_count > e->subject_count, e->windows.scored,
                                           error);
    return status;
}

static int prepare(struct evaluation *e, const int32_t *tokens, size_t count, const struct sinq_text_options *options,
                   struct sinq_error *error) {
    int status = check_models(e, options, error);
    if (status == SINQ_OK) status = sinq_lay_windows(options, count, find_context(e), &e->windows, error);
    e->vocabulary = sinq_model_facts(e->sides[0].model).vocabulary;
    if (status == SINQ_OK) status = check_tokens(e, tokens, count, error);
    if (status == SINQ_OK) status = open_sides(e, options, error);
    if (status == SINQ_OK) status = allocate_blocks(e, error);
    e->report = (struct sinq_progress){.activity = "evaluating",
                                       .unit = "tokens",
                                       .items = e->windows.count,
                                       .bytes_total = e->windows.count * (e->windows.length - 1)};
    return status;
}

static void clean_up(struct evaluation *e) {
    for (size_t i = 0; i < e->side_count; i++) {
        struct side *const side = &e->sides[i];
        sinq_session_close(side->session);
        free(side->logits);
        free(side->predictions);
        free(side->is_sound);
        sinq_free_text_statistics(&side->statistics);
    }
    free(e->sides);
    free(e->tokens);
}

static void fill_report(struct evaluation *e, size_t subject, size_t tokens, double seconds,
                        struct sinq_text_report *report) {
    *report = (struct sinq_text_report){.tokens = tokens,
                                        .windows = e->windows.count,
                                        .window = e->windows.length,
                                        .stride = e->windows.stride,
                                        .seconds = seconds};
    sinq_report_text_statistics(&e->sides[subject].statistics, report);
}

int sinq_evaluate_subjects(const struct sinq_text_subject *subjects, size_t count, const struct sinq_model *reference,
                           const int32_t *tokens, size_t token_count, const struct sinq_text_options *options,
                           sinq_progress_fn *progress, void *user, struct sinq_text_report *reports,
                           struct sinq_error *error) {
    const double started = sinq_read_clock();
    struct evaluation e = {.subject_count = count,
                           .side_count = count + (reference != NULL),
                           .threads = options->threads != 0 ? options->threads : sinq_count_processors(),
                           .progress = progress,
                           .user = user,
                           .score = options->score,
                           .score_user = options->score_user};
    if (count == 0) return SINQ_OK;
    e.sides = calloc(e.side_count, sizeof *e.sides);
    if (e.sides == NULL) return sinq_fail_memory(error, "an evaluation", e.side_count * sizeof *e.sides);
    for (size_t i = 0; i < count; i++)
        e.sides[i] = (struct side){.model = subjects[i].model, .exact = subjects[i].exact};
    if (reference != NULL) e.sides[count] = (struct side){.model = reference, .exact = options->exact};
    int status = prepare(&e, tokens, token_count, options, error);
    if (status == SINQ_OK) status = evaluate_windows(&e, tokens, options, error);
    for (size_t i = 0; i < count && status == SINQ_OK; i++)
        fill_report(&e, i, token_count, sinq_read_clock() - started, &reports[i]);
    clean_up(&e);
    return status;
}

int sinq_evaluate_text(const struct sinq_model *model, const struct sinq_model *reference, const int32_t *tokens,
                       size_t count, const struct sinq_text_options *options, sinq_progress_fn *progress, void *user,
                       struct sinq_text_report *report, struct sinq_error *error) {
    const struct sinq_text_subject subject = {.model = model, .exact = options->exact};
    return sinq_evaluate_subjects(&subject, 1, reference, tokens, count, options, progress, user, report, error);
}
