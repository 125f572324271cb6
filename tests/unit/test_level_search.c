/* Byte levels with signed scales: never worse than rounding without a search, extreme groups, whole matrices. */
#include <math.h>
#include <string.h>

#include "kernels/quantize.h"
#include "quant/matrix/level_search.h"
#include "quant/matrix/matrix.h"
#include "unit.h"

#define ROWS 32
#define COLS 32

enum filling { NORMAL, CONSTANT, OUTLIERS, NEGATIVE, TINY, ZEROS, SKEWED, HALF_ZEROS, ONE_OUTLIER };
static const struct {
    const char *name;
    enum filling filling;
} fillings[] = {{"normal", NORMAL},
                {"constant", CONSTANT},
                {"an outlier a group", OUTLIERS},
                {"all negative", NEGATIVE},
                {"tiny", TINY},
                {"zeros", ZEROS},
                {"skewed", SKEWED},
                {"every other row zeros", HALF_ZEROS},
                {"one outlier, other scales subnormal in f16", ONE_OUTLIER}};
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
        x[i] = filling == CONSTANT      ? -0.34375f
               : filling == OUTLIERS    ? (i % COLS == 5 ? 1000.0f : v)
               : filling == NEGATIVE    ? -fabsf(v)
               : filling == TINY        ? v * 0x1p-60f
               : filling == ZEROS       ? 0.0f
               : filling == HALF_ZEROS  ? (i / COLS % 2 == 0 ? v : 0.0f)
               : filling == ONE_OUTLIER ? (i == 5 ? 300000.0f : v)
               : filling == SKEWED      ? 10.0f * v * fabsf(v) + (v > 0.03f ? v : 0.0f)
                                        : v;
    }
}

/* The squared error of a row with a scale: each value goes to the nearest level. */
static double measure_row(const struct sinq_byte_levels *levels, const float *x, float scale) {
    double sum = 0;
    for (size_t j = 0; j < COLS; j++) {
        double least = INFINITY;
        for (int k = 0; k < 16; k++) {
            least = fmin(least, fabs((double)x[j] - (double)scale * (double)levels->above_centre.level[k]));
        }
        sum += least * least;
    }
    return sum;
}

static double measure_square(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double d = (double)a[i] - (b == NULL ? 0 : (double)b[i]);
        sum += d * d;
    }
    return sum;
}

/* The largest magnitude on the outer level, of either sign: what there is without a search. */
static double measure_unsearched(const struct sinq_byte_levels *levels, const float *x) {
    float most = 0, first = -levels->above_centre.level[0], last = levels->above_centre.level[15];
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
            float error[ROWS], stored[ROWS], stored_error[ROWS], unit[ROWS];
            uint8_t code[ROWS];
            sinq_search_signed_scales(SINQ_EFFORT_DEFAULT, bits, &levels, &block, values, scale, error);
            memcpy(stored, scale, sizeof stored);
            for (size_t r = 0; r < ROWS; r++) unit[r] = fmaxf(fabsf(scale[r]), 1e-30f);
            const struct sinq_signed_range range = {.low = 0.0f, .step = 0.043f, .most = 63.0f, .unit = unit};
            sinq_choose_stored_scales(&levels, &range, &block, values, stored, code, stored_error);
            for (size_t r = 0; r < ROWS; r++) {
                const double found = measure_row(&levels, x + r * COLS, scale[r]);
                const double kept = measure_row(&levels, x + r * COLS, stored[r]);
                const double norm = measure_square(x + r * COLS, NULL, COLS);
                /* Codes of the search are those from which its scale follows: the nearest ones leave a little less. */
                const double told = (double)stored_error[r] / (double)error[r] / (kept / found);
                check_often(scale[r] == 0 || found < 1e-3 * norm || (told > 0.97 && told < 1.002),
                            "%u bits, %s, row %zu: storing makes an error %g times as large, it says %g of that", bits,
                            fillings[f].name, r, kept / found, told);
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

struct packed {
    struct sinq_dual_scale description;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_blob blob;
    struct sinq_matrix_outcome outcome;
};

static void quantize(const float *w, unsigned bits, enum sinq_aux_type type, unsigned threads, struct packed *packed) {
    struct sinq_unit_matrix units = {0};
    struct sinq_error error;
    ck_assert_int_eq(sinq_shape_units(&units, MATRIX_ROWS, MATRIX_COLS, COLS, false, &error), SINQ_OK);
    for (size_t r = 0; r < MATRIX_ROWS; r++) {
        for (size_t k = 0; k < MATRIX_COLS; k++) units.largest = fmaxf(units.largest, fabsf(w[r * MATRIX_COLS + k]));
        sinq_put_row(&units, r, w + r * MATRIX_COLS);
    }
    sinq_finish_units(&units, threads);
    const struct sinq_matrix_method how = {.method = SINQ_METHOD_LEVELS, .bits = bits, .threads = threads};
    *packed = (struct packed){.description = {.rows = MATRIX_ROWS,
                                              .cols = MATRIX_COLS,
                                              .bits = bits,
                                              .group_size = COLS,
                                              .scale_type = type,
                                              .scale_signed = type != SINQ_AUX_F16,
                                              .zero_type = SINQ_AUX_NONE,
                                              .levels = SINQ_LEVELS_BYTES}};
    ck_assert_int_eq(sinq_quantize_packed(&units, &how, &packed->description, &packed->blob, &packed->outcome, &error),
                     SINQ_OK);
    ck_assert(sinq_dual_scale_measure(&packed->description, &packed->sizes));
    ck_assert(sinq_dual_scale_check(packed->blob.bytes, packed->sizes.bytes));
    sinq_free_units(&units);
}

/* Rounding to the same levels without a search, its scales as they are: what is stored may add 2 % (6 bits 5 %) to a search's error, or
 * becomes f16, which adds 2^-11 of a scale or 2^-24 of the largest one. */
static double measure_bound(const float *w, unsigned bits, enum sinq_aux_type type) {
    struct sinq_byte_levels levels;
    double unsearched = 0;
    sinq_find_byte_levels(bits, COLS, &levels);
    for (size_t i = 0; i < MATRIX_ROWS * MATRIX_COLS; i += COLS) unsearched += measure_unsearched(&levels, w + i);
    const double norm = measure_square(w, NULL, MATRIX_ROWS * MATRIX_COLS);
    return unsearched * (type == SINQ_AUX_U6 ? 1.05 : 1.02) + norm * 0x1p-22;
}

START_TEST(matrices_are_no_worse_than_unsearched_with_any_threads) {
    const enum sinq_aux_type types[] = {SINQ_AUX_F16, SINQ_AUX_U8, SINQ_AUX_U6};
    static float w[MATRIX_ROWS * MATRIX_COLS], back[MATRIX_ROWS * MATRIX_COLS];
    for (size_t f = 0; f < FILLINGS; f++) {
        fill(fillings[f].filling, w, MATRIX_ROWS * MATRIX_COLS);
        for (unsigned c = 0; c < 9; c++) {
            const unsigned bits = 2 + c / 3;
            const enum sinq_aux_type type = types[c % 3];
            struct packed packed, again;
            quantize(w, bits, type, 1, &packed);
            quantize(w, bits, type, 2, &again);
            ck_assert_mem_eq(packed.blob.bytes, again.blob.bytes, packed.sizes.bytes);
            sinq_dual_scale_decode(&packed.description, &packed.sizes, packed.blob.bytes, 0, MATRIX_ROWS, back);
            const double error = measure_square(w, back, MATRIX_ROWS * MATRIX_COLS);
            const double most = measure_bound(w, bits, type);
            ck_assert_msg(error <= most, "%s, %u bits, scales %s: %g, unsearched %g", fillings[f].name, bits,
                          sinq_aux_type_name(type), error, most);
            ck_assert_msg(fabs(packed.outcome.error_square - error) <= 1e-3 * error, "%s, %u bits: %g is told, %g is",
                          fillings[f].name, bits, packed.outcome.error_square, error);
            for (size_t i = 0; i < MATRIX_ROWS * MATRIX_COLS; i += COLS) {
                const bool is_zeros = measure_square(w + i, NULL, COLS) == 0;
                check_often(!is_zeros || measure_square(back + i, NULL, COLS) == 0, "zeros at %zu did not stay", i);
            }
            free(packed.blob.bytes);
            free(again.blob.bytes);
        }
    }
}
END_TEST

UNIT_MAIN("level search", searched_scales_are_never_worse_than_unsearched,
          matrices_are_no_worse_than_unsearched_with_any_threads)
