/* Statistics of tensors: against plain formulas in long double, for every dtype and for values that break careless sums. */
#include <float.h>
#include <math.h>

#include "random_blob.h"

enum { MOST_VALUES = 5000 };

static struct sinq_tensor_stats measure(const struct memory_source *memory, size_t tensor, unsigned threads) {
    struct sinq_tensor_stats stats;
    struct sinq_error error = {0};
    const int status = sinq_measure_tensor(&memory->base, tensor, threads, &stats, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return stats;
}

static void check_near(const char *what, const char *which, double found, double expected, double tolerance) {
    const double allowed = tolerance * fmax(fabs(expected), DBL_MIN);
    ck_assert_msg(fabs(found - expected) <= allowed || found == expected, "%s: %s is %.17g, expected %.17g", what,
                  which, found, expected);
}

/* Two passes over finite values, as the textbook has it. */
static struct sinq_tensor_stats measure_plainly(const double *values, size_t count) {
    struct sinq_tensor_stats s = {.values = count};
    long double sum = 0, m2 = 0, m4 = 0;
    size_t finite = 0, outliers = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) continue;
        s.minimum = finite == 0 ? values[i] : fmin(s.minimum, values[i]);
        s.maximum = finite == 0 ? values[i] : fmax(s.maximum, values[i]);
        sum += (long double)values[i];
        finite++;
    }
    s.nonfinite = count - finite;
    if (finite == 0) return s;
    const long double mean = sum / (long double)finite;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) continue;
        const long double d = (long double)values[i] - mean;
        m2 += d * d;
        m4 += d * d * d * d;
    }
    s.mean = (double)mean;
    s.deviation = finite < 2 ? 0 : (double)sqrtl(m2 / (long double)(finite - 1));
    s.kurtosis = s.minimum < s.maximum ? (double)(m4 * (long double)finite / (m2 * m2)) : 0;
    for (size_t i = 0; i < count; i++) {
        outliers += isfinite(values[i]) && fabs(values[i] - s.mean) > 6 * s.deviation && s.deviation > 0;
    }
    s.outlier_share = (double)outliers / (double)finite;
    return s;
}

static double bell(void) {
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += random_value();
    return sum / 2;
}

/* ---- values ---- */

static double make_bell(size_t i) { return i % 997 == 5 ? 40 * bell() : bell(); }
static double make_far(size_t i) { return 1e6 + (double)(i % 7) * 0.25; }
static double make_huge(size_t i) { return (i % 3 == 0 ? -3e38 : 3e38) * (1 - (double)(i % 11) / 50); }
static double make_tiny(size_t i) { return (double)(i % 5) * 1e-44; }
static double make_constant(size_t i) { return i == SIZE_MAX ? 0 : 0.1f; }
static double make_zero(size_t i) { return i == SIZE_MAX ? 1 : 0; }
static double make_holes(size_t i) { return i % 10 == 3 ? NAN : i % 100 == 7 ? -INFINITY : bell(); }
static double make_nothing(size_t i) { return i % 2 ? NAN : INFINITY; }
static double make_spike(size_t i) { return i == 1234 ? 1e30 : 1e-3 * (double)(i % 2); }

static const struct {
    const char *name;
    double (*make)(size_t i);
    double tolerance; /* of deviation and kurtosis, relative */
} kinds[] = {{"bell with outliers", make_bell, 1e-11},
             {"far from zero", make_far, 1e-9},
             {"near the largest f32", make_huge, 1e-11},
             {"subnormal", make_tiny, 1e-11},
             {"constant", make_constant, 0},
             {"zero", make_zero, 0},
             {"NaN and infinities among them", make_holes, 1e-11},
             {"nothing finite", make_nothing, 0},
             {"one spike", make_spike, 1e-11}};
static const size_t counts[] = {0, 1, 2, 3, 1023, 1024, 1025, MOST_VALUES};

START_TEST(statistics_are_those_of_the_formulas) {
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            for (int is_wide = 0; is_wide < 2; is_wide++) {
                const uint64_t count = counts[c];
                float *const narrow = calloc(MOST_VALUES, sizeof *narrow);
                double *const wide = calloc(MOST_VALUES, sizeof *wide);
                for (size_t i = 0; i < count; i++) {
                    narrow[i] = (float)kinds[kind].make(i);
                    wide[i] = (double)narrow[i];
                }
                struct memory_source *const memory = create_memory("memory");
                const void *const data = is_wide ? (const void *)wide : (const void *)narrow;
                const uint64_t size = is_wide ? 8 : 4;
                const size_t t = add_tensor(memory, "w", is_wide ? SINQ_F64 : SINQ_F32, 1, &count, data, count * size);
                const struct sinq_tensor_stats found = measure(memory, t, 1);
                const struct sinq_tensor_stats expected = measure_plainly(wide, (size_t)count);
                char what[100];
                (void)snprintf(what, sizeof what, "%s, %u values", kinds[kind].name, (unsigned)count);
                ck_assert_uint_eq(found.values, expected.values);
                ck_assert_uint_eq(found.nonfinite, expected.nonfinite);
                check_near(what, "minimum", found.minimum, expected.minimum, 0);
                check_near(what, "maximum", found.maximum, expected.maximum, 0);
                ck_assert_msg(fabs(found.mean - expected.mean) <= 1e-13 * (fabs(expected.mean) + expected.deviation),
                              "%s: mean %g, expected %g", what, found.mean, expected.mean);
                check_near(what, "deviation", found.deviation, expected.deviation, kinds[kind].tolerance);
                check_near(what, "kurtosis", found.kurtosis, expected.kurtosis, kinds[kind].tolerance);
                check_near(what, "outliers", found.outlier_share, expected.outlier_share, 0);
                sinq_source_close(&memory->base);
                free(narrow);
                free(wide);
            }
        }
    }
}
END_TEST

START_TEST(every_dtype_is_read_as_it_is) {
    static const struct {
        enum sinq_dtype dtype;
        uint8_t bytes[32];
        size_t count;
        double minimum, maximum, mean, deviation;
    } cases[] = {
        {SINQ_F64, {0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 0xc0}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_F16, {0x00, 0x3c, 0x00, 0xc0}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_BF16, {0x80, 0x3f, 0x00, 0xc0}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_F8_E4M3, {0x38, 0xc0}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_F8_E5M2, {0x3c, 0xc0}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_I64,
         {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0},
         2,
         0x1p40,
         0x1p40 + 1,
         0x1p40 + 0.5,
         0.70710678118654752},
        {SINQ_U64, {0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0x80}, 2, 0x1p63, 0x1p63, 0x1p63, 0},
        {SINQ_I32, {0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff}, 2, -1, 2147483647, 1073741823, 1518500249.9880247},
        {SINQ_U32, {0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0}, 2, 1, 4294967295, 2147483648, 3037000498.561836},
        {SINQ_I16, {0xfe, 0xff, 1, 0}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_U16, {0xfe, 0xff, 0xfe, 0xff}, 2, 65534, 65534, 65534, 0},
        {SINQ_I8, {0xfe, 1}, 2, -2, 1, -0.5, 2.1213203435596424},
        {SINQ_U8, {0xfe, 0xfe}, 2, 254, 254, 254, 0},
        {SINQ_BOOL, {1, 0}, 2, 0, 1, 0.5, 0.70710678118654752},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const memory = create_memory("memory");
        const uint64_t count = cases[i].count;
        const size_t t =
            add_tensor(memory, "w", cases[i].dtype, 1, &count, cases[i].bytes, count * sinq_dtype_size(cases[i].dtype));
        const struct sinq_tensor_stats s = measure(memory, t, 1);
        const char *const what = sinq_dtype_name(cases[i].dtype);
        ck_assert_uint_eq(s.values, count);
        check_near(what, "minimum", s.minimum, cases[i].minimum, 0);
        check_near(what, "maximum", s.maximum, cases[i].maximum, 0);
        check_near(what, "mean", s.mean, cases[i].mean, 1e-15);
        check_near(what, "deviation", s.deviation, cases[i].deviation, 1e-15);
        sinq_source_close(&memory->base);
    }
}
END_TEST

START_TEST(a_scalar_has_no_spread) {
    const float value = -7;
    struct memory_source *const memory = create_memory("memory");
    const size_t t = add_tensor(memory, "w", SINQ_F32, 0, NULL, &value, sizeof value);
    const struct sinq_tensor_stats s = measure(memory, t, 2);
    ck_assert_uint_eq(s.values, 1);
    ck_assert_double_eq(s.mean, -7);
    ck_assert_double_eq(s.deviation, 0);
    ck_assert_double_eq(s.kurtosis, 0);
    sinq_source_close(&memory->base);
}
END_TEST

/* Values of F64 whose squares are none must not give NaN. */
START_TEST(values_beyond_f32_stay_in_order) {
    const double values[4] = {-1e300, 2e300, 5e299, 1e10};
    const uint64_t shape[2] = {2, 2};
    struct memory_source *const memory = create_memory("memory");
    const size_t t = add_tensor(memory, "w", SINQ_F64, 2, shape, values, sizeof values);
    const struct sinq_tensor_stats s = measure(memory, t, 1);
    ck_assert_uint_eq(s.nonfinite, 0);
    ck_assert_double_eq(s.minimum, -1e300);
    ck_assert_double_eq(s.maximum, 2e300);
    ck_assert_double_eq(s.kurtosis, 0);
    ck_assert(s.deviation > 1e300);
    ck_assert_double_eq(s.outlier_share, 0);
    sinq_source_close(&memory->base);
}
END_TEST

/* ---- tensors that are rebuilt, and threads ---- */

static void check_same(const char *what, const struct sinq_tensor_stats *a, const struct sinq_tensor_stats *b) {
    ck_assert_uint_eq(a->values, b->values);
    ck_assert_uint_eq(a->nonfinite, b->nonfinite);
    check_near(what, "minimum", a->minimum, b->minimum, 0);
    check_near(what, "maximum", a->maximum, b->maximum, 0);
    check_near(what, "mean", a->mean, b->mean, 1e-9);
    check_near(what, "deviation", a->deviation, b->deviation, 1e-12);
    check_near(what, "kurtosis", a->kurtosis, b->kurtosis, 1e-12);
    check_near(what, "outliers", a->outlier_share, b->outlier_share, 0);
    check_near(what, "imbalance before", a->imbalance_before, b->imbalance_before, 1e-6);
    check_near(what, "imbalance after", a->imbalance_after, b->imbalance_after, 1e-6);
}

START_TEST(quantized_tensors_are_measured_as_what_they_mean) {
    for (int transposed = 0; transposed < 2; transposed++) {
        const struct sinq_dual_scale matrix = {.rows = 150,
                                               .cols = 210,
                                               .bits = 4,
                                               .group_size = 64,
                                               .scale_type = SINQ_AUX_U8,
                                               .zero_type = SINQ_AUX_U8,
                                               .has_column_scale = true,
                                               .transposed = transposed != 0,
                                               .factor = 0.01f,
                                               .zero_low = 2,
                                               .zero_step = 0.02f};
        uint64_t bytes;
        uint8_t *const blob = make_random_blob(&matrix, &bytes);
        struct memory_source *const memory = create_memory("memory");
        const size_t quantized = add_blobs(memory, "q", &matrix, blob, bytes);
        float *const values = malloc(150 * 210 * sizeof *values), *const turned = malloc(150 * 210 * sizeof *values);
        struct sinq_error error;
        ck_assert_int_eq(sinq_read_rows(&memory->base, quantized, 0, transposed ? 210 : 150, values, &error), SINQ_OK);
        /* The imbalance is that of the matrix, however the tensor lies. */
        for (size_t r = 0; r < 150; r++) {
            for (size_t k = 0; k < 210; k++) turned[r * 210 + k] = values[transposed ? k * 150 + r : r * 210 + k];
        }
        const size_t plain = add_matrix(memory, "p", 150, 210, turned);
        const struct sinq_tensor_stats a = measure(memory, quantized, 2), b = measure(memory, plain, 2);
        check_same(transposed ? "transposed" : "as it is", &a, &b);
        sinq_source_close(&memory->base);
        free(values);
        free(turned);
        free(blob);
    }
}
END_TEST

START_TEST(nothing_depends_on_the_number_of_threads) {
    enum { ROWS = 1100, COLS = 700 };
    struct memory_source *const memory = create_memory("memory");
    float *const values = malloc((size_t)ROWS * COLS * sizeof *values);
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) values[i] = (float)make_bell(i);
    const size_t t = add_matrix(memory, "w", ROWS, COLS, values);
    const struct sinq_tensor_stats one = measure(memory, t, 1);
    ck_assert_double_gt(one.outlier_share, 0);
    for (unsigned threads = 2; threads <= 7; threads++) {
        const struct sinq_tensor_stats many = measure(memory, t, threads);
        ck_assert_msg(memcmp(&one, &many, sizeof one) == 0, "%u threads", threads);
    }
    sinq_source_close(&memory->base);
    free(values);
}
END_TEST

/* ---- imbalance ---- */

static double find_plain_deviation(const float *values, size_t count, size_t step) {
    double sum = 0, square = 0;
    for (size_t i = 0; i < count; i++) sum += (double)values[i * step];
    for (size_t i = 0; i < count; i++) square += pow((double)values[i * step] - sum / (double)count, 2);
    return sqrt(square / (double)(count - 1));
}

/* Equation 2 for columns [first, end). */
static double find_plain_imbalance(const float *values, size_t rows, size_t cols, size_t first, size_t end) {
    double lowest = INFINITY, highest = 0;
    for (size_t r = 0; r < rows; r++) {
        const double d = find_plain_deviation(values + r * cols + first, end - first, 1);
        lowest = fmin(lowest, d);
        highest = fmax(highest, d);
    }
    for (size_t k = first; k < end; k++) {
        const double d = find_plain_deviation(values + k, rows, cols);
        lowest = fmin(lowest, d);
        highest = fmax(highest, d);
    }
    return highest / lowest;
}

static void fill_uneven(float *values, size_t rows, size_t cols) {
    for (size_t r = 0; r < rows; r++) {
        for (size_t k = 0; k < cols; k++) {
            values[r * cols + k] = (float)bell() * (float)(1 + r % 5) * (k % 17 == 0 ? 4.0f : 1.0f);
        }
    }
}

START_TEST(imbalance_is_equation_2_over_tiles_of_64_columns) {
    static const size_t shapes[][2] = {{2, 2}, {40, 64}, {50, 150}, {33, 65 + 64}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const size_t rows = shapes[i][0], cols = shapes[i][1];
        float *const values = malloc(rows * cols * sizeof *values);
        fill_uneven(values, rows, cols);
        double expected = 0;
        size_t tiles = 0;
        for (size_t k = 0; k < cols; k += 64, tiles++) {
            if (cols - k == 1) {
                /* One column: rows have no deviation there, and the column is its own equal. */
                expected += 1;
            } else {
                expected += find_plain_imbalance(values, rows, cols, k, k + 64 < cols ? k + 64 : cols);
            }
        }
        struct memory_source *const memory = create_memory("memory");
        const struct sinq_tensor_stats s = measure(memory, add_matrix(memory, "w", rows, cols, values), 2);
        check_near("imbalance", "before", s.imbalance_before, expected / (double)tiles, 1e-5);
        ck_assert_double_ge(s.imbalance_before, s.imbalance_after);
        ck_assert_double_ge(s.imbalance_after, 1);
        if (rows >= 33) ck_assert_double_lt(s.imbalance_after, 0.7 * s.imbalance_before);
        sinq_source_close(&memory->base);
        free(values);
    }
}
END_TEST

START_TEST(imbalance_does_not_depend_on_scale_or_orientation) {
    enum { ROWS = 60, COLS = 100 };
    static const float factors[] = {1, 0x1p100f, 0x1p-100f};
    float values[ROWS * COLS], turned[ROWS * COLS];
    fill_uneven(values, ROWS, COLS);
    struct memory_source *const memory = create_memory("memory");
    struct sinq_tensor_stats first = {0};
    memory->base.model_type = (char *)(uintptr_t) "gpt2";
    static const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < ROWS * COLS; j++) turned[j] = values[j] * factors[i];
        const struct sinq_tensor_stats s = measure(memory, add_matrix(memory, names[i], ROWS, COLS, turned), 1);
        if (i == 0) first = s;
        check_near(names[i], "before", s.imbalance_before, first.imbalance_before, 1e-5);
        if (i == 1) ck_assert_double_lt(s.imbalance_after, 0.7 * s.imbalance_before);
    }
    /* GPT-2 keeps its weights [in, out]. */
    for (size_t r = 0; r < ROWS; r++) {
        for (size_t k = 0; k < COLS; k++) turned[k * ROWS + r] = values[r * COLS + k];
    }
    const struct sinq_tensor_stats s =
        measure(memory, add_matrix(memory, "h.0.attn.c_attn.weight", COLS, ROWS, turned), 1);
    check_near("transposed", "before", s.imbalance_before, first.imbalance_before, 0);
    check_near("transposed", "after", s.imbalance_after, first.imbalance_after, 0);
    sinq_source_close(&memory->base);
}
END_TEST

START_TEST(what_is_no_matrix_has_no_imbalance) {
    static const struct {
        const char *name;
        enum sinq_dtype dtype;
        uint32_t rank;
        uint64_t shape[4];
    } cases[] = {{"vector", SINQ_F32, 1, {64}},        {"row", SINQ_F32, 2, {1, 64}},
                 {"column", SINQ_F32, 2, {64, 1}},     {"empty", SINQ_F32, 2, {0, 64}},
                 {"integers", SINQ_I32, 2, {8, 8}},    {"convolution", SINQ_F32, 3, {4, 4, 4}},
                 {"images", SINQ_F32, 4, {2, 2, 4, 4}}};
    float values[64];
    for (size_t i = 0; i < 64; i++) values[i] = random_value();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct memory_source *const memory = create_memory("memory");
        uint64_t count = 1;
        for (uint32_t d = 0; d < cases[i].rank; d++) count *= cases[i].shape[d];
        const size_t t = add_tensor(memory, "w", cases[i].dtype, cases[i].rank, cases[i].shape, values, count * 4);
        const struct sinq_tensor_stats s = measure(memory, t, 1);
        ck_assert_msg(s.imbalance_before == 0 && s.imbalance_after == 0, "%s", cases[i].name);
        sinq_source_close(&memory->base);
    }
}
END_TEST

/* A stack's imbalance is the mean of its matrices'; values that are not finite count as zero. */
START_TEST(stacks_are_measured_matrix_by_matrix) {
    enum { SIDE = 48, COUNT = 3, VALUES = SIDE * SIDE };
    float values[COUNT * VALUES];
    fill_uneven(values, (size_t)COUNT * SIDE, SIDE);
    const uint64_t shape[3] = {COUNT, SIDE, SIDE};
    struct memory_source *const memory = create_memory("memory");
    double before = 0, after = 0;
    static const char *const names[COUNT] = {"0", "1", "2"};
    for (size_t i = 0; i < COUNT; i++) {
        const struct sinq_tensor_stats s =
            measure(memory, add_matrix(memory, names[i], SIDE, SIDE, values + i * VALUES), 1);
        before += s.imbalance_before / COUNT;
        after += s.imbalance_after / COUNT;
    }
    const struct sinq_tensor_stats s =
        measure(memory, add_tensor(memory, "stack", SINQ_F32, 3, shape, values, sizeof values), 2);
    check_near("stack", "before", s.imbalance_before, before, 1e-14);
    check_near("stack", "after", s.imbalance_after, after, 1e-14);

    values[5] = 0;
    const struct sinq_tensor_stats zero = measure(memory, add_matrix(memory, "zero", SIDE, SIDE, values), 1);
    values[5] = NAN;
    const struct sinq_tensor_stats hole = measure(memory, add_matrix(memory, "hole", SIDE, SIDE, values), 1);
    ck_assert_uint_eq(hole.nonfinite, 1);
    check_near("hole", "before", hole.imbalance_before, zero.imbalance_before, 0);
    check_near("hole", "after", hole.imbalance_after, zero.imbalance_after, 0);
    sinq_source_close(&memory->base);
}
END_TEST

/* A tall matrix is taken strip by strip, which must not show. */
START_TEST(tall_matrices_are_measured_in_strips) {
    enum { ROWS = 1 << 19, COLS = 66 };
    uint8_t *const values = malloc((size_t)ROWS * COLS);
    for (size_t i = 0; i < (size_t)ROWS * COLS; i++) values[i] = (uint8_t)(i * 2654435761u >> 13 & 0xb7);
    const uint64_t shape[2] = {ROWS, COLS}, narrow[2] = {ROWS, 64}, rest[2] = {ROWS, 2};
    struct memory_source *const memory = create_memory("memory");
    const size_t whole = add_tensor(memory, "w", SINQ_F8_E4M3, 2, shape, values, (uint64_t)ROWS * COLS);
    uint8_t *const part = malloc((size_t)ROWS * 64);
    for (size_t r = 0; r < ROWS; r++) memcpy(part + r * 64, values + r * COLS, 64);
    const size_t first = add_tensor(memory, "a", SINQ_F8_E4M3, 2, narrow, part, (uint64_t)ROWS * 64);
    for (size_t r = 0; r < ROWS; r++) memcpy(part + r * 2, values + r * COLS + 64, 2);
    const size_t second = add_tensor(memory, "b", SINQ_F8_E4M3, 2, rest, part, (uint64_t)ROWS * 2);
    const struct sinq_tensor_stats s = measure(memory, whole, 2), a = measure(memory, first, 2),
                                   b = measure(memory, second, 2);
    check_near("strips", "before", s.imbalance_before, (a.imbalance_before + b.imbalance_before) / 2, 1e-6);
    check_near("strips", "after", s.imbalance_after, (a.imbalance_after + b.imbalance_after) / 2, 1e-6);
    sinq_source_close(&memory->base);
    free(values);
    free(part);
}
END_TEST

START_TEST(what_cannot_be_read_is_an_error) {
    const float values[4] = {1, 2, 3, 4};
    struct memory_source *const memory = create_memory("memory");
    const size_t t = add_matrix(memory, "w", 2, 2, values);
    struct sinq_tensor_stats stats;
    struct sinq_error error = {0};
    ck_assert_int_eq(sinq_measure_tensor(&memory->base, 1, 1, &stats, &error), SINQ_USAGE);
    memory->fail_at = (int64_t)t;
    ck_assert_int_eq(sinq_measure_tensor(&memory->base, t, 1, &stats, &error), SINQ_FAILED);
    ck_assert_str_eq(error.message, "memory: w cannot be read");
    sinq_source_close(&memory->base);
}
END_TEST

UNIT_MAIN("statistics", statistics_are_those_of_the_formulas, every_dtype_is_read_as_it_is, a_scalar_has_no_spread,
          values_beyond_f32_stay_in_order, quantized_tensors_are_measured_as_what_they_mean,
          nothing_depends_on_the_number_of_threads, imbalance_is_equation_2_over_tiles_of_64_columns,
          imbalance_does_not_depend_on_scale_or_orientation, what_is_no_matrix_has_no_imbalance,
          stacks_are_measured_matrix_by_matrix, tall_matrices_are_measured_in_strips, what_cannot_be_read_is_an_error)
