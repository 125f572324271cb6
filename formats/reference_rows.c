/* reference_rows.c: rows of a layer as the reference stores it, rebuilt. */
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "reference_source.h"
#include "tensor/dtype.h"
#include "tensor/method.h"

#define AUX_ROWS 32u

static uint64_t count_row_groups(const struct sinq_reference_layer *layer) { return layer->cols / layer->group; }

/* ---- values of one part ---- */

/* Values [first, first + count), malloc'ed; NULL after a failure. */
static float *read_floats(const struct sinq_reference_source *source, int64_t part, uint64_t first, uint64_t count,
                          struct sinq_error *error) {
    const struct sinq_source *const files = &source->weights->base;
    const struct sinq_tensor *const tensor = &files->tensors[part];
    const size_t size = sinq_dtype_size(tensor->dtype);
    uint8_t *const bytes = malloc((size_t)count * size);
    float *values = malloc((size_t)count * sizeof *values);
    int status = SINQ_OK;
    if (bytes == NULL || values == NULL)
        status = sinq_fail_memory(error, tensor->name, count * (size + sizeof *values));
    if (status == SINQ_OK) {
        status = sinq_read_bytes(files, (size_t)part, first * size, count * size, bytes, error);
    }
    if (status == SINQ_OK) {
        sinq_convert_to_float(tensor->dtype, bytes, (size_t)count, values);
    } else {
        free(values);
        values = NULL;
    }
    free(bytes);
    return values;
}

/* 8-bit codes [first, first + count) with `columns` steps and minima, decoded as the reference does. */
static float *read_codes(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                         enum sinq_reference_part_id id, uint64_t columns, uint64_t first, uint64_t count,
                         struct sinq_error *error) {
    const struct sinq_source *const files = &source->weights->base;
    float *const steps = read_floats(source, layer->parts[id + 1], 0, columns, error);
    float *const lows = steps == NULL ? NULL : read_floats(source, layer->parts[id + 2], 0, columns, error);
    uint8_t *const codes = lows == NULL ? NULL : malloc((size_t)count);
    float *values = codes == NULL ? NULL : malloc((size_t)count * sizeof *values);
    if (lows != NULL && values == NULL) (void)sinq_fail_memory(error, files->tensors[layer->parts[id]].name, count);
    if (values != NULL && sinq_read_bytes(files, (size_t)layer->parts[id], first, count, codes, error) != SINQ_OK) {
        free(values);
        values = NULL;
    }
    for (uint64_t i = 0, column = first % columns; i < count && values != NULL; i++) {
        values[i] = sinq_decode_reference_aux(codes[i], steps[column], lows[column]);
        if (++column == columns) column = 0;
    }
    free(steps);
    free(lows);
    free(codes);
    return values;
}

static bool is_codes(const struct sinq_reference_source *source, int64_t part) {
    return source->weights->base.tensors[part].dtype == SINQ_U8;
}

/* ---- values of rows ---- */

/* Rows of a layer, and where their scales lie: those of whole tiles in 2-D tiling. */
struct range {
    uint64_t first, count, groups; /* rows, groups of a row */
    uint64_t first_place, places;
};

static struct range find_range(const struct sinq_reference_layer *layer, uint64_t first, uint64_t count) {
    const uint64_t groups = count_row_groups(layer);
    struct range range = {first, count, groups, first * groups, count * groups};
    if (!layer->is_tiled) return range;
    const uint64_t tile = first / layer->group, end = sinq_divide_up(first + count, layer->group);
    range.first_place = tile * layer->group * groups;
    range.places = (end - tile) * layer->group * groups;
    return range;
}

/* From the places as they were read to [count][groups]; frees them. */
static float *put_in_order(const struct sinq_reference_layer *layer, const struct range *range, float *places) {
    if (places == NULL || !layer->is_tiled) return places;
    float *const values = malloc((size_t)(range->count * range->groups) * sizeof *values);
    for (uint64_t i = 0; i < range->count * range->groups && values != NULL; i++) {
        const uint64_t row = range->first + i / range->groups, group = i % range->groups;
        const uint64_t place =
            (row / layer->group * range->groups + group) * layer->group + row % layer->group - range->first_place;
        values[i] = places[place];
    }
    free(places);
    return values;
}

static float *read_groups(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                          enum sinq_reference_part_id id, const struct range *range, struct sinq_error *error) {
    const uint64_t all = layer->rows * range->groups;
    const uint64_t columns = id == SINQ_REFERENCE_SCALE ? all / AUX_ROWS : 1;
    const int64_t part = layer->parts[id];
    float *const places = is_codes(source, part)
                              ? read_codes(source, layer, id, columns, range->first_place, range->places, error)
                              : read_floats(source, part, range->first_place, range->places, error);
    float *const values = put_in_order(layer, range, places);
    if (places != NULL && values == NULL) (void)sinq_fail_memory(error, "scales", range->places * sizeof *values);
    return values;
}

static float *read_one_zero(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                            const struct range *range, struct sinq_error *error) {
    const int64_t part = layer->parts[SINQ_REFERENCE_ZERO];
    float *const one = is_codes(source, part) ? read_codes(source, layer, SINQ_REFERENCE_ZERO, 1, 0, 1, error)
                                              : read_floats(source, part, 0, 1, error);
    float *const values = one == NULL ? NULL : malloc((size_t)(range->count * range->groups) * sizeof *values);
    if (one != NULL && values == NULL) (void)sinq_fail_memory(error, "zeros", range->count * range->groups);
    for (uint64_t i = 0; i < range->count * range->groups && values != NULL; i++) values[i] = *one;
    free(one);
    return values;
}

int sinq_read_reference_column(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                               float *column, struct sinq_error *error) {
    const int64_t part = layer->parts[SINQ_REFERENCE_COLUMN];
    for (uint64_t k = 0; k < layer->cols; k++) column[k] = 1.0F;
    if (part < 0) return SINQ_OK;
    float *const values = read_floats(source, part, 0, layer->cols, error);
    if (values == NULL) return SINQ_FAILED;
    memcpy(column, values, (size_t)layer->cols * sizeof *column);
    free(values);
    return SINQ_OK;
}

/* Of 2-D tiling: [count][cols]. Tiles lie side by side as their columns do. */
static int read_tiled_columns(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                              const struct range *range, float *column, struct sinq_error *error) {
    const uint64_t tile = range->first / layer->group, tiles = range->places / layer->group / range->groups;
    float *const values =
        read_floats(source, layer->parts[SINQ_REFERENCE_COLUMN], tile * layer->cols, tiles * layer->cols, error);
    if (values == NULL) return SINQ_FAILED;
    for (uint64_t i = 0; i < range->count; i++) {
        const uint64_t row_tile = (range->first + i) / layer->group - tile;
        memcpy(column + i * layer->cols, values + row_tile * layer->cols, (size_t)layer->cols * sizeof *column);
    }
    free(values);
    return SINQ_OK;
}

int sinq_read_reference_values(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                               uint64_t first, uint64_t count, struct sinq_plain_matrix *plain,
                               struct sinq_error *error) {
    const struct range range = find_range(layer, first, count);
    const uint64_t columns = (layer->is_tiled ? count : 1) * layer->cols;
    *plain = (struct sinq_plain_matrix){.codes = NULL};
    plain->scale = read_groups(source, layer, SINQ_REFERENCE_SCALE, &range, error);
    if (plain->scale == NULL) return SINQ_FAILED;
    plain->zero = layer->has_one_zero ? read_one_zero(source, layer, &range, error)
                                      : read_groups(source, layer, SINQ_REFERENCE_ZERO, &range, error);
    if (plain->zero == NULL) return SINQ_FAILED;
    plain->column = malloc((size_t)columns * sizeof *plain->column);
    if (plain->column == NULL) return sinq_fail_memory(error, "column scales", columns * sizeof *plain->column);
    return layer->is_tiled ? read_tiled_columns(source, layer, &range, plain->column, error)
                           : sinq_read_reference_column(source, layer, plain->column, error);
}

/* ---- codes of rows ---- */

/* Rows [first, first + count) of codes as the file counts them: a group each. */
static int read_group_codes(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                            uint64_t first, uint64_t count, uint8_t *codes, struct sinq_error *error) {
    const struct sinq_source *const files = &source->weights->base;
    const struct sinq_reference_packing *const packing = layer->packing;
    const size_t part = (size_t)layer->parts[SINQ_REFERENCE_CODES];
    const uint64_t width = layer->group, slice_rows = files->tensors[part].shape[0];
    const uint64_t size = width * sinq_dtype_size(files->tensors[part].dtype);
    if (packing == NULL) return sinq_read_bytes(files, part, first * width, count * width, codes, error);
    uint8_t *const packed = malloc((size_t)(sinq_min_u64(count, slice_rows) * size));
    int status = packed == NULL ? sinq_fail_memory(error, files->tensors[part].name, count * size) : SINQ_OK;
    while (count > 0 && status == SINQ_OK) {
        const uint64_t slice = first / slice_rows, row = first % slice_rows;
        const uint64_t now = sinq_min_u64(count, slice_rows - row);
        status = sinq_read_bytes(files, part, row * size, now * size, packed, error);
        if (status != SINQ_OK) break;
        sinq_unpack_reference_slice(packing, slice, now * width, packed, codes);
        codes += now * width;
        first += now;
        count -= now;
    }
    free(packed);
    return status;
}

/* A code beyond the levels of older files' bytes is the highest level, as the reference has it. */
static void rebuild_rows(const struct sinq_reference_layer *layer, const struct sinq_plain_matrix *plain,
                         const uint8_t *codes, uint64_t count, float *out) {
    unsigned level_count;
    const float *const levels = sinq_method_levels(layer->meta.method, &level_count);
    const uint64_t cols = layer->cols, groups = count_row_groups(layer);
    for (uint64_t i = 0; i < count * cols; i++) {
        const uint64_t row = i / cols, k = i % cols, entry = row * groups + k / layer->group;
        const uint8_t code = levels != NULL && codes[i] >= level_count ? (uint8_t)(level_count - 1) : codes[i];
        const float level = levels != NULL ? levels[code] : (float)code;
        const float column = plain->column[layer->is_tiled ? i : k];
        out[i] = plain->scale[entry] * (level - plain->zero[entry]) * column;
    }
}

int sinq_read_reference_rows(const struct sinq_source *base, size_t tensor, uint64_t first, uint64_t count, float *out,
                             struct sinq_error *error) {
    const struct sinq_reference_source *const source = (const struct sinq_reference_source *)(const void *)base;
    const struct sinq_reference_layer *const layer = source->views[tensor].layer;
    const uint64_t groups = count_row_groups(layer);
    struct sinq_plain_matrix plain;
    int status = sinq_read_reference_values(source, layer, first, count, &plain, error);
    if (status == SINQ_OK) {
        plain.codes = malloc((size_t)(count * layer->cols));
        if (plain.codes == NULL) status = sinq_fail_memory(error, base->tensors[tensor].name, count * layer->cols);
    }
    if (status == SINQ_OK) {
        status = read_group_codes(source, layer, first * groups, count * groups, plain.codes, error);
    }
    if (status == SINQ_OK) rebuild_rows(layer, &plain, plain.codes, count, out);
    sinq_free_plain(&plain);
    return status;
}

int sinq_read_reference_codes(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                              uint8_t *codes, struct sinq_error *error) {
    return read_group_codes(source, layer, 0, layer->rows * count_row_groups(layer), codes, error);
}
