#include "quant/matrix/feedback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "quant/matrix/feedback_group.h"
#include "quant/matrix/feedback_sweeps.h"
#include "quant/matrix/inverse_factor.h"
#include "quant/matrix/rounding.h"
#include "quant/matrix/sinkhorn.h"
#include "tensor/dtype.h"

#define ROWS SINQ_SCALE_BLOCK_ROWS
/* Columns after which errors are carried over to all that are left: a multiple of every group. */
#define BLOCK_COLUMNS SINQ_SWEEP_COLUMNS
/* Of the mean of H' diagonal, and by how much more it is tried again. */
#define DAMPING      0.01
#define MORE_DAMPING 10.0
#define MOST_TRIES   4

struct feedback {
    const struct sinq_unit_job *job;
    const float *gram;
    size_t cols, group;
    float *column;                      /* t, padded */
    float mean, damping;                /* of H' */
    float *factor;                      /* U[cols][cols] */
    float *weights;                     /* 1 / U_jj^2, of each group divided by their mean */
    struct sinq_unit_outcome *outcomes; /* of each block of rows */
    enum sinq_calibration calibration;
    unsigned threads;
    bool *has_failed; /* of each thread */
};

/* ---- column scales ---- */

static void find_column_scales(void *context, uint64_t unit, unsigned worker) {
    const struct feedback *const f = context;
    const struct sinq_unit_matrix *const units = f->job->units;
    const struct sinq_tile whole = sinq_unit_tile(units, unit);
    struct sinq_sinkhorn *const work = sinq_sinkhorn_create((size_t)units->padded_rows, whole.stride);
    float *const row_scale = malloc((size_t)units->padded_rows * sizeof *row_scale);
    float *const scale = malloc(whole.stride * sizeof *scale);
    f->has_failed[worker] |= work == NULL || row_scale == NULL || scale == NULL;
    for (size_t first = 0; first < whole.cols && !f->has_failed[worker]; first += f->group) {
        struct sinq_tile tile = whole;
        struct sinq_sinkhorn_result result;
        tile.cols = whole.cols - first < f->group ? whole.cols - first : f->group;
        tile.values = whole.is_bf16 ? (const void *)sinq_tile_bf16(&whole, 0, first)
                                    : (const void *)sinq_tile_f32(&whole, 0, first);
        sinq_normalize_tile(work, &tile, scale, row_scale, &result);
        float *const to = f->column + unit * units->unit_cols + first;
        for (size_t j = 0; j < tile.cols; j++) to[j] = sinq_half_to_float(sinq_float_to_half(scale[j]));
    }
    free(scale);
    free(row_scale);
    sinq_sinkhorn_free(work);
}

static void write_column_scales(const struct feedback *f) {
    if (!f->job->description->has_column_scale) return;
    uint8_t *const to = f->job->blob + f->job->sizes->column_scale_offset;
    for (size_t j = 0; j < f->cols; j++) {
        const uint16_t half = sinq_float_to_half(f->column[j]);
        to[2 * j] = (uint8_t)(half & 0xff);
        to[2 * j + 1] = (uint8_t)(half >> 8);
    }
}

/* ---- the factor ---- */

/*
 * H' over the mean of its diagonal, with damping, from last to first: so that the factor is of the order of 1. A column whose input is
 * always zero counts like the mean of the others.
 */
static bool fill_reversed(struct feedback *f, double damping, double *reversed) {
    const size_t n = f->cols;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)f->gram[i * n + i] * (double)f->column[i] * (double)f->column[i];
    const double mean = sum / (double)n;
    if (!(mean > 0) || !isfinite(mean)) return false;
    f->mean = (float)mean;
    f->damping = (float)damping;
    for (size_t i = 0; i < n; i++) {
        double *const row = reversed + i * n;
        const size_t from = n - 1 - i;
        for (size_t j = i; j < n; j++) {
            const double scales = (double)f->column[from] * (double)f->column[n - 1 - j] / mean;
            row[j] = (double)f->gram[from * n + n - 1 - j] * scales;
        }
        if (row[i] <= 0) row[i] = 1;
        row[i] += damping;
    }
    return true;
}

/* The factor of the diagonal alone: columns count, but none can make up for another. */
static bool factor_diagonal(struct feedback *f, double *reversed) {
    const size_t n = f->cols;
    if (!fill_reversed(f, DAMPING, reversed)) return false;
    memset(f->factor, 0, n * n * sizeof *f->factor);
    for (size_t i = 0; i < n; i++) {
        const double square = reversed[(n - 1 - i) * (n + 1)];
        if (!(square > 0) || !isfinite(square)) return false;
        f->factor[i * (n + 1)] = (float)(1 / sqrt(square));
    }
    return true;
}

static int find_factor(struct feedback *f, struct sinq_error *error) {
    const size_t n = f->cols;
    double *const reversed = malloc(n * n * sizeof *reversed), *const inverse = malloc(n * n * sizeof *inverse);
    double damping = DAMPING;
    bool is_found = false;
    int status = SINQ_OK;
    if (reversed == NULL || inverse == NULL) status = sinq_fail_memory(error, "a factor", 2 * n * n * sizeof *inverse);
    for (int i = 0; i < MOST_TRIES && status == SINQ_OK && !is_found; i++, damping *= MORE_DAMPING) {
        if (!fill_reversed(f, damping, reversed)) break;
        is_found = sinq_factor_inverse(reversed, inverse, n, f->factor, f->threads);
    }
    f->calibration = is_found                                            ? SINQ_CALIBRATED_BY_FEEDBACK
                     : status == SINQ_OK && factor_diagonal(f, reversed) ? SINQ_CALIBRATED_BY_WEIGHTS
                                                                         : SINQ_CALIBRATED_NOT;
    free(reversed);
    free(inverse);
    return status;
}

static void weigh_columns(const struct feedback *f) {
    for (size_t first = 0; first < f->cols; first += f->group) {
        const size_t end = first + f->group < f->cols ? first + f->group : f->cols;
        float sum = 0.0f;
        for (size_t j = first; j < end; j++) {
            const float u = f->factor[j * f->cols + j];
            f->weights[j] = 1.0f / (u * u);
            sum += f->weights[j];
        }
        for (size_t j = first; j < end; j++) f->weights[j] /= sum / (float)(end - first);
    }
}

/* ---- a block of 32 rows ---- */

struct rows {
    const struct feedback *f;
    size_t first, count;
    float *wished;                    /* X[cols][32] */
    float *values;                    /* likewise, as errors change them, then as a reader will see them */
    float *slopes;                    /* likewise, of sweeps */
    float *errors;                    /* [BLOCK_COLUMNS][32] */
    float *work;                      /* of a group's search */
    uint8_t *codes;                   /* [32][cols] */
    struct sinq_feedback_line *lines; /* of each group */
    struct sinq_unit_outcome *outcome;
};

static void load_rows(struct rows *rows) {
    const struct feedback *const f = rows->f;
    for (size_t j = 0; j < f->cols; j++) {
        const uint64_t unit = j / f->job->units->unit_cols;
        const struct sinq_tile tile = sinq_unit_tile(f->job->units, unit);
        const size_t in_unit = j - (size_t)(unit * f->job->units->unit_cols);
        for (size_t r = 0; r < ROWS; r++) {
            const bool is_there = r < rows->count;
            rows->wished[ROWS * j + r] =
                is_there ? sinq_tile_value(&tile, rows->first + r, in_unit) / f->column[j] : 0.0f;
        }
    }
}

static void choose_line(struct rows *rows, size_t first, size_t end) {
    const struct feedback *const f = rows->f;
    const struct sinq_feedback_group group = {.job = f->job,
                                              .first_row = rows->first,
                                              .rows = rows->count,
                                              .index = first / f->group,
                                              .count = end - first,
                                              .values = rows->values + ROWS * first,
                                              .weights = f->weights + first,
                                              .work = rows->work};
    sinq_choose_feedback_line(&group, &rows->lines[group.index], rows->outcome);
}

static void round_column(struct rows *rows, size_t j, float *errors) {
    const struct feedback *const f = rows->f;
    const float by_u = 1.0f / f->factor[j * f->cols + j];
    float *const values = rows->values + ROWS * j, rounded[ROWS];
    uint8_t codes[ROWS];
    sinq_round_feedback_column(f->job, &rows->lines[j / f->group], values, codes, rounded);
    for (size_t r = 0; r < ROWS; r++) {
        rows->codes[r * f->cols + j] = codes[r];
        errors[r] = (values[r] - rounded[r]) * by_u;
        /* From here on the column holds what a reader will see. */
        values[r] = rounded[r];
    }
}

static void round_columns(struct rows *rows) {
    const struct feedback *const f = rows->f;
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    for (size_t first = 0, end; first < f->cols; first = end) {
        end = first + BLOCK_COLUMNS < f->cols ? first + BLOCK_COLUMNS : f->cols;
        for (size_t j = first; j < end; j++) {
            const size_t group_end = j + f->group < f->cols ? j + f->group : f->cols;
            float *const errors = rows->errors + ROWS * (j - first);
            if (j % f->group == 0) choose_line(rows, j, group_end);
            round_column(rows, j, errors);
            kernels->subtract_products(errors, f->factor + j * f->cols + j + 1, f->cols, 1, end - j - 1,
                                       rows->values + ROWS * (j + 1));
        }
        kernels->subtract_products(rows->errors, f->factor + first * f->cols + end, f->cols, end - first, f->cols - end,
                                   rows->values + ROWS * end);
    }
}

/* docs/calibration.md has what they gain. */
static unsigned count_sweeps(enum sinq_effort effort) {
    return effort == SINQ_EFFORT_FAST ? 0 : effort == SINQ_EFFORT_BEST ? 8 : 3;
}

/* Rounding from left to right has made up for errors behind them only: sweeps look back as well. */
static void sweep_rows(struct rows *rows) {
    const struct feedback *const f = rows->f;
    const struct sinq_sweep sweep = {.job = f->job,
                                     .cols = f->cols,
                                     .group = f->group,
                                     .gram = f->gram,
                                     .column = f->column,
                                     .mean = f->mean,
                                     .damping = f->damping,
                                     .lines = rows->lines,
                                     .wished = rows->wished,
                                     .values = rows->values,
                                     .codes = rows->codes,
                                     .slopes = rows->slopes,
                                     .steps = rows->errors};
    sinq_sweep_codes(&sweep, count_sweeps(f->job->effort));
}

static void pack_rows(const struct rows *rows) {
    const struct sinq_unit_job *const job = rows->f->job;
    const size_t cols = rows->f->cols;
    for (size_t r = 0; r < rows->count; r += SINQ_PANEL_ROWS) {
        const uint32_t count = (uint32_t)sinq_min_u64(SINQ_PANEL_ROWS, rows->count - r);
        for (size_t j = 0; j < cols; j += SINQ_BLOCK_COLUMNS) {
            uint8_t *const lines =
                job->blob + sinq_block_offset(job->description, job->sizes, (rows->first + r) / SINQ_PANEL_ROWS,
                                              j / SINQ_BLOCK_COLUMNS);
            sinq_pack_block(job->bits, count, (uint32_t)sinq_min_u64(SINQ_BLOCK_COLUMNS, cols - j),
                            rows->codes + r * cols + j, cols, lines);
        }
    }
}

static void measure_rows(const struct rows *rows) {
    const struct feedback *const f = rows->f;
    for (size_t j = 0; j < f->cols; j++) {
        const uint64_t unit = j / f->job->units->unit_cols;
        const struct sinq_tile tile = sinq_unit_tile(f->job->units, unit);
        const size_t in_unit = j - (size_t)(unit * f->job->units->unit_cols);
        for (size_t r = 0; r < rows->count; r++) {
            const double w = (double)sinq_tile_value(&tile, rows->first + r, in_unit);
            const double error = w - (double)rows->values[ROWS * j + r] * (double)f->column[j];
            rows->outcome->error_square += error * error;
            rows->outcome->norm_square += w * w;
        }
    }
}

static void free_rows(struct rows *rows) {
    free(rows->wished);
    free(rows->values);
    free(rows->slopes);
    free(rows->errors);
    free(rows->work);
    free(rows->codes);
    free(rows->lines);
}

static bool allocate_rows(struct rows *rows) {
    const size_t cols = rows->f->cols, group = rows->f->group, bytes = ROWS * cols * sizeof(float);
    rows->wished = malloc(bytes);
    rows->values = malloc(bytes);
    rows->slopes = malloc(bytes);
    rows->errors = malloc(ROWS * BLOCK_COLUMNS * sizeof *rows->errors);
    rows->work = aligned_alloc(SINQ_LINE_BYTES, sinq_count_feedback_work(group) * sizeof *rows->work);
    rows->codes = malloc(ROWS * cols);
    rows->lines = malloc((cols / group + 1) * sizeof *rows->lines);
    return rows->wished != NULL && rows->values != NULL && rows->slopes != NULL && rows->errors != NULL &&
           rows->work != NULL && rows->codes != NULL && rows->lines != NULL;
}

static void round_rows(void *context, uint64_t block, unsigned worker) {
    const struct feedback *const f = context;
    const size_t first = ROWS * (size_t)block;
    struct rows rows = {.f = f,
                        .first = first,
                        .count = (size_t)sinq_min_u64(ROWS, f->job->units->rows - first),
                        .outcome = &f->outcomes[block]};
    if (allocate_rows(&rows)) {
        load_rows(&rows);
        memcpy(rows.values, rows.wished, ROWS * f->cols * sizeof *rows.values);
        round_columns(&rows);
        if (f->calibration == SINQ_CALIBRATED_BY_FEEDBACK) sweep_rows(&rows);
        pack_rows(&rows);
        measure_rows(&rows);
    } else {
        f->has_failed[worker] = true;
    }
    free_rows(&rows);
}

/* ---- the whole ---- */

static bool has_any_failed(const struct feedback *f) {
    bool has_failed = false;
    for (unsigned i = 0; i < f->threads; i++) has_failed |= f->has_failed[i];
    return has_failed;
}

static int run_feedback(struct feedback *f, uint64_t blocks, struct sinq_error *error) {
    for (size_t j = 0; j < f->cols; j++) f->column[j] = 1.0f;
    if (sinq_method_normalizes(f->job->method)) {
        sinq_parallel_for(f->threads, f->job->units->unit_count, find_column_scales, f);
    }
    const int status = find_factor(f, error);
    if (status != SINQ_OK || f->calibration == SINQ_CALIBRATED_NOT) return status;
    weigh_columns(f);
    write_column_scales(f);
    sinq_parallel_for(f->threads, blocks, round_rows, f);
    if (has_any_failed(f)) return sinq_fail_memory(error, "rows of a matrix", ROWS * f->cols * sizeof(float));
    for (uint64_t i = 0; i < blocks; i++) {
        f->job->outcomes[0].error_square += f->outcomes[i].error_square;
        f->job->outcomes[0].norm_square += f->outcomes[i].norm_square;
        f->job->outcomes[0].groups += f->outcomes[i].groups;
        f->job->outcomes[0].excess += f->outcomes[i].excess;
    }
    return status;
}

int sinq_round_with_feedback(const struct sinq_unit_job *job, const float *gram, unsigned threads,
                             enum sinq_calibration *calibration, struct sinq_error *error) {
    const size_t n = (size_t)job->units->cols;
    const uint64_t blocks = sinq_divide_up(job->units->rows, ROWS);
    struct feedback f = {.job = job,
                         .gram = gram,
                         .cols = n,
                         .group = job->units->group_size == 0 ? n : job->units->group_size,
                         .column = malloc((n + SINQ_LANES) * sizeof *f.column),
                         .factor = malloc(n * n * sizeof *f.factor),
                         .weights = malloc(n * sizeof *f.weights),
                         .outcomes = calloc((size_t)blocks, sizeof *f.outcomes),
                         .threads = threads,
                         .has_failed = calloc(threads, sizeof *f.has_failed)};
    const bool has_memory =
        f.column != NULL && f.factor != NULL && f.weights != NULL && f.outcomes != NULL && f.has_failed != NULL;
    const int status =
        has_memory ? run_feedback(&f, blocks, error) : sinq_fail_memory(error, "a factor", n * n * sizeof *f.factor);
    free(f.column);
    free(f.factor);
    free(f.weights);
    free(f.outcomes);
    free(f.has_failed);
    *calibration = f.calibration;
    return status;
}
