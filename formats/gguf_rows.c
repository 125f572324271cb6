/* gguf_rows.c: values and bytes of a GGUF source's tensors. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "gguf_source.h"
#include "tensor/dtype.h"

#define CHUNK_BYTES ((uint64_t)1 << 18) /* stays in the second cache */

static uint64_t row_values(const struct sinq_gguf_tensor *t) { return t->shape[t->rank - 1]; }

/* Of a tensor that was measured when the file was opened. */
static uint64_t row_bytes(const struct sinq_gguf_tensor *t) { return row_values(t) / t->type->values * t->type->bytes; }

/* ---- rows of the files' tensors ---- */

int sinq_read_gguf_part(const struct sinq_gguf_source *source, const struct sinq_gguf_part *part, uint64_t first,
                        uint64_t count, float *out, struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = part->tensor;
    const uint64_t blocks = row_values(t) / t->type->values, room = sinq_max_u64(1, CHUNK_BYTES / t->type->bytes);
    uint64_t at = first * blocks, left = count * blocks;
    uint8_t *const chunk = malloc((size_t)(sinq_min_u64(room, left + 1) * t->type->bytes));
    if (chunk == NULL) return sinq_fail_memory(error, t->name, CHUNK_BYTES);
    int status = SINQ_OK;
    while (left > 0 && status == SINQ_OK) {
        const uint64_t now = sinq_min_u64(room, left);
        status = sinq_shards_read(&source->shards, part->shard, t->offset + at * t->type->bytes, now * t->type->bytes,
                                  chunk, error);
        if (status == SINQ_OK) sinq_decode_blocks(t->type, chunk, (size_t)(now * t->type->values), out);
        out += now * t->type->values;
        at += now;
        left -= now;
    }
    free(chunk);
    return status;
}

/* ---- columns of them: out[k * stride] of columns [first, first + count) ---- */

struct columns {
    uint64_t first, count, stride;
    float *scratch; /* room for the blocks that hold them */
};

static void spread_columns(const struct sinq_block_type *type, const uint8_t *row, const struct columns *columns,
                           float *out) {
    const uint64_t begin = columns->first / type->values;
    const uint64_t end = sinq_divide_up(columns->first + columns->count, type->values);
    sinq_decode_blocks(type, row + begin * type->bytes, (size_t)((end - begin) * type->values), columns->scratch);
    const float *const values = columns->scratch + (columns->first - begin * type->values);
    for (uint64_t k = 0; k < columns->count; k++) out[k * columns->stride] = values[k];
}

static float *make_scratch(const struct sinq_gguf_tensor *t, uint64_t count, struct sinq_error *error) {
    const uint64_t values = count + 2 * (uint64_t)t->type->values;
    float *const scratch = malloc((size_t)values * sizeof *scratch);
    if (scratch == NULL) (void)sinq_fail_memory(error, t->name, values * sizeof *scratch);
    return scratch;
}

/*
 * Rows [first, first + count) of one matrix of a stack whose parts hold its transpose: of a part's row r, column k goes to out[k][r],
 * or with two parts to out[k][2 r] and out[k][2 r + 1].
 */
static int read_across(const struct sinq_gguf_source *source, const struct sinq_gguf_view *view, uint64_t matrix,
                       uint64_t first, uint64_t count, float *out, struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = view->parts[0].tensor;
    const uint64_t part_count = view->parts[1].tensor == NULL ? 1 : 2, rows = t->shape[1];
    struct columns columns = {first, count, part_count * rows, make_scratch(t, count, error)};
    if (columns.scratch == NULL) return SINQ_FAILED;
    int status = SINQ_OK;
    for (uint64_t p = 0; p < part_count && status == SINQ_OK; p++) {
        const struct sinq_gguf_part *const part = &view->parts[p];
        const uint8_t *bytes;
        /* Mapped, since little of each row is wanted. */
        status = sinq_shards_map((struct sinq_shards *)(uintptr_t)&source->shards, part->shard, &bytes, error);
        if (status != SINQ_OK) break;
        bytes += part->tensor->offset + matrix * rows * row_bytes(part->tensor);
        for (uint64_t r = 0; r < rows; r++) {
            spread_columns(part->tensor->type, bytes + r * row_bytes(part->tensor), &columns, out + r * part_count + p);
        }
    }
    free(columns.scratch);
    return status;
}

/* ---- what tensors are made of ---- */

static int read_stack_across(const struct sinq_gguf_source *source, const struct sinq_gguf_view *view, uint64_t first,
                             uint64_t count, float *out, struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = view->parts[0].tensor;
    const uint64_t cols = (view->parts[1].tensor == NULL ? 1 : 2) * t->shape[1];
    while (count > 0) {
        const uint64_t row = first % t->shape[2], now = sinq_min_u64(count, t->shape[2] - row);
        const int status = read_across(source, view, first / t->shape[2], row, now, out, error);
        if (status != SINQ_OK) return status;
        first += now;
        count -= now;
        out += now * cols;
    }
    return SINQ_OK;
}

/* Biases of gates and ups, one after the other. */
static int read_pairs(const struct sinq_gguf_source *source, const struct sinq_gguf_view *view, uint64_t first,
                      uint64_t count, float *out, struct sinq_error *error) {
    const uint64_t width = view->parts[0].tensor->shape[1];
    float *const values = malloc((size_t)width * sizeof *values);
    if (values == NULL) return sinq_fail_memory(error, view->parts[0].tensor->name, width * sizeof *values);
    int status = SINQ_OK;
    for (uint64_t i = 0; i < 2 * count && status == SINQ_OK; i++) {
        status = sinq_read_gguf_part(source, &view->parts[i % 2], first + i / 2, 1, values, error);
        for (uint64_t k = 0; k < width; k++) out[(i / 2 * width + k) * 2 + i % 2] = values[k];
    }
    free(values);
    return status;
}

/* Row `row` of kv_b_proj. Those of keys are columns of the part. */
static int read_half_row(const struct sinq_gguf_source *source, const struct sinq_gguf_view *view, uint64_t row,
                         float *out, struct sinq_error *error) {
    const struct sinq_gguf_tensor *const keys = view->parts[0].tensor, *const values = view->parts[1].tensor;
    const uint64_t nope = keys->shape[2], rank = keys->shape[1], of_head = nope + values->shape[1];
    const uint64_t head = row / of_head, within = row % of_head;
    if (within >= nope) {
        const uint64_t place = head * values->shape[1] + within - nope;
        return sinq_read_gguf_part(source, &view->parts[1], place, 1, out, error);
    }
    struct columns column = {within, 1, 1, make_scratch(keys, 1, error)};
    const uint8_t *bytes;
    if (column.scratch == NULL) return SINQ_FAILED;
    const int status =
        sinq_shards_map((struct sinq_shards *)(uintptr_t)&source->shards, view->parts[0].shard, &bytes, error);
    for (uint64_t k = 0; status == SINQ_OK && k < rank; k++) {
        spread_columns(keys->type, bytes + keys->offset + (head * rank + k) * row_bytes(keys), &column, out + k);
    }
    free(column.scratch);
    return status;
}

static int read_halves(const struct sinq_gguf_source *source, const struct sinq_gguf_view *view, uint64_t first,
                       uint64_t count, float *out, struct sinq_error *error) {
    const uint64_t rank = view->parts[0].tensor->shape[1];
    int status = SINQ_OK;
    for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
        status = read_half_row(source, view, first + i, out + i * rank, error);
    }
    return status;
}

/* Rows in Hugging Face's order; of a bias its one row's values. */
static int read_heads(const struct sinq_gguf_source *source, const struct sinq_gguf_view *view, uint64_t first,
                      uint64_t count, float *out, struct sinq_error *error) {
    const struct sinq_gguf_tensor *const t = view->parts[0].tensor;
    int status = SINQ_OK;
    if (t->rank == 2) {
        for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
            const uint64_t row = sinq_hf_to_gguf_row(first + i, t->shape[0], view->heads);
            status = sinq_read_gguf_part(source, &view->parts[0], row, 1, out + i * t->shape[1], error);
        }
        return status;
    }
    float *const values = malloc((size_t)t->shape[0] * sizeof *values);
    if (values == NULL) return sinq_fail_memory(error, t->name, t->shape[0] * sizeof *values);
    status = sinq_read_gguf_part(source, &view->parts[0], 0, 1, values, error);
    for (uint64_t i = 0; status == SINQ_OK && i < t->shape[0]; i++) {
        out[i] = values[sinq_hf_to_gguf_row(i, t->shape[0], view->heads)];
    }
    free(values);
    return status;
}

int sinq_read_gguf_rows(const struct sinq_gguf_source *source, size_t tensor, uint64_t first, uint64_t count,
                        float *out, struct sinq_error *error) {
    const struct sinq_gguf_view *const view = &source->views[tensor];
    const struct sinq_gguf_tensor *const t = view->parts[0].tensor;
    const uint64_t rows_of_slice = t->rank < 3 ? 1 : t->shape[1];
    int status;
    switch (view->change) {
    case SINQ_GGUF_QUERY_ROWS:
    case SINQ_GGUF_KEY_ROWS:
        return read_heads(source, view, first, count, out, error);
    case SINQ_GGUF_KEY_HALF:
        return read_halves(source, view, first, count, out, error);
    case SINQ_GGUF_TRANSPOSED:
        return read_stack_across(source, view, first, count, out, error);
    case SINQ_GGUF_EVEN_COLUMNS:
        if (t->rank == 2) return read_pairs(source, view, first, count, out, error);
        return read_stack_across(source, view, first, count, out, error);
    case SINQ_GGUF_EXPERT:
        first += view->slice * rows_of_slice;
        break;
    case SINQ_GGUF_SAME:
    case SINQ_GGUF_PLUS_ONE:
    case SINQ_GGUF_ODD_COLUMNS:
    case SINQ_GGUF_VALUE_HALF:
    case SINQ_GGUF_FIRST_HALF:
    case SINQ_GGUF_SECOND_HALF:
        break;
    }
    status = sinq_read_gguf_part(source, &view->parts[0], first, count, out, error);
    const uint64_t values = view->change == SINQ_GGUF_PLUS_ONE && status == SINQ_OK ? count * row_values(t) : 0;
    for (uint64_t i = 0; i < values; i++) out[i] -= 1.0f;
    return status;
}

/* ---- bytes ---- */

/* Back to 16 bits, which the values came from; or as they are. */
static void store_values(enum sinq_dtype dtype, const float *values, uint64_t count, uint8_t *out) {
    if (dtype == SINQ_F32) memcpy(out, values, (size_t)count * sizeof *values);
    for (uint64_t i = 0; dtype != SINQ_F32 && i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        const uint16_t half = dtype == SINQ_F16 ? sinq_float_to_half(values[i]) : (uint16_t)(bits >> 16);
        memcpy(out + i * sizeof half, &half, sizeof half);
    }
}

/* Bytes [offset, offset + size) of a tensor whose numbers are made when they are read: row by row. */
static int read_computed(const struct sinq_gguf_source *source, size_t index, uint64_t offset, uint64_t size,
                         uint8_t *out, struct sinq_error *error) {
    const struct sinq_tensor *const t = &source->base.tensors[index];
    const uint64_t width = t->shape[t->rank - 1], bytes = width * sinq_dtype_size(t->dtype);
    const uint64_t room = sinq_max_u64(1, CHUNK_BYTES / bytes);
    float *const values = malloc((size_t)(room * width) * sizeof *values);
    uint8_t *const stored = malloc((size_t)(room * bytes));
    int status = values != NULL && stored != NULL ? SINQ_OK : sinq_fail_memory(error, t->name, room * bytes);
    while (size > 0 && status == SINQ_OK) {
        const uint64_t row = offset / bytes, begin = offset % bytes;
        const uint64_t rows = sinq_min_u64(room, sinq_divide_up(begin + size, bytes));
        const uint64_t now = sinq_min_u64(size, rows * bytes - begin);
        status = sinq_read_gguf_rows(source, index, row, rows, values, error);
        if (status != SINQ_OK) break;
        store_values(t->dtype, values, rows * width, stored);
        memcpy(out, stored + begin, (size_t)now);
        out += now;
        offset += now;
        size -= now;
    }
    free(values);
    free(stored);
    return status;
}

int sinq_read_gguf_bytes(const struct sinq_source *base, size_t tensor, uint64_t offset, uint64_t size, void *out,
                         struct sinq_error *error) {
    const struct sinq_gguf_source *const source = (const struct sinq_gguf_source *)base;
    const struct sinq_gguf_view *const view = &source->views[tensor];
    const struct sinq_tensor *const t = &base->tensors[tensor];
    if (view->reading == SINQ_GGUF_COMPUTED) return read_computed(source, tensor, offset, size, out, error);
    /* Blocks as they stand in the file; the second part's behind those of the first. */
    const struct sinq_gguf_part *const second = &view->parts[1];
    const uint64_t first_bytes = second->tensor == NULL ? t->bytes : t->bytes - second->tensor->bytes;
    const uint64_t now = offset >= first_bytes ? 0 : sinq_min_u64(size, first_bytes - offset);
    int status = SINQ_OK;
    if (now > 0) status = sinq_shards_read(&source->shards, t->shard, t->offset + offset, now, out, error);
    if (status != SINQ_OK || now == size) return status;
    return sinq_shards_read(&source->shards, second->shard, second->tensor->offset + (offset + now - first_bytes),
                            size - now, (uint8_t *)out + now, error);
}
