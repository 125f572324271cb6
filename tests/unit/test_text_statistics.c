/* test_text_statistics.c: predictions and their statistics, against the formulas written out directly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "eval/text_prediction.h"
#include "eval/text_statistics.h"
#include "unit.h"

static uint32_t random_state = 5;
static double next_value(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (double)(random_state >> 8) / 8388608.0 - 1.0;
}

static void check_near(const char *name, const char *what, double found, double expected, double bound) {
    const bool is_same = found == expected || (isnan(found) && isnan(expected));
    ck_assert_msg(is_same || fabs(found - expected) <= bound * fmax(1.0, fabs(expected)),
                  "%s: %s: %.17g, expected %.17g", name, what, found, expected);
}

/* ---- one prediction ---- */

enum { VOCABULARY = 1003 };

/* ln of a token's probability, in long double and by the definition. */
static long double find_log_probability(const float *logits, uint32_t vocabulary, uint32_t token) {
    long double most = logits[0], sum = 0;
    for (uint32_t i = 1; i < vocabulary; i++) most = logits[i] > most ? logits[i] : most;
    for (uint32_t i = 0; i < vocabulary; i++) sum += expl(logits[i] - most);
    return logits[token] - most - logl(sum);
}

static double find_kl(const float *logits, const float *reference, uint32_t vocabulary) {
    long double sum = 0;
    for (uint32_t i = 0; i < vocabulary; i++) {
        const long double p = find_log_probability(reference, vocabulary, i);
        const long double q = find_log_probability(logits, vocabulary, i);
        if (expl(p) > 0) sum += expl(p) * (p - q);
    }
    return (double)sum;
}

START_TEST(predictions_are_those_of_the_formulas) {
    static const struct {
        const char *name;
        double width, noise, shift;
    } cases[] = {{"as models give them", 10, 0.5, 0},
                 {"flat", 0.01, 0.001, 0},
                 {"far apart", 8, 30, 0},
                 {"the same but for a shift", 5, 0, 11},
                 {"around a large value", 10, 1, 1e4},
                 {"steep", 500, 200, -100}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        float model[VOCABULARY], reference[VOCABULARY];
        for (uint32_t i = 0; i < VOCABULARY; i++) {
            reference[i] = (float)(cases[c].width * next_value());
            model[i] = (float)(reference[i] + cases[c].noise * next_value() + cases[c].shift);
        }
        for (uint32_t next = 0; next < VOCABULARY; next += 334) {
            struct sinq_text_prediction found;
            const char *const name = cases[c].name;
            ck_assert(sinq_score_prediction(model, reference, VOCABULARY, (int32_t)next, &found));
            const double p = (double)find_log_probability(reference, VOCABULARY, next);
            const double q = (double)find_log_probability(model, VOCABULARY, next);
            check_near(name, "nll", found.nll, -q, 1e-13);
            check_near(name, "reference nll", found.reference_nll, -p, 1e-13);
            check_near(name, "probability change", found.probability_change, exp(q) - exp(p), 1e-13);
            check_near(name, "kl", found.kl, find_kl(model, reference, VOCABULARY), 1e-13);
            struct sinq_text_prediction alone;
            ck_assert(sinq_score_prediction(model, NULL, VOCABULARY, (int32_t)next, &alone));
            check_near(name, "nll without a reference", alone.nll, found.nll, 1e-15);
        }
    }
}
END_TEST

#define INF INFINITY
enum { FEW = 4 };
static const struct edge {
    const char *name;
    float model[FEW], reference[FEW];
    int32_t next;
    bool is_sound;
    double nll, kl; /* negative: by the direct formula */
    bool same_top;
} edges[] = {
    {"equal rows", {1, 2, 3, 4}, {1, 2, 3, 4}, 3, true, 0.440189698561195733, 0, true},
    {"all equal", {7, 7, 7, 7}, {0, 0, 0, 0}, 2, true, 1.38629436111989062, 0, true},
    {"of equal ones the first is the top", {5, 5, 1, 1}, {5, 1, 1, 1}, 2, true, -1, -1, true},
    {"of equal ones the first, elsewhere", {5, 5, 1, 1}, {1, 5, 1, 1}, 2, true, -1, -1, false},
    {"huge logits", {3e38f, -3e38f, 0, 1}, {3e38f, -3e38f, 0, 1}, 0, true, 0, 0, true},
    {"huge logits, another came", {3e38f, -3e38f, 0, 1}, {3e38f, -3e38f, 0, 1}, 1, true, -1, 0, true},
    {"one-hot", {0, -INF, -INF, -INF}, {0, -INF, -INF, -INF}, 0, true, 0, 0, true},
    {"one-hot, another came", {0, -INF, -INF, -INF}, {0, -INF, -INF, -INF}, 1, true, INF, 0, true},
    {"what the reference rules out is free",
     {0, 0, -INF, -INF},
     {0, -INF, -INF, -INF},
     0,
     true,
     0.693147180559945309,
     0.693147180559945309,
     true},
    {"what the model rules out is infinite", {0, -INF, -INF, -INF}, {0, 0, -INF, -INF}, 0, true, 0, INF, true},
    {"nothing in common", {0, -INF, -INF, -INF}, {-INF, 0, -INF, -INF}, 0, true, 0, INF, false},
    {"nothing possible", {-INF, -INF, -INF, -INF}, {0, 0, 0, 0}, 0, false, 0, 0, false},
    {"NaN in the model", {0, NAN, 0, 0}, {0, 0, 0, 0}, 0, false, 0, 0, false},
    {"NaN first", {NAN, 0, 0, 0}, {0, 0, 0, 0}, 1, false, 0, 0, false},
    {"NaN in the reference", {0, 0, 0, 0}, {0, 0, 0, NAN}, 0, false, 0, 0, false},
    {"plus infinity", {0, 0, INF, 0}, {0, 0, 0, 0}, 0, false, 0, 0, false},
    {"plus infinity in the reference", {0, 0, 0, 0}, {INF, 0, 0, 0}, 0, false, 0, 0, false},
};

START_TEST(edges_of_a_prediction) {
    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
        const struct edge *const e = &edges[i];
        struct sinq_text_prediction found;
        ck_assert_msg(sinq_score_prediction(e->model, e->reference, FEW, e->next, &found) == e->is_sound, "%s",
                      e->name);
        if (!e->is_sound) continue;
        const long double direct = find_log_probability(e->model, FEW, (uint32_t)e->next);
        check_near(e->name, "nll", found.nll, e->nll >= 0 ? e->nll : (double)-direct, 1e-14);
        const double kl = e->kl >= 0 ? e->kl : find_kl(e->model, e->reference, FEW);
        check_near(e->name, "kl", found.kl, kl, 1e-15);
        ck_assert_msg(found.same_top == e->same_top, "%s: same top", e->name);
        ck_assert_msg(found.kl >= 0.0, "%s: kl %g", e->name, found.kl);
    }
}
END_TEST

/* ---- means ---- */

START_TEST(means_and_errors_are_those_of_two_passes) {
    enum { COUNT = 5000 };
    static double values[COUNT];
    struct sinq_running_mean running = {.count = 0};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = 1e6 + next_value();
        sinq_add_to_mean(&running, values[i]);
        sum += values[i];
    }
    for (size_t i = 0; i < COUNT; i++) squares += (values[i] - sum / COUNT) * (values[i] - sum / COUNT);
    check_near("running", "mean", sinq_find_mean(&running), sum / COUNT, 1e-14);
    check_near("running", "error", sinq_find_standard_error(&running), sqrt(squares / (COUNT - 1) / COUNT), 1e-12);
}
END_TEST

START_TEST(means_of_few_and_of_infinite_values) {
    static const struct {
        const char *name;
        double values[3];
        unsigned count;
        double mean, error;
    } cases[] = {
        {"none", {0}, 0, NAN, NAN},
        {"one", {4}, 1, 4, NAN},
        {"two", {4, 6}, 2, 5, 1},
        {"equal", {3, 3, 3}, 3, 3, 0},
        {"infinite first", {INF, 1, 2}, 3, INF, NAN},
        {"infinite twice", {1, INF, INF}, 3, INF, NAN},
        {"both infinities", {INF, -INF, 1}, 3, NAN, NAN},
        {"NaN", {1, NAN, 1}, 3, NAN, NAN},
    };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct sinq_running_mean running = {.count = 0};
        for (unsigned i = 0; i < cases[c].count; i++) sinq_add_to_mean(&running, cases[c].values[i]);
        check_near(cases[c].name, "mean", sinq_find_mean(&running), cases[c].mean, 0);
        check_near(cases[c].name, "error", sinq_find_standard_error(&running), cases[c].error, 1e-15);
    }
}
END_TEST

START_TEST(percentiles_are_interpolated) {
    static const double values[] = {0, 10, 20, 30, INF};
    static const struct {
        const char *name;
        uint64_t count;
        double share, expected;
    } cases[] = {{"one value", 1, 0.9, 0},
                 {"median of two", 2, 0.5, 5},
                 {"median of three", 3, 0.5, 10},
                 {"median of four", 4, 0.5, 15},
                 {"90 of four", 4, 0.9, 27},
                 {"first", 4, 0, 0},
                 {"last", 4, 1, 30},
                 {"between infinite", 5, 0.99, INF},
                 {"beside infinite", 5, 0.75, 30}};
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        check_near(cases[c].name, "percentile", sinq_find_percentile(values, cases[c].count, cases[c].share),
                   cases[c].expected, 1e-14);
}
END_TEST

/* ---- a report ---- */

static int compare_values(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

START_TEST(a_report_follows_from_its_predictions) {
    enum { COUNT = 1001 };
    static struct sinq_text_prediction p[COUNT];
    static double kls[COUNT];
    double nll = 0, reference = 0, kl = 0, change = 0, difference_square = 0, nll_square = 0, kl_square = 0;
    unsigned same = 0;
    struct sinq_text_statistics statistics;
    struct sinq_text_report report = {.windows = 3};
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_text_statistics(&statistics, true, COUNT, &error), SINQ_OK);
    for (size_t i = 0; i < COUNT; i++) {
        p[i] = (struct sinq_text_prediction){.nll = 3 + next_value(),
                                             .reference_nll = 2.9 + next_value(),
                                             .kl = fabs(next_value()),
                                             .probability_change = next_value(),
                                             .same_top = next_value() < 0.5};
        kls[i] = p[i].kl;
        nll += p[i].nll / COUNT;
        reference += p[i].reference_nll / COUNT;
        kl += p[i].kl / COUNT;
        change += p[i].probability_change * p[i].probability_change / COUNT;
        same += p[i].same_top;
        sinq_add_prediction(&statistics, &p[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        const double d = p[i].nll - p[i].reference_nll - (nll - reference);
        difference_square += d * d;
        nll_square += (p[i].nll - nll) * (p[i].nll - nll);
        kl_square += (p[i].kl - kl) * (p[i].kl - kl);
    }
    qsort(kls, COUNT, sizeof kls[0], compare_values);
    sinq_report_text_statistics(&statistics, &report);
    sinq_free_text_statistics(&statistics);
    const double ways = (double)COUNT * (COUNT - 1), share = (double)same / COUNT;
    const struct {
        const char *what;
        double found, expected;
    } figures[] = {
        {"nll", report.nll, nll},
        {"nll error", report.nll_error, sqrt(nll_square / ways)},
        {"perplexity", report.perplexity, exp(nll)},
        {"perplexity error", report.perplexity_error, exp(nll) * sqrt(nll_square / ways)},
        {"reference nll", report.reference_nll, reference},
        {"reference perplexity", report.reference_perplexity, exp(reference)},
        {"reference perplexity error", report.reference_perplexity_error, exp(reference) * report.reference_nll_error},
        {"log ratio", report.log_ratio, nll - reference},
        {"log ratio error", report.log_ratio_error, sqrt(difference_square / ways)},
        {"ratio", report.ratio, exp(nll - reference)},
        {"ratio error", report.ratio_error, exp(nll - reference) * sqrt(difference_square / ways)},
        {"kl", report.kl, kl},
        {"kl error", report.kl_error, sqrt(kl_square / ways)},
        {"median", report.kl_median, kls[500]},
        {"90 %", report.kl_90, kls[900]},
        {"95 %", report.kl_95, kls[950]},
        {"99 %", report.kl_99, kls[990]},
        {"99.9 %", report.kl_999, kls[999]},
        {"largest", report.kl_max, kls[1000]},
        {"same top", report.same_top, share},
        {"same top error", report.same_top_error, sqrt(share * (1 - share) / (COUNT - 1))},
        {"change", report.rms_probability_change, sqrt(change)},
    };
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        check_near("report", figures[i].what, figures[i].found, figures[i].expected, 1e-12);
    ck_assert_uint_eq(report.scored, COUNT);
    ck_assert_uint_eq(report.windows, 3); /* left as it was */
    ck_assert(report.has_reference);
}
END_TEST

START_TEST(a_report_without_a_reference_has_nothing_of_one) {
    struct sinq_text_statistics statistics;
    struct sinq_text_report report = {.kl = 0};
    struct sinq_error error;
    const struct sinq_text_prediction prediction = {.nll = 2, .kl = 9};
    ck_assert_int_eq(sinq_open_text_statistics(&statistics, false, 1, &error), SINQ_OK);
    sinq_add_prediction(&statistics, &prediction);
    sinq_report_text_statistics(&statistics, &report);
    sinq_free_text_statistics(&statistics);
    check_near("report", "perplexity", report.perplexity, exp(2.0), 1e-15);
    ck_assert(isnan(report.perplexity_error));
    ck_assert(!report.has_reference);
    ck_assert(report.kl == 0 && report.ratio == 0);
}
END_TEST

START_TEST(more_memory_than_there_is_is_an_error) {
    struct sinq_text_statistics statistics;
    struct sinq_error error;
    ck_assert_int_eq(sinq_open_text_statistics(&statistics, true, UINT64_MAX / 2, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "out of memory") != NULL, "%s", error.message);
    sinq_free_text_statistics(&statistics);
}
END_TEST

UNIT_MAIN("text statistics", predictions_are_those_of_the_formulas, edges_of_a_prediction,
          means_and_errors_are_those_of_two_passes, means_of_few_and_of_infinite_values, percentiles_are_interpolated,
          a_report_follows_from_its_predictions, a_report_without_a_reference_has_nothing_of_one,
          more_memory_than_there_is_is_an_error)
