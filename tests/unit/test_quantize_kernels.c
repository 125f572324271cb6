/* Every entry of every quantizer kernel table against the plain-C one, bit for bit, on random and adversarial data. */
#include <math.h>
#include <string.h>

#include "cpu_levels.h"
#include "kernels/quantize.h"
#include "unit.h"

enum { MOST_ROWS = 208, MOST_COLS = 80, GUARD = 64 };

enum data_kind { GAUSSIAN, TINY, HUGE_VALUES, MIXED, CONSTANT, ZEROS, SUBNORMAL, DATA_KINDS };
static const char *const kind_names[DATA_KINDS] = {"gaussian", "tiny",  "huge",     "mixed",
                                                   "constant", "zeros", "subnormal"};

static uint32_t random_state = 12345;
static uint32_t next_random(void) { return (random_state = random_state * 1664525u + 1013904223u) >> 8; }
static float random_normal(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; i++) sum += (float)next_random() / 16777216.0f;
    return sum;
}

static float make_value(enum data_kind kind) {
    const float normal = random_normal();
    switch (kind) {
    case TINY:
        return normal * 1e-12f;
    case HUGE_VALUES:
        return normal * 1e11f;
    case MIXED:
        return ldexpf(normal, (int)(next_random() % 60) - 40);
    case CONSTANT:
        return -0.37f;
    case ZEROS:
        return next_random() % 2 == 0 ? 0.0f : -0.0f;
    case SUBNORMAL:
        return normal * 1e-40f;
    default:
        return normal * 0.02f;
    }
}

static uint16_t to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)(bits >> 16);
}

struct data {
    float f32[MOST_ROWS * MOST_COLS];
    uint16_t bf16[MOST_ROWS * MOST_COLS];
    float cols[MOST_COLS], rows[MOST_ROWS];
};
static struct data data;

static void make_data(enum data_kind kind) {
    for (size_t i = 0; i < MOST_ROWS * MOST_COLS; i++) {
        data.f32[i] = make_value(kind);
        data.bf16[i] = to_bf16(data.f32[i]);
    }
    for (size_t j = 0; j < MOST_COLS; j++) data.cols[j] = 0.75f + (float)(next_random() % 1000) * 0.01f;
    for (size_t i = 0; i < MOST_ROWS; i++) data.rows[i] = 0.75f + (float)(next_random() % 1000) * 0.01f;
}

/* Everything a kernel may write, with guards behind each array. */
struct results {
    double col_sum[SINQ_STRIP_COLUMNS + GUARD], col_square[SINQ_STRIP_COLUMNS + GUARD];
    double row_sum[MOST_ROWS + GUARD], row_square[MOST_ROWS + GUARD];
    float row_a[MOST_ROWS + GUARD], row_b[MOST_ROWS + GUARD], row_c[MOST_ROWS + GUARD];
    float x[SINQ_LANES * MOST_COLS + GUARD];
    _Alignas(uint16_t) uint8_t codes[SINQ_LANES * MOST_COLS + GUARD];
    float scalars[4];
};
static struct results expected, found;

static void compare(const char *version, const char *kernel, enum data_kind kind, size_t rows, unsigned vectors) {
    ck_assert_msg(memcmp(&expected, &found, sizeof expected) == 0,
                  "%s: %s differs from plain C (%s, %zu rows, %u vectors)", version, kernel, kind_names[kind], rows,
                  vectors);
}

static void clear_results(struct results *r) {
    memset(r, 0xa5, sizeof *r);
    memset(r->col_sum, 0, sizeof r->col_sum);
    memset(r->col_square, 0, sizeof r->col_square);
    memset(r->row_sum, 0, sizeof r->row_sum);
    memset(r->row_square, 0, sizeof r->row_square);
}

static void run_measure(const struct sinq_quantize_kernels *k, bool is_bf16, size_t rows, unsigned vectors,
                        struct results *r) {
    clear_results(r);
    struct sinq_strip_sums sums = {.row_sum = r->row_sum,
                                   .row_square = r->row_square,
                                   .col_sum = r->col_sum,
                                   .col_square = r->col_square,
                                   .row_values = 2.0 * SINQ_LANES * vectors};
    /* A tile's first strip, then its last. */
    for (int strip = 0; strip < 2; strip++) {
        sums.adds = strip == 1;
        sums.row_deviation = strip == 1 ? r->row_a : NULL;
        if (is_bf16) {
            k->measure_strip_bf16(data.bf16 + strip, MOST_COLS, rows, vectors, data.cols, data.rows, &sums);
        } else {
            k->measure_strip_f32(data.f32 + strip, MOST_COLS, rows, vectors, data.cols, data.rows, &sums);
        }
    }
    r->scalars[0] = sums.has_dominant;
}

static void run_deviations(const struct sinq_quantize_kernels *k, size_t rows, const struct results *sums,
                           struct results *r) {
    clear_results(r);
    const size_t padded = (rows + 15) / 16 * 16;
    r->scalars[2] = k->find_deviations(padded, 64.0, sums->row_sum, sums->row_square, r->row_a);
    k->find_extremes(rows, r->row_a, &r->scalars[0], &r->scalars[1]);
    r->scalars[3] = k->step_scales(padded, r->row_a, 0.0123f, data.rows, r->row_b, r->row_c);
}

/* Ranges on both sides of zero, far from it, none at all, and of values of every size; scales as halves. */
static void run_ranges(const struct sinq_quantize_kernels *k, float top, size_t first, struct results *r) {
    float lowest[SINQ_LANES], highest[SINQ_LANES];
    clear_results(r);
    for (size_t l = 0; l < SINQ_LANES; l++) {
        const float a = data.f32[first + l], b = data.f32[first + l + SINQ_LANES];
        lowest[l] = fminf(a, b) + (l == 2 ? 1000.0f : 0.0f);
        highest[l] = fmaxf(a, b) + (l == 2 ? 1000.0f : 0.0f);
    }
    r->scalars[0] = k->choose_ranges(lowest, highest, top, 2047.0f, r->row_a, r->row_b);
    k->store_halves(data.f32 + first, 3 * SINQ_LANES, (uint16_t *)(void *)r->codes);
    if (r->scalars[0] != 0.0f) return;
    memset(r->row_a, 0, SINQ_LANES * sizeof(float)); /* may be anything */
    memset(r->row_b, 0, SINQ_LANES * sizeof(float));
}

static void run_normalize(const struct sinq_quantize_kernels *k, bool is_bf16, unsigned vectors, struct results *r) {
    uint32_t bits[MOST_ROWS * MOST_COLS];
    memcpy(bits, data.f32, sizeof bits);
    const size_t count = MOST_ROWS * MOST_COLS;
    const bool has_no_tiny = !(is_bf16 ? k->scan_bf16(data.bf16, count) : k->scan_f32(bits, count)).has_tiny;
    clear_results(r);
    if (is_bf16) {
        k->normalize_rows_bf16(data.bf16, MOST_COLS, vectors, has_no_tiny, data.cols, data.rows, r->x, MOST_COLS,
                               r->row_a, r->row_b);
    } else {
        k->normalize_rows_f32(data.f32, MOST_COLS, vectors, has_no_tiny, data.cols, data.rows, r->x, MOST_COLS,
                              r->row_a, r->row_b);
    }
}

/* Tables with a middle a cell, and some whose middles are too near to each other for that. */
static const struct {
    const char *name;
    unsigned count;
    float levels[16];
    bool has_cells;
} tables[] = {
    {"even, of 16", 16, {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7}, true},
    {"bytes above their centre",
     16,
     {-61.25f, -48.25f, -38.25f, -30.25f, -23.25f, -16.25f, -10.25f, -4.25f, 1.75f, 6.75f, 12.75f, 19.75f, 26.75f,
      34.75f, 44.75f, 59.75f},
     true},
    {"four", 4, {-46.5f, -9.5f, 22.5f, 65.5f}, true},
    {"two", 2, {-0.5f, 0.25f}, true},
    {"near to each other", 8, {-1, -0.01f, -0.009f, -0.008f, 0.008f, 0.009f, 0.5f, 1}, false},
    {"two of them equal", 4, {-1, 0.5f, 0.5f, 1}, true},
    {"all equal", 3, {2, 2, 2}, false},
};
#define TABLES (sizeof tables / sizeof tables[0])

static void run_encode(const struct sinq_quantize_kernels *k, unsigned bits, bool has_levels, unsigned vectors,
                       struct results *r) {
    float scale[SINQ_LANES], zero[SINQ_LANES], levels[16];
    struct sinq_level_table table;
    for (size_t i = 0; i < SINQ_LANES; i++) {
        scale[i] = i == 3 ? 1e30f : fabsf(data.f32[i * MOST_COLS]) * 0.3f + 1e-38f;
        zero[i] = (float)i - 4.0f;
    }
    for (int i = 0; i < 16; i++) levels[i] = -1.0f + 0.13f * (float)i;
    clear_results(r);
    if (has_levels) {
        sinq_make_level_table(levels, 1u << (bits > 4 ? 4 : bits), &table);
        k->encode_levels(data.f32, MOST_COLS, vectors, scale, zero, &table, data.cols, r->codes, MOST_COLS, r->row_a,
                         r->row_b);
    } else {
        k->encode_uniform(data.f32, MOST_COLS, vectors, scale, zero, (float)((1u << bits) - 1), data.cols, r->codes,
                          MOST_COLS, r->row_a, r->row_b);
    }
}

static void run_levels(const struct sinq_quantize_kernels *k, size_t which, struct results *r) {
    static const float steps[] = {40.0f, 55.0f, 61.0f};
    struct sinq_level_table table;
    const struct sinq_lane_groups groups = {data.f32, data.f32 + 700, 30};
    sinq_make_level_table(tables[which].levels, tables[which].count, &table);
    clear_results(r);
    k->search_levels(&groups, &table, steps, 3, r->row_a, r->x);
    k->round_levels(&groups, &table, r->row_a, r->codes, r->row_b);
    k->encode_levels(data.f32, MOST_COLS, 3, data.rows, data.cols, &table, data.cols, r->codes + 512, 48, r->row_c,
                     r->row_c + 16);
}

/* Scales of levels among a few that can be stored, wished ones of either sign, too small, too large and zero. */
static void run_choice(const struct sinq_quantize_kernels *k, size_t which, bool has_weights, struct results *r) {
    struct sinq_level_table table;
    struct sinq_lane_range range = {.low = 0.001f, .step = 0.0004f, .most = 63.0f};
    struct sinq_lane_choice choice;
    clear_results(r);
    sinq_make_level_table(tables[which].levels, tables[which].count, &table);
    for (size_t l = 0; l < SINQ_LANES; l++) {
        range.unit[l] = data.rows[l];
        range.by[l] = l == 5 ? 0.0f : ldexpf(1.0f, (int)l - 8);
        choice.scale[l] = (l % 2 == 0 ? 1.0f : -1.0f) * (l == 7 ? 0.0f : ldexpf(0.01f, (int)(l % 9) - 4));
    }
    k->spread_rows(data.f32 + 5, MOST_COLS, 37, range.by, r->x);
    const struct sinq_lane_groups groups = {r->x, has_weights ? data.rows : NULL, has_weights ? 12 : 37};
    k->choose_level_scale(&groups, &table, &range, &choice);
    memcpy(r->row_a, choice.scale, sizeof choice.scale);
    memcpy(r->row_b, choice.code, sizeof choice.code);
    memcpy(r->row_c, choice.error, sizeof choice.error);
}

/* Groups whose values reach from 0 to 1, and such as do not. */
static void run_search(const struct sinq_quantize_kernels *k, float top, enum data_kind kind, struct results *r) {
    static const float shrinks[][2] = {{1.0f, 1.0f}, {0.9f, 0.8f}, {0.7f, 0.9f}};
    struct sinq_lane_line line;
    float zero[SINQ_LANES];
    clear_results(r);
    for (size_t i = 0; i < SINQ_LANES * 64; i++) {
        r->x[i] = kind == GAUSSIAN ? (float)(i * 7919 % 1013) / 1012.0f : data.f32[i];
    }
    for (size_t l = 0; l < SINQ_LANES; l++) {
        line.scale[l] = l == 3 ? 0.0f : 1.0f / top;
        line.base[l] = (float)l * -0.01f;
        zero[l] = (float)l * 0.4f;
    }
    const struct sinq_lane_line_search search = {
        .values = r->x, .count = 50, .top = top, .shrinks = shrinks, .shrink_count = 3, .each = 1, .last = 2};
    k->search_line(&search, &line);
    memcpy(r->row_a, line.scale, sizeof line.scale);
    memcpy(r->row_b, line.base, sizeof line.base);
    k->refit_scale(&search, data.rows, zero, &line);
    memcpy(r->row_c, line.scale, sizeof line.scale);
}

/* Panels of sixteen columns, and columns of 32 rows that errors are taken from. */
static void run_products(const struct sinq_quantize_kernels *k, size_t rows, struct results *r) {
    clear_results(r);
    for (size_t i = 0; i < SINQ_LANES * MOST_COLS; i++) r->x[i] = data.f32[i];
    k->add_panel_products(data.f32 + 64, data.f32 + 160, rows, r->x + 3, 19);
    k->subtract_products(data.f32, data.f32 + 7, 9, rows % 37, 5, r->x + 640);
}

static void check_version(const struct sinq_quantize_kernels *k, const char *name, enum data_kind kind) {
    const struct sinq_quantize_kernels *const c = &sinq_quantize_kernels_c;
    static const size_t row_counts[] = {16, 32, 64, 80, MOST_ROWS};
    static const unsigned widths[] = {2, 3, 4, 5, 6, 8};
    for (unsigned vectors = 1; vectors <= SINQ_STRIP_VECTORS; vectors++) {
        for (size_t i = 0; i < sizeof row_counts / sizeof row_counts[0]; i++) {
            for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
                run_measure(c, is_bf16 != 0, row_counts[i], vectors, &expected);
                run_measure(k, is_bf16 != 0, row_counts[i], vectors, &found);
                compare(name, "measure_strip", kind, row_counts[i], vectors);
            }
            static struct results sums;
            sums = expected;
            run_deviations(c, row_counts[i] - 3, &sums, &expected);
            run_deviations(k, row_counts[i] - 3, &sums, &found);
            compare(name, "find_deviations, step_scales", kind, row_counts[i] - 3, vectors);
        }
        for (int is_bf16 = 0; is_bf16 < 2; is_bf16++) {
            run_normalize(c, is_bf16 != 0, vectors, &expected);
            run_normalize(k, is_bf16 != 0, vectors, &found);
            compare(name, "normalize_rows", kind, 16, vectors);
        }
        for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
            for (int has_levels = 0; has_levels < 2; has_levels++) {
                run_encode(c, widths[w], has_levels != 0, vectors, &expected);
                run_encode(k, widths[w], has_levels != 0, vectors, &found);
                compare(name, has_levels ? "encode_levels" : "encode_uniform", kind, 16, vectors);
            }
        }
    }
    for (size_t which = 0; which < TABLES; which++) {
        run_levels(c, which, &expected);
        run_levels(k, which, &found);
        compare(name, tables[which].name, kind, 16, 3);
        for (int has_weights = 0; has_weights < 2; has_weights++) {
            run_choice(c, which, has_weights != 0, &expected);
            run_choice(k, which, has_weights != 0, &found);
            compare(name, "spread_rows, choose_level_scale", kind, 16, 3);
        }
    }
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        const float top = (float)((1u << widths[w]) - 1);
        for (size_t first = 0; first < 640; first += 2 * SINQ_LANES) {
            run_ranges(c, top, first, &expected);
            run_ranges(k, top, first, &found);
            compare(name, "choose_ranges, store_halves", kind, 16, 1);
        }
        run_search(c, top, kind, &expected);
        run_search(k, top, kind, &found);
        compare(name, "search_line, refit_scale", kind, 16, 4);
    }
    for (size_t rows = 0; rows < 150; rows += 49) {
        run_products(c, rows, &expected);
        run_products(k, rows, &found);
        compare(name, "add_panel_products, subtract_products", kind, rows, 4);
    }
    for (size_t count = 0; count < 70; count++) {
        uint32_t bits[70];
        memcpy(bits, data.f32, sizeof bits);
        const struct sinq_magnitudes of_c[] = {c->scan_bf16(data.bf16, count), c->scan_f32(bits, count)};
        const struct sinq_magnitudes of_k[] = {k->scan_bf16(data.bf16, count), k->scan_f32(bits, count)};
        for (int i = 0; i < 2; i++) {
            ck_assert_uint_eq(of_c[i].largest, of_k[i].largest);
            ck_assert(of_c[i].has_tiny == of_k[i].has_tiny);
        }
    }
}

START_TEST(every_version_equals_plain_c) {
    const struct sinq_quantize_kernels *before = &sinq_quantize_kernels_c;
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level) || sinq_get_quantize_kernels() == before) continue;
        before = sinq_get_quantize_kernels();
        for (int kind = 0; kind < DATA_KINDS; kind++) {
            make_data((enum data_kind)kind);
            check_version(sinq_get_quantize_kernels(), cpu_level_names[level], (enum data_kind)kind);
        }
    }
    sinq_leave_out_extensions(false);
    ck_assert_int_eq(sinq_select_cpu(NULL, NULL), SINQ_OK);
}
END_TEST

/* Element of the strip that run_measure takes first or second. */
static double scaled_element(int strip, size_t i, size_t j) {
    return (double)data.f32[i * MOST_COLS + j + (size_t)strip] * (double)data.cols[j] * (double)data.rows[i];
}

/* The plain-C kernels against direct formulas in f64: rows of both strips, columns of the second. */
START_TEST(plain_c_equals_the_formula) {
    make_data(GAUSSIAN);
    run_measure(&sinq_quantize_kernels_c, false, 64, 4, &expected);
    for (size_t j = 0; j < 64; j++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < 64; i++) {
            const double value = scaled_element(1, i, j);
            sum += value;
            square += value * value;
        }
        ck_assert(fabs(expected.col_sum[j] - sum) <= 1e-5 * sqrt(square * 64));
        ck_assert(fabs(expected.col_square[j] - square) <= 1e-6 * square);
    }
    for (size_t i = 0; i < 64; i++) {
        double sum = 0, square = 0;
        for (size_t j = 0; j < 128; j++) {
            const double value = scaled_element(j >= 64, i, j % 64);
            sum += value;
            square += value * value;
        }
        ck_assert(fabs(expected.row_square[i] - square) <= 1e-6 * square);
        const double deviation = sqrt((square - sum * sum / 128) / 127);
        ck_assert(fabs((double)expected.row_a[i] - deviation) <= 1e-5 * deviation);
    }
}
END_TEST

START_TEST(tables_have_cells_where_middles_are_apart) {
    for (size_t i = 0; i < TABLES; i++) {
        struct sinq_level_table table;
        sinq_make_level_table(tables[i].levels, tables[i].count, &table);
        ck_assert_msg(table.has_cells == tables[i].has_cells, "%s", tables[i].name);
    }
}
END_TEST

/* Places at, just below and just above every middle, and far away. */
START_TEST(nearest_levels_of_all_tables_are_taken) {
    for (size_t i = 0; i < TABLES; i++) {
        struct sinq_level_table table;
        float x[SINQ_LANES * SINQ_LANES] = {0}, ones[SINQ_LANES], zeros[SINQ_LANES] = {0};
        uint8_t codes[SINQ_LANES * SINQ_LANES];
        float error[SINQ_LANES], norm[SINQ_LANES];
        size_t count = 0;
        sinq_make_level_table(tables[i].levels, tables[i].count, &table);
        for (size_t l = 0; l < SINQ_LANES; l++) ones[l] = 1.0f;
        for (unsigned m = 0; m + 1 < table.count; m++) {
            x[count++] = nextafterf(table.middle[m], -INFINITY);
            x[count++] = table.middle[m];
            x[count++] = nextafterf(table.middle[m], INFINITY);
        }
        x[count++] = -1e30f;
        x[count++] = 1e30f;
        sinq_get_quantize_kernels()->encode_levels(x, SINQ_LANES, 1, ones, zeros, &table, ones, codes, SINQ_LANES,
                                                   error, norm);
        for (size_t j = 0; j < count; j++) {
            unsigned code = 0;
            for (unsigned m = 0; m + 1 < table.count; m++) code += x[j] > table.middle[m];
            ck_assert_msg(codes[j] == code, "%s: %g became %u, not %u", tables[i].name, (double)x[j], codes[j], code);
        }
    }
}
END_TEST

/* a[r][i] b[r][j], and errors times factors. */
START_TEST(products_equal_the_formula) {
    enum { ROWS = 40, TERMS = 6, COLS = 4, STRIDE = 11 };
    make_data(GAUSSIAN);
    run_products(&sinq_quantize_kernels_c, ROWS, &expected);
    for (size_t i = 0; i < SINQ_LANES; i++) {
        for (size_t j = 0; j < SINQ_LANES; j++) {
            double sum = (double)data.f32[3 + i * 19 + j];
            for (size_t r = 0; r < ROWS; r++)
                sum += (double)data.f32[64 + SINQ_LANES * r + i] * (double)data.f32[160 + SINQ_LANES * r + j];
            ck_assert(fabs(sum - (double)expected.x[3 + i * 19 + j]) < 1e-7);
        }
    }
    float values[2 * SINQ_LANES * COLS];
    memcpy(values, data.f32, sizeof values);
    sinq_quantize_kernels_c.subtract_products(data.f32 + 200, data.f32 + 500, STRIDE, TERMS, COLS, values);
    for (size_t k = 0; k < COLS; k++) {
        for (size_t r = 0; r < 2 * SINQ_LANES; r++) {
            double left = (double)data.f32[2 * SINQ_LANES * k + r];
            for (size_t i = 0; i < TERMS; i++)
                left -= (double)data.f32[200 + 2 * SINQ_LANES * i + r] * (double)data.f32[500 + i * STRIDE + k];
            ck_assert(fabs(left - (double)values[2 * SINQ_LANES * k + r]) < 1e-7);
        }
    }
}
END_TEST

START_TEST(nearest_level_is_taken_and_ties_go_down) {
    float x[SINQ_LANES * SINQ_LANES] = {0}, scale[SINQ_LANES], zero[SINQ_LANES], weights[SINQ_LANES];
    const float levels[4] = {-1.0f, -0.25f, 0.5f, 1.0f};
    for (size_t i = 0; i < SINQ_LANES; i++) {
        scale[i] = weights[i] = 1.0f;
        zero[i] = 0.0f;
    }
    const float places[6] = {-2.0f, -0.625f, -0.624f, 0.125f, 0.126f, 9.0f};
    const uint8_t nearest[6] = {0, 0, 1, 1, 2, 3};
    memcpy(x, places, sizeof places);
    uint8_t codes[SINQ_LANES * SINQ_LANES];
    float error[SINQ_LANES], norm[SINQ_LANES];
    struct sinq_level_table table;
    sinq_make_level_table(levels, 4, &table);
    sinq_get_quantize_kernels()->encode_levels(x, SINQ_LANES, 1, scale, zero, &table, weights, codes, SINQ_LANES, error,
                                               norm);
    ck_assert_mem_eq(codes, nearest, sizeof nearest);
}
END_TEST

UNIT_MAIN("quantize kernels", every_version_equals_plain_c, plain_c_equals_the_formula,
          nearest_level_is_taken_and_ties_go_down, tables_have_cells_where_middles_are_apart,
          nearest_levels_of_all_tables_are_taken, products_equal_the_formula)
