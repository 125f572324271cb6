/* Rounding with error feedback and what it takes: sums of products, the factor, against plain f64 formulas. */
#include <math.h>
#include <string.h>

#include "quant/matrix/inverse_factor.h"
#include "quant/matrix/matrix.h"
#include "quant/statistics/gram.h"
#include "unit.h"

static uint32_t random_state = 77;
static uint32_t next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }
static float random_normal(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; i++) sum += (float)next_random() / 16777216.0f;
    return sum;
}

/* ---- sums of products ---- */

static const struct {
    size_t rows, width, stride;
} sums_of[] = {{1, 1, 1}, {7, 15, 20}, {64, 16, 16}, {33, 17, 19}, {50, 70, 70}};

START_TEST(sums_of_products_are_those_of_a_plain_sum) {
    for (size_t c = 0; c < sizeof sums_of / sizeof sums_of[0]; c++) {
        const size_t rows = sums_of[c].rows, width = sums_of[c].width, stride = sums_of[c].stride;
        const size_t padded = (width + 15) / 16 * 16;
        float *const x = malloc(rows * stride * sizeof *x), *const panels = malloc(rows * padded * sizeof *panels);
        float *const one = calloc(padded * padded, sizeof *one), *const three = calloc(padded * padded, sizeof *three);
        for (size_t i = 0; i < rows * stride; i++) x[i] = random_normal();
        for (int twice = 0; twice < 2; twice++) {
            sinq_add_gram(x, stride, rows, width, panels, one, 1);
            sinq_add_gram(x, stride, rows, width, panels, three, 3);
        }
        ck_assert_mem_eq(one, three, padded * padded * sizeof *one);
        for (size_t i = 0; i < width; i++) {
            for (size_t j = i; j < width; j++) {
                double sum = 0;
                for (size_t r = 0; r < rows; r++) sum += 2.0 * (double)x[r * stride + i] * (double)x[r * stride + j];
                check_often(fabs(sum - (double)one[i * padded + j]) <= 1e-5 * (double)rows, "%zu, %zu: %g, expected %g",
                            i, j, (double)one[i * padded + j], sum);
            }
        }
        free(x), free(panels), free(one), free(three);
    }
}
END_TEST

/* ---- inputs that hang together, and their H ---- */

static float *make_gram(size_t n, size_t samples) {
    float *const gram = malloc(n * n * sizeof *gram), *const x = malloc(samples * n * sizeof *x);
    for (size_t s = 0; s < samples; s++) {
        const float common = random_normal();
        for (size_t j = 0; j < n; j++) {
            const float before = j > 0 ? x[s * n + j - 1] : 0.0f;
            x[s * n + j] = 0.6f * before + 0.5f * common + random_normal() * (0.2f + 0.1f * (float)(j % 7));
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t s = 0; s < samples; s++) sum += (double)x[s * n + i] * (double)x[s * n + j];
            gram[i * n + j] = (float)(sum / (double)samples);
        }
    }
    free(x);
    return gram;
}

/* U^T U is the inverse: H U^T U = I. */
static const size_t factor_sizes[] = {1, 2, 63, 64, 65, 130};

START_TEST(the_factor_is_the_inverses) {
    for (size_t c = 0; c < sizeof factor_sizes / sizeof factor_sizes[0]; c++) {
        const size_t n = factor_sizes[c];
        float *const gram = make_gram(n, 2 * n + 20), *const u = malloc(n * n * sizeof *u),
                     *const u3 = malloc(n * n * sizeof *u);
        double *const reversed = malloc(n * n * sizeof *reversed), *const inverse = malloc(n * n * sizeof *inverse);
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            for (size_t i = 0; i < n * n; i++) reversed[i] = (double)gram[n * n - 1 - i];
            ck_assert(sinq_factor_inverse(reversed, inverse, n, threads == 1 ? u : u3, threads));
        }
        ck_assert_mem_eq(u, u3, n * n * sizeof *u);
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t k = 0; k < n; k++) {
                    double product = 0;
                    for (size_t p = 0; p <= (k < j ? k : j); p++)
                        product += (double)u[p * n + k] * (double)u[p * n + j];
                    sum += (double)gram[i * n + k] * product;
                }
                check_often(fabs(sum - (i == j)) < 1e-3, "n %zu: %g at %zu, %zu", n, sum, i, j);
                check_often(j >= i || u[i * n + j] == 0.0f, "n %zu: %zu, %zu is no triangle's", n, i, j);
            }
        }
        free(gram), free(u), free(u3), free(reversed), free(inverse);
    }
}
END_TEST

START_TEST(what_is_not_positive_definite_has_no_factor) {
    double indefinite[4] = {1, 2, 2, 1}, unknown[4] = {1, NAN, NAN, 1}, inverse[4];
    float u[4];
    ck_assert(!sinq_factor_inverse(indefinite, inverse, 2, u, 1));
    ck_assert(!sinq_factor_inverse(unknown, inverse, 2, u, 1));
}
END_TEST

/* ---- whole matrices ---- */

struct rounded {
    struct sinq_dual_scale description;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_blob blob;
    struct sinq_matrix_outcome outcome;
    float *back;
};

static void round_matrix(const float *w, size_t rows, size_t cols, const struct sinq_matrix_method *method,
                         uint32_t group, enum sinq_aux_type type, struct rounded *made) {
    struct sinq_unit_matrix units = {0};
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(&units, rows, cols, group, false, &error), SINQ_OK);
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < cols; k++) units.largest = fmaxf(units.largest, fabsf(w[r * cols + k]));
        sinq_put_row(&units, r, w + r * cols);
    }
    sinq_finish_units(&units, 2);
    *made = (struct rounded){.description = {.rows = rows,
                                             .cols = cols,
                                             .bits = method->bits,
                                             .group_size = group,
                                             .scale_type = type,
                                             .zero_type = type},
                             .back = malloc(rows * cols * sizeof(float))};
    ck_assert_int_eq(sinq_quantize_packed(&units, method, &made->description, &made->blob, &made->outcome, &error),
                     SINQ_OK);
    ck_assert(sinq_dual_scale_measure(&made->description, &made->sizes));
    ck_assert(sinq_dual_scale_check(made->blob.bytes, made->sizes.bytes));
    sinq_dual_scale_decode(&made->description, &made->sizes, made->blob.bytes, 0, rows, made->back);
    sinq_free_units(&units);
}

static void free_rounded(struct rounded *made) {
    free(made->back);
    free(made->blob.bytes);
}

/* Sum over rows of e H e^T. */
static double measure_output_error(const float *w, const float *back, size_t rows, size_t cols, const float *gram) {
    double sum = 0;
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < cols; i++) {
            double product = 0;
            for (size_t j = 0; j < cols; j++) {
                product += (double)gram[i * cols + j] * ((double)w[r * cols + j] - (double)back[r * cols + j]);
            }
            sum += product * ((double)w[r * cols + i] - (double)back[r * cols + i]);
        }
    }
    return sum;
}

static const struct {
    size_t rows, cols;
    enum sinq_method method;
    unsigned bits;
    uint32_t group;
    enum sinq_aux_type type;
    double most; /* of plain search's error in outputs */
} matrices[] = {
    {33, 192, SINQ_METHOD_SINQ_SEARCH, 4, 64, SINQ_AUX_U8, 0.8},
    {40, 130, SINQ_METHOD_SINQ_SEARCH, 3, 32, SINQ_AUX_F16, 0.8},
    {17, 257, SINQ_METHOD_SEARCH, 2, 128, SINQ_AUX_U8, 0.8},
    {32, 128, SINQ_METHOD_SEARCH, 4, 16, SINQ_AUX_F16, 0.8},
    {1, 65, SINQ_METHOD_SEARCH, 3, 64, SINQ_AUX_F16, 1.0},
    {34, 150, SINQ_METHOD_SINQ_SEARCH, 3, 0, SINQ_AUX_U8, 0.8},
    {33, 192, SINQ_METHOD_SINQ_LEVELS, 4, 32, SINQ_AUX_U6, 0.8},
    {35, 192, SINQ_METHOD_SEARCH, 4, 32, SINQ_AUX_U6, 0.8},
    {40, 130, SINQ_METHOD_LEVELS, 3, 16, SINQ_AUX_U8, 0.8},
    {17, 257, SINQ_METHOD_SINQ_LEVELS, 2, 64, SINQ_AUX_F16, 0.8},
};

/* With column scales the damping is another one, and levels are searched less when it must be fast. */
static bool is_comparable(size_t c) { return matrices[c].method == SINQ_METHOD_SEARCH; }

static void damp_gram(float *gram, size_t cols) {
    float sum = 0.0f;
    for (size_t i = 0; i < cols; i++) sum += gram[i * cols + i];
    for (size_t i = 0; i < cols; i++) gram[i * cols + i] += 0.01f * sum / (float)cols;
}

START_TEST(outputs_are_nearer_than_plain_roundings) {
    for (size_t c = 0; c < sizeof matrices / sizeof matrices[0]; c++) {
        const size_t rows = matrices[c].rows, cols = matrices[c].cols;
        float *const gram = make_gram(cols, 2 * cols), *const w = malloc(rows * cols * sizeof *w);
        for (size_t i = 0; i < rows * cols; i++) w[i] = 0.02f * random_normal();
        struct sinq_matrix_method method = {.method = matrices[c].method, .bits = matrices[c].bits, .threads = 1};
        struct rounded plain, one, three, fast;
        round_matrix(w, rows, cols, &method, matrices[c].group, matrices[c].type, &plain);
        method.gram = gram;
        round_matrix(w, rows, cols, &method, matrices[c].group, matrices[c].type, &one);
        method.threads = 3;
        round_matrix(w, rows, cols, &method, matrices[c].group, matrices[c].type, &three);
        method.effort = SINQ_EFFORT_FAST;
        round_matrix(w, rows, cols, &method, matrices[c].group, matrices[c].type, &fast);
        ck_assert_int_eq(one.outcome.calibration, SINQ_CALIBRATED_BY_FEEDBACK);
        ck_assert_int_eq(plain.outcome.calibration, SINQ_CALIBRATED_NOT);
        ck_assert_mem_eq(one.blob.bytes, three.blob.bytes, one.sizes.bytes);
        const double before = measure_output_error(w, plain.back, rows, cols, gram);
        const double after = measure_output_error(w, one.back, rows, cols, gram);
        ck_assert_msg(after <= matrices[c].most * before, "matrix %zu: %g, without feedback %g", c, after, before);
        /* Sweeps only ever go down. */
        damp_gram(gram, cols);
        const double swept = measure_output_error(w, one.back, rows, cols, gram);
        const double unswept = measure_output_error(w, fast.back, rows, cols, gram);
        ck_assert_msg(swept <= (is_comparable(c) ? 1.0001 : 1.05) * unswept, "matrix %zu: %g, without sweeps %g", c,
                      swept, unswept);
        double error = 0;
        for (size_t i = 0; i < rows * cols; i++) error += pow((double)w[i] - (double)one.back[i], 2);
        ck_assert_msg(fabs(sqrt(one.outcome.error_square) - sqrt(error)) <= 0.01 * sqrt(error),
                      "matrix %zu: %g reported, %g found", c, one.outcome.error_square, error);
        free_rounded(&plain), free_rounded(&one), free_rounded(&three), free_rounded(&fast);
        free(gram), free(w);
    }
}
END_TEST

/*
 * GPTQ by its definition, in f64: the inverse of H over the columns that are left is found anew at each column, and every error goes at
 * once to all columns behind it. Scales and zero points are the ones that were stored.
 */
enum { REFERENCE_ROWS = 20, REFERENCE_COLS = 96, REFERENCE_GROUP = 32 };

static void invert(double *a, size_t n, double *inverse) {
    for (size_t i = 0; i < n * n; i++) inverse[i] = i / n == i % n;
    for (size_t k = 0; k < n; k++) { /* Gauss and Jordan; positive definite, so no pivots */
        const double by = 1 / a[k * n + k];
        for (size_t j = 0; j < n; j++) a[k * n + j] *= by, inverse[k * n + j] *= by;
        for (size_t i = 0; i < n; i++) {
            const double f = a[i * n + k];
            if (i == k) continue;
            for (size_t j = 0; j < n; j++)
                a[i * n + j] -= f * a[k * n + j], inverse[i * n + j] -= f * inverse[k * n + j];
        }
    }
}

static void feed_back(double (*x)[REFERENCE_COLS], const float *gram, double mean, const struct rounded *made,
                      unsigned *others) {
    static double left[REFERENCE_COLS * REFERENCE_COLS], inverse[REFERENCE_COLS * REFERENCE_COLS];
    const size_t n = REFERENCE_COLS;
    for (size_t k = 0; k < n; k++) {
        const size_t m = n - k;
        for (size_t i = 0; i < m * m; i++)
            left[i] = (double)gram[(k + i / m) * n + k + i % m] + (i / m == i % m ? 0.01 * mean : 0);
        invert(left, m, inverse);
        for (size_t r = 0; r < REFERENCE_ROWS; r++) {
            const double factor = (double)made->description.factor;
            const size_t g = k / REFERENCE_GROUP;
            const double s =
                factor * (double)sinq_dual_scale_scale(&made->description, &made->sizes, made->blob.bytes, r, g);
            const double z = (double)sinq_dual_scale_zero(&made->description, &made->sizes, made->blob.bytes, r, g);
            const double top = (double)((1u << made->description.bits) - 1u);
            const double back = (double)made->back[r * n + k], place = x[r][k] / s + z;
            const double code = fmin(fmax(nearbyint(place), 0), top), found = nearbyint(back / s + z);
            const bool is_tie = fabs(fabs(place - floor(place)) - 0.5) < 1e-3;
            check_often(code == found || is_tie, "row %zu, column %zu: code %g, expected %g (%g)", r, k, found, code,
                        place);
            *others += code != found;
            const double error = (x[r][k] - back) / inverse[0];
            for (size_t j = 1; j < m; j++) x[r][k + j] -= error * inverse[j];
        }
    }
}

START_TEST(codes_are_those_of_the_definition) {
    static float w[REFERENCE_ROWS * REFERENCE_COLS];
    static double x[REFERENCE_ROWS][REFERENCE_COLS];
    float *const gram = make_gram(REFERENCE_COLS, 300);
    double mean = 0;
    unsigned others = 0;
    for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) {
        w[i] = 0.02f * random_normal();
        x[i / REFERENCE_COLS][i % REFERENCE_COLS] = (double)w[i];
    }
    for (size_t i = 0; i < REFERENCE_COLS; i++) mean += (double)gram[i * REFERENCE_COLS + i] / REFERENCE_COLS;
    /* FAST: without sweeps. */
    struct sinq_matrix_method method = {
        .method = SINQ_METHOD_SEARCH, .bits = 3, .effort = SINQ_EFFORT_FAST, .gram = gram, .threads = 1};
    struct rounded made;
    round_matrix(w, REFERENCE_ROWS, REFERENCE_COLS, &method, REFERENCE_GROUP, SINQ_AUX_F16, &made);
    ck_assert_int_eq(made.outcome.calibration, SINQ_CALIBRATED_BY_FEEDBACK);
    feed_back(x, gram, mean, &made, &others);
    ck_assert_uint_le(others, 10);
    free_rounded(&made);
    free(gram);
}
END_TEST

/* Statistics that do not serve, and such as only just do: the matrix is as without them, or finite at least. */
enum { CASE_COLS = 64 };
static const struct {
    const char *name;
    float diagonal, rest;
    enum sinq_calibration calibration;
} cases[] = {
    {"zeros", 0.0f, 0.0f, SINQ_CALIBRATED_NOT},           {"unknown", 1.0f, NAN, SINQ_CALIBRATED_BY_WEIGHTS},
    {"infinite", INFINITY, 0.0f, SINQ_CALIBRATED_NOT},    {"indefinite", 1.0f, 100.0f, SINQ_CALIBRATED_BY_WEIGHTS},
    {"tiny", 1e-38f, 0.0f, SINQ_CALIBRATED_BY_FEEDBACK},  {"huge", 1e38f, 0.0f, SINQ_CALIBRATED_BY_FEEDBACK},
    {"singular", 1.0f, 1.0f, SINQ_CALIBRATED_BY_FEEDBACK}};
static const float offsets[] = {0.0f, 1.0f, -1.0f, 1e-7f, 1e6f};

START_TEST(odd_statistics_and_values_are_survived) {
    static float gram[CASE_COLS * CASE_COLS], w[33 * CASE_COLS];
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
            for (size_t i = 0; i < CASE_COLS * CASE_COLS; i++)
                gram[i] = i % (CASE_COLS + 1) == 0 ? cases[c].diagonal : cases[c].rest;
            for (size_t i = 0; i < sizeof w / sizeof w[0]; i++)
                w[i] = offsets[o] + (i < 70 ? 0.0f : 1e-3f * random_normal());
            const struct sinq_matrix_method method = {
                .method = SINQ_METHOD_SEARCH, .bits = 4, .gram = gram, .threads = 1};
            for (int type = 0; type < 2; type++) {
                struct rounded made;
                round_matrix(w, 33, CASE_COLS, &method, 32, type == 0 ? SINQ_AUX_F16 : SINQ_AUX_U8, &made);
                ck_assert_msg(made.outcome.calibration == cases[c].calibration, "%s", cases[c].name);
                for (size_t i = 0; i < sizeof w / sizeof w[0]; i++)
                    check_often(isfinite(made.back[i]), "%s, offset %g: not finite", cases[c].name, (double)offsets[o]);
                free_rounded(&made);
            }
        }
    }
}
END_TEST

/* What is nothing but a diagonal: columns count by it. */
START_TEST(without_feedback_columns_count_by_their_mean_squares) {
    static float gram[CASE_COLS * CASE_COLS], w[64 * CASE_COLS];
    static const enum sinq_method methods[] = {SINQ_METHOD_SINQ_SEARCH, SINQ_METHOD_SINQ_LEVELS};
    for (size_t i = 0; i < CASE_COLS * CASE_COLS; i++) gram[i] = NAN;
    for (size_t i = 0; i < CASE_COLS; i++) gram[i * (CASE_COLS + 1)] = expf(2.0f * random_normal());
    for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) w[i] = 0.02f * random_normal();
    for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++) {
        struct sinq_matrix_method method = {.method = methods[m], .bits = 3, .threads = 1};
        struct rounded plain, made;
        double before = 0, after = 0;
        round_matrix(w, 64, CASE_COLS, &method, 32, SINQ_AUX_U8, &plain);
        method.gram = gram;
        round_matrix(w, 64, CASE_COLS, &method, 32, SINQ_AUX_U8, &made);
        ck_assert_int_eq(made.outcome.calibration, SINQ_CALIBRATED_BY_WEIGHTS);
        for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) {
            const double weight = (double)gram[i % CASE_COLS * (CASE_COLS + 1)];
            before += weight * pow((double)w[i] - (double)plain.back[i], 2);
            after += weight * pow((double)w[i] - (double)made.back[i], 2);
        }
        ck_assert_msg(after <= 0.8 * before, "method %zu: %g, without weights %g", m, after, before);
        free_rounded(&plain), free_rounded(&made);
    }
}
END_TEST

/* Inputs that do not hang together: nothing to make up for, so no worse than without, however far groups are from zero. */
START_TEST(groups_far_from_zero_get_wider_zero_points) {
    static float gram[CASE_COLS * CASE_COLS], w[33 * CASE_COLS];
    for (size_t i = 0; i < CASE_COLS * CASE_COLS; i++) gram[i] = i % (CASE_COLS + 1) == 0 ? 1.0f : 0.0f;
    for (size_t o = 0; o < sizeof offsets / sizeof offsets[0]; o++) {
        struct sinq_matrix_method method = {.method = SINQ_METHOD_SEARCH, .bits = 4, .threads = 1};
        struct rounded plain, made;
        for (size_t i = 0; i < sizeof w / sizeof w[0]; i++) w[i] = offsets[o] * 1e-2f + 1e-3f * random_normal();
        round_matrix(w, 33, CASE_COLS, &method, 32, SINQ_AUX_U8, &plain);
        method.gram = gram;
        round_matrix(w, 33, CASE_COLS, &method, 32, SINQ_AUX_U8, &made);
        ck_assert_int_eq(made.outcome.calibration, SINQ_CALIBRATED_BY_FEEDBACK);
        ck_assert(made.outcome.was_widened == plain.outcome.was_widened);
        ck_assert_msg(made.outcome.error_square <= 1.05 * plain.outcome.error_square, "offset %g: %g, plain %g",
                      (double)offsets[o], made.outcome.error_square, plain.outcome.error_square);
        free_rounded(&plain), free_rounded(&made);
    }
}
END_TEST

UNIT_MAIN("rounding with error feedback", sums_of_products_are_those_of_a_plain_sum, the_factor_is_the_inverses,
          what_is_not_positive_definite_has_no_factor, outputs_are_nearer_than_plain_roundings,
          codes_are_those_of_the_definition, odd_statistics_and_values_are_survived,
          without_feedback_columns_count_by_their_mean_squares, groups_far_from_zero_get_wider_zero_points)
