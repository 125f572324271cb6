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

/* Sums of `rows` rows, a multiple of 16, and of their columns, and the rows' deviations; returns whether a row's mean is dominant. */
static bool sum_rows(struct sinq_sinkhorn *work, const struct sinq_tile *tile, size_t first, size_t rows) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const size_t cols = sinq_pad_lanes(tile->cols);
    const float *const inverse_rows = work->rows.inverse + first;
    struct sinq_strip_sums sums = {
        .row_sum = work->row_sum + first, .row_square = work->row_square + first, .row_values = (double)tile->cols};
    for (size_t j = 0; j < cols; j += SINQ_STRIP_COLUMNS) {
        const unsigned vectors = sinq_strip_vectors(tile, j);
        sums.adds = j > 0;
        sums.row_deviation = j + SINQ_STRIP_COLUMNS >= cols ? work->rows.deviation + first : NULL;
        sums.col_sum = work->col_sum + j;
        sums.col_square = work->col_square + j;
        if (tile->is_bf16) {
            kernels->measure_strip_bf16(sinq_tile_bf16(tile, first, j), tile->stride, rows, vectors,
                                        work->cols.inverse + j, inverse_rows, &sums);
        } else {
            kernels->measure_strip_f32(sinq_tile_f32(tile, first, j), tile->stride, rows, vectors,
                                       work->cols.inverse + j, inverse_rows, &sums);
        }
    }
    return sums.has_dominant;
}

static bool is_mean_dominant(double sum, double square, size_t values) {
    return sum * sum * (1.0 / (double)values) > SINQ_DOMINANT_MEAN * square;
}

static void measure_rows(struct sinq_sinkhorn *work, const struct sinq_tile *tile, bool has_dominant) {
    struct side *const rows = &work->rows;
    for (size_t i = 0; has_dominant && i < tile->rows; i++) {
        if (is_mean_dominant(work->row_sum[i], work->row_square[i], tile->cols)) {
            rows->deviation[i] = find_row_deviation(work, tile, i);
        }
    }
    sinq_get_quantize_kernels()->find_extremes(tile->rows, rows->deviation, &rows->smallest, &rows->largest);
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
    const bool has_dominant_rows = sum_rows(work, tile, 0, sinq_pad_lanes(tile->rows));
    float largest = 0.0f, smallest = INFINITY;
    if (tile->cols >= 2) {
        measure_rows(work, tile, has_dominant_rows);
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

/*
 * ---- a pass that need not be made ----
 *
 * The last pass is made only to see the imbalance rise, and is most often made in vain: the rows that had the extreme deviations
 * in one of the two passes before tell as much, for the imbalance of all is at least theirs.
 */

/* Below, those few rows are too large a part of a pass. */
#define LEAST_ROWS_TO_FORESEE 512u
#define ROWS_TO_LOOK_AT       128u

/* The sixteens that held the smallest and the largest deviation, of the pass before and of the one before that. */
struct extreme_rows {
    size_t first[4];
    unsigned count;
};

/* The first of `count` deviations that is this one, or as many. */
static size_t find_deviation(const float *deviation, size_t count, float wanted) {
    size_t first = 0;
    for (; first + ROWS_TO_LOOK_AT <= count; first += ROWS_TO_LOOK_AT) { /* whole vectors: no end within */
        unsigned found = 0;
        for (size_t i = first; i < first + ROWS_TO_LOOK_AT; i++) found |= deviation[i] == wanted;
        if (found != 0) break;
    }
    while (first < count && deviation[first] != wanted) first++;
    return first;
}

/* The sixteen rows around a deviation, none of which is padding. */
static size_t find_sixteen(const struct side *rows, size_t count, float wanted) {
    const size_t row = find_deviation(rows->deviation, count, wanted), last = count - SINQ_LANES;
    return (row < last ? row : last) / SINQ_LANES * SINQ_LANES;
}

static void keep_extremes(const struct side *rows, size_t count, struct extreme_rows *extremes) {
    if (count < LEAST_ROWS_TO_FORESEE) return;
    extremes->first[2] = extremes->first[0];
    extremes->first[3] = extremes->first[1];
    extremes->first[0] = find_sixteen(rows, count, rows->smallest);
    extremes->first[1] = find_sixteen(rows, count, rows->largest);
    extremes->count = extremes->count == 0 ? 2 : 4;
}

/* Whether the imbalance will be more than `most`. What is measured here, a pass measures again. */
static bool foresee_excess(struct sinq_sinkhorn *work, const struct sinq_tile *tile,
                           const struct extreme_rows *extremes, float most) {
    float largest = 0.0f, smallest = INFINITY;
    for (unsigned i = 0; i < extremes->count; i++) {
        const size_t first = extremes->first[i];
        float low, high;
        if (sum_rows(work, tile, first, SINQ_LANES)) return false;
        sinq_get_quantize_kernels()->find_extremes(SINQ_LANES, work->rows.deviation + first, &low, &high);
        smallest = fminf(smallest, low);
        largest = fmaxf(largest, high);
        if (largest / fmaxf(SMALLEST_DIVISOR, smallest) > most) return true;
    }
    return false;
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
    struct extreme_rows extremes = {.count = 0};
    /* `scale` holds this step's scales and `best` those of the step before, the best as long as the imbalance falls. */
    bool is_current_best = true;
    const bool has_deviations = tile->rows >= 2 || tile->cols >= 2;
    for (unsigned step = 0; has_deviations && step < SINQ_SINKHORN_STEPS; step++) {
        mute_padding(&work->rows, tile->rows);
        mute_padding(&work->cols, tile->cols);
        is_current_best = !foresee_excess(work, tile, &extremes, result->imbalance_after);
        if (!is_current_best) break;
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
        if (tile->cols >= 2) keep_extremes(&work->rows, tile->rows, &extremes);
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
