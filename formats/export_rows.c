/* export_rows.c: rows of a checkpoint's tensors, turned into those of a GGUF file. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "export_view.h"

/* Where a tensor's rows begin, and how many are wanted. */
struct range {
    const struct sinq_export_view *view;
    const struct sinq_export_part *part;
    const struct sinq_tensor *tensor; /* of the view */
    uint64_t first, count, cols;
};

static int read_member(const struct range *r, uint64_t member, uint64_t row, uint64_t count, float *out,
                       struct sinq_error *error) {
    return sinq_read_rows(r->view->source, r->part->members[member], row, count, out, error);
}

static uint64_t count_heads(const struct range *r) {
    return r->part->change == SINQ_GGUF_QUERY_ROWS ? r->view->config.heads : r->view->config.kv_heads;
}

/* Rows one by one, each from the place that `find` names. */
typedef uint64_t find_row_fn(const struct range *r, uint64_t row);
static int read_scattered(const struct range *r, find_row_fn *find, float *out, struct sinq_error *error) {
    int status = SINQ_OK;
    for (uint64_t i = 0; i < r->count && status == SINQ_OK; i++) {
        status = read_member(r, 0, find(r, r->first + i), 1, out + i * r->cols, error);
    }
    return status;
}

static uint64_t find_rotated_row(const struct range *r, uint64_t row) {
    return sinq_gguf_to_hf_row(row, r->tensor->shape[0], count_heads(r));
}

static uint64_t find_half_row(const struct range *r, uint64_t row) {
    const uint64_t half = r->tensor->shape[r->tensor->rank - 2], stack = row / half;
    return stack * 2 * half + (r->part->change == SINQ_GGUF_SECOND_HALF ? half : 0) + row % half;
}

static uint64_t find_value_row(const struct range *r, uint64_t row) {
    const uint64_t nope = r->view->config.nope_dim, value = r->view->config.value_dim;
    return row / value * (nope + value) + nope + row % value;
}

/* Values of biases, of which a row of the source has all, or twice as many. */
static uint64_t find_bias_value(const struct range *r, uint64_t i) {
    switch (r->part->change) {
    case SINQ_GGUF_QUERY_ROWS:
    case SINQ_GGUF_KEY_ROWS:
        return sinq_gguf_to_hf_row(i, r->cols, count_heads(r));
    case SINQ_GGUF_SECOND_HALF:
        return r->cols + i;
    case SINQ_GGUF_EVEN_COLUMNS:
        return 2 * i;
    case SINQ_GGUF_ODD_COLUMNS:
        return 2 * i + 1;
    default:
        return i;
    }
}

static int read_bias(const struct range *r, float *out, struct sinq_error *error) {
    const struct sinq_tensor *const member = sinq_export_member(r->view, r->part, 0);
    const uint64_t width = member->shape[member->rank - 1];
    float *const row = malloc((size_t)width * sizeof *row);
    int status = row == NULL ? sinq_fail_memory(error, member->name, width * sizeof *row) : SINQ_OK;
    for (uint64_t i = 0; i < r->count && status == SINQ_OK; i++) {
        status = read_member(r, 0, r->first + i, 1, row, error);
        for (uint64_t k = 0; k < r->cols && status == SINQ_OK; k++) {
            out[i * r->cols + k] = row[find_bias_value(r, k)];
        }
    }
    free(row);
    return status;
}

/* Experts that are tensors of their own: a run of rows lies in one of them. */
static int read_experts(const struct range *r, float *out, struct sinq_error *error) {
    const uint64_t rows = r->part->is_bias ? 1 : r->tensor->shape[1];
    int status = SINQ_OK;
    for (uint64_t done = 0; done < r->count && status == SINQ_OK;) {
        const uint64_t row = r->first + done, within = row % rows;
        const uint64_t count = sinq_min_u64(r->count - done, rows - within);
        status = read_member(r, row / rows, within, count, out + done * r->cols, error);
        done += count;
    }
    return status;
}

/* ---- columns that become rows ---- */

/* The matrix of the view's row `row`: which rows of the source it is, which columns, and the row's number within it. */
struct origin {
    uint64_t first_row, rows, column, step, within;
};

static struct origin find_origin(const struct range *r, uint64_t row) {
    const struct sinq_model_config *const c = &r->view->config;
    const uint64_t height = r->tensor->shape[1], matrix = row / height, within = row % height;
    if (r->part->change == SINQ_GGUF_KEY_HALF) {
        return (struct origin){matrix * ((uint64_t)c->nope_dim + c->value_dim), c->nope_dim, 0, 1, within};
    }
    const bool is_whole = r->part->change == SINQ_GGUF_TRANSPOSED;
    return (struct origin){matrix * r->cols, r->cols, r->part->change == SINQ_GGUF_ODD_COLUMNS, is_whole ? 1 : 2,
                           within};
}

/* Rows of `source` (all its columns) into *turned, column by column. */
static int turn(const struct range *r, const struct origin *origin, struct sinq_export_turned *turned,
                struct sinq_error *error) {
    const struct sinq_tensor *const member = sinq_export_member(r->view, r->part, 0);
    const uint64_t width = member->shape[member->rank - 1], height = r->tensor->shape[1];
    const uint64_t values = height * origin->rows;
    turned->is_used = false;
    if (turned->capacity < values) {
        free(turned->values);
        turned->values = malloc((size_t)values * sizeof *turned->values);
        turned->capacity = turned->values == NULL ? 0 : values;
    }
    float *const row = malloc((size_t)width * sizeof *row);
    int status = SINQ_OK;
    if (turned->values == NULL || row == NULL) status = sinq_fail_memory(error, member->name, values * sizeof *row);
    for (uint64_t i = 0; i < origin->rows && status == SINQ_OK; i++) {
        status = read_member(r, 0, origin->first_row + i, 1, row, error);
        for (uint64_t k = 0; k < height && status == SINQ_OK; k++) {
            turned->values[k * origin->rows + i] = row[origin->column + k * origin->step];
        }
    }
    free(row);
    if (status != SINQ_OK) return status;
    turned->is_used = true;
    turned->tensor = r->part->members[0];
    turned->first_row = origin->first_row;
    turned->column = origin->column;
    turned->step = origin->step;
    return SINQ_OK;
}

static int read_turned(const struct range *r, float *out, struct sinq_error *error) {
    struct sinq_export_view *const view = sinq_to_export_view(&r->view->base);
    struct sinq_export_turned *const turned = &view->turned;
    int status = SINQ_OK;
    pthread_mutex_lock(&view->lock);
    for (uint64_t i = 0; i < r->count && status == SINQ_OK; i++) {
        const struct origin origin = find_origin(r, r->first + i);
        const bool is_there = turned->is_used && turned->tensor == r->part->members[0] &&
                              turned->first_row == origin.first_row && turned->column == origin.column &&
                              turned->step == origin.step;
        if (!is_there) status = turn(r, &origin, turned, error);
        if (status != SINQ_OK) break;
        memcpy(out + i * r->cols, turned->values + origin.within * r->cols, (size_t)r->cols * sizeof *out);
    }
    pthread_mutex_unlock(&view->lock);
    return status;
}

/* ---- any rows ---- */

static int read_plus_one(const struct range *r, float *out, struct sinq_error *error) {
    const int status = read_member(r, 0, r->first, r->count, out, error);
    for (uint64_t i = 0; i < r->count * r->cols && status == SINQ_OK; i++) out[i] += 1.0F;
    return status;
}

static int read_range(const struct range *r, float *out, struct sinq_error *error) {
    const struct sinq_export_part *const part = r->part;
    if (part->factors != NULL) {
        memcpy(out, part->factors, (size_t)r->cols * sizeof *out);
        return SINQ_OK;
    }
    if (part->change == SINQ_GGUF_EXPERT) return read_experts(r, out, error);
    if (part->is_bias) return read_bias(r, out, error);
    switch (part->change) {
    case SINQ_GGUF_QUERY_ROWS:
    case SINQ_GGUF_KEY_ROWS:
        return read_scattered(r, find_rotated_row, out, error);
    case SINQ_GGUF_FIRST_HALF:
    case SINQ_GGUF_SECOND_HALF:
        return read_scattered(r, find_half_row, out, error);
    case SINQ_GGUF_VALUE_HALF:
        return read_scattered(r, find_value_row, out, error);
    case SINQ_GGUF_EVEN_COLUMNS:
    case SINQ_GGUF_ODD_COLUMNS:
    case SINQ_GGUF_TRANSPOSED:
    case SINQ_GGUF_KEY_HALF:
        return read_turned(r, out, error);
    case SINQ_GGUF_PLUS_ONE:
        return read_plus_one(r, out, error);
    default:
        return read_member(r, 0, r->first, r->count, out, error);
    }
}

/* Whole rows go where they are wanted, parts of them through a buffer. */
int sinq_read_export_bytes(const struct sinq_source *source, size_t index, uint64_t offset, uint64_t size, void *out,
                           struct sinq_error *error) {
    const struct sinq_export_view *const view = sinq_to_export_view(source);
    const struct sinq_tensor *const tensor = &source->tensors[index];
    const uint64_t cols = sinq_tensor_matrix_shape(tensor).cols, row = cols * sizeof(float);
    const uint64_t first = offset / row, end = sinq_divide_up(offset + size, row);
    const struct range range = {view, &view->parts[index], tensor, first, end - first, cols};
    if (offset % row == 0 && size % row == 0 && (uintptr_t)out % sizeof(float) == 0) {
        return read_range(&range, out, error);
    }
    float *const rows = malloc((size_t)((end - first) * row));
    if (rows == NULL) return sinq_fail_memory(error, tensor->name, (end - first) * row);
    const int status = read_range(&range, rows, error);
    if (status == SINQ_OK) memcpy(out, (const uint8_t *)rows + (offset - first * row), (size_t)size);
    free(rows);
    return status;
}
