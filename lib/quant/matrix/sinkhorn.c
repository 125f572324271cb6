#include "quant/matrix/sinkhorn.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The reference's bounds: deviations are clamped to [1e-3, 1e3], the divisor of the imbalance is at least 1e-12. */
#define SMALLEST_DEVIATION 1e-3f
#define LARGEST_DEVIATION  1e3f
#define SMALLEST_DIVISOR   1e-12f

/* Scales and what follows from them, of rows or of columns; arrays padded to sixteen. */
struct side {
    float *scale, *next, *best; /* this step's, the one being made, the best so far */
    float *inverse;
    float *deviation;
    float smallest, largest;
};

struct sinq_sinkhorn {
    struct side rows, cols;
    double *row_sum, *row_square, *col_sum, *col_square;
    float *memory;
};

struct sinq_sinkhorn *sinq_sinkhorn_create(size_t most_rows, size_t most_cols) {
    struct sinq_sinkhorn *const work = calloc(1, sizeof *work);
    if (work == NULL) return NULL;
    const size_t r = sinq_pad_lanes(most_rows), c = sinq_pad_lanes(most_cols);
    work->memory = calloc(5 * r + 5 * c, sizeof(float));
    work->row_sum = calloc(2 * (r + c), sizeof(double));
    if (work->memory == NULL || work->row_sum == NULL) {
        sinq_sinkhorn_free(work);
        return NULL;
    }
    float *m = work->memory;
    float **const of_rows[] = {&work->rows.scale, &work->rows.next, &work->rows.best, &work->rows.inverse,
                               &work->rows.deviation};
    float **const of_cols[] = {&work->cols.scale, &work->cols.next, &work->cols.best, &work->cols.inverse,
                               &work->cols.deviation};
    for (size_t i = 0; i < sizeof of_rows / sizeof of_rows[0]; i++, m += r) *of_rows[i] = m;
    for (size_t i = 0; i < sizeof of_cols / sizeof of_cols[0]; i++, m += c) *of_cols[i] = m;
    work->row_square = work->row_sum + r;
    work->col_sum = work->row_square + r;
    work->col_square = work->col_sum + c;
    return work;
}

void sinq_sinkhorn_free(struct sinq_sinkhorn *work) {
    if (work == NULL) return;
    free(work->memory);
    free(work->row_sum);
    free(work);
}

float sinq_tile_value(const struct sinq_tile *tile, size_t row, size_t col) {
    if (!tile->is_bf16) return *sinq_tile_f32(tile, row, col);
    const uint32_t bits = (uint32_t)*sinq_tile_bf16(tile, row, col) << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void fill(float *array, size_t count, float value) {
    for (size_t i = 0; i < count; i++) array[i] = value;
}

static void start_side(struct side *side, size_t count) {
    const size_t padded = sinq_pad_lanes(count);
    fill(side->scale, padded, 1.0f);
    fill(side->best, padded, 1.0f);
    fill(side->inverse, padded, 1.0f);
}

/* ---- deviations, exactly: two passes in f64 for a row or column whose mean dwarfs its deviation ---- */

static double scaled_value(const struct sinq_sinkhorn *work, const struct sinq_tile *tile, size_t row, size_t col) {
    return (double)(sinq_tile_value(tile, row, col) * work->cols.inverse[col] * work->rows.inverse[row]);
}

static float find_row_deviation(const struct sinq_sinkhorn *work, const struct sinq_tile *tile, size_t row) {
    double sum = 0, squares = 0;
    for (size_t j = 0; j < tile->cols; j++) sum += scaled_value(work, tile, row, j);
    const double mean = sum / (double)tile->cols;
    for (size_t j = 0; j < tile->cols; j++) {
        const double d = scaled_value(work, tile, row, j) - mean;
        squares += d * d;
    }
    return (float)sqrt(squares / (double)(tile->cols - 1));
}

static float find_col_deviation(const struct sinq_sinkhorn *work, const struct sinq_tile *tile, size_t col) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < tile->rows; i++) sum += scaled_value(work, tile, i, col);
    const double mean = sum / (double)tile->rows;
    for (size_t i = 0; i < tile->rows; i++) {
        const double d = scaled_value(work, tile, i, col) - mean;
        squares += d * d;
    }
    return (float)sqrt(squares / (double)(tile->rows - 1));
}

/* ---- one pass over the tile ---- */

static void sum_tile(struct sinq_sinkhorn *work, const struct sinq_tile *tile) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const size_t rows = sinq_pad_lanes(tile->rows), cols = sinq_pad_lanes(tile->cols);
    memset(work->row_sum, 0, rows * sizeof(double));
    memset(work->row_square, 0, rows * sizeof(double));
    memset(work->col_sum, 0, cols * sizeof(double));
    memset(work->col_square, 0, cols * sizeof(double));
    for (size_t j = 0; j < cols; j += SINQ_STRIP_COLUMNS) {
        const unsigned vectors = sinq_strip_vectors(tile, j);
        if (tile->is_bf16) {
            kernels->measure_strip_bf16(sinq_tile_bf16(tile, 0, j), tile->stride, rows, vectors, work->cols.inverse + j,
                                        work->rows.inverse, work->row_sum, work->row_square, work->col_sum + j,
                                        work->col_square + j);
        } else {
            kernels->measure_strip_f32(sinq_tile_f32(tile, 0, j), tile->stride, rows, vectors, work->cols.inverse + j,
                                       work->rows.inverse, work->row_sum, work->row_square, work->col_sum + j,
                                       work->col_square + j);
        }
    }
}

static bool is_mean_dominant(double sum, double square, size_t values) {
    return sum * sum * (1.0 / (double)values) > SINQ_DOMINANT_MEAN * square;
}

static void measure_rows(struct sinq_sinkhorn *work, const struct sinq_tile *tile) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    struct side *const rows = &work->rows;
    const bool has_dominant = kernels->find_deviations(sinq_pad_lanes(tile->rows), (double)tile->cols, work->row_sum,
                                                       work->row_square, rows->deviation);
    for (size_t i = 0; has_dominant && i < tile->rows; i++) {
        if (is_mean_dominant(work->row_sum[i], work->row_square[i], tile->cols)) {
            rows->deviation[i] = find_row_deviation(work, tile, i);
        }
    }
    kernels->find_extremes(tile->rows, rows->deviation, &rows->smallest, &rows->largest);
}

static void measure_cols(struct sinq_sinkhorn *work, const struct sinq_tile *tile) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    struct side *const cols = &work->cols;
    const bool has_dominant = kernels->find_deviations(sinq_pad_lanes(tile->cols), (double)tile->rows, work->col_sum,
                                                       work->col_square, cols->deviation);
    for (size_t j = 0; has_dominant && j < tile->cols; j++) {
        if (is_mean_dominant(work->col_sum[j], work->col_square[j], tile->rows)) {
            cols->deviation[j] = find_col_deviation(work, tile, j);
        }
    }
    kernels->find_extremes(tile->cols, cols->deviation, &cols->smallest, &cols->largest);
}

/* Deviations of all rows and columns of C = M / t / u, and its imbalance. */
static float measure_tile(struct sinq_sinkhorn *work, const struct sinq_tile *tile) {
    sum_tile(work, tile);
    float largest = 0.0f, smallest = INFINITY;
    if (tile->cols >= 2) {
        measure_rows(work, tile);
        largest = fmaxf(largest, work->rows.largest);
        smallest = fminf(smallest, work->rows.smallest);
    }
    if (tile->rows >= 2) {
        measure_cols(work, tile);
        largest = fmaxf(largest, work->cols.largest);
        smallest = fminf(smallest, work->cols.smallest);
    }
    return largest / fmaxf(SMALLEST_DIVISOR, smallest);
}

static float clamp_deviation(float deviation) { return fminf(fmaxf(deviation, SMALLEST_DEVIATION), LARGEST_DEVIATION); }

/* The smallest deviation of the untouched tile, to which all others are drawn. */
static float find_target(const struct sinq_sinkhorn *work, const struct sinq_tile *tile) {
    float target = INFINITY;
    if (tile->cols >= 2) target = fminf(target, clamp_deviation(work->rows.smallest));
    if (tile->rows >= 2) target = fminf(target, clamp_deviation(work->cols.smallest));
    return target + 1e-6f;
}

/* Moves one side's scales a step; returns the largest change. */
static float step_side(struct side *side, size_t count, float target) {
    const size_t padded = sinq_pad_lanes(count);
    for (size_t i = count; i < padded; i++) side->deviation[i] = target;
    const float change = sinq_get_quantize_kernels()->step_scales(padded, side->deviation, target, side->scale,
                                                                  side->next, side->inverse);
    float *const spare = side->best;
    side->best = side->scale;
    side->scale = side->next;
    side->next = spare;
    return change;
}

/* Padded columns must add nothing to sums, padded rows nothing to columns. */
static void mute_padding(struct side *side, size_t count) {
    for (size_t i = count; i < sinq_pad_lanes(count); i++) side->inverse[i] = 0.0f;
}

void sinq_normalize_tile(struct sinq_sinkhorn *work, const struct sinq_tile *tile, float *col_scale, float *row_scale,
                         struct sinq_sinkhorn_result *result) {
    const size_t rows = sinq_pad_lanes(tile->rows), cols = sinq_pad_lanes(tile->cols);
    *result = (struct sinq_sinkhorn_result){1.0f, 1.0f, 0};
    start_side(&work->rows, tile->rows);
    start_side(&work->cols, tile->cols);
    float target = 0.0f;
    /* `scale` holds this step's scales and `best` those of the step before, the best as long as the imbalance falls. */
    bool is_current_best = true;
    const bool has_deviations = tile->rows >= 2 || tile->cols >= 2;
    for (unsigned step = 0; has_deviations && step < SINQ_SINKHORN_STEPS; step++) {
        mute_padding(&work->rows, tile->rows);
        mute_padding(&work->cols, tile->cols);
        const float imbalance = measure_tile(work, tile);
        result->passes++;
        if (step == 0) {
            result->imbalance_before = result->imbalance_after = imbalance;
            target = find_target(work, tile);
        }
        /* The reference freezes here for good: nothing later can change the result. */
        is_current_best = imbalance <= result->imbalance_after;
        if (!is_current_best) break;
        result->imbalance_after = imbalance;
        if (step + 1 == SINQ_SINKHORN_STEPS) break;
        float change = 0.0f;
        if (tile->cols >= 2) change = fmaxf(change, step_side(&work->rows, tile->rows, target));
        if (tile->rows >= 2) change = fmaxf(change, step_side(&work->cols, tile->cols, target));
        if (change == 0.0f) break;
    }
    memcpy(row_scale, is_current_best ? work->rows.scale : work->rows.best, rows * sizeof(float));
    memcpy(col_scale, is_current_best ? work->cols.scale : work->cols.best, cols * sizeof(float));
    for (size_t i = tile->rows; i < rows; i++) row_scale[i] = 1.0f;
    for (size_t j = tile->cols; j < cols; j++) col_scale[j] = col_scale[tile->cols - 1];
}
