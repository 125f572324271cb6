/* The quantizer against the reference implementation's own results, before any storage rounding. */
#include "golden.h"

/* What the issue allows: ties. */
#define TIE_DISTANCE      1e-5
#define CODES_PER_TIE     500
#define SCALE_TOLERANCE   2e-6
#define REBUILT_TOLERANCE 1e-5

struct comparison {
    size_t code_ties, zero_ties;
    double worst_scale, rebuilt, error, golden_error;
};

static bool is_half(double value) { return fabs(fabs(value - trunc(value)) - 0.5) <= TIE_DISTANCE; }

static double rebuild(const float *levels, unsigned code, float zero, float scale, float column) {
    const double level = levels != NULL ? (double)levels[code] : (double)code;
    return (level - (double)zero) * (double)scale * (double)column;
}

/* 8-bit scales are not those the reference rounded with: ours, which are, decide then. */
static bool is_code_tie(const struct golden_case *c, const struct sinq_plain_matrix *ours, const float *levels,
                        size_t i, size_t entry, unsigned code) {
    const double scale = (double)(c->has_aux ? ours->scale : c->scale)[entry];
    const double zero = (double)(c->has_aux ? ours->zero : c->zero)[entry];
    const double column = (double)(c->has_aux && !c->is_2d ? ours->column[i % c->cols] : c->column[i]);
    const double place = (double)c->weight[i] / column / scale + zero;
    if (levels == NULL) return abs((int)code - (int)c->codes[i]) == 1 && is_half(place);
    const unsigned low = code < c->codes[i] ? code : c->codes[i];
    const double middle = 0.5 * ((double)levels[low] + (double)levels[low + 1]);
    return abs((int)code - (int)c->codes[i]) == 1 && fabs(place - middle) <= TIE_DISTANCE;
}

static bool is_zero_tie(const struct golden_case *c, size_t row, size_t group, float zero) {
    double lowest = INFINITY;
    for (size_t k = group * c->group; k < (group + 1) * c->group; k++) {
        const size_t i = row * c->cols + k;
        lowest = fmin(lowest, (double)c->weight[i] / (double)c->column[i]);
    }
    const size_t entry = row * c->groups + group;
    return fabs((double)zero - (double)c->zero[entry]) == 1.0 && is_half(lowest / (double)c->scale[entry]);
}

static void compare_group(const struct golden_case *c, const struct sinq_plain_matrix *ours, const float *levels,
                          size_t row, size_t group, struct comparison *result) {
    const size_t entry = row * c->groups + group;
    const bool is_exact = c->method != SINQ_METHOD_SINQ_HQQ;
    const double zero_difference = fabs((double)ours->zero[entry] - (double)c->zero[entry]);
    const double zero_tolerance = levels != NULL ? 1e-5 : c->has_aux ? 0.51 * (double)c->zero_step + 1e-4 : 0.0;
    bool has_tie = false;
    if (is_exact && zero_difference > zero_tolerance) {
        ck_assert_msg(is_zero_tie(c, row, group, ours->zero[entry]), "%s: zero of row %zu group %zu is %g, not %g",
                      c->name, row, group, (double)ours->zero[entry], (double)c->zero[entry]);
        result->zero_ties++;
        has_tie = true;
    }
    for (size_t k = group * c->group; k < (group + 1) * c->group; k++) {
        const size_t i = row * c->cols + k, col = c->is_2d ? row / c->group * c->cols + k : k;
        const double product = (double)ours->scale[entry] * (double)ours->column[col];
        const double golden = (double)c->scale[entry] * (double)c->column[i];
        if (!c->has_aux && is_exact) result->worst_scale = fmax(result->worst_scale, fabs(product / golden - 1));
        const double mine = rebuild(levels, ours->codes[i], ours->zero[entry], ours->scale[entry], ours->column[col]);
        const double theirs = c->dequant != NULL
                                  ? (double)c->dequant[i]
                                  : rebuild(levels, c->codes[i], c->zero[entry], c->scale[entry], c->column[i]);
        result->error += (mine - (double)c->weight[i]) * (mine - (double)c->weight[i]);
        result->golden_error += (theirs - (double)c->weight[i]) * (theirs - (double)c->weight[i]);
        if (!is_exact || has_tie) continue;
        if (ours->codes[i] != c->codes[i]) {
            ck_assert_msg(is_code_tie(c, ours, levels, i, entry, ours->codes[i]),
                          "%s: code of row %zu column %zu is %u, not %u", c->name, row, k, ours->codes[i], c->codes[i]);
            result->code_ties++;
            has_tie = true;
        } else if (!c->has_aux) {
            result->rebuilt += (mine - theirs) * (mine - theirs);
        }
    }
}

static void judge(const struct golden_case *c, const struct comparison *result) {
    const size_t weights = c->rows * c->cols;
    double norm = 0;
    for (size_t i = 0; i < weights; i++) norm += (double)c->weight[i] * (double)c->weight[i];
    if (getenv("SINQ_VERBOSE") != NULL) {
        fprintf(stderr, "%-28s ties %zu codes %zu zeros, scale %.1e, rebuilt %.1e, error %.6f golden %.6f\n", c->name,
                result->code_ties, result->zero_ties, result->worst_scale, sqrt(result->rebuilt / norm),
                sqrt(result->error / norm), sqrt(result->golden_error / norm));
    }
    if (c->method == SINQ_METHOD_SINQ_HQQ) {
        ck_assert_msg(result->error <= result->golden_error, "%s: error above the reference's", c->name);
        return;
    }
    ck_assert_msg(result->code_ties * CODES_PER_TIE <= weights, "%s: %zu code ties", c->name, result->code_ties);
    /* The zeros of the rtn goldens come from undoing a normalization in f32: their ties are decided by that, and by chance. */
    const size_t groups = c->rows * c->groups, rounded_up = c->method == SINQ_METHOD_RTN ? CODES_PER_TIE - 1 : 0;
    ck_assert_msg(result->zero_ties <= (groups + rounded_up) / CODES_PER_TIE || c->is_gated, "%s: %zu zero ties of %zu",
                  c->name, result->zero_ties, groups);
    ck_assert_msg(!c->is_gated || result->zero_ties == 0, "%s: %zu zero ties", c->name, result->zero_ties);
    ck_assert_msg(result->worst_scale <= SCALE_TOLERANCE, "%s: scale off by %g", c->name, result->worst_scale);
    ck_assert_msg(sqrt(result->rebuilt / norm) <= REBUILT_TOLERANCE, "%s: rebuilt off by %g", c->name,
                  sqrt(result->rebuilt / norm));
}

static void run_case(const struct golden_case *c, double gate) {
    const size_t weights = c->rows * c->cols, entries = c->rows * c->groups;
    struct sinq_unit_matrix units = {0};
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(&units, c->rows, c->cols, (uint32_t)c->group, false, &error), SINQ_OK);
    for (size_t r = 0; r < c->rows; r++) sinq_put_row(&units, r, c->weight + r * c->cols);
    for (size_t i = 0; i < weights; i++) units.largest = fmaxf(units.largest, fabsf(c->weight[i]));
    sinq_finish_units(&units, 2);
    const size_t tiles = c->is_2d ? c->rows / c->group : 1;
    struct sinq_plain_matrix ours = {malloc(weights), malloc(entries * sizeof(float)), malloc(entries * sizeof(float)),
                                     malloc(tiles * c->cols * sizeof(float))};
    const struct sinq_matrix_method method = {
        .method = c->method, .bits = c->bits, .tiling_2d = c->is_2d, .kurtosis_gate = gate, .threads = 2};
    struct sinq_matrix_outcome outcome;
    ck_assert_int_eq(sinq_quantize_plain(&units, &method, &ours, &outcome, &error), SINQ_OK);
    if (gate > 0) ck_assert_msg(outcome.was_gated == c->is_gated, "%s: kurtosis %g", c->name, outcome.kurtosis);

    unsigned level_count;
    const float *const levels = sinq_method_levels(outcome.method, &level_count);
    struct comparison result = {0};
    for (size_t r = 0; r < c->rows; r++) {
        for (size_t g = 0; g < c->groups; g++) compare_group(c, &ours, levels, r, g, &result);
    }
    judge(c, &result);
    free(ours.codes);
    free(ours.scale);
    free(ours.zero);
    free(ours.column);
    sinq_free_units(&units);
}

static void run_file(const char *stem, double gate) {
    char name[128];
    (void)snprintf(name, sizeof name, "golden/quant/%s.json", stem);
    char *const json_path = find_shared(name);
    (void)snprintf(name, sizeof name, "golden/quant/%s.safetensors", stem);
    char *const data_path = find_shared(name);
    if (json_path == NULL || data_path == NULL) {
        free(json_path);
        free(data_path);
        return;
    }
    struct sinq_source *source;
    struct sinq_error error;
    char *text;
    size_t size;
    ck_assert_int_eq(sinq_open_checkpoint(data_path, &source, &error), SINQ_OK);
    ck_assert_int_eq(sinq_read_file(json_path, 1 << 20, &text, &size, &error), SINQ_OK);
    cJSON *const cases = cJSON_Parse(text);
    size_t count = 0;
    const cJSON *description;
    cJSON_ArrayForEach(description, cases) {
        struct golden_case c;
        load_golden(source, description, &c);
        run_case(&c, gate);
        free_golden(&c);
        count++;
    }
    ck_assert_uint_ge(count, 36);
    cJSON_Delete(cases);
    free(text);
    free(json_path);
    free(data_path);
    sinq_source_close(source);
}

START_TEST(equals_reference_with_gate) { run_file("reference", 5.0); }
END_TEST
START_TEST(equals_reference_on_real_weights) { run_file("real", 0.0); }
END_TEST

UNIT_MAIN("golden", equals_reference_with_gate, equals_reference_on_real_weights)
