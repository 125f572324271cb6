#include "quant/absorb_scales.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/parallel.h"
#include "checkpoint/source.h"
#include "quant/load.h"
#include "quant/sinkhorn.h"
#include "tensor/dtype.h"

#define RUN_COLUMNS 256u
/* Of a channel's t to the usual one's: a column of zeros must not push its producer out of range. */
#define LARGEST_SCALE 64.0

struct scaler {
    const struct sinq_source *source;
    struct sinq_absorb_plan *plan;
    const struct sinq_absorb_options *options;
    struct sinq_loader loader;
    struct sinq_unit_matrix units;
    struct sinq_sinkhorn **work; /* one a thread, for tiles of work_rows */
    uint64_t work_rows;
    float *columns; /* of the matrix in hand */
    float *rows;    /* row scales, which nobody wants: room for each thread */
    uint64_t column_capacity;
    double *squares; /* a channel: sum of weight * t^2 */
    double *weights;
    float **sizes; /* one a group: how large its channels are likely to be before they are scaled; NULL: unknown */
};

/* ---- one matrix ---- */

/* To within bounds of 1 in the mean square, 1 where nothing is known. */
static void bound_values(float *values, uint32_t count) {
    double square = 0;
    for (uint32_t c = 0; c < count; c++) square += (double)values[c] * (double)values[c];
    const double usual = sqrt(square / (double)count);
    for (uint32_t c = 0; c < count; c++) {
        const double value = (double)values[c] / usual;
        values[c] = isfinite(value) ? (float)fmin(fmax(value, 1.0 / LARGEST_SCALE), LARGEST_SCALE) : 1.0f;
    }
}

static void normalize_run(void *context, uint64_t unit, unsigned worker) {
    const struct scaler *const scaler = context;
    const struct sinq_tile tile = sinq_unit_tile(&scaler->units, unit);
    struct sinq_sinkhorn_result result;
    float *const t = scaler->columns + unit * RUN_COLUMNS;
    sinq_normalize_tile(scaler->work[worker], &tile, t, scaler->rows + worker * scaler->work_rows, &result);
    bound_values(t, (uint32_t)tile.cols); /* what all columns have in common is the rows' business */
}

static void free_work(struct scaler *scaler) {
    for (unsigned i = 0; scaler->work != NULL && i < scaler->options->threads; i++) {
        sinq_sinkhorn_free(scaler->work[i]);
        scaler->work[i] = NULL;
    }
    free(scaler->rows);
    scaler->rows = NULL;
}

static int reserve(struct scaler *scaler, uint64_t rows, uint64_t cols, struct sinq_error *error) {
    const unsigned threads = scaler->options->threads;
    const uint64_t padded = sinq_round_up(rows, SINQ_UNIT_ROW_MULTIPLE);
    const uint64_t columns = sinq_round_up(cols, RUN_COLUMNS);
    if (columns > scaler->column_capacity) {
        free(scaler->columns);
        scaler->columns = malloc((size_t)columns * sizeof *scaler->columns);
        scaler->column_capacity = scaler->columns == NULL ? 0 : columns;
        if (scaler->columns == NULL) return sinq_fail_memory(error, "column scales", columns * sizeof(float));
    }
    if (padded <= scaler->work_rows) return SINQ_OK;
    free_work(scaler);
    scaler->rows = malloc((size_t)padded * threads * sizeof *scaler->rows);
    bool has_room = scaler->rows != NULL;
    for (unsigned i = 0; i < threads && has_room; i++) {
        scaler->work[i] = sinq_sinkhorn_create((size_t)padded, RUN_COLUMNS);
        has_room = scaler->work[i] != NULL;
    }
    scaler->work_rows = has_room ? padded : 0;
    return has_room ? SINQ_OK : sinq_fail_memory(error, "normalizing a matrix", padded * threads * 64);
}

/* ---- how large values are likely to be ---- */

struct size_job {
    const struct scaler *scaler;
    const struct sinq_absorb_group *group; /* whose channels are rows of the matrix in hand */
    const float *inputs;                   /* sizes of what the matrix reads; NULL: all alike */
    float *sizes;
};

/* The root of the mean square of one channel's row, each column times the size of what it is multiplied with. */
static void size_channel(void *context, uint64_t channel, unsigned worker) {
    const struct size_job *const job = context;
    const struct sinq_unit_matrix *const units = &job->scaler->units;
    const uint64_t row = sinq_absorb_row(job->group, channel);
    double square = 0;
    (void)worker;
    for (uint64_t unit = 0; unit < units->unit_count; unit++) {
        const struct sinq_tile tile = sinq_unit_tile(units, unit);
        const float *const inputs = job->inputs == NULL ? NULL : job->inputs + unit * RUN_COLUMNS;
        for (size_t j = 0; j < tile.cols; j++) {
            const double value = (double)sinq_tile_value(&tile, (size_t)row, j);
            const double product = value * (inputs == NULL ? 1.0 : (double)inputs[j]);
            square += product * product;
        }
    }
    job->sizes[channel] = (float)sqrt(square / (double)units->cols);
}

/* Of the group, if any, whose channels are rows of the matrix in hand. */
static int size_rows(struct scaler *scaler, const struct sinq_absorb_group *reads, const struct sinq_absorb_site *site,
                     uint32_t number, struct sinq_error *error) {
    const struct sinq_absorb_plan *const plan = scaler->plan;
    const uint32_t writes = plan->items[plan->tensors[site->tensor].first_item + site->item].writes;
    if (writes == SINQ_NO_GROUP) return SINQ_OK;
    const struct sinq_absorb_group *const group = &plan->groups.groups[writes];
    scaler->sizes[writes] = malloc(((size_t)group->width + 1) * sizeof **scaler->sizes);
    if (scaler->sizes[writes] == NULL) return sinq_fail_memory(error, "sizes", group->width * sizeof(float));
    struct size_job job = {scaler, group, reads->repeat == 1 ? scaler->sizes[number] : NULL, scaler->sizes[writes]};
    sinq_parallel_for(scaler->options->threads, group->width, size_channel, &job);
    bound_values(scaler->sizes[writes], group->width);
    return SINQ_OK;
}

/* A norm's weights are the sizes of what it makes. */
static int size_norm(struct scaler *scaler, uint32_t number, struct sinq_error *error) {
    const struct sinq_absorb_plan *const plan = scaler->plan;
    const uint32_t width = plan->groups.groups[number].width;
    const size_t tensor = sinq_absorb_producer(plan, number)->tensor;
    if (!plan->groups.groups[number].is_norm) return SINQ_OK;
    float *const sizes = malloc(((size_t)width + 1) * sizeof *sizes);
    scaler->sizes[number] = sizes;
    if (sizes == NULL) return sinq_fail_memory(error, "a norm's weights", width * sizeof *sizes);
    const int status = sinq_read_rows(scaler->source, tensor, 0, 1, sizes, error);
    for (uint32_t c = 0; c < width && status == SINQ_OK; c++) sizes[c] = fabsf(sizes[c] + plan->tensors[tensor].plus);
    if (status == SINQ_OK) bound_values(sizes, width);
    return status;
}

/* Adds one reader's column scales to the group's. */
static int add_reader(struct scaler *scaler, uint32_t number, const struct sinq_absorb_site *site,
                      struct sinq_error *error) {
    const struct sinq_absorb_group *const group = &scaler->plan->groups.groups[number];
    const bool is_transposed = scaler->plan->tensors[site->tensor].is_transposed;
    struct sinq_hash hash;
    int status = sinq_load_matrix(&scaler->loader, site->tensor, site->item, is_transposed, RUN_COLUMNS, &scaler->units,
                                  &hash, error);
    if (status == SINQ_OK) status = reserve(scaler, scaler->units.rows, scaler->units.cols, error);
    if (status == SINQ_OK) status = size_rows(scaler, group, site, number, error);
    if (status != SINQ_OK) return status;
    sinq_parallel_for(scaler->options->threads, scaler->units.unit_count, normalize_run, scaler);
    const double weight = (double)scaler->units.rows;
    for (uint64_t k = 0; k < scaler->units.cols; k++) {
        const uint64_t channel = sinq_absorb_channel(group, k);
        scaler->squares[channel] += weight * (double)scaler->columns[k] * (double)scaler->columns[k];
        scaler->weights[channel] += weight;
    }
    return SINQ_OK;
}

/* ---- groups ---- */

/*
 * A group of columns is rounded with steps that follow its largest values, and a column's error counts as much as what it is
 * multiplied with: with deviations d and sizes x, ||d / t||_p ||t x||_2 is least for t^(p + 2) = d^p / x^2. p is a choice: between
 * 2, the deviation itself, and infinity, the largest value alone. 6 came out best of five
 * values, on the same few texts by which the result is judged: no more than that speaks for it.
 */
static double combine(double deviation, double size) { return sqrt(sqrt(deviation * deviation * deviation / size)); }

static int scale_group(struct scaler *scaler, uint32_t number, struct sinq_error *error) {
    const struct sinq_absorb_plan *const plan = scaler->plan;
    const struct sinq_absorb_group *const group = &plan->groups.groups[number];
    float *const t = plan->scales[number];
    scaler->squares = calloc((size_t)group->width + 1, sizeof *scaler->squares);
    scaler->weights = calloc((size_t)group->width + 1, sizeof *scaler->weights);
    int status = SINQ_OK;
    if (scaler->squares == NULL || scaler->weights == NULL) {
        status = sinq_fail_memory(error, "column scales", 2 * sizeof(double) * group->width);
    }
    if (status == SINQ_OK) status = size_norm(scaler, number, error);
    for (size_t i = 0; i < group->reader_count && status == SINQ_OK; i++) {
        const struct sinq_absorb_site *const site = &plan->sites[plan->groups.readers[group->first_reader + i]];
        if (scaler->options->entries[site->tensor].action != SINQ_QUANTIZE) continue;
        status = add_reader(scaler, number, site, error);
    }
    for (uint32_t c = 0; c < group->width && status == SINQ_OK; c++) {
        const double size = scaler->sizes[number] == NULL ? 1.0 : (double)scaler->sizes[number][c];
        t[c] = (float)combine(sqrt(scaler->squares[c] / scaler->weights[c]), size);
    }
    /* What all channels have in common would move weights for nothing. */
    if (status == SINQ_OK) bound_values(t, group->width);
    free(scaler->squares);
    free(scaler->weights);
    return status;
}

static int report(const struct scaler *scaler, uint32_t number, sinq_progress_fn *progress, void *user,
                  struct sinq_error *error) {
    const struct sinq_absorb_plan *const plan = scaler->plan;
    if (progress == NULL) return SINQ_OK;
    const struct sinq_progress now = {.activity = "balancing",
                                      .name = scaler->source->tensors[sinq_absorb_producer(plan, number)->tensor].name,
                                      .item = number,
                                      .items = plan->groups.count,
                                      .bytes = number,
                                      .bytes_total = plan->groups.count,
                                      .unit = "groups"};
    if (progress(user, &now) == 0) return SINQ_OK;
    return sinq_fail(error, SINQ_INTERRUPTED, "interrupted while finding column scales");
}

int sinq_find_absorbed_scales(const struct sinq_source *source, struct sinq_absorb_plan *plan,
                              const struct sinq_absorb_options *options, sinq_progress_fn *progress, void *user,
                              struct sinq_error *error) {
    struct scaler scaler = {
        .source = source,
        .plan = plan,
        .options = options,
        .loader = {.source = source, .threads = options->threads, .replace_nonfinite = options->replace_nonfinite}};
    int status = SINQ_OK;
    scaler.work = calloc(options->threads, sizeof *scaler.work);
    scaler.sizes = calloc(plan->groups.count + 1, sizeof *scaler.sizes);
    if (scaler.work == NULL || scaler.sizes == NULL)
        status = sinq_fail_memory(error, "column scales", options->threads);
    for (uint32_t i = 0; i < plan->groups.count && status == SINQ_OK; i++) {
        if (plan->scales[i] == NULL) continue;
        status = report(&scaler, i, progress, user, error);
        if (status == SINQ_OK) status = scale_group(&scaler, i, error);
    }
    for (size_t i = 0; scaler.sizes != NULL && i < plan->groups.count; i++) free(scaler.sizes[i]);
    free(scaler.sizes);
    free_work(&scaler);
    free(scaler.work);
    free(scaler.columns);
    sinq_free_units(&scaler.units);
    sinq_free_loader(&scaler.loader);
    return status == SINQ_OK ? sinq_settle_norm_scales(source, plan, error) : status;
}

/* ---- norms ---- */

/* The nearest t with which `weight` becomes a bf16 number, less `plus` as it is stored; 1 where there is none. */
static float settle_scale(double weight, double plus, float t) {
    const float stored = (float)((weight + plus) * (double)t - plus);
    const double settled = (double)sinq_bfloat_to_float(sinq_float_to_bfloat(stored)) + plus;
    const double scale = settled / (weight + plus);
    return isfinite(scale) && scale > 0 && fabs(settled) < 65504 ? (float)scale : 1.0f;
}

static int settle_norm(const struct sinq_source *source, const struct sinq_absorb_plan *plan, uint32_t number,
                       struct sinq_error *error) {
    const uint32_t width = plan->groups.groups[number].width;
    const size_t tensor = sinq_absorb_producer(plan, number)->tensor;
    float *const weights = malloc(((size_t)width + 1) * sizeof *weights);
    if (weights == NULL) return sinq_fail_memory(error, "a norm's weights", width * sizeof *weights);
    const int status = sinq_read_rows(source, tensor, 0, 1, weights, error);
    for (uint32_t c = 0; c < width && status == SINQ_OK; c++) {
        float *const t = &plan->scales[number][c];
        *t = settle_scale(weights[c], plan->tensors[tensor].plus, *t);
    }
    free(weights);
    return status;
}

int sinq_settle_norm_scales(const struct sinq_source *source, struct sinq_absorb_plan *plan, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint32_t i = 0; i < plan->groups.count && status == SINQ_OK; i++) {
        const bool is_behind_norm = plan->scales[i] != NULL && plan->groups.groups[i].is_norm;
        if (is_behind_norm) status = settle_norm(source, plan, i, error);
    }
    return status;
}
