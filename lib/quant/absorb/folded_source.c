#include "quant/absorb/folded_source.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "tensor/dtype.h"

/* Rows are changed this many bytes at a time: as many as the job's loader asks for, since each time factors are made anew. */
#define CHUNK_BYTES ((uint64_t)1 << 20)

struct folded {
    struct sinq_source base;
    const struct sinq_source *origin;
    struct sinq_absorb_plan *plan;
};

static const struct folded *to_folded(const struct sinq_source *source) {
    return (const struct folded *)(const void *)source;
}

enum sinq_dtype sinq_folded_dtype(const struct sinq_absorb_plan *plan, const struct sinq_source *source,
                                  size_t tensor) {
    const struct sinq_absorb_tensor *const t = &plan->tensors[tensor];
    const enum sinq_dtype dtype = source->tensors[tensor].dtype;
    const bool keeps_type = !t->is_folded || (t->is_norm && (dtype == SINQ_BF16 || dtype == SINQ_F16));
    return keeps_type ? dtype : SINQ_F32;
}

/* ---- factors ---- */

/* Of the sides of one matrix, as it is stored: a value at (row, col) is multiplied by row[row] * col[col]. */
struct factors {
    double *row, *col;
    uint64_t rows, cols;
    double plus; /* added before and taken away after */
};

static double *make_ones(uint64_t count) {
    double *const ones = malloc((size_t)(count + 1) * sizeof *ones);
    for (uint64_t i = 0; ones != NULL && i < count; i++) ones[i] = 1.0;
    return ones;
}

static void fill_written(const struct sinq_absorb_plan *plan, uint32_t number, double *side) {
    if (number == SINQ_NO_GROUP) return;
    const struct sinq_absorb_group *const group = &plan->groups.groups[number];
    for (uint32_t c = 0; c < group->width; c++) side[sinq_absorb_row(group, c)] = (double)plan->scales[number][c];
}

static void fill_read(const struct sinq_absorb_plan *plan, uint32_t number, uint64_t count, double *side) {
    if (number == SINQ_NO_GROUP) return;
    const struct sinq_absorb_group *const group = &plan->groups.groups[number];
    for (uint64_t k = 0; k < count; k++) side[k] = 1.0 / (double)plan->scales[number][sinq_absorb_channel(group, k)];
}

static void free_factors(struct factors *factors) {
    free(factors->row);
    free(factors->col);
}

/* Of one item of a tensor: a matrix, or a row of a stack of vectors. */
static int make_factors(const struct folded *folded, size_t tensor, uint64_t number, struct factors *factors,
                        struct sinq_error *error) {
    const struct sinq_absorb_plan *const plan = folded->plan;
    const struct sinq_absorb_tensor *const t = &plan->tensors[tensor];
    const struct sinq_absorb_item *const item = &plan->items[t->first_item + number];
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&folded->base.tensors[tensor]);
    *factors = (struct factors){.rows = t->is_vector ? 1 : shape.rows, .cols = shape.cols};
    factors->plus = t->is_norm ? (double)t->plus : 0.0;
    factors->row = make_ones(factors->rows);
    factors->col = make_ones(factors->cols);
    if (factors->row == NULL || factors->col == NULL) {
        free_factors(factors);
        return sinq_fail_memory(error, "column scales", (factors->rows + factors->cols) * sizeof(double));
    }
    /* A vector's values are rows of its layer; a transposed matrix is stored with its columns as rows. */
    const bool is_turned = t->is_vector || t->is_transposed;
    fill_written(plan, item->writes, is_turned ? factors->col : factors->row);
    fill_read(plan, item->reads, is_turned ? factors->rows : factors->cols, is_turned ? factors->row : factors->col);
    return SINQ_OK;
}

static void apply_factors(const struct factors *factors, uint64_t first, uint64_t count, float *values) {
    for (uint64_t r = 0; r < count; r++, values += factors->cols) {
        const double row = factors->row[first + r], plus = factors->plus;
        for (uint64_t k = 0; k < factors->cols; k++) {
            values[k] = (float)(((double)values[k] + plus) * (row * factors->col[k]) - plus);
        }
    }
}

/* ---- rows ---- */

/* Rows [first, first + count) of the tensor, changed, as f32. */
static int read_changed_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count,
                             float *out, struct sinq_error *error) {
    const struct folded *const folded = to_folded(source);
    int status = sinq_read_rows(folded->origin, tensor, first, count, out, error);
    while (count > 0 && status == SINQ_OK) {
        struct factors factors;
        const struct sinq_absorb_tensor *const t = &folded->plan->tensors[tensor];
        const uint64_t height = t->is_vector ? 1 : sinq_tensor_matrix_shape(&source->tensors[tensor]).rows;
        const uint64_t row = first % height, now = sinq_min_u64(count, height - row);
        status = make_factors(folded, tensor, first / height, &factors, error);
        if (status != SINQ_OK) break;
        apply_factors(&factors, row, now, out);
        out += now * factors.cols;
        first += now;
        count -= now;
        free_factors(&factors);
    }
    return status;
}

/* Bytes of whole rows, in the folded type. */
static int read_whole_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count,
                           uint8_t *out, float *values, struct sinq_error *error) {
    const struct sinq_tensor *const t = &source->tensors[tensor];
    const uint64_t cols = sinq_tensor_matrix_shape(t).cols;
    const int status = read_changed_rows(source, tensor, first, count, values, error);
    if (status == SINQ_OK) sinq_convert_from_float(t->dtype, values, (size_t)(count * cols), out);
    return status;
}

/* Any bytes: rows that are wanted in part are read whole, into memory of their own. */
static int read_changed_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size,
                              uint8_t *out, struct sinq_error *error) {
    const struct sinq_tensor *const t = &source->tensors[tensor];
    const uint64_t cols = sinq_tensor_matrix_shape(t).cols, row_bytes = cols * sinq_dtype_size(t->dtype);
    const uint64_t most = sinq_max_u64(1, CHUNK_BYTES / (cols * sizeof(float)));
    float *const values = malloc((size_t)(most * cols) * sizeof *values);
    uint8_t *const part = malloc((size_t)row_bytes);
    int status = values == NULL || part == NULL ? sinq_fail_memory(error, t->name, 2 * row_bytes) : SINQ_OK;
    while (size > 0 && status == SINQ_OK) {
        const uint64_t row = offset / row_bytes, in_row = offset % row_bytes;
        const uint64_t whole = in_row == 0 ? sinq_min_u64(most, size / row_bytes) : 0;
        uint64_t now = whole * row_bytes;
        if (whole > 0) {
            status = read_whole_rows(source, tensor, row, whole, out, values, error);
        } else {
            now = sinq_min_u64(size, row_bytes - in_row);
            status = read_whole_rows(source, tensor, row, 1, part, values, error);
            if (status == SINQ_OK) memcpy(out, part + in_row, (size_t)now);
        }
        out += now;
        offset += now;
        size -= now;
    }
    free(values);
    free(part);
    return status;
}

/* ---- a source ---- */

static int read_bytes(const struct sinq_source *source, size_t tensor, uint64_t offset, uint64_t size, void *out,
                      struct sinq_error *error) {
    const struct folded *const folded = to_folded(source);
    if (!folded->plan->tensors[tensor].is_folded) {
        return sinq_read_bytes(folded->origin, tensor, offset, size, out, error);
    }
    return read_changed_bytes(source, tensor, offset, size, out, error);
}

static int read_sidecar(const struct sinq_source *source, size_t index, char **data, size_t *size,
                        struct sinq_error *error) {
    return sinq_source_read_sidecar(to_folded(source)->origin, index, data, size, error);
}

/* Only of tensors that are quantized already and kept. */
static int read_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                     struct sinq_error *error) {
    return sinq_read_rows(to_folded(source)->origin, tensor, first, count, out, error);
}

static int describe_matrix(const struct sinq_source *source, size_t tensor, uint64_t index,
                           struct sinq_matrix_info *info, struct sinq_error *error) {
    return sinq_source_matrix_info(to_folded(source)->origin, tensor, index, info, error);
}

static int map_tensor(const struct sinq_source *source, size_t tensor, const uint8_t **bytes,
                      struct sinq_error *error) {
    const struct folded *const folded = to_folded(source);
    *bytes = NULL;
    return folded->plan->tensors[tensor].is_folded ? SINQ_OK : sinq_map_tensor(folded->origin, tensor, bytes, error);
}

static void close_folded(struct sinq_source *source) {
    struct folded *const folded = (struct folded *)(void *)source;
    sinq_absorb_plan_free(folded->plan);
    free(folded->base.tensors);
    free(folded);
}

static void describe_tensor(struct folded *folded, size_t tensor) {
    struct sinq_tensor *const t = &folded->base.tensors[tensor];
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(t);
    if (!folded->plan->tensors[tensor].is_folded) return;
    t->dtype = sinq_folded_dtype(folded->plan, folded->origin, tensor);
    t->bytes = shape.count * shape.rows * shape.cols * sinq_dtype_size(t->dtype);
    t->scale_tensor = -1;
}

int sinq_fold_source(const struct sinq_source *origin, struct sinq_absorb_plan *plan, struct sinq_source **folded,
                     struct sinq_error *error) {
    static const struct sinq_source_ops ops = {.read_bytes = read_bytes,
                                               .read_sidecar = read_sidecar,
                                               .close = close_folded,
                                               .read_rows = read_rows,
                                               .matrix_info = describe_matrix,
                                               .map = map_tensor};
    struct folded *const made = calloc(1, sizeof *made);
    struct sinq_tensor *const tensors = malloc((origin->tensor_count + 1) * sizeof *tensors);
    if (made == NULL || tensors == NULL) {
        free(made);
        free(tensors);
        return sinq_fail_memory(error, "a folded checkpoint", origin->tensor_count * sizeof *tensors);
    }
    memcpy(tensors, origin->tensors, origin->tensor_count * sizeof *tensors);
    made->base = *origin;
    made->base.ops = &ops;
    made->base.tensors = tensors;
    made->base.checksums = NULL;
    made->origin = origin;
    made->plan = plan;
    for (size_t i = 0; i < origin->tensor_count; i++) describe_tensor(made, i);
    *folded = &made->base;
    return SINQ_OK;
}
