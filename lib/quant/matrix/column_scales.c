#include "quant/matrix/column_scales.h"

#include <math.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/parallel.h"

/* Of a column's t to the usual one's. */
#define LARGEST_SCALE 64.0

void sinq_bound_scales(float *values, uint32_t count) {
    double square = 0;
    for (uint32_t c = 0; c < count; c++) square += (double)values[c] * (double)values[c];
    const double usual = sqrt(square / (double)count);
    for (uint32_t c = 0; c < count; c++) {
        const double value = (double)values[c] / usual;
        values[c] = isfinite(value) ? (float)fmin(fmax(value, 1.0 / LARGEST_SCALE), LARGEST_SCALE) : 1.0f;
    }
}

static void free_work(struct sinq_column_scaler *scaler) {
    for (unsigned i = 0; scaler->work != NULL && i < scaler->loader.threads; i++) sinq_sinkhorn_free(scaler->work[i]);
    free(scaler->work);
    free(scaler->rows);
    scaler->work = NULL;
    scaler->rows = NULL;
    scaler->work_rows = 0;
}

static int reserve_columns(struct sinq_column_scaler *scaler, uint64_t cols, struct sinq_error *error) {
    const uint64_t columns = sinq_round_up(cols, SINQ_SCALE_RUN);
    if (columns <= scaler->capacity) return SINQ_OK;
    free(scaler->scales);
    scaler->scales = malloc((size_t)columns * sizeof *scaler->scales);
    scaler->capacity = scaler->scales == NULL ? 0 : columns;
    return scaler->scales != NULL ? SINQ_OK : sinq_fail_memory(error, "column scales", columns * sizeof(float));
}

static int reserve_rows(struct sinq_column_scaler *scaler, uint64_t rows, struct sinq_error *error) {
    const unsigned threads = scaler->loader.threads;
    const uint64_t padded = sinq_round_up(rows, SINQ_UNIT_ROW_MULTIPLE);
    if (padded <= scaler->work_rows) return SINQ_OK;
    free_work(scaler);
    scaler->work = calloc(threads, sizeof *scaler->work);
    scaler->rows = malloc((size_t)padded * threads * sizeof *scaler->rows);
    bool has_room = scaler->work != NULL && scaler->rows != NULL;
    for (unsigned i = 0; i < threads && has_room; i++) {
        scaler->work[i] = sinq_sinkhorn_create((size_t)padded, SINQ_SCALE_RUN);
        has_room = scaler->work[i] != NULL;
    }
    scaler->work_rows = has_room ? padded : 0;
    return has_room ? SINQ_OK : sinq_fail_memory(error, "normalizing a matrix", padded * threads * 64);
}

int sinq_load_for_scales(struct sinq_column_scaler *scaler, size_t tensor, uint64_t index, bool transposed,
                         struct sinq_error *error) {
    struct sinq_hash hash;
    int status =
        sinq_load_matrix(&scaler->loader, tensor, index, transposed, SINQ_SCALE_RUN, &scaler->units, &hash, error);
    if (status == SINQ_OK) status = reserve_columns(scaler, scaler->units.cols, error);
    return status == SINQ_OK ? reserve_rows(scaler, scaler->units.rows, error) : status;
}

static void normalize_run(void *context, uint64_t unit, unsigned worker) {
    const struct sinq_column_scaler *const scaler = context;
    const struct sinq_tile tile = sinq_unit_tile(&scaler->units, unit);
    struct sinq_sinkhorn_result result;
    float *const t = scaler->scales + unit * SINQ_SCALE_RUN;
    sinq_normalize_tile(scaler->work[worker], &tile, t, scaler->rows + worker * scaler->work_rows, &result);
    sinq_bound_scales(t, (uint32_t)tile.cols);
}

void sinq_scale_columns(struct sinq_column_scaler *scaler) {
    sinq_parallel_for(scaler->loader.threads, scaler->units.unit_count, normalize_run, scaler);
}

void sinq_free_column_scaler(struct sinq_column_scaler *scaler) {
    free_work(scaler);
    free(scaler->scales);
    scaler->scales = NULL;
    sinq_free_units(&scaler->units);
    sinq_free_loader(&scaler->loader);
}

int sinq_find_importance(const struct sinq_source *source, size_t tensor, unsigned threads, bool replace_nonfinite,
                         float *importance, struct sinq_error *error) {
    struct sinq_column_scaler scaler = {
        .loader = {.source = source, .threads = threads, .replace_nonfinite = replace_nonfinite}};
    const uint64_t count = sinq_tensor_matrix_shape(sinq_source_tensor(source, tensor)).count;
    int status = SINQ_OK;
    for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
        status = sinq_load_for_scales(&scaler, tensor, i, false, error);
        if (status != SINQ_OK) break;
        sinq_scale_columns(&scaler);
        for (uint64_t k = 0; k < scaler.units.cols; k++) *importance++ = 1.0f / (scaler.scales[k] * scaler.scales[k]);
    }
    sinq_free_column_scaler(&scaler);
    return status;
}
