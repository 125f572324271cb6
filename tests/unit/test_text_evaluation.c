/*
 * test_text_evaluation.c: which predictions of which windows are scored, with models that are none: their logits are numbers
 * that follow from all tokens since the window's start, so that any other history gives other figures.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "eval/text_prediction.h"
#include "eval/text_windows.h"
#include "unit.h"

/* ---- models and sessions in place of the library's ---- */

enum { VOCABULARY = 97, MOST_CONTEXT = 4096 };

struct sinq_model {
    struct sinq_model_facts facts;
    uint64_t seed;
    uint32_t batch;
    int64_t bad_position; /* whose logits are no numbers; -1: none */
};

struct sinq_session {
    const struct sinq_model *model;
    struct sinq_session_options options;
    uint64_t position;
    uint64_t history[MOST_CONTEXT]; /* a hash of the tokens up to each position */
    uint32_t rows;
};

static struct {
    unsigned open, resets, exact;
    uint64_t fed, most_rows;
} seen;

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

static void make_logits(const struct sinq_model *model, uint64_t history, float *logits) {
    for (uint32_t i = 0; i < model->facts.vocabulary; i++)
        logits[i] =
            (float)(mix(history, i) >> 40) * 0x1p-22f + (float)(mix(model->seed, i + 7 * history) >> 40) * 0x1p-25f;
}

struct sinq_model_facts sinq_model_facts(const struct sinq_model *model) {
    return model->facts;
}

int sinq_open_session(const struct sinq_model *model, const struct sinq_session_options *options,
                      struct sinq_session **session, struct sinq_error *error) {
    if (options->context > model->facts.context) return sinq_fail(error, SINQ_USAGE, "context");
    *session = calloc(1, sizeof **session);
    (*session)->model = model;
    (*session)->options = *options;
    seen.open++;
    seen.exact += options->exact;
    return SINQ_OK;
}

void sinq_session_close(struct sinq_session *session) {
    seen.open -= session != NULL;
    free(session);
}

uint32_t sinq_session_batch(const struct sinq_session *session) { return session->model->batch; }

void sinq_session_announce(struct sinq_session *session, uint64_t length) {
    (void)session;
    (void)length;
}

void sinq_session_reset(struct sinq_session *session) {
    session->position = session->rows = 0;
    seen.resets++;
}

int sinq_session_feed(struct sinq_session *session, const int32_t *tokens, size_t count, struct sinq_error *error) {
    if (session->position + count > session->options.context) return sinq_fail(error, SINQ_FAILED, "no room");
    for (size_t i = 0; i < count; i++) {
        const uint64_t at = session->position++;
        session->history[at] = mix(at == 0 ? 1 : session->history[at - 1], (uint64_t)tokens[i]);
    }
    session->rows = (uint32_t)(count < session->model->batch ? count : session->model->batch);
    seen.fed += count;
    return SINQ_OK;
}

int sinq_session_logits(struct sinq_session *session, uint32_t first, uint32_t count, float *logits,
                        struct sinq_error *error) {
    ck_assert_uint_ge(count, 1);
    ck_assert_uint_le(first + count, session->rows);
    if (count > seen.most_rows) seen.most_rows = count;
    for (uint32_t row = 0; row < count; row++) {
        const uint64_t at = session->position - session->rows + first + row;
        make_logits(session->model, session->history[at], logits + (size_t)row * session->model->facts.vocabulary);
        if ((int64_t)at == session->model->bad_position) logits[(size_t)row * session->model->facts.vocabulary] = NAN;
    }
    (void)error;
    return SINQ_OK;
}

static struct sinq_model make_model(uint64_t seed, uint32_t batch) {
    return (struct sinq_model){.facts = {.vocabulary = VOCABULARY, .context = MOST_CONTEXT, .bos = 3},
                               .seed = seed,
                               .batch = batch,
                               .bad_position = -1};
}

/* ---- the definition, written out ---- */

struct sums {
    uint64_t windows, scored;
    double nll, reference_nll, kl;
};

/* Scores token by token: a fresh history for every window, and of its predictions those that the header's words say. */
static struct sums evaluate_directly(const struct sinq_model *const models[2], const int32_t *tokens, uint64_t count,
                                     const struct sinq_text_options *options) {
    struct sums sums = {0};
    const uint64_t n = options->window, stride = options->stride != 0 ? options->stride : n;
    for (uint64_t start = 0; start + n <= count; start += stride) {
        if (options->max_windows != 0 && sums.windows == options->max_windows) break;
        uint64_t history = 1;
        for (uint64_t p = 0; p + 1 < n; p++) {
            float logits[2][VOCABULARY];
            struct sinq_text_prediction prediction;
            history = mix(history, (uint64_t)(options->bos && p == 0 ? 3 : tokens[start + p]));
            for (int side = 0; side < 2; side++) make_logits(models[side], history, logits[side]);
            if (options->second_half && p < n / 2) continue;
            if (start > 0 && n - 2 - p >= stride) continue; /* not among the last `stride` */
            sinq_score_prediction(logits[0], logits[1], VOCABULARY, tokens[start + p + 1], &prediction);
            sums.nll += prediction.nll;
            sums.reference_nll += prediction.reference_nll;
            sums.kl += prediction.kl;
            sums.scored++;
        }
        sums.windows++;
    }
    return sums;
}

enum { TOKENS = 700 };
static int32_t text[TOKENS];

static void make_text(void) {
    for (uint64_t i = 0; i < TOKENS; i++) text[i] = (int32_t)(mix(99, i) % VOCABULARY);
    memset(&seen, 0, sizeof seen);
}

static void check_near(const char *name, const char *what, double found, double expected) {
    ck_assert_msg(fabs(found - expected) <= 1e-12 * fabs(expected), "%s: %s: %.17g, expected %.17g", name, what, found,
                  expected);
}

/* ---- windows ---- */

static const struct {
    const char *name;
    struct sinq_text_options options;
    uint32_t batch, reference_batch;
} layouts[] = {
    {"whole windows", {.window = 64}, 256, 256},
    {"one window that is all", {.window = TOKENS}, 256, 256},
    {"windows of two", {.window = 2}, 256, 256},
    {"batches that do not divide a window", {.window = 100}, 7, 256},
    {"token by token", {.window = 30}, 1, 1},
    {"different batches", {.window = 128}, 48, 33},
    {"second half", {.window = 64, .second_half = true}, 256, 256},
    {"second half of an odd window", {.window = 33, .second_half = true}, 10, 10},
    {"second half of three", {.window = 3, .second_half = true}, 10, 10},
    {"overlapping", {.window = 64, .stride = 16}, 256, 256},
    {"overlapping by all but one", {.window = 64, .stride = 1}, 20, 20},
    {"a stride of all predictions", {.window = 64, .stride = 63}, 256, 256},
    {"a stride of the window", {.window = 64, .stride = 64}, 256, 256},
    {"second half, overlapping by less", {.window = 64, .stride = 48, .second_half = true}, 256, 256},
    {"second half, overlapping by more", {.window = 64, .stride = 8, .second_half = true}, 11, 11},
    {"the first windows", {.window = 64, .max_windows = 3}, 256, 256},
    {"more windows than there are", {.window = 64, .max_windows = 1000}, 256, 256},
    {"begun with BOS", {.window = 64, .bos = true}, 256, 256},
};

START_TEST(windows_are_scored_as_the_header_says) {
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        const char *const name = layouts[i].name;
        const struct sinq_model model = make_model(1, layouts[i].batch),
                                reference = make_model(2, layouts[i].reference_batch);
        const struct sinq_model *const models[2] = {&model, &reference};
        struct sinq_text_report report;
        struct sinq_error error = {.status = 0};
        make_text();
        struct sinq_text_options options = layouts[i].options;
        options.threads = 1 + (unsigned)i % 3;
        const struct sums expected = evaluate_directly(models, text, TOKENS, &options);
        const int status = sinq_evaluate_text(&model, &reference, text, TOKENS, &options, NULL, NULL, &report, &error);
        ck_assert_msg(status == SINQ_OK, "%s: %s", name, error.message);
        ck_assert_msg(report.windows == expected.windows, "%s: %llu windows", name, (unsigned long long)report.windows);
        ck_assert_msg(report.scored == expected.scored, "%s: %llu scored", name, (unsigned long long)report.scored);
        ck_assert_uint_eq(report.tokens, TOKENS);
        ck_assert_uint_eq(report.window, options.window);
        ck_assert_uint_eq(report.stride, options.stride != 0 ? options.stride : options.window);
        check_near(name, "nll", report.nll, expected.nll / (double)expected.scored);
        check_near(name, "reference nll", report.reference_nll, expected.reference_nll / (double)expected.scored);
        check_near(name, "kl", report.kl, expected.kl / (double)expected.scored);
        ck_assert_uint_eq(seen.open, 0);
        ck_assert_uint_eq(seen.resets, 2 * expected.windows);
        ck_assert_uint_eq(seen.fed, 2 * expected.windows * (options.window - 1));
    }
}
END_TEST

START_TEST(without_a_reference_one_model_is_run) {
    const struct sinq_model model = make_model(1, 256), reference = make_model(2, 256);
    const struct sinq_text_options options = {.window = 64, .exact = true};
    struct sinq_text_report alone, both;
    struct sinq_error error;
    make_text();
    ck_assert_int_eq(sinq_evaluate_text(&model, NULL, text, TOKENS, &options, NULL, NULL, &alone, &error), SINQ_OK);
    ck_assert_uint_eq(seen.exact, 1);
    ck_assert_int_eq(sinq_evaluate_text(&model, &reference, text, TOKENS, &options, NULL, NULL, &both, &error),
                     SINQ_OK);
    ck_assert(!alone.has_reference && both.has_reference);
    check_near("alone", "nll", alone.nll, both.nll);
    check_near("alone", "error", alone.nll_error, both.nll_error);
}
END_TEST

/* What a report's means are made of, prediction by prediction. */
struct told {
    uint64_t count, last_window, last_position;
    double nll[3], kl[3];
};

static void tell(void *user, const struct sinq_text_score *score) {
    struct told *const told = user;
    ck_assert_uint_ge(score->window, told->last_window);
    ck_assert_uint_lt(score->position, 99);
    ck_assert_uint_lt(score->subject, 3);
    told->last_window = score->window;
    told->last_position = score->position;
    told->nll[score->subject] += score->nll;
    told->kl[score->subject] += score->kl;
    told->count++;
}

START_TEST(several_at_once_are_what_each_is_alone) {
    enum { SUBJECTS = 3 };
    const struct sinq_model models[SUBJECTS] = {make_model(1, 256), make_model(2, 64), make_model(3, 256)};
    const struct sinq_model reference = make_model(4, 256);
    const struct sinq_text_subject subjects[SUBJECTS] = {{&models[0], true}, {&models[1], false}, {&models[2], true}};
    struct told told = {.count = 0};
    struct sinq_text_options options = {.window = 100, .threads = 2, .score = tell, .score_user = &told};
    struct sinq_text_report reports[SUBJECTS], alone;
    struct sinq_error error;
    make_text();
    ck_assert_int_eq(
        sinq_evaluate_subjects(subjects, SUBJECTS, &reference, text, TOKENS, &options, NULL, NULL, reports, &error),
        SINQ_OK);
    ck_assert_uint_eq(seen.exact, 2);
    ck_assert_uint_eq(seen.fed, 4 * 7 * 99);
    ck_assert_uint_eq(seen.open, 0);
    ck_assert_uint_eq(told.count, SUBJECTS * reports[0].scored);
    ck_assert(told.last_window == reports[0].windows - 1 && told.last_position == 98);
    options.score = NULL;
    for (int i = 0; i < SUBJECTS; i++) {
        check_near("told", "nll", told.nll[i] / (double)reports[i].scored, reports[i].nll);
        check_near("told", "kl", told.kl[i] / (double)reports[i].scored, reports[i].kl);
        ck_assert_int_eq(sinq_evaluate_text(&models[i], &reference, text, TOKENS, &options, NULL, NULL, &alone, &error),
                         SINQ_OK);
        ck_assert(alone.nll == reports[i].nll && alone.kl == reports[i].kl && alone.kl_99 == reports[i].kl_99);
        ck_assert(alone.log_ratio_error == reports[i].log_ratio_error && alone.same_top == reports[i].same_top);
    }
}
END_TEST

START_TEST(the_result_does_not_depend_on_threads_and_batches) {
    struct sinq_text_report first = {.seconds = 0}, report;
    struct sinq_error error;
    make_text();
    for (unsigned i = 0; i < 6; i++) {
        const struct sinq_model model = make_model(1, 1 + 37 * i), reference = make_model(2, 256);
        const struct sinq_text_options options = {.window = 200, .stride = 90, .threads = 1 + i};
        ck_assert_int_eq(sinq_evaluate_text(&model, &reference, text, TOKENS, &options, NULL, NULL, &report, &error),
                         SINQ_OK);
        if (i == 0) first = report;
        ck_assert(report.nll == first.nll && report.nll_error == first.nll_error);
        ck_assert(report.log_ratio == first.log_ratio && report.log_ratio_error == first.log_ratio_error);
        ck_assert(report.kl == first.kl && report.kl_error == first.kl_error && report.kl_99 == first.kl_99);
        ck_assert(report.same_top == first.same_top);
        ck_assert(report.rms_probability_change == first.rms_probability_change);
    }
}
END_TEST

START_TEST(a_window_that_is_not_asked_for_fits_model_and_text) {
    static const struct {
        const char *name;
        uint64_t context, tokens, window;
    } cases[] = {{"the text", 4096, 700, 700}, {"the context", 100, 700, 100}, {"two tokens", 4096, 2, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_model model = make_model(1, 256);
        const struct sinq_text_options options = {.threads = 1};
        struct sinq_text_report report;
        struct sinq_error error;
        model.facts.context = cases[i].context;
        make_text();
        ck_assert_int_eq(sinq_evaluate_text(&model, NULL, text, cases[i].tokens, &options, NULL, NULL, &report, &error),
                         SINQ_OK);
        ck_assert_msg(report.window == cases[i].window, "%s: %llu", cases[i].name, (unsigned long long)report.window);
    }
    const struct sinq_text_options options = {.window = 0};
    struct sinq_text_windows windows;
    struct sinq_error error;
    ck_assert_int_eq(sinq_lay_windows(&options, 1000000, 131072, &windows, &error), SINQ_OK);
    ck_assert_uint_eq(windows.length, 2048);
    ck_assert_uint_eq(windows.count, 488);
}
END_TEST

START_TEST(logits_are_fetched_in_blocks_of_bounded_size) {
    struct sinq_model model = make_model(1, 256);
    const struct sinq_text_options options = {.window = 200, .threads = 2};
    struct sinq_text_report report;
    struct sinq_error error;
    make_text();
    model.facts.vocabulary = 1 << 18; /* a megabyte a row */
    ck_assert_int_eq(sinq_evaluate_text(&model, NULL, text, 200, &options, NULL, NULL, &report, &error), SINQ_OK);
    ck_assert_uint_eq(seen.most_rows, 64);
    ck_assert_uint_eq(report.scored, 199);
}
END_TEST

/* ---- what cannot be ---- */

static const struct refusal {
    const char *name;
    struct sinq_text_options options;
    uint64_t tokens;
    int32_t last; /* token of the text; 0: as it is */
    uint32_t reference_vocabulary;
    int64_t bos, bad_position;
    int status;
    const char *message;
} refusals[] = {
    {"empty text", {0}, 0, 0, VOCABULARY, 3, -1, SINQ_FAILED, "no tokens"},
    {"one token", {0}, 1, 0, VOCABULARY, 3, -1, SINQ_FAILED, "one token"},
    {"text shorter than a window", {.window = 64}, 63, 0, VOCABULARY, 3, -1, SINQ_FAILED, "has 63 tokens"},
    {"window larger than the context", {.window = 4097}, 700, 0, VOCABULARY, 3, -1, SINQ_USAGE, "context, 4096"},
    {"window of one", {.window = 1}, 700, 0, VOCABULARY, 3, -1, SINQ_USAGE, "2 or more"},
    {"stride larger than the window",
     {.window = 64, .stride = 65},
     700,
     0,
     VOCABULARY,
     3,
     -1,
     SINQ_USAGE,
     "a stride of 65"},
    {"second half of two", {.window = 2, .second_half = true}, 700, 0, VOCABULARY, 3, -1, SINQ_USAGE, "no second half"},
    {"a token beyond the vocabulary",
     {.window = 64},
     700,
     VOCABULARY,
     VOCABULARY,
     3,
     -1,
     SINQ_FAILED,
     "token 699 of the text has id 97"},
    {"a negative token", {.window = 64}, 700, -1, VOCABULARY, 3, -1, SINQ_FAILED, "has id -1"},
    {"another vocabulary", {.window = 64}, 700, 0, VOCABULARY + 1, 3, -1, SINQ_FAILED, "97 tokens, the reference's 98"},
    {"BOS of a model without one", {.window = 64, .bos = true}, 700, 0, VOCABULARY, -1, -1, SINQ_FAILED, "BOS"},
    {"logits that are no numbers",
     {.window = 64},
     700,
     0,
     VOCABULARY,
     3,
     40,
     SINQ_FAILED,
     "window 1: the logits after 41 tokens"},
};

START_TEST(what_cannot_be_evaluated_is_refused) {
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *const r = &refusals[i];
        struct sinq_model model = make_model(1, 256), reference = make_model(2, 256);
        struct sinq_text_report report;
        struct sinq_error error = {.status = 0};
        make_text();
        if (r->last != 0) text[TOKENS - 1] = r->last;
        reference.facts.vocabulary = r->reference_vocabulary;
        model.facts.bos = r->bos;
        model.bad_position = r->bad_position;
        const int status =
            sinq_evaluate_text(&model, &reference, text, r->tokens, &r->options, NULL, NULL, &report, &error);
        ck_assert_msg(status == r->status && error.status == r->status, "%s: %d, %s", r->name, status, error.message);
        ck_assert_msg(strstr(error.message, r->message) != NULL, "%s: %s", r->name, error.message);
        ck_assert_uint_eq(seen.open, 0);
    }
}
END_TEST

/* ---- progress ---- */

struct watch {
    unsigned calls, stop_at;
    struct sinq_progress last;
};

static int follow(void *user, const struct sinq_progress *progress) {
    struct watch *const watch = user;
    ck_assert_uint_ge(progress->bytes, watch->last.bytes);
    ck_assert_uint_le(progress->bytes, progress->bytes_total);
    watch->last = *progress;
    return ++watch->calls == watch->stop_at;
}

START_TEST(progress_counts_tokens_and_windows_and_can_stop) {
    const struct sinq_model model = make_model(1, 50), reference = make_model(2, 50);
    const struct sinq_text_options options = {.window = 100, .threads = 1};
    struct sinq_text_report report;
    struct sinq_error error;
    struct watch watch = {.calls = 0};
    make_text();
    ck_assert_int_eq(sinq_evaluate_text(&model, &reference, text, TOKENS, &options, follow, &watch, &report, &error),
                     SINQ_OK);
    ck_assert_str_eq(watch.last.activity, "evaluating");
    ck_assert_str_eq(watch.last.unit, "tokens");
    ck_assert_uint_eq(watch.last.item, 7);
    ck_assert_uint_eq(watch.last.items, 7);
    ck_assert_uint_eq(watch.last.bytes, 7 * 99);
    ck_assert_uint_eq(watch.last.bytes_total, 7 * 99);
    for (unsigned stop_at = 1; stop_at <= watch.calls; stop_at++) {
        struct watch stopping = {.stop_at = stop_at};
        const int status =
            sinq_evaluate_text(&model, &reference, text, TOKENS, &options, follow, &stopping, &report, &error);
        ck_assert_int_eq(status, SINQ_INTERRUPTED);
        ck_assert_uint_eq(stopping.calls, stop_at);
        ck_assert_uint_eq(seen.open, 0);
    }
}
END_TEST

UNIT_MAIN("text evaluation", windows_are_scored_as_the_header_says, without_a_reference_one_model_is_run,
          several_at_once_are_what_each_is_alone, the_result_does_not_depend_on_threads_and_batches,
          a_window_that_is_not_asked_for_fits_model_and_text, logits_are_fetched_in_blocks_of_bounded_size,
          what_cannot_be_evaluated_is_refused, progress_counts_tokens_and_windows_and_can_stop)
