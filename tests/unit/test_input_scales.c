/* A-SINQ's column scales: what they save where inputs differ, and what they do with statistics of no use. */
#include <math.h>
#include <string.h>

#include "quant/statistics/input_scales.h"
#include "unit.h"

enum { ROWS = 70, COLS = 160 };

static float w[ROWS * COLS], gram[COLS * COLS];

static uint32_t random_state = 41;
static float draw(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; i++) {
        random_state = random_state * 1664525u + 1013904223u;
        sum += (float)(random_state >> 8) / 16777216.0f;
    }
    return sum;
}

/* Inputs that do not hang together; every eighth is `loud` times the others. */
static void fill_case(float size, float loud) {
    for (size_t i = 0; i < ROWS * COLS; i++) w[i] = size * draw();
    memset(gram, 0, sizeof gram);
    for (size_t j = 0; j < COLS; j++) gram[j * (COLS + 1)] = j % 8 == 0 ? loud * loud : 1.0f;
}

struct made {
    struct sinq_dual_scale description;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_blob blob;
    float factors[COLS];
    bool is_found;
    double loss; /* tr(E H E^T), H diagonal */
};

static void quantize(const struct sinq_matrix_method *plain, enum sinq_aux_type type, bool is_scaled,
                     struct made *made) {
    struct sinq_unit_matrix units = {0};
    struct sinq_matrix_method method = *plain;
    struct sinq_matrix_outcome outcome;
    struct sinq_error error;
    float back[COLS];
    *made = (struct made){
        .description = {
            .rows = ROWS, .cols = COLS, .bits = method.bits, .group_size = 64, .scale_type = type, .zero_type = type}};
    ck_assert_int_eq(sinq_shape_units(&units, ROWS, COLS, 64, false, &error), SINQ_OK);
    for (size_t i = 0; i < ROWS * COLS; i++) units.largest = fmaxf(units.largest, fabsf(w[i]));
    for (size_t r = 0; r < ROWS; r++) sinq_put_row(&units, r, w + r * COLS);
    sinq_finish_units(&units, 2);
    if (is_scaled) {
        const struct sinq_dual_scale wished = made->description;
        ck_assert_int_eq(
            sinq_find_input_scales(&units, &method, &wished, gram, &made->blob, made->factors, &made->is_found, &error),
            SINQ_OK);
        method.column_factors = made->factors;
    }
    ck_assert_int_eq(sinq_quantize_packed(&units, &method, &made->description, &made->blob, &outcome, &error), SINQ_OK);
    ck_assert(sinq_dual_scale_measure(&made->description, &made->sizes));
    for (size_t r = 0; r < ROWS; r++) {
        sinq_dual_scale_decode(&made->description, &made->sizes, made->blob.bytes, r, 1, back);
        for (size_t k = 0; k < COLS; k++) {
            const double e = (double)w[r * COLS + k] - (double)back[k];
            made->loss += e * e * (double)gram[k * (COLS + 1)];
        }
    }
    sinq_free_units(&units);
}

static const struct {
    const char *name;
    enum sinq_method method;
    unsigned bits;
    enum sinq_aux_type type;
    float size, loud;
    double most; /* of the loss without */
} cases[] = {
    {"inputs alike cost no more than without", SINQ_METHOD_SINQ, 4, SINQ_AUX_U8, 0.02f, 1.0f, 1.0},
    {"loud inputs are rounded more finely", SINQ_METHOD_SINQ, 4, SINQ_AUX_U8, 0.02f, 16.0f, 0.6},
    {"with f16 scales", SINQ_METHOD_SINQ, 3, SINQ_AUX_F16, 0.02f, 16.0f, 0.6},
    {"with searched scales", SINQ_METHOD_SINQ_SEARCH, 3, SINQ_AUX_U8, 0.02f, 16.0f, 0.85},
    {"weights near the end of f16", SINQ_METHOD_SINQ, 4, SINQ_AUX_F16, 60000.0f, 100.0f, 0.6},
    {"tiny weights", SINQ_METHOD_SINQ, 4, SINQ_AUX_F16, 1e-30f, 100.0f, 0.6},
};

START_TEST(what_inputs_make_of_errors_becomes_less) {
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct sinq_matrix_method method = {.method = cases[c].method, .bits = cases[c].bits, .threads = 1};
        struct made plain, scaled, again;
        fill_case(cases[c].size, cases[c].loud);
        quantize(&method, cases[c].type, false, &plain);
        quantize(&method, cases[c].type, true, &scaled);
        method.threads = 3;
        quantize(&method, cases[c].type, true, &again);
        ck_assert_msg(scaled.is_found, "%s: nothing found", cases[c].name);
        ck_assert_msg(scaled.loss <= cases[c].most * plain.loss, "%s: %g, without %g", cases[c].name, scaled.loss,
                      plain.loss);
        ck_assert_uint_eq(scaled.sizes.bytes, again.sizes.bytes);
        ck_assert_mem_eq(scaled.blob.bytes, again.blob.bytes, (size_t)scaled.sizes.bytes);
        free(plain.blob.bytes), free(scaled.blob.bytes), free(again.blob.bytes);
    }
}
END_TEST

static const struct {
    const char *name;
    float value;
    size_t at;
} useless[] = {{"no number", NAN, 0}, {"a negative square", -1.0f, COLS + 1}, {"no number between columns", NAN, 5}};

START_TEST(statistics_of_no_use_change_nothing) {
    const struct sinq_matrix_method method = {.method = SINQ_METHOD_SINQ, .bits = 4, .threads = 1};
    for (size_t c = 0; c <= sizeof useless / sizeof useless[0]; c++) {
        struct made plain, scaled;
        fill_case(0.02f, 16.0f);
        if (c < sizeof useless / sizeof useless[0]) {
            gram[useless[c].at] = useless[c].value;
        } else {
            memset(gram, 0, sizeof gram);
        }
        quantize(&method, SINQ_AUX_U8, false, &plain);
        quantize(&method, SINQ_AUX_U8, true, &scaled);
        ck_assert_msg(!scaled.is_found, "case %zu found scales", c);
        ck_assert_uint_eq(scaled.sizes.bytes, plain.sizes.bytes);
        ck_assert_mem_eq(scaled.blob.bytes, plain.blob.bytes, (size_t)plain.sizes.bytes);
        free(plain.blob.bytes), free(scaled.blob.bytes);
    }
}
END_TEST

UNIT_MAIN("column scales by inputs", what_inputs_make_of_errors_becomes_less, statistics_of_no_use_change_nothing)
