/* The normalization against the same steps with every pass made in full: what is foreseen must not change a bit. */
#include <math.h>
#include <string.h>

#include "kernels/quantize.h"
#include "quant/matrix/sinkhorn.h"
#include "unit.h"

enum { MOST_ROWS = 1104, MOST_COLS = 128 };

struct sides {
    float rows[MOST_ROWS], cols[MOST_COLS];
};

static uint32_t random_state;
static float random_unit(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / 16777216.0f;
}

/* Rows and columns of spreads of their own, some of them far from the others. */
static void make_values(float *values, size_t rows, size_t cols, float spread) {
    static float of_cols[MOST_COLS];
    for (size_t j = 0; j < cols; j++) of_cols[j] = expf(spread * (random_unit() - 0.5f));
    for (size_t i = 0; i < rows; i++) {
        const float of_row = expf(spread * (random_unit() - 0.5f)) * (i % 97 == 5 ? 1.0f + 2.0f * spread : 1.0f);
        for (size_t j = 0; j < cols; j++) {
            float sum = -3.0f;
            for (int k = 0; k < 6; k++) sum += random_unit();
            values[i * cols + j] = 0.02f * sum * of_row * of_cols[j];
        }
    }
}

/* Deviations of all rows and columns under the scales; returns the imbalance. No mean is dominant. */
static float measure_all(const float *values, size_t rows, size_t cols, const struct sides *scale,
                         struct sides *deviation) {
    const struct sinq_quantize_kernels *const k = sinq_get_quantize_kernels();
    static double row_sum[MOST_ROWS], row_square[MOST_ROWS], col_sum[MOST_COLS], col_square[MOST_COLS];
    static struct sides inverse;
    for (size_t i = 0; i < rows; i++) inverse.rows[i] = 1.0f / scale->rows[i];
    for (size_t j = 0; j < cols; j++) inverse.cols[j] = 1.0f / scale->cols[j];
    for (size_t j = 0; j < cols; j += SINQ_STRIP_COLUMNS) {
        struct sinq_strip_sums sums = {
            .row_sum = row_sum, .row_square = row_square, .col_sum = col_sum + j, .col_square = col_square + j};
        sums.adds = j > 0;
        k->measure_strip_f32(values + j, cols, rows, SINQ_STRIP_VECTORS, inverse.cols + j, inverse.rows, &sums);
    }
    ck_assert(!k->find_deviations(rows, (double)cols, row_sum, row_square, deviation->rows));
    ck_assert(!k->find_deviations(cols, (double)rows, col_sum, col_square, deviation->cols));
    float low[2], high[2];
    k->find_extremes(rows, deviation->rows, &low[0], &high[0]);
    k->find_extremes(cols, deviation->cols, &low[1], &high[1]);
    return fmaxf(high[0], high[1]) / fmaxf(1e-12f, fminf(low[0], low[1]));
}

static float find_target(const struct sides *deviation, size_t rows, size_t cols) {
    float least = INFINITY;
    for (size_t i = 0; i < rows; i++) least = fminf(least, deviation->rows[i]);
    for (size_t j = 0; j < cols; j++) least = fminf(least, deviation->cols[j]);
    return fminf(fmaxf(least, 1e-3f), 1e3f) + 1e-6f;
}

/* Returns the number of passes, the last of which is the one that was too many. */
static unsigned normalize_in_full(const float *values, size_t rows, size_t cols, struct sides *best) {
    const struct sinq_quantize_kernels *const k = sinq_get_quantize_kernels();
    static struct sides scale, next, deviation, unused;
    float least = INFINITY, target = 0;
    for (size_t i = 0; i < rows; i++) scale.rows[i] = 1.0f;
    for (size_t j = 0; j < cols; j++) scale.cols[j] = 1.0f;
    unsigned step = 0;
    for (; step < SINQ_SINKHORN_STEPS; step++) {
        const float imbalance = measure_all(values, rows, cols, &scale, &deviation);
        if (imbalance > least) break;
        least = imbalance;
        *best = scale;
        if (step == 0) target = find_target(&deviation, rows, cols);
        (void)k->step_scales(rows, deviation.rows, target, scale.rows, next.rows, unused.rows);
        (void)k->step_scales(cols, deviation.cols, target, scale.cols, next.cols, unused.cols);
        scale = next;
    }
    return step < SINQ_SINKHORN_STEPS ? step + 1 : step;
}

START_TEST(a_pass_left_out_changes_nothing) {
    static float values[MOST_ROWS * MOST_COLS];
    static struct sides expected, found;
    static const size_t row_counts[] = {16, 512, 528, MOST_ROWS}, col_counts[] = {64, 128};
    struct sinq_sinkhorn *const work = sinq_sinkhorn_create(MOST_ROWS, MOST_COLS);
    ck_assert_ptr_nonnull(work);
    unsigned left_out = 0;
    for (int i = 0; i < 48; i++) {
        const size_t rows = row_counts[i % 4], cols = col_counts[i / 4 % 2];
        random_state = (uint32_t)i;
        make_values(values, rows, cols, 0.2f * (float)(i / 8));
        const struct sinq_tile tile = {.values = values, .rows = rows, .cols = cols, .stride = cols};
        struct sinq_sinkhorn_result result;
        const unsigned passes = normalize_in_full(values, rows, cols, &expected);
        sinq_normalize_tile(work, &tile, found.cols, found.rows, &result);
        ck_assert_mem_eq(found.rows, expected.rows, rows * sizeof(float));
        ck_assert_mem_eq(found.cols, expected.cols, cols * sizeof(float));
        ck_assert_uint_le(result.passes, passes);
        left_out += result.passes < passes;
    }
    ck_assert_uint_gt(left_out, 8);
    sinq_sinkhorn_free(work);
}
END_TEST

UNIT_MAIN("sinkhorn", a_pass_left_out_changes_nothing)
