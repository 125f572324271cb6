#include "quant/feedback.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "quant/inverse_factor.h"
#include "quant/rounding.h"
#include "quant/sinkhorn.h"
#include "quant/storage.h"
#include "quant/weighted_search.h"
#include "tensor/dtype.h"

#define ROWS SINQ_SCALE_BLOCK_ROWS
/* Columns after which errors are carried over to all that are left: a multiple of every group. */
#define BLOCK_COLUMNS 128u
/* Of the mean of H' diagonal, and by how much more it is tried again. */
#define DAMPING      0.01
#define MORE_DAMPING 10.0
#define MOST_TRIES   4
#define ROUNDER      8388608.0f
/* One group's excess counts at most this much: an error that was zero would count without end. */
#define LARGEST_EXCESS 100.0

struct feedback {
    const struct sinq_unit_job *job;
    const float *gram;
    size_t cols, group;
    float *column;                      /* t, padded */
    float *factor;                      /* U[cols][cols] */
    float *weights;                     /* 1 / U_jj^2, of each group divided by their mean */
    struct sinq_unit_outcome *outcomes; /* of each block of rows */
    unsigned threads;
    bool *has_failed; /* of each thread */
};

bool sinq_can_feed_back(const struct sinq_unit_job *job) { return sinq_method_is_searched(job->method); }

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
static bool fill_reversed(const struct feedback *f, double damping, double *reversed) {
    const size_t n = f->cols;
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)f->gram[i * n + i] * (double)f->column[i] * (double)f->column[i];
    const double mean = sum / (double)n;
    if (!(mean > 0) || !isfinite(mean)) return false;
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

static int find_factor(const struct feedback *f, bool *is_found, struct sinq_error *error) {
    const size_t n = f->cols;
    double *const reversed = malloc(n * n * sizeof *reversed), *const inverse = malloc(n * n * sizeof *inverse);
    double damping = DAMPING;
    int status = SINQ_OK;
    *is_found = false;
    if (reversed == NULL || inverse == NULL) status = sinq_fail_memory(error, "a factor", 2 * n * n * sizeof *inverse);
    for (int i = 0; i < MOST_TRIES && status == SINQ_OK && !*is_found; i++, damping *= MORE_DAMPING) {
        if (!fill_reversed(f, damping, reversed)) break;
        *is_found = sinq_factor_inverse(reversed, inverse, n, f->factor, f->threads);
    }
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
    float *values;                 /* [cols][32] */
    float *errors;                 /* [BLOCK_COLUMNS][32] */
    uint8_t *codes;                /* [32][cols] */
    float scale[ROWS], zero[ROWS]; /* of the group in hand, as stored */
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
            rows->values[ROWS * j + r] =
                is_there ? sinq_tile_value(&tile, rows->first + r, in_unit) / f->column[j] : 0.0f;
        }
    }
}

static void store_zeros(struct rows *rows, size_t group, const float *wished) {
    const struct sinq_unit_job *const job = rows->f->job;
    const struct sinq_dual_scale *const description = job->description;
    const bool none_free[ROWS] = {false};
    struct sinq_stored_column stored;
    if (description->zero_type == SINQ_AUX_U8 && !description->zero_per_block) {
        sinq_store_codes(wished, rows->count, description->zero_low, description->zero_step, &stored);
    } else {
        sinq_store_column(description->zero_type, wished, none_free, rows->count, INFINITY, &stored);
    }
    sinq_write_column(job->sizes, description->zero_type, &stored, rows->first, rows->count, group,
                      job->sizes->zero_offset,
                      description->zero_per_block ? job->sizes->zero_range_offset : SINQ_NO_RANGES, job->blob);
    memset(rows->zero, 0, sizeof rows->zero);
    memcpy(rows->zero, stored.value, rows->count * sizeof *rows->zero);
}

static void store_scales(struct rows *rows, size_t group, const float *wished) {
    const struct sinq_unit_job *const job = rows->f->job;
    const float unit = ldexpf(1.0f, -job->scale_exponent);
    float scaled[ROWS];
    bool is_free[ROWS];
    struct sinq_stored_column stored;
    for (size_t r = 0; r < ROWS; r++) {
        scaled[r] = wished[r] * unit;
        is_free[r] = !(wished[r] > 0.0f);
    }
    sinq_store_column(job->description->scale_type, scaled, is_free, rows->count, INFINITY, &stored);
    sinq_write_column(job->sizes, job->description->scale_type, &stored, rows->first, rows->count, group,
                      job->sizes->scale_offset, job->sizes->scale_range_offset, job->blob);
    for (size_t r = 0; r < ROWS; r++) rows->scale[r] = r < rows->count ? stored.value[r] / unit : 0.0f;
}

/* What storing adds to the error of the group as it is now, each column by itself. */
static void add_excess(struct rows *rows, const struct sinq_search_group *group, const struct sinq_search_line *ideal) {
    struct sinq_search_line stored;
    float most[ROWS], least[ROWS];
    memcpy(stored.scale, rows->scale, sizeof stored.scale);
    memcpy(stored.zero, rows->zero, sizeof stored.zero);
    sinq_measure_weighted(group, ideal, least);
    sinq_measure_weighted(group, &stored, most);
    for (size_t r = 0; r < rows->count; r++) {
        const double more = (double)most[r] - (double)least[r], error = (double)least[r];
        if (more > 0) rows->outcome->excess += more < LARGEST_EXCESS * error ? more / error : LARGEST_EXCESS;
    }
    rows->outcome->groups += (double)rows->count;
}

static void search_group(struct rows *rows, size_t first, size_t end) {
    const struct feedback *const f = rows->f;
    const struct sinq_search_group group = {.values = rows->values + ROWS * first,
                                            .weights = f->weights + first,
                                            .count = end - first,
                                            .bits = f->job->bits};
    struct sinq_search_line line, ideal;
    float wished[ROWS];
    sinq_search_weighted(&group, &line);
    ideal = line;
    for (size_t r = 0; r < ROWS; r++) {
        wished[r] = fminf(fmaxf(line.zero[r], -SINQ_LARGEST_ZERO), SINQ_LARGEST_ZERO) + 0.0f;
    }
    store_zeros(rows, first / f->group, wished);
    sinq_refit_weighted(&group, rows->zero, &line);
    store_scales(rows, first / f->group, line.scale);
    add_excess(rows, &group, &ideal);
}

static void round_column(struct rows *rows, size_t j, float *errors) {
    const struct feedback *const f = rows->f;
    const float top = (float)((1u << f->job->bits) - 1u), by_u = 1.0f / f->factor[j * f->cols + j];
    const float *const values = rows->values + ROWS * j;
    for (size_t r = 0; r < ROWS; r++) {
        const float scale = rows->scale[r], place = scale > 0.0f ? values[r] / scale + rows->zero[r] : rows->zero[r];
        const float code = (fminf(fmaxf(place, 0.0f), top) + ROUNDER) - ROUNDER;
        rows->codes[r * f->cols + j] = (uint8_t)code;
        const float rounded = (code - rows->zero[r]) * scale;
        errors[r] = (values[r] - rounded) * by_u;
        /* From here on the column holds what a reader will see. */
        rows->values[ROWS * j + r] = rounded;
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
            if (j % f->group == 0) search_group(rows, j, group_end);
            round_column(rows, j, errors);
            kernels->subtract_products(errors, f->factor + j * f->cols + j + 1, f->cols, 1, end - j - 1,
                                       rows->values + ROWS * (j + 1));
        }
        kernels->subtract_products(rows->errors, f->factor + first * f->cols + end, f->cols, end - first, f->cols - end,
                                   rows->values + ROWS * end);
    }
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

static void round_rows(void *context, uint64_t block, unsigned worker) {
    const struct feedback *const f = context;
    const size_t first = ROWS * (size_t)block;
    struct rows rows = {.f = f,
                        .first = first,
                        .count = (size_t)sinq_min_u64(ROWS, f->job->units->rows - first),
                        .values = malloc(ROWS * f->cols * sizeof(float)),
                        .errors = malloc(ROWS * BLOCK_COLUMNS * sizeof(float)),
                        .codes = malloc(ROWS * f->cols),
                        .outcome = &f->outcomes[block]};
    if (rows.values != NULL && rows.errors != NULL && rows.codes != NULL) {
        load_rows(&rows);
        round_columns(&rows);
        pack_rows(&rows);
        measure_rows(&rows);
    } else {
        f->has_failed[worker] = true;
    }
    free(rows.values);
    free(rows.errors);
    free(rows.codes);
}

/* ---- the whole ---- */

static bool has_any_failed(const struct feedback *f) {
    bool has_failed = false;
    for (unsigned i = 0; i < f->threads; i++) has_failed |= f->has_failed[i];
    return has_failed;
}

static int run_feedback(struct feedback *f, uint64_t blocks, bool *is_done, struct sinq_error *error) {
    for (size_t j = 0; j < f->cols; j++) f->column[j] = 1.0f;
    if (sinq_method_normalizes(f->job->method)) {
        sinq_parallel_for(f->threads, f->job->units->unit_count, find_column_scales, f);
    }
    int status = find_factor(f, is_done, error);
    if (status != SINQ_OK || !*is_done) return status;
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

int sinq_round_with_feedback(const struct sinq_unit_job *job, const float *gram, unsigned threads, bool *is_done,
                             struct sinq_error *error) {
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
    *is_done = false;
    const int status = has_memory ? run_feedback(&f, blocks, is_done, error)
                                  : sinq_fail_memory(error, "a factor", n * n * sizeof *f.factor);
    free(f.column);
    free(f.factor);
    free(f.weights);
    free(f.outcomes);
    free(f.has_failed);
    return status;
}
