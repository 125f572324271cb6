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

/* ---- pairs of values that need care ---- */

static struct sinq_weight_report compare(const struct memory_source *model, const struct memory_source *reference,
                                         unsigned threads) {
    struct sinq_weight_report report;
    struct sinq_error problem = {0};
    const int status = sinq_compare_weights(&model->base, &reference->base, threads, NULL, NULL, &report, &problem);
    ck_assert_msg(status == SINQ_OK, "%s", problem.message);
    return report;
}

/* Two values on each side, which f32 can hold: f32 in the model, f64 in the reference. */
START_TEST(edges_of_the_formulas_give_numbers) {
    static const struct {
        const char *name;
        double model[2], reference[2];
        double relative, cosine, most;
    } cases[] = {
        {"both zero", {0, -0.0}, {0, 0}, 0, 1, 0},
        {"zero reference", {3, 4}, {0, 0}, INFINITY, 0, 4},
        {"zero model", {0, 0}, {3, 4}, 1, 0, 4},
        {"opposite", {-3, -4}, {3, 4}, 2, -1, 8},
        {"twice", {6, 8}, {3, 4}, 1, 1, 4},
        {"at right angles", {4, -3}, {3, 4}, 1.4142135623730951, 0, 7},
        {"the largest f32",
         {0x1.fffffep127, -0x1.fffffep127},
         {-0x1.fffffep127, 0x1.fffffep127},
         2,
         -1,
         0x1.fffffep128},
        {"subnormal", {0x1p-148, 0}, {0x1p-149, 0}, 1, 1, 0x1p-149},
    };
    const uint64_t count = 2;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
        const float narrow[2] = {(float)cases[i].model[0], (float)cases[i].model[1]};
        add_tensor(model, "w", SINQ_F32, 1, &count, narrow, sizeof narrow);
        add_tensor(reference, "w", SINQ_F64, 1, &count, cases[i].reference, sizeof cases[i].reference);
        struct sinq_weight_report report = compare(model, reference, 1);
        const struct sinq_weight_error e = report.errors[0];
        ck_assert_uint_eq(e.values, 2);
        check_near(cases[i].name, e.relative_error, cases[i].relative);
        ck_assert_msg(fabs(e.cosine - cases[i].cosine) < 1e-12, "%s: cosine %g", cases[i].name, e.cosine);
        ck_assert_msg(fabs(e.max_error - cases[i].most) <= 1e-7 * cases[i].most, "%s: %g", cases[i].name, e.max_error);
        ck_assert_msg(isinf(e.relative_error) ? isinf(e.snr_db) && e.snr_db < 0 : e.snr_db >= -6.1, "%s: %g dB",
                      cases[i].name, e.snr_db);
        check_near(cases[i].name, report.relative_error, e.relative_error);
        check_near(cases[i].name, report.quantized_relative_error, 0);
        sinq_weight_report_free(&report);
        sinq_source_close(&model->base);
        sinq_source_close(&reference->base);
    }
}
END_TEST

START_TEST(values_whose_squares_overflow_are_refused_by_name) {
    const double huge[2] = {1e200, -1e300};
    const uint64_t count = 2;
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    add_tensor(model, "w", SINQ_F64, 1, &count, huge, sizeof huge);
    add_tensor(reference, "w", SINQ_F64, 1, &count, huge, sizeof huge);
    struct sinq_weight_report report;
    struct sinq_error problem = {0};
    ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 1, NULL, NULL, &report, &problem),
                     SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(problem.message, "tensor w: its values are too large"));
    ck_assert_ptr_null(report.errors);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

START_TEST(integers_are_equal_or_not_and_add_nothing_to_totals) {
    static const struct {
        const char *name;
        enum sinq_dtype model, reference;
        uint8_t last;
        bool is_equal;
    } cases[] = {{"equal bytes", SINQ_U8, SINQ_U8, 4, true},
                 {"one byte differs", SINQ_U8, SINQ_U8, 5, false},
                 {"booleans", SINQ_BOOL, SINQ_BOOL, 4, true},
                 {"another integer type", SINQ_I8, SINQ_U8, 4, false},
                 {"an integer for a float", SINQ_F8_E4M3, SINQ_I8, 4, false}};
    const uint64_t count = 4;
    const float other[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
        const uint8_t a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, cases[i].last};
        add_tensor(model, "w", cases[i].model, 1, &count, a, sizeof a);
        add_tensor(reference, "w", cases[i].reference, 1, &count, b, sizeof b);
        add_matrix(model, "other", 2, 2, other);
        add_matrix(reference, "other", 2, 2, other);
        struct sinq_weight_report report = compare(model, reference, 2);
        const struct sinq_weight_error *const e = find_error(&report, model, "w");
        ck_assert_msg(cases[i].is_equal ? e->relative_error == 0 && e->cosine == 1 && e->max_error == 0 && e->snr_db > 0
                                        : isinf(e->relative_error) && e->cosine == 0 && e->snr_db < 0,
                      "%s: %g", cases[i].name, e->relative_error);
        ck_assert_msg(report.relative_error == 0 && report.max_error == 0, "%s", cases[i].name);
        if (!cases[i].is_equal) ck_assert_msg(e == &report.errors[0], "%s", cases[i].name);
        sinq_weight_report_free(&report);
        sinq_source_close(&model->base);
        sinq_source_close(&reference->base);
    }
}
END_TEST

/* ---- long, turned and scaled tensors ---- */

START_TEST(nothing_depends_on_the_number_of_threads) {
    enum { TALL = 1300, WIDE = 900 }; /* several chunks */
    float *const w = malloc(sizeof *w * TALL * WIDE), *const r = malloc(sizeof *r * TALL * WIDE);
    double error = 0, norm = 0;
    for (size_t row = 0; row < TALL; row++) { /* row by row, which keeps the sums short and so exact enough */
        double row_error = 0, row_norm = 0;
        for (size_t i = row * WIDE; i < (row + 1) * WIDE; i++) {
            r[i] = next_value();
            w[i] = r[i] + 0.01f * next_value();
            row_error += pow((double)w[i] - (double)r[i], 2);
            row_norm += pow((double)r[i], 2);
        }
        error += row_error;
        norm += row_norm;
    }
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    add_matrix(model, "w", TALL, WIDE, w);
    add_matrix(reference, "w", TALL, WIDE, r);
    struct sinq_weight_report one = compare(model, reference, 1);
    check_near("long", one.errors[0].relative_error, sqrt(error / norm));
    for (unsigned threads = 2; threads <= 7; threads++) {
        struct sinq_weight_report many = compare(model, reference, threads);
        ck_assert_mem_eq(one.errors, many.errors, sizeof one.errors[0]);
        ck_assert(memcmp(&one.relative_error, &many.relative_error, sizeof one.relative_error) == 0);
        sinq_weight_report_free(&many);
    }
    /* The last value of the last chunk counts. */
    ((float *)model->data[0])[(size_t)TALL * WIDE - 1] = NAN;
    struct sinq_weight_report report;
    struct sinq_error problem = {0};
    ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 3, NULL, NULL, &report, &problem),
                     SINQ_FAILED);
    ck_assert_str_eq(problem.message, "model: tensor w: the value at row 1299, column 899 is not finite");
    sinq_weight_report_free(&one);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
    free(w);
    free(r);
}
END_TEST

/* A stack of transposed matrices against the same values in bf16: only bf16's rounding is between them. */
START_TEST(turned_stacks_are_compared_in_their_own_rows) {
    struct sinq_dual_scale matrix = {.rows = ROWS,
                                     .cols = COLS,
                                     .bits = 3,
                                     .group_size = 16,
                                     .stack_count = 3,
                                     .scale_type = SINQ_AUX_U8,
                                     .zero_type = SINQ_AUX_U8,
                                     .transposed = true,
                                     .factor = 0.1f,
                                     .zero_step = 0.01f};
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    uint8_t *stack = NULL;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 3; i++) {
        matrix.stack_index = i;
        uint8_t *const blob = make_random_blob(&matrix, &bytes);
        stack = realloc(stack, (size_t)(bytes * (i + 1)));
        ck_assert_ptr_nonnull(stack);
        memcpy(stack + bytes * i, blob, (size_t)bytes);
        free(blob);
    }
    const size_t t = add_blobs(model, "experts", &matrix, stack, 3 * bytes);
    free(stack);
    static float values[3 * ROWS * COLS];
    static uint16_t rounded[3 * ROWS * COLS];
    struct sinq_error problem = {0};
    ck_assert_int_eq(sinq_read_rows(&model->base, t, 0, 3 * COLS, values, &problem), SINQ_OK);
    long double error = 0, norm = 0;
    for (size_t i = 0; i < 3 * ROWS * COLS; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        rounded[i] = (uint16_t)(bits >> 16);
        const long double d = (long double)values[i] - (long double)sinq_bfloat_to_float(rounded[i]);
        error += d * d;
        norm += powl((long double)sinq_bfloat_to_float(rounded[i]), 2);
    }
    add_tensor(reference, "experts", SINQ_BF16, 3, (const uint64_t[]){3, COLS, ROWS}, rounded, sizeof rounded);
    struct sinq_weight_report report = compare(model, reference, 2);
    check_near("turned", report.errors[0].relative_error, (double)sqrtl(error / norm));
    check_near("turned, total", report.quantized_relative_error, report.errors[0].relative_error);
    ck_assert_uint_eq(report.errors[0].values, 3 * ROWS * COLS);
    sinq_weight_report_free(&report);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

START_TEST(block_scales_are_applied_and_are_no_weights) {
    const uint8_t fp8[4] = {0x38, 0x40, 0xb8, 0x30}; /* 1 2 -1 0.5 */
    const float scale = 4, meant[4] = {4, 8, -4, 2};
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    const size_t w = add_tensor(reference, "w", SINQ_F8_E4M3, 2, (const uint64_t[]){2, 2}, fp8, sizeof fp8);
    const size_t s = add_tensor(reference, "w_scale_inv", SINQ_F32, 2, (const uint64_t[]){1, 1}, &scale, sizeof scale);
    reference->tensors[w].scale_tensor = (int64_t)s;
    reference->tensors[w].scale_block[0] = reference->tensors[w].scale_block[1] = 128;
    reference->tensors[s].is_block_scale = true;
    add_matrix(model, "w", 2, 2, meant);
    struct sinq_weight_report report = compare(model, reference, 1);
    ck_assert_uint_eq(report.count, 1);
    ck_assert_uint_eq(report.missing, 0);
    check_near("scaled", report.errors[0].relative_error, 0);
    check_near("scaled", report.errors[0].reference_norm, 10);
    sinq_weight_report_free(&report);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

/* ---- the list ---- */

START_TEST(the_worst_come_first_and_equals_by_name) {
    static const struct {
        const char *name;
        float value; /* of the model; the reference has 1 */
    } tensors[] = {{"d", 1}, {"b", 1.5f}, {"f", 3}, {"a", 1}, {"c", 0.5f}, {"e", 1.5f}};
    static const char *const order[] = {"f", "b", "c", "e", "a", "d"};
    enum { COUNT = sizeof tensors / sizeof tensors[0] };
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    const float one = 1;
    for (size_t i = 0; i < COUNT; i++) add_matrix(model, tensors[i].name, 1, 1, &tensors[i].value);
    for (size_t i = 0; i < COUNT; i++) add_matrix(reference, tensors[COUNT - 1 - i].name, 1, 1, &one);
    struct sinq_weight_report report = compare(model, reference, 1);
    ck_assert_uint_eq(report.count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert_str_eq(model->tensors[report.errors[i].tensor].name, order[i]);
        ck_assert_str_eq(reference->tensors[report.errors[i].reference_tensor].name, order[i]);
    }
    sinq_weight_report_free(&report);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

/* Which side holds an lm_head, and whether it equals its embeddings. */
START_TEST(a_tied_head_is_not_missing) {
    static const float table[4] = {1, 2, 3, 4}, other[4] = {1, 2, 3, 5};
    static const struct {
        const char *what;
        bool of_model;
        const float *head;
        size_t missing;
    } cases[] = {{"tied, of the model", true, table, 0},
                 {"tied, of the reference", false, table, 0},
                 {"not tied, of the model", true, other, 1},
                 {"not tied, of the reference", false, other, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
        add_matrix(model, "model.embed_tokens.weight", 2, 2, table);
        add_matrix(reference, "model.embed_tokens.weight", 2, 2, table);
        add_matrix(cases[i].of_model ? model : reference, "lm_head.weight", 2, 2, cases[i].head);
        struct sinq_weight_report report = compare(model, reference, 1);
        ck_assert_msg(report.missing == cases[i].missing, "%s: %zu", cases[i].what, report.missing);
        if (cases[i].missing > 0) ck_assert_str_eq(report.first_missing, "lm_head.weight");
        sinq_weight_report_free(&report);
        sinq_source_close(&model->base);
        sinq_source_close(&reference->base);
    }
}
END_TEST

START_TEST(nothing_in_common_is_no_error) {
    const float value = 1;
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    add_tensor(model, "empty", SINQ_F32, 2, (const uint64_t[]){0, 4}, NULL, 0);
    add_tensor(reference, "empty", SINQ_F32, 2, (const uint64_t[]){0, 4}, NULL, 0);
    add_matrix(reference, "x", 1, 1, &value);
    add_matrix(reference, "y", 1, 1, &value);
    struct sinq_weight_report report = compare(model, reference, 2);
    ck_assert_uint_eq(report.count, 1);
    ck_assert_uint_eq(report.missing, 2);
    ck_assert_str_eq(report.first_missing, "x");
    check_near("total", report.relative_error, 0);
    sinq_weight_report_free(&report);
    sinq_weight_report_free(&report); /* once more is harmless */
    sinq_weight_report_free(NULL);
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

/* ---- progress and failures ---- */

struct calls {
    unsigned count, stop_at;
    uint64_t last_bytes, total;
    bool has_gone_back;
};

static int count_call(void *user, const struct sinq_progress *progress) {
    struct calls *const calls = user;
    calls->has_gone_back = calls->has_gone_back || progress->bytes < calls->last_bytes;
    calls->last_bytes = progress->bytes;
    calls->total = progress->bytes_total;
    return ++calls->count == calls->stop_at;
}

START_TEST(progress_reaches_the_end_and_can_stop) {
    static float values[ROWS * COLS];
    struct memory_source *const model = create_memory("model"), *const reference = create_memory("reference");
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        add_matrix(model, names[i], ROWS, COLS, values);
        add_matrix(reference, names[i], ROWS, COLS, values);
    }
    struct calls calls = {0};
    struct sinq_weight_report report;
    struct sinq_error problem = {0};
    ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 2, count_call, &calls, &report, &problem),
                     SINQ_OK);
    ck_assert_uint_eq(calls.last_bytes, calls.total);
    ck_assert_uint_eq(calls.total, 3 * sizeof values);
    ck_assert(!calls.has_gone_back);
    ck_assert_uint_ge(calls.count, 3);
    sinq_weight_report_free(&report);
    const unsigned all = calls.count;
    for (unsigned stop = 1; stop <= all; stop++) {
        calls = (struct calls){.stop_at = stop};
        ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 2, count_call, &calls, &report, &problem),
                         SINQ_INTERRUPTED);
        ck_assert_uint_eq(calls.count, stop);
        ck_assert_ptr_null(report.errors);
    }
    reference->fail_at = 1;
    ck_assert_int_eq(sinq_compare_weights(&model->base, &reference->base, 2, NULL, NULL, &report, &problem),
                     SINQ_FAILED);
    ck_assert_str_eq(problem.message, "memory: b cannot be read");
    sinq_source_close(&model->base);
    sinq_source_close(&reference->base);
}
END_TEST

UNIT_MAIN("weight error", errors_are_those_of_the_formulas,
          quantized_tensors_are_compared_as_rebuilt_and_totalled_apart,
          what_cannot_be_compared_is_an_error_and_missing_tensors_are_counted, edges_of_the_formulas_give_numbers,
          values_whose_squares_overflow_are_refused_by_name, integers_are_equal_or_not_and_add_nothing_to_totals,
          nothing_depends_on_the_number_of_threads, turned_stacks_are_compared_in_their_own_rows,
          block_scales_are_applied_and_are_no_weights, the_worst_come_first_and_equals_by_name,
          a_tied_head_is_not_missing, nothing_in_common_is_no_error, progress_reaches_the_end_and_can_stop)
