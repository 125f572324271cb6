/* rows.c: rows of a tensor as f32, whatever it is stored as. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "tensor/dtype.h"
#include "tensor/dual_scale.h"

#define CHUNK_BYTES ((uint64_t)1 << 18) /* stays in the second cache */

static const char *find_path(const struct sinq_source *source, const struct sinq_tensor *tensor) {
    return source->shards[tensor->shard].path;
}

/* ---- plain elements ---- */

/* Elements [first, first + count), counted through the whole tensor. */
static int read_elements(const struct sinq_source *source, size_t index, uint64_t first, uint64_t count, float *out,
                         struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &source->tensors[index];
    const uint64_t size = sinq_dtype_size(tensor->dtype);
    if (tensor->dtype == SINQ_F32) return sinq_read_bytes(source, index, first * size, count * size, out, error);
    uint8_t *const chunk = malloc((size_t)sinq_min_u64(CHUNK_BYTES, count * size + 1));
    if (chunk == NULL) return sinq_fail_memory(error, tensor->name, CHUNK_BYTES);
    int status = SINQ_OK;
    while (count > 0 && status == SINQ_OK) {
        const uint64_t now = sinq_min_u64(count, CHUNK_BYTES / size);
        status = sinq_read_bytes(source, index, first * size, now * size, chunk, error);
        if (status == SINQ_OK) sinq_convert_to_float(tensor->dtype, chunk, (size_t)now, out);
        first += now;
        count -= now;
        out += now;
    }
    free(chunk);
    return status;
}

/* ---- block scales ---- */

static void scale_row(const float *scales, uint64_t block_cols, uint64_t cols, float *row) {
    for (uint64_t k = 0; k < cols; k += block_cols) {
        const uint64_t end = sinq_min_u64(cols, k + block_cols);
        const float scale = scales[k / block_cols];
        for (uint64_t i = k; i < end; i++) row[i] *= scale;
    }
}

/* Multiplies rows [first, first + count) of `tensor` with the scales of their blocks. */
static int apply_scales(const struct sinq_source *source, const struct sinq_tensor *tensor, uint64_t first,
                        uint64_t count, float *out, struct sinq_error *error) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    const size_t index = (size_t)tensor->scale_tensor;
    const struct sinq_tensor *const scale = &source->tensors[index];
    const uint64_t block_rows = tensor->scale_block[0], block_cols = tensor->scale_block[1];
    const uint64_t scale_rows = sinq_divide_up(shape.rows, block_rows), width = sinq_divide_up(shape.cols, block_cols);
    /* One value for a whole stack has no row for each of its matrices. */
    const bool is_one = scale->bytes == sinq_dtype_size(scale->dtype);
    const uint64_t last = first + count - 1;
    const uint64_t begin = is_one ? 0 : first / shape.rows * scale_rows + first % shape.rows / block_rows;
    const uint64_t end = is_one ? 1 : last / shape.rows * scale_rows + last % shape.rows / block_rows + 1;
    float *const scales = malloc((size_t)((end - begin) * width) * sizeof *scales);
    if (scales == NULL) return sinq_fail_memory(error, scale->name, (end - begin) * width * sizeof *scales);
    const int status = read_elements(source, index, begin * width, (end - begin) * width, scales, error);
    for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
        const uint64_t row = first + i;
        const uint64_t at = is_one ? 0 : row / shape.rows * scale_rows + row % shape.rows / block_rows - begin;
        scale_row(scales + at * width, block_cols, shape.cols, out + i * shape.cols);
    }
    free(scales);
    return status;
}

/* ---- quantized matrices ---- */

/* One matrix of a stack, found and described. */
struct blob {
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    uint64_t index, offset; /* in the stack and in the tensor */
};

/* All headers were checked when the file was opened. */
static int fail_changed(const char *where, struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%s: its shape changed while it was being read", where);
}

/*
 * Walks over the headers of the stack to matrix `wanted`, from blob->index at blob->offset on: the matrices of a stack need not
 * be of equal size. `mapped` are the tensor's bytes, or NULL where they are to be read.
 */
static int find_blob(const struct sinq_source *source, size_t index, uint64_t wanted, const uint8_t *mapped,
                     struct blob *blob, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = &source->tensors[index];
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    char where[600];
    (void)snprintf(where, sizeof where, "%.200s: tensor %.300s", find_path(source, tensor), tensor->name);
    uint64_t offset = blob->offset;
    for (uint64_t i = blob->index; i <= wanted; i++, offset += blob->sizes.bytes) {
        uint8_t header[SINQ_DUAL_SCALE_HEADER_BYTES];
        if (tensor->bytes - offset < sizeof header) return fail_changed(where, error);
        int status = SINQ_OK;
        if (mapped != NULL) {
            memcpy(header, mapped + offset, sizeof header);
        } else {
            status = sinq_read_bytes(source, index, offset, sizeof header, header, error);
        }
        if (status != SINQ_OK) return status;
        status = sinq_dual_scale_parse(header, tensor->bytes - offset, where, &blob->matrix, &blob->sizes, error);
        if (status != SINQ_OK) return status;
        blob->index = i;
        blob->offset = offset;
    }
    const struct sinq_dual_scale *const m = &blob->matrix;
    const bool fits =
        m->transposed ? m->rows == shape.cols && m->cols == shape.rows : m->rows == shape.rows && m->cols == shape.cols;
    return fits ? SINQ_OK : fail_changed(where, error);
}

/* Reads [offset, offset + size) of a blob into its place in memory. A section that is not there may lie anywhere. */
static int fetch(const struct sinq_source *source, size_t index, const struct blob *blob, uint64_t offset,
                 uint64_t size, uint8_t *memory, struct sinq_error *error) {
    if (size == 0) return SINQ_OK;
    return sinq_read_bytes(source, index, blob->offset + offset, size, memory + offset, error);
}

/*
 * Reads those parts of a blob that rows [first, first + count) of its matrix need: codes, scales and zeros lie panel by panel,
 * second-level ranges by 32 rows; column scales and levels belong to all rows.
 */
static int fetch_rows(const struct sinq_source *source, size_t index, const struct blob *blob, uint64_t first,
                      uint64_t count, uint8_t *memory, struct sinq_error *error) {
    const struct sinq_dual_scale *const m = &blob->matrix;
    const struct sinq_dual_scale_sizes *const s = &blob->sizes;
    const uint64_t panel = first / SINQ_PANEL_ROWS, panels = (first + count - 1) / SINQ_PANEL_ROWS + 1 - panel;
    const uint64_t range = first / SINQ_SCALE_BLOCK_ROWS;
    const uint64_t ranges = (first + count - 1) / SINQ_SCALE_BLOCK_ROWS + 1 - range;
    const struct sinq_dual_scale_sizes begin = sinq_dual_scale_skip(m, s, panel, range);
    const struct sinq_dual_scale_sizes end = sinq_dual_scale_skip(m, s, panel + panels, range + ranges);
    const struct {
        uint64_t offset, size;
    } parts[] = {
        {begin.code_offset, end.code_offset - begin.code_offset},
        {begin.scale_offset, end.scale_offset - begin.scale_offset},
        {begin.scale_range_offset, end.scale_range_offset - begin.scale_range_offset},
        {s->column_scale_offset, m->has_column_scale ? s->column_blocks * SINQ_BLOCK_COLUMNS * 2 : 0},
        {s->levels_offset, m->levels == SINQ_LEVELS_UNIFORM ? 0 : SINQ_LINE_BYTES},
        {begin.zero_offset, end.zero_offset - begin.zero_offset},
        {begin.zero_range_offset, end.zero_range_offset - begin.zero_range_offset},
    };
    int status = SINQ_OK;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && status == SINQ_OK; i++) {
        status = fetch(source, index, blob, parts[i].offset, parts[i].size, memory, error);
    }
    return status;
}

/* The named tensor is the matrix's transpose: its rows [first, first + count) are columns here. */
static int decode_transposed(const struct blob *blob, const uint8_t *memory, uint64_t first, uint64_t count, float *out,
                             struct sinq_error *error) {
    const uint64_t rows = blob->matrix.rows, cols = blob->matrix.cols;
    float *const panel = malloc((size_t)(SINQ_PANEL_ROWS * cols) * sizeof *panel);
    if (panel == NULL) return sinq_fail_memory(error, "a quantized matrix", SINQ_PANEL_ROWS * cols * sizeof *panel);
    for (uint64_t r = 0; r < rows; r += SINQ_PANEL_ROWS) {
        const uint64_t now = sinq_min_u64(SINQ_PANEL_ROWS, rows - r);
        sinq_dual_scale_decode(&blob->matrix, &blob->sizes, memory, r, now, panel);
        for (uint64_t i = 0; i < count; i++) {
            for (uint64_t j = 0; j < now; j++) out[i * rows + r + j] = panel[j * cols + first + i];
        }
    }
    free(panel);
    return SINQ_OK;
}

/* Rows [first, first + count) of one matrix of the stack. */
static int read_matrix_rows(const struct sinq_source *source, size_t index, uint64_t matrix, uint64_t first,
                            uint64_t count, float *out, struct sinq_error *error) {
    struct blob blob = {0};
    int status = find_blob(source, index, matrix, NULL, &blob, error);
    if (status != SINQ_OK) return status;
    /* The whole blob's room; where it is large, pages that are not read into take no memory. */
    uint8_t *const memory = malloc((size_t)blob.sizes.bytes);
    if (memory == NULL) return sinq_fail_memory(error, source->tensors[index].name, blob.sizes.bytes);
    if (blob.matrix.transposed) {
        status = fetch(source, index, &blob, 0, blob.sizes.bytes, memory, error);
        if (status == SINQ_OK) status = decode_transposed(&blob, memory, first, count, out, error);
    } else {
        status = fetch_rows(source, index, &blob, first, count, memory, error);
        if (status == SINQ_OK) sinq_dual_scale_decode(&blob.matrix, &blob.sizes, memory, first, count, out);
    }
    free(memory);
    return status;
}

static int read_quantized_rows(const struct sinq_source *source, size_t index, uint64_t first, uint64_t count,
                               float *out, struct sinq_error *error) {
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&source->tensors[index]);
    while (count > 0) {
        const uint64_t row = first % shape.rows, now = sinq_min_u64(count, shape.rows - row);
        const int status = read_matrix_rows(source, index, first / shape.rows, row, now, out, error);
        if (status != SINQ_OK) return status;
        first += now;
        count -= now;
        out += now * shape.cols;
    }
    return SINQ_OK;
}

/* ---- the public half ---- */

int sinq_read_rows(const struct sinq_source *source, size_t tensor, uint64_t first, uint64_t count, float *out,
                   struct sinq_error *error) {
    if (tensor >= source->tensor_count) {
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %zu of %zu", source->path, tensor, source->tensor_count);
    }
    const struct sinq_tensor *const t = &source->tensors[tensor];
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(t);
    const uint64_t rows = shape.count * shape.rows;
    if (first > rows || count > rows - first) {
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %.300s: rows %llu to %llu of %llu", source->path, t->name,
                         (unsigned long long)first, (unsigned long long)(first + count), (unsigned long long)rows);
    }
    if (count == 0 || shape.cols == 0) return SINQ_OK;
    if (t->dtype == SINQ_DUAL_SCALE) {
        const bool is_ours = source->ops->read_rows == NULL;
        return (is_ours ? read_quantized_rows : source->ops->read_rows)(source, tensor, first, count, out, error);
    }
    const int status = read_elements(source, tensor, first * shape.cols, count * shape.cols, out, error);
    if (status != SINQ_OK || t->scale_tensor < 0) return status;
    return apply_scales(source, t, first, count, out, error);
}

int sinq_source_matrix_info(const struct sinq_source *source, size_t tensor, uint64_t index,
                            struct sinq_matrix_info *info, struct sinq_error *error) {
    const struct sinq_tensor *const t = sinq_source_tensor(source, tensor);
    if (t == NULL || t->dtype != SINQ_DUAL_SCALE || index >= sinq_tensor_matrix_shape(t).count) {
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %.300s has no quantized matrix %llu", source->path,
                         t == NULL ? "?" : t->name, (unsigned long long)index);
    }
    if (source->ops->matrix_info != NULL) return source->ops->matrix_info(source, tensor, index, info, error);
    struct blob blob = {0};
    const int status = find_blob(source, tensor, index, NULL, &blob, error);
    if (status == SINQ_OK) *info = sinq_dual_scale_info(&blob.matrix, &blob.sizes);
    return status;
}

/* Reads a whole blob into memory of its own. */
static int copy_blob(const struct sinq_source *source, size_t tensor, const struct blob *blob,
                     struct sinq_matrix_bytes *matrix, struct sinq_error *error) {
    const size_t size = (size_t)sinq_round_up(blob->sizes.bytes, SINQ_LINE_BYTES);
    matrix->owned = aligned_alloc(SINQ_LINE_BYTES, size);
    if (matrix->owned == NULL) return sinq_fail_memory(error, source->tensors[tensor].name, size);
    matrix->bytes = matrix->owned;
    const int status = sinq_read_bytes(source, tensor, blob->offset, blob->sizes.bytes, matrix->owned, error);
    if (status == SINQ_OK) return SINQ_OK;
    free(matrix->owned);
    *matrix = (struct sinq_matrix_bytes){.bytes = NULL};
    return status;
}

/* The source makes it when asked. */
static int make_matrix(const struct sinq_source *source, size_t tensor, uint64_t index,
                       struct sinq_matrix_bytes *matrix, struct sinq_error *error) {
    if (source->ops->read_matrix == NULL) return SINQ_OK;
    const int status = source->ops->read_matrix(source, tensor, index, &matrix->owned, &matrix->size, error);
    if (status != SINQ_OK || matrix->owned == NULL) return status;
    matrix->bytes = matrix->owned;
    return sinq_dual_scale_parse(matrix->bytes, matrix->size, source->tensors[tensor].name, &matrix->matrix,
                                 &matrix->sizes, error);
}

int sinq_fetch_matrix(const struct sinq_source *source, size_t tensor, uint64_t index, struct sinq_stack_place *place,
                      struct sinq_matrix_bytes *matrix, struct sinq_error *error) {
    *matrix = (struct sinq_matrix_bytes){.bytes = NULL};
    if (source->ops->read_rows != NULL) return make_matrix(source, tensor, index, matrix, error);
    const uint8_t *mapped;
    struct blob blob = {0};
    if (place != NULL && place->tensor == tensor && place->index <= index) {
        blob.index = place->index;
        blob.offset = place->offset;
    }
    int status = sinq_map_tensor(source, tensor, &mapped, error);
    if (status == SINQ_OK) status = find_blob(source, tensor, index, mapped, &blob, error);
    if (status != SINQ_OK) return status;
    if (place != NULL) *place = (struct sinq_stack_place){tensor, blob.index, blob.offset};
    matrix->matrix = blob.matrix;
    matrix->sizes = blob.sizes;
    matrix->size = blob.sizes.bytes;
    if (mapped != NULL && ((uintptr_t)(mapped + blob.offset) & (SINQ_LINE_BYTES - 1)) == 0) {
        matrix->bytes = mapped + blob.offset;
        return SINQ_OK;
    }
    return copy_blob(source, tensor, &blob, matrix, error);
}
