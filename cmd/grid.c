#include "grid.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "terminal.h"

#define CHUNK_VALUES (1u << 20) /* read at a time, if a row is no longer than that */

static int fail(struct sinq_error *error, const char *tensor, const char *reason) {
    snprintf(error->message, sizeof error->message, "%.600s: %s", tensor, reason);
    return error->status = SINQ_FAILED;
}

static void size_grid(struct sinq_grid *grid, uint64_t rows, uint64_t cols) {
    grid->data_rows = rows;
    grid->data_cols = cols;
    grid->rows = rows < SINQ_GRID_LIMIT ? (size_t)rows : SINQ_GRID_LIMIT;
    grid->cols = cols < SINQ_GRID_LIMIT ? (size_t)cols : SINQ_GRID_LIMIT;
    grid->cells = sinq_allocate(grid->rows * grid->cols, sizeof *grid->cells);
    grid->minimum = INFINITY;
    grid->maximum = -INFINITY;
}

/* Which of `cells` a place of `size` falls into. */
static size_t find_cell(uint64_t place, uint64_t size, size_t cells) {
    return (size_t)((double)place / (double)size * (double)cells);
}

static void note_value(struct sinq_grid *grid, float value) {
    if (value < grid->minimum) grid->minimum = value;
    if (value > grid->maximum) grid->maximum = value;
}

static void add_row(struct sinq_grid *grid, uint64_t row, const float *values) {
    float *const cells = grid->cells + find_cell(row, grid->data_rows, grid->rows) * grid->cols;
    for (uint64_t c = 0; c < grid->data_cols; c++) {
        float *const cell = &cells[find_cell(c, grid->data_cols, grid->cols)];
        if (!isfinite(values[c])) {
            grid->nonfinite++;
            *cell = NAN;
            continue;
        }
        note_value(grid, values[c]);
        if (fabsf(values[c]) > fabsf(*cell)) *cell = values[c];
    }
}

/* Values, or their differences from the reference's. */
static int fill_values(const struct sinq_plot *plot, size_t reference, struct sinq_grid *grid,
                       struct sinq_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(plot->source, plot->tensor);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    size_grid(grid, shape.count * shape.rows, shape.cols);
    if (grid->data_cols > SIZE_MAX / sizeof(float) / 2) return fail(error, tensor->name, "a row is too long");
    const uint64_t step = grid->data_cols < CHUNK_VALUES ? CHUNK_VALUES / grid->data_cols : 1;
    float *const values = malloc((size_t)(step * grid->data_cols) * sizeof *values);
    float *const others = plot->reference != NULL ? malloc((size_t)(step * grid->data_cols) * sizeof *others) : NULL;
    int status = values == NULL || (others == NULL && plot->reference != NULL)
                     ? fail(error, tensor->name, "out of memory for a row of it")
                     : SINQ_OK;
    for (uint64_t first = 0; first < grid->data_rows && status == SINQ_OK; first += step) {
        const uint64_t count = step < grid->data_rows - first ? step : grid->data_rows - first;
        if (sinq_caught_signal() != 0) status = SINQ_INTERRUPTED;
        if (status == SINQ_OK) status = sinq_read_rows(plot->source, plot->tensor, first, count, values, error);
        if (status == SINQ_OK && others != NULL)
            status = sinq_read_rows(plot->reference, reference, first, count, others, error);
        if (status != SINQ_OK) break;
        for (uint64_t i = 0; i < count * grid->data_cols && others != NULL; i++) values[i] -= others[i];
        for (uint64_t i = 0; i < count; i++) add_row(grid, first + i, values + i * grid->data_cols);
    }
    free(values);
    free(others);
    return status;
}

static int find_reference(const struct sinq_plot *plot, size_t *index, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(plot->source, plot->tensor);
    const int64_t found = sinq_source_find(plot->reference, tensor->name);
    if (found < 0) return fail(error, tensor->name, "the reference has no tensor of that name");
    const struct sinq_tensor *const other = sinq_source_tensor(plot->reference, (size_t)found);
    const struct sinq_matrix_shape a = sinq_tensor_matrix_shape(tensor), b = sinq_tensor_matrix_shape(other);
    if (a.count != b.count || a.rows != b.rows || a.cols != b.cols)
        return fail(error, tensor->name, "the reference's tensor has another shape");
    *index = (size_t)found;
    return SINQ_OK;
}

/* Means of logarithms need a count per cell; matrices of a stack follow one another downwards. */
static void add_scales(struct sinq_grid *grid, const float *scales, uint64_t first, uint64_t rows, uint32_t *counts) {
    for (uint64_t i = 0; i < rows * grid->data_cols; i++) {
        const size_t row = find_cell(first + i / grid->data_cols, grid->data_rows, grid->rows);
        const size_t cell = row * grid->cols + find_cell(i % grid->data_cols, grid->data_cols, grid->cols);
        const float magnitude = fabsf(scales[i]);
        if (!isfinite(magnitude)) {
            grid->nonfinite++;
            continue;
        }
        note_value(grid, scales[i]);
        if (magnitude == 0.0f) continue; /* a group of zeros */
        grid->cells[cell] += log10f(magnitude);
        counts[cell]++;
    }
}

static int fill_scales(const struct sinq_plot *plot, struct sinq_grid *grid, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(plot->source, plot->tensor);
    if (tensor->dtype != SINQ_DUAL_SCALE) return fail(error, tensor->name, "is not quantized: it has no scales");
    const struct sinq_matrix_shape stack = sinq_tensor_matrix_shape(tensor);
    struct sinq_matrix_info info;
    int status = sinq_source_matrix_info(plot->source, plot->tensor, 0, &info, error);
    if (status != SINQ_OK) return status;
    const uint64_t groups = info.group_size == 0 ? 1 : (info.cols + info.group_size - 1) / info.group_size;
    size_grid(grid, stack.count * info.rows, groups);
    grid->is_logarithm = true;
    float *const scales = sinq_allocate((size_t)(info.rows * groups), sizeof *scales);
    uint32_t *const counts = sinq_allocate(grid->rows * grid->cols, sizeof *counts);
    for (uint64_t i = 0; i < stack.count && status == SINQ_OK; i++) {
        struct sinq_matrix_info next;
        status = sinq_source_matrix_info(plot->source, plot->tensor, i, &next, error);
        if (status == SINQ_OK &&
            (next.rows != info.rows || next.cols != info.cols || next.group_size != info.group_size))
            status = fail(error, tensor->name, "its matrices have groups of different sizes");
        if (status == SINQ_OK) status = sinq_read_scales(plot->source, plot->tensor, i, scales, NULL, error);
        if (status == SINQ_OK) add_scales(grid, scales, i * info.rows, info.rows, counts);
    }
    for (size_t i = 0; i < grid->rows * grid->cols; i++)
        grid->cells[i] = counts[i] > 0 ? grid->cells[i] / (float)counts[i] : NAN;
    free(counts);
    free(scales);
    return status;
}

int sinq_fill_grid(const struct sinq_plot *plot, struct sinq_grid *grid, struct sinq_error *error) {
    memset(grid, 0, sizeof *grid);
    const struct sinq_tensor *const tensor = sinq_source_tensor(plot->source, plot->tensor);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    if (shape.count == 0 || shape.rows == 0 || shape.cols == 0)
        return fail(error, tensor->name, "is empty: there is nothing to see");
    if (plot->kind == SINQ_PLOT_SCALES) return fill_scales(plot, grid, error);
    size_t reference = 0;
    if (plot->reference != NULL) {
        const int status = find_reference(plot, &reference, error);
        if (status != SINQ_OK) return status;
    }
    return fill_values(plot, reference, grid, error);
}

void sinq_free_grid(struct sinq_grid *grid) {
    free(grid->cells);
    grid->cells = NULL;
}

static int compare_floats(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

double sinq_grid_quantile(const struct sinq_grid *grid, double share, bool absolute) {
    const size_t size = grid->rows * grid->cols;
    float *const sorted = sinq_allocate(size, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        if (!isnan(grid->cells[i])) sorted[count++] = absolute ? fabsf(grid->cells[i]) : grid->cells[i];
    qsort(sorted, count, sizeof *sorted, compare_floats);
    const double result = count > 0 ? (double)sorted[(size_t)(share * (double)(count - 1) + 0.5)] : 0.0;
    free(sorted);
    return result;
}
