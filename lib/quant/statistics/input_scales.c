#include "quant/statistics/input_scales.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"
#include "kernels/quantize.h"

enum { ROWS = 32, MOST_BLOCKS = 4, ALPHAS = 20 };
#define ALPHA_STEP  0.05
#define LEAST_SCALE 1e-4

struct search {
    const struct sinq_unit_matrix *units;
    const float *gram;
    size_t cols, blocks;
    double *input, *weight; /* of each column: sqrt(E[x^2]), mean |W| */
    const struct sinq_dual_scale *description;
    const struct sinq_dual_scale_sizes *sizes;
    const uint8_t *blob;
    float *row, *errors, *products; /* of each thread: [cols], [cols][32], [cols][32] */
    double *losses;                 /* of each block of rows */
};

static struct sinq_tile find_tile(const struct sinq_unit_matrix *units, size_t col, size_t *in_unit) {
    const uint64_t unit = col / units->unit_cols;
    *in_unit = col - (size_t)(unit * units->unit_cols);
    return sinq_unit_tile(units, unit);
}

static void find_weight(void *context, uint64_t col, unsigned worker) {
    const struct search *const s = context;
    size_t in_unit;
    double sum = 0;
    const struct sinq_tile tile = find_tile(s->units, (size_t)col, &in_unit);
    (void)worker;
    for (size_t i = 0; i < s->units->rows; i++) sum += fabs((double)sinq_tile_value(&tile, i, in_unit));
    s->weight[col] = ldexp(sum / (double)s->units->rows, s->units->exponent);
}

/* False where squares of inputs are no such thing, or all zero. */
static bool find_inputs(const struct search *s) {
    double largest = 0;
    for (size_t j = 0; j < s->cols; j++) {
        const double square = (double)s->gram[j * s->cols + j];
        if (!(square >= 0) || !isfinite(square)) return false;
        s->input[j] = sqrt(square);
        largest = fmax(largest, square);
    }
    return largest > 0;
}

static void fill_ones(float *factors, size_t count) {
    for (size_t j = 0; j < count; j++) factors[j] = 1.0f;
}

static void fill_factors(const struct search *s, double alpha, float *factors) {
    double smallest = INFINITY, largest = 0;
    for (size_t j = 0; j < s->cols; j++) {
        const double input = fmax(pow(s->input[j], alpha), LEAST_SCALE);
        const double scale = fmax(input / (pow(s->weight[j], 1 - alpha) + LEAST_SCALE), LEAST_SCALE);
        factors[j] = (float)scale;
        smallest = fmin(smallest, scale);
        largest = fmax(largest, scale);
    }
    const double middle = sqrt(smallest * largest);
    for (size_t j = 0; j < s->cols; j++) factors[j] = (float)((double)factors[j] / middle);
}

/* ---- tr(E H E^T) over the sample ---- */

/* Row `index` of the sample; evenly spread. */
static uint64_t find_row(const struct search *s, size_t index) {
    const uint64_t count = sinq_min_u64(s->units->rows, ROWS * s->blocks);
    return index < count ? index * s->units->rows / count : UINT64_MAX;
}

static void load_errors(const struct search *s, size_t index, float *row, float *errors) {
    const uint64_t at = find_row(s, index);
    const size_t lane = index % ROWS;
    if (at != UINT64_MAX) sinq_dual_scale_decode(s->description, s->sizes, s->blob, at, 1, row);
    for (size_t j = 0; j < s->cols; j++) {
        float error = 0.0f;
        if (at != UINT64_MAX) {
            size_t in_unit;
            const struct sinq_tile tile = find_tile(s->units, j, &in_unit);
            error = ldexpf(sinq_tile_value(&tile, (size_t)at, in_unit), s->units->exponent) - row[j];
        }
        errors[ROWS * j + lane] = error;
    }
}

static void measure_block(void *context, uint64_t block, unsigned worker) {
    struct search *const s = context;
    float *const row = s->row + worker * s->cols, *const errors = s->errors + worker * ROWS * s->cols;
    float *const products = s->products + worker * ROWS * s->cols;
    double loss = 0;
    for (size_t r = 0; r < ROWS; r++) load_errors(s, (size_t)block * ROWS + r, row, errors);
    memset(products, 0, ROWS * s->cols * sizeof *products);
    sinq_get_quantize_kernels()->subtract_products(errors, s->gram, s->cols, s->cols, s->cols, products);
    for (size_t i = 0; i < ROWS * s->cols; i++) loss -= (double)errors[i] * (double)products[i];
    s->losses[block] = loss;
}

static int measure_loss(struct search *s, const struct sinq_matrix_method *method, const struct sinq_dual_scale *wished,
                        struct sinq_blob *blob, double *loss, struct sinq_error *error) {
    struct sinq_dual_scale description = *wished;
    struct sinq_dual_scale_sizes sizes;
    struct sinq_matrix_outcome outcome;
    const int status = sinq_quantize_packed(s->units, method, &description, blob, &outcome, error);
    if (status != SINQ_OK) return status;
    if (!sinq_dual_scale_measure(&description, &sizes)) return sinq_fail(error, SINQ_FAILED, "a matrix of no size");
    s->description = &description;
    s->sizes = &sizes;
    s->blob = blob->bytes;
    sinq_parallel_for(method->threads, s->blocks, measure_block, s);
    *loss = 0;
    for (size_t i = 0; i < s->blocks; i++) *loss += s->losses[i];
    return SINQ_OK;
}

/* ---- the search ---- */

static int try_all(struct search *s, const struct sinq_matrix_method *method, const struct sinq_dual_scale *wished,
                   struct sinq_blob *blob, float *factors, bool *is_found, struct sinq_error *error) {
    struct sinq_matrix_method trial = *method;
    double best = INFINITY, loss = 0;
    int chosen = -1;
    trial.gram = NULL;
    trial.column_factors = factors;
    for (int i = -1; i < ALPHAS; i++) {
        if (i >= 0) fill_factors(s, ALPHA_STEP * i, factors);
        const int status = measure_loss(s, &trial, wished, blob, &loss, error);
        if (status != SINQ_OK) return status;
        if (!(loss < best)) continue;
        best = loss;
        chosen = i;
    }
    *is_found = isfinite(best);
    if (chosen >= 0) fill_factors(s, ALPHA_STEP * chosen, factors);
    if (chosen < 0) fill_ones(factors, s->cols);
    return SINQ_OK;
}

static size_t count_blocks(uint64_t rows) { return (size_t)sinq_min_u64(MOST_BLOCKS, sinq_divide_up(rows, ROWS)); }

int sinq_find_input_scales(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                           const struct sinq_dual_scale *wished, const float *gram, struct sinq_blob *blob,
                           float *factors, bool *is_found, struct sinq_error *error) {
    const size_t cols = (size_t)units->cols, row = method->threads * cols;
    struct search s = {.units = units,
                       .gram = gram,
                       .cols = cols,
                       .blocks = count_blocks(units->rows),
                       .input = malloc(2 * cols * sizeof *s.input),
                       .row = malloc(row * sizeof *s.row),
                       .errors = malloc(ROWS * row * sizeof *s.errors),
                       .products = malloc(ROWS * row * sizeof *s.products),
                       .losses = malloc(MOST_BLOCKS * sizeof *s.losses)};
    int status = SINQ_OK;
    *is_found = false;
    fill_ones(factors, cols);
    if (s.input == NULL || s.row == NULL || s.errors == NULL || s.products == NULL || s.losses == NULL) {
        status = sinq_fail_memory(error, "column scales", ROWS * row * sizeof *s.errors);
    } else if (find_inputs(&s)) {
        s.weight = s.input + cols;
        sinq_parallel_for(method->threads, cols, find_weight, &s);
        status = try_all(&s, method, wished, blob, factors, is_found, error);
    }
    free(s.input);
    free(s.row);
    free(s.errors);
    free(s.products);
    free(s.losses);
    return status;
}

uint64_t sinq_estimate_input_scales_memory(uint64_t cols, unsigned threads) {
    const uint64_t a_thread = sinq_multiply_saturating(cols, (2 * ROWS + 1) * sizeof(float));
    const uint64_t columns = sinq_multiply_saturating(cols, 2 * sizeof(double) + sizeof(float));
    const uint64_t gram = sinq_multiply_saturating(sinq_multiply_saturating(cols, cols), sizeof(float));
    return sinq_add_saturating(sinq_add_saturating(gram, columns), sinq_multiply_saturating(threads, a_thread));
}
