/* Comparing weights: against direct formulas, across dtypes, and what cannot be compared. */
#include <math.h>

#include "random_blob.h"

enum { ROWS = 40, COLS = 70 };

static uint32_t random_state = 3;
static float next_value(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 8388608.0f - 1.0f;
}

static const struct sinq_weight_error *find_error(const struct sinq_weight_report *report,
                                                  const struct memory_source *model, const char *name) {
    for (size_t i = 0; i < report->count; i++) {
        if (strcmp(model->tensors[report->errors[i].tensor].name, name) == 0) return &report->errors[i];
    }
    ck_abort_msg("%s is not in the report", name);
    return NULL;
}

static void check_near(const char *what, double found, double expected) {
    ck_assert_msg(fabs(found - expected) <= 1e-12 * fabs(expected) || found == expected, "%s: %.17g, expected %.17g",
                  what, found, expected);
}

START_TEST(errors_are_those_of_the_formulas) {
    float w[ROWS * COLS], r[ROWS * COLS];
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    double error = 0, norm = 0, model_norm = 0, product = 0, most = 0;
    for (size_t i = 0; i < ROWS * COLS; i++) {
        r[i] = next_value();
        w[i] = r[i] + 0.1f * next_value();
        const double d = (double)w[i] - (double)r[i];
        error += d * d;
        norm += (double)r[i] * (double)r[i];
        model_norm += (double)w[i] * (double)w[i];
        product += (double)w[i] * (double)r[i];
        most = fmax(most, fabs(d));
    }
    add_matrix(model, "a", ROWS, COLS, w);
    add_matrix(model, "same", ROWS, COLS, r);
    add_matrix(reference, "same", ROWS, COLS, r);
    add_matrix(reference, "a", ROWS, COLS, r);
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct sinq_weight_report report;
        struct sinq_error problem = {0};
        ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, threads, NULL, NULL, &report, &problem),
                         SINQ_OK);
        ck_assert_uint_eq(report.count, 2);
        ck_assert_uint_eq(report.missing, 0);
        ck_assert_str_eq(model->tensors[report.errors[0].tensor].name, "a"); /* the worst first */
        const struct sinq_weight_error *const a = find_error(&report, model, "a");
        check_near("relative error", a->relative_error, sqrt(error / norm));
        check_near("snr", a->snr_db, -20 * log10(sqrt(error / norm)));
        check_near("cosine", a->cosine, product / sqrt(norm * model_norm));
        check_near("max", a->max_error, most);
        check_near("norm", a->reference_norm, sqrt(norm));
        check_near("error norm", a->error_norm, sqrt(error));
        const struct sinq_weight_error *const same = find_error(&report, model, "same");
        check_near("equal", same->relative_error, 0);
        ck_assert(isinf(same->snr_db) && same->snr_db > 0);
        check_near("total", report.relative_error, sqrt(error / (2 * norm)));
        check_near("total max", report.max_error, most);
        sinq_weight_report_free(&report);
    }
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

START_TEST(quantized_tensors_are_compared_as_rebuilt_and_totalled_apart) {
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    const struct sinq_dual_scale matrix = {.rows = ROWS,
                                           .cols = COLS,
                                           .bits = 4,
                                           .group_size = 32,
                                           .scale_type = SINQ_AUX_F16,
                                           .zero_type = SINQ_AUX_F16,
                                           .has_column_scale = true,
                                           .factor = 1.0f};
    uint64_t bytes;
    uint8_t *const blob = make_random_blob(&matrix, &bytes);
    const size_t t = add_blobs(model, "q", &matrix, blob, bytes);
    free(blob);
    float rebuilt[ROWS * COLS], other[4] = {1, 2, 3, 4};
    struct sinq_error problem = {0};
    ck_assert_int_eq(sinq_read_rows(&model->base, t, 0, ROWS, rebuilt, &problem), SINQ_OK);
    double norm = 0;
    for (size_t i = 0; i < ROWS * COLS; i++) {
        rebuilt[i] *= 0.5f; /* the reference is half of what the model holds: a relative error of exactly 1 */
        norm += (double)rebuilt[i] * (double)rebuilt[i];
    }
    add_matrix(reference, "q", ROWS, COLS, rebuilt);
    add_matrix(reference, "kept", 2, 2, other);
    add_matrix(model, "kept", 2, 2, other);
    struct sinq_weight_report report;
    ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 2, NULL, NULL, &report, &problem), SINQ_OK);
    check_near("quantized", report.quantized_relative_error, 1.0);
    check_near("all", report.relative_error, sqrt(norm / (norm + 30)));
    check_near("cosine", find_error(&report, model, "q")->cosine, 1.0);
    sinq_weight_report_free(&report);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

START_TEST(what_cannot_be_compared_is_an_error_and_missing_tensors_are_counted) {
    static const float good[4] = {1, 2, 3, 4}, bad[4] = {1, NAN, 3, 4};
    static const struct {
        const char *name;
        const float *model, *reference;
        uint64_t cols;
        const char *message;
    } cases[] = {{"shapes", good, good, 4, "it is [2, 2]"},
                 {"NaN in the model", bad, good, 2, "finite"},
                 {"NaN in the reference", good, bad, 2, "finite"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
        add_matrix(model, "w", 4 / cases[i].cols, cases[i].cols, cases[i].model);
        add_matrix(reference, "w", 2, 2, cases[i].reference);
        struct sinq_weight_report report = {0};
        struct sinq_error problem = {0};
        ck_assert_msg(sinq_compare_weights(&model->base, &reference->base, 1, NULL, NULL, &report, &problem) ==
                          SINQ_FAILED,
                      "%s", cases[i].name);
        ck_assert_msg(strstr(problem.message, cases[i].message) != NULL && strstr(problem.message, "w") != NULL,
                      "%s: %s", cases[i].name, problem.message);
        sinq_weight_report_free(&report);
        sinq_source_close(&model->base);
        sinq_source_close(&reference->base);
    }
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    add_matrix(model, "only here", 2, 2, good);
    add_matrix(model, "both", 2, 2, good);
    add_matrix(reference, "both", 2, 2, good);
    struct sinq_weight_report report;
    struct sinq_error problem = {0};
    ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 1, NULL, NULL, &report, &problem), SINQ_OK);
    ck_assert_uint_eq(report.count, 1);
    ck_assert_uint_eq(report.missing, 1);
    ck_assert_str_eq(report.first_missing, "only here");
    sinq_weight_report_free(&report);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

UNIT_MAIN("weight error", errors_are_those_of_the_formulas,
          quantized_tensors_are_compared_as_rebuilt_and_totalled_apart,
          what_cannot_be_compared_is_an_error_and_missing_tensors_are_counted)
