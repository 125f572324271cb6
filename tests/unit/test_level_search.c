/* Byte levels with signed scales: never worse than rounding without a search, extreme groups, whole matrices. */
#include <math.h>
#include <string.h>

#include "kernels/quantize.h"
#include "quant/level_search.h"
#include "quant/matrix.h"
#include "unit.h"

#define ROWS 32
#define COLS 32

enum filling { NORMAL, CONSTANT, OUTLIER, NEGATIVE, TINY, ZEROS, SKEWED };
static const struct {
    const char *name;
    enum filling filling;
} fillings[] = {{"normal", NORMAL}, {"constant", CONSTANT}, {"an outlier", OUTLIER}, {"all negative", NEGATIVE},
                {"tiny", TINY},     {"zeros", ZEROS},       {"skewed", SKEWED}};
#define FILLINGS (sizeof fillings / sizeof fillings[0])

static uint32_t random_state = 7;
static float random_normal(void) {
    float sum = -6.0f;
    for (int i = 0; i < 12; i++) {
        random_state = random_state * 1664525u + 1013904223u;
        sum += (float)(random_state >> 8) / 16777216.0f;
    }
    return sum;
}

static void fill(enum filling filling, float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const float v = 0.02f * random_normal();
        x[i] = filling == CONSTANT   ? -0.34375f
               : filling == OUTLIER  ? (i % COLS == 5 ? 1000.0f : v)
               : filling == NEGATIVE ? -fabsf(v)
               : filling == TINY     ? v * 0x1p-60f
               : filling == ZEROS    ? 0.0f
               : filling == SKEWED   ? 10.0f * v * fabsf(v) + (v > 0.03f ? v : 0.0f)
                                     : v;
    }
}

/* The squared error of a row with a scale: each value goes to the nearest level. */
static double measure_row(const struct sinq_byte_levels *levels, const float *x, float scale) {
    double sum = 0;
    for (size_t j = 0; j < COLS; j++) {
        double least = INFINITY;
        for (int k = 0; k < 16; k++) {
            least = fmin(least, fabs((double)x[j] - (double)scale * (double)levels->above_centre[k]));
        }
        sum += least * least;
    }
    return sum;
}

/* The largest magnitude on the outer level, of either sign: what there is without a search. */
static double measure_unsearched(const struct sinq_byte_levels *levels, const float *x) {
    float most = 0, first = -levels->above_centre[0], last = levels->above_centre[15];
    for (size_t j = 0; j < COLS; j++) most = fmaxf(most, fabsf(x[j]));
    const float step = most / fmaxf(first, last);
    return fmin(measure_row(levels, x, step), measure_row(levels, x, -step));
}

START_TEST(searched_scales_are_never_worse_than_unsearched) {
    for (unsigned bits = 2; bits <= 4; bits++) {
        struct sinq_byte_levels levels;
        sinq_find_byte_levels(bits, COLS, &levels);
        for (size_t f = 0; f < FILLINGS; f++) {
            float x[ROWS * COLS], values[2 * ROWS * COLS], scale[ROWS];
            fill(fillings[f].filling, x, ROWS * COLS);
            struct sinq_group_block block = {.x = x, .stride = COLS, .rows = ROWS, .cols = COLS};
            for (size_t r = 0; r < ROWS; r++) {
                block.lowest[r] = block.highest[r] = x[r * COLS];
                for (size_t j = 1; j < COLS; j++) {
                    block.lowest[r] = fminf(block.lowest[r], x[r * COLS + j]);
                    block.highest[r] = fmaxf(block.highest[r], x[r * COLS + j]);
                }
            }
            sinq_search_signed_scales(SINQ_EFFORT_DEFAULT, bits, &levels, &block, values, scale);
            for (size_t r = 0; r < ROWS; r++) {
                const double found = measure_row(&levels, x + r * COLS, scale[r]);
                const double most = measure_unsearched(&levels, x + r * COLS);
                check_often(found <= most * (1 + 1e-4), "%u bits, %s, row %zu: %g, unsearched %g", bits,
                            fillings[f].name, r, found, most);
            }
        }
    }
}
END_TEST

/* ---- whole matrices ---- */

#define MATRIX_ROWS 37
#define MATRIX_COLS 160

static void quantize(const float *w, unsigned bits, enum sinq_aux_type type, unsigned threads,
                     struct sinq_dual_scale *description, struct sinq_blob *blob) {
    struct sinq_unit_matrix units = {0};
    struct sinq_matrix_outcome outcome;
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(&units, MATRIX_ROWS, MATRIX_COLS, COLS, false, &error), SINQ_OK);
    for (size_t r = 0; r < MATRIX_ROWS; r++) {
        for (size_t k = 0; k < MATRIX_COLS; k++) units.largest = fmaxf(units.largest, fabsf(w[r * MATRIX_COLS + k]));
        sinq_put_row(&units, r, w + r * MATRIX_COLS);
    }
    sinq_finish_units(&units, threads);
    const struct sinq_matrix_method how = {.method = SINQ_METHOD_LEVELS, .bits = bits, .threads = threads};
    *description = (struct sinq_dual_scale){.rows = MATRIX_ROWS,
                                            .cols = MATRIX_COLS,
                                            .bits = bits,
                                            .group_size = COLS,
                                            .scale_type = type,
                                            .scale_signed = type != SINQ_AUX_F16,
                                            .zero_type = SINQ_AUX_NONE,
                                            .levels = SINQ_LEVELS_BYTES};
    ck_assert_int_eq(sinq_quantize_packed(&units, &how, description, blob, &outcome, &error), SINQ_OK);
    sinq_free_units(&units);
}

/* Relative squared errors that 2, 3 and 4 bits stay below, on values of a normal distribution. */
static const double most_errors[] = {0.13, 0.035, 0.008};

START_TEST(matrices_are_near_the_weights_with_any_threads) {
    const enum sinq_aux_type types[] = {SINQ_AUX_F16, SINQ_AUX_U8, SINQ_AUX_U6};
    static float w[MATRIX_ROWS * MATRIX_COLS], back[MATRIX_ROWS * MATRIX_COLS];
    for (size_t f = 0; f < FILLINGS; f++) {
        fill(fillings[f].filling, w, MATRIX_ROWS * MATRIX_COLS);
        for (unsigned c = 0; c < 9; c++) {
            const unsigned bits = 2 + c / 3;
            struct sinq_dual_scale description, again;
            struct sinq_dual_scale_sizes sizes;
            struct sinq_blob blob = {0}, other = {0};
            quantize(w, bits, types[c % 3], 1, &description, &blob);
            quantize(w, bits, types[c % 3], 2, &again, &other);
            ck_assert(sinq_dual_scale_measure(&description, &sizes));
            ck_assert(sinq_dual_scale_check(blob.bytes, sizes.bytes));
            ck_assert_mem_eq(blob.bytes, other.bytes, sizes.bytes);
            sinq_dual_scale_decode(&description, &sizes, blob.bytes, 0, MATRIX_ROWS, back);
            double error = 0, norm = 0;
            for (size_t i = 0; i < MATRIX_ROWS * MATRIX_COLS; i++) {
                const double d = (double)w[i] - (double)back[i];
                error += d * d;
                norm += (double)w[i] * (double)w[i];
            }
            const bool is_normal = fillings[f].filling == NORMAL || fillings[f].filling == TINY;
            const double most = norm * (is_normal ? most_errors[bits - 2] : 0.25);
            ck_assert_msg(error <= most, "%s, %u bits, scales %s: %g of %g", fillings[f].name, bits,
                          sinq_aux_type_name(types[c % 3]), error, norm);
            free(blob.bytes);
            free(other.bytes);
        }
    }
}
END_TEST

UNIT_MAIN("level search", searched_scales_are_never_worse_than_unsearched,
          matrices_are_near_the_weights_with_any_threads)
