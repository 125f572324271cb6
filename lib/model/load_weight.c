#include "model/load_weight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/roles.h"
#include "checkpoint/source.h"
#include "model/mxfp4.h"
#include "tensor/dtype.h"

/* A want with the tensor that fulfils it. */
struct find {
    const struct sinq_want *want;
    const struct sinq_tensor *tensor;
    size_t index;       /* of the tensor in the source */
    int64_t scales;     /* MXFP4: the index of its scales; else -1 */
    bool is_transposed; /* stored [in, out] */
};

/* ---- finding ---- */

static int fail_shape(const struct sinq_source *source, const struct find *find, struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    char found[160] = "";
    for (uint32_t d = 0; d < find->tensor->rank; d++) {
        const size_t used = strlen(found);
        (void)snprintf(found + used, sizeof found - used, "%s%llu", d == 0 ? "" : " x ",
                       (unsigned long long)find->tensor->shape[d]);
    }
    const uint64_t rows = want->tensor_rows != 0 ? want->tensor_rows : want->rows;
    char stack[32] = "";
    if (want->expert >= 0) (void)snprintf(stack, sizeof stack, "%llu x ", (unsigned long long)want->experts);
    char matrix[64];
    if (want->is_vector) {
        (void)snprintf(matrix, sizeof matrix, "%llu", (unsigned long long)want->cols);
    } else {
        (void)snprintf(matrix, sizeof matrix, "%llu x %llu",
                       (unsigned long long)(find->is_transposed ? want->cols : rows),
                       (unsigned long long)(find->is_transposed ? rows : want->cols));
    }
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s is %s, but config.json asks for %s%s", source->path,
                     find->tensor->name, found, stack, matrix);
}

/* Whether the tensor's logical shape is what is wanted. */
static bool fits_shape(const struct find *find) {
    const struct sinq_want *const want = find->want;
    const struct sinq_tensor *const t = find->tensor;
    const uint32_t lead = want->expert >= 0 ? 1 : 0;
    if (lead == 1 && (t->rank < 2 || t->shape[0] != want->experts)) return false;
    if (want->is_vector) return t->rank == lead + 1 && t->shape[lead] == want->cols;
    const uint64_t rows = want->tensor_rows != 0 ? want->tensor_rows : want->rows;
    if (find->scales >= 0) {
        return t->rank == 4 && t->shape[1] == rows && t->shape[3] == 16 && t->shape[2] == want->cols / 32 &&
               want->cols % 32 == 0;
    }
    const uint64_t sides[2] = {find->is_transposed ? want->cols : rows, find->is_transposed ? rows : want->cols};
    return t->rank == lead + 2 && t->shape[lead] == sides[0] && t->shape[lead + 1] == sides[1];
}

/* gpt_oss's experts as MXFP4: NAME_blocks and NAME_scales. */
static int find_mxfp4(const struct sinq_weight_loader *loader, const char *name, struct find *find,
                      struct sinq_error *error) {
    char other[200];
    (void)snprintf(other, sizeof other, "%.180s_blocks", name);
    const int64_t codes = sinq_name_index_find(loader->names, other);
    (void)snprintf(other, sizeof other, "%.180s_scales", name);
    find->scales = sinq_name_index_find(loader->names, other);
    if (codes < 0 || find->scales < 0) return SINQ_OK;
    find->index = (size_t)codes;
    find->tensor = &loader->source->tensors[codes];
    const struct sinq_tensor *const scales = &loader->source->tensors[find->scales];
    const struct sinq_tensor *const t = find->tensor;
    const bool fits = t->dtype == SINQ_U8 && scales->dtype == SINQ_U8 && t->rank == 4 && scales->rank == 3 &&
                      memcmp(t->shape, scales->shape, 3 * sizeof t->shape[0]) == 0;
    if (fits) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED,
                     "%s: tensor %.300s does not fit its codes, expected U8 of [experts, rows, blocks]",
                     loader->source->path, scales->name);
}

/* find->tensor is NULL where an optional weight is missing. */
static int find_tensor(const struct sinq_weight_loader *loader, const struct sinq_want *want, struct find *find,
                       struct sinq_error *error) {
    const struct sinq_source *const source = loader->source;
    char name[180];
    *find = (struct find){.want = want, .scales = -1};
    (void)snprintf(name, sizeof name, "%.159s%.15s", want->module, want->suffix);
    const int64_t index = sinq_name_index_find(loader->names, name);
    if (index >= 0) {
        find->index = (size_t)index;
        find->tensor = &source->tensors[index];
    } else if (want->expert >= 0) {
        const int status = find_mxfp4(loader, name, find, error);
        if (status != SINQ_OK) return status;
    }
    if (find->tensor == NULL) {
        if (want->is_optional) return SINQ_OK;
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s is missing, which config.json (%s) asks for",
                         source->path, name, source->model_type);
    }
    const bool is_matrix = !want->is_vector && find->scales < 0;
    find->is_transposed = is_matrix && sinq_classify_tensor(source->model_type, find->tensor).is_transposed;
    if (!fits_shape(find)) return fail_shape(source, find, error);
    if (find->scales >= 0 || find->tensor->dtype == SINQ_DUAL_SCALE || sinq_dtype_is_float(find->tensor->dtype)) {
        return SINQ_OK;
    }
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: %s, expected floating-point or quantized weights",
                     source->path, find->tensor->name, sinq_dtype_name(find->tensor->dtype));
}

/* ---- memory ---- */

/* Takes over a block; on failure it is freed. */
static int own(struct sinq_weight_loader *loader, void *block, uint64_t bytes, struct sinq_error *error) {
    if (loader->owned_count == loader->owned_capacity) {
        const size_t capacity = loader->owned_capacity == 0 ? 256 : loader->owned_capacity * 2;
        void **const owned = realloc(loader->owned, capacity * sizeof *owned);
        if (owned == NULL) {
            free(block);
            return sinq_fail_memory(error, "weights", capacity * sizeof *owned);
        }
        loader->owned = owned;
        loader->owned_capacity = capacity;
    }
    loader->owned[loader->owned_count++] = block;
    loader->owned_bytes += bytes;
    return SINQ_OK;
}

static void *own_new(struct sinq_weight_loader *loader, const char *name, uint64_t bytes, struct sinq_error *error) {
    void *const block = bytes > SIZE_MAX - 64 ? NULL : aligned_alloc(64, (size_t)sinq_round_up(bytes + 1, 64));
    if (block == NULL) {
        (void)sinq_fail_memory(error, name, bytes);
        return NULL;
    }
    return own(loader, block, bytes, error) == SINQ_OK ? block : NULL;
}

/* ---- quantized ---- */

/* The weight becomes rows [first, first + count) of itself, which begin where ranges of scales do. */
static bool select_rows(struct sinq_weight *weight, uint64_t first, uint64_t count) {
    const struct sinq_dual_scale *const m = &weight->matrix;
    struct sinq_dual_scale_sizes *const s = &weight->sizes;
    if (first == 0 && count == m->rows) return true;
    if (first % SINQ_SCALE_BLOCK_ROWS != 0) return false;
    *s = sinq_dual_scale_skip(m, s, first / SINQ_PANEL_ROWS, first / SINQ_SCALE_BLOCK_ROWS);
    s->panels = sinq_divide_up(count, SINQ_PANEL_ROWS);
    weight->rows = weight->matrix.rows = count;
    return true;
}

static int load_rebuilt(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                        struct sinq_error *error);

static int load_quantized(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                          struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    struct sinq_matrix_bytes found;
    const uint64_t expert = want->expert < 0 ? 0 : (uint64_t)want->expert;
    int status = sinq_fetch_matrix(loader->source, find->index, expert, &loader->place, &found, error);
    if (status != SINQ_OK) return status;
    if (found.bytes == NULL) return load_rebuilt(loader, find, weight, error);
    if (found.owned != NULL) status = own(loader, found.owned, found.size, error);
    if (status != SINQ_OK) return status;
    *weight = (struct sinq_weight){.dtype = SINQ_DUAL_SCALE,
                                   .rows = found.matrix.rows,
                                   .cols = found.matrix.cols,
                                   .bytes = found.bytes,
                                   .size = found.size,
                                   .matrix = found.matrix,
                                   .sizes = found.sizes};
    return select_rows(weight, want->first_row, want->rows) ? SINQ_OK : load_rebuilt(loader, find, weight, error);
}

static int load_mxfp4(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                      struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    const uint64_t count = want->rows * want->cols, codes_bytes = count / 2, scales_bytes = count / 32;
    uint8_t *const raw = malloc((size_t)(codes_bytes + scales_bytes));
    if (raw == NULL) return sinq_fail_memory(error, find->tensor->name, codes_bytes + scales_bytes);
    const uint64_t expert = (uint64_t)want->expert;
    uint8_t *blob = NULL;
    int status = sinq_read_bytes(loader->source, find->index, expert * codes_bytes, codes_bytes, raw, error);
    if (status == SINQ_OK) {
        status = sinq_read_bytes(loader->source, (size_t)find->scales, expert * scales_bytes, scales_bytes,
                                 raw + codes_bytes, error);
    }
    *weight = (struct sinq_weight){.dtype = SINQ_DUAL_SCALE, .rows = want->rows, .cols = want->cols};
    if (status == SINQ_OK) {
        status = sinq_convert_mxfp4(raw, raw + codes_bytes, want->rows, want->cols, find->tensor->name, &blob,
                                    &weight->matrix, &weight->sizes, error);
    }
    if (status == SINQ_OK && blob != NULL) {
        status = own(loader, blob, weight->sizes.bytes, error);
        weight->bytes = blob;
        weight->size = weight->sizes.bytes;
    } else if (status == SINQ_OK) {
        float *const values = own_new(loader, find->tensor->name, count * sizeof *values, error);
        status = values == NULL ? SINQ_FAILED : SINQ_OK;
        if (values != NULL) sinq_decode_mxfp4(raw, raw + codes_bytes, want->rows, want->cols, values);
        *weight = (struct sinq_weight){.dtype = SINQ_F32,
                                       .rows = want->rows,
                                       .cols = want->cols,
                                       .bytes = (const uint8_t *)values,
                                       .size = count * sizeof *values};
    }
    free(raw);
    return status;
}

/* ---- dense ---- */

/* First row of the tensor, all leading dimensions counted, that the want is about. */
static uint64_t first_tensor_row(const struct find *find) {
    const struct sinq_want *const want = find->want;
    const uint64_t rows = want->tensor_rows != 0 ? want->tensor_rows : want->rows;
    return (want->expert < 0 ? 0 : (uint64_t)want->expert) * (find->is_transposed ? want->cols : rows) +
           (find->is_transposed ? 0 : want->first_row);
}

/* [in, out] values to rows [first_row, + rows) of [out, in]. */
static void transpose_values(const struct find *find, const float *values, float *out) {
    const struct sinq_want *const want = find->want;
    const uint64_t width = want->tensor_rows != 0 ? want->tensor_rows : want->rows;
    for (uint64_t r = 0; r < want->rows; r++) {
        for (uint64_t k = 0; k < want->cols; k++) out[r * want->cols + k] = values[k * width + want->first_row + r];
    }
}

/* Back to the tensor's own 16-bit type, which the values came from. */
static void narrow_values(enum sinq_dtype dtype, const float *values, uint64_t count, uint16_t *out) {
    for (uint64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        out[i] = dtype == SINQ_F16 ? sinq_float_to_half(values[i]) : (uint16_t)(bits >> 16);
    }
}

static int load_transposed(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                           struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    const uint64_t width = want->tensor_rows != 0 ? want->tensor_rows : want->rows;
    const uint64_t stored = width * want->cols, count = want->rows * want->cols;
    const bool is_narrow = find->tensor->dtype == SINQ_BF16 || find->tensor->dtype == SINQ_F16;
    float *const values = malloc((size_t)((stored + count) * sizeof *values));
    if (values == NULL) return sinq_fail_memory(error, find->tensor->name, (stored + count) * sizeof *values);
    const uint64_t size = count * (is_narrow ? 2 : sizeof(float));
    int status = sinq_read_rows(loader->source, find->index, first_tensor_row(find), want->cols, values, error);
    void *const bytes = status == SINQ_OK ? own_new(loader, find->tensor->name, size, error) : NULL;
    if (bytes != NULL) {
        float *const turned = is_narrow ? values + stored : bytes;
        transpose_values(find, values, turned);
        if (is_narrow) narrow_values(find->tensor->dtype, turned, count, bytes);
        *weight = (struct sinq_weight){.dtype = is_narrow ? find->tensor->dtype : SINQ_F32,
                                       .rows = want->rows,
                                       .cols = want->cols,
                                       .bytes = bytes,
                                       .size = size};
    }
    free(values);
    return bytes == NULL ? SINQ_FAILED : SINQ_OK;
}

/* In f32, for forms that kernels do not read. */
static int load_rebuilt(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                        struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    if (find->is_transposed) return load_transposed(loader, find, weight, error);
    const uint64_t size = want->rows * want->cols * sizeof(float);
    float *const values = own_new(loader, find->tensor->name, size, error);
    if (values == NULL) return SINQ_FAILED;
    *weight = (struct sinq_weight){
        .dtype = SINQ_F32, .rows = want->rows, .cols = want->cols, .bytes = (const uint8_t *)values, .size = size};
    return sinq_read_rows(loader->source, find->index, first_tensor_row(find), want->rows, values, error);
}

static bool kernels_read(enum sinq_dtype dtype) {
    return dtype == SINQ_F32 || dtype == SINQ_F16 || dtype == SINQ_BF16 || dtype == SINQ_F8_E4M3 ||
           dtype == SINQ_F8_E5M2;
}

/* The reciprocal scales of an FP8 tensor's blocks, as f32 in memory. */
static int load_block_scales(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                             struct sinq_error *error) {
    const struct sinq_tensor *const tensor = find->tensor;
    if (tensor->scale_tensor < 0) return SINQ_OK;
    const size_t index = (size_t)tensor->scale_tensor;
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(&loader->source->tensors[index]);
    float *const scales = own_new(loader, tensor->name, shape.count * shape.rows * shape.cols * sizeof(float), error);
    if (scales == NULL) return SINQ_FAILED;
    weight->block_scales = scales;
    weight->block_rows = tensor->scale_block[0];
    weight->block_cols = tensor->scale_block[1];
    weight->scale_cols = shape.cols;
    return sinq_read_rows(loader->source, index, 0, shape.count * shape.rows, scales, error);
}

static int load_dense(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                      struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    const enum sinq_dtype dtype = find->tensor->dtype;
    if (find->is_transposed) return load_transposed(loader, find, weight, error);
    /* Block scales count from the tensor's first row: parts of such tensors are rebuilt. */
    const bool is_part = first_tensor_row(find) != 0;
    if (!kernels_read(dtype) || (find->tensor->scale_tensor >= 0 && is_part)) {
        return load_rebuilt(loader, find, weight, error);
    }
    const size_t element = sinq_dtype_size(dtype);
    const uint64_t offset = first_tensor_row(find) * want->cols * element, size = want->rows * want->cols * element;
    const uint8_t *bytes;
    int status = sinq_map_tensor(loader->source, find->index, &bytes, error);
    if (status != SINQ_OK) return status;
    if (bytes != NULL) bytes += offset;
    if (bytes == NULL || ((uintptr_t)bytes & (element - 1)) != 0) {
        uint8_t *const copy = own_new(loader, find->tensor->name, size, error);
        if (copy == NULL) return SINQ_FAILED;
        status = sinq_read_bytes(loader->source, find->index, offset, size, copy, error);
        bytes = copy;
    }
    *weight =
        (struct sinq_weight){.dtype = dtype, .rows = want->rows, .cols = want->cols, .bytes = bytes, .size = size};
    return status == SINQ_OK ? load_block_scales(loader, find, weight, error) : status;
}

/* Always f32, with what is to be added. */
static int load_vector(struct sinq_weight_loader *loader, const struct find *find, struct sinq_weight *weight,
                       struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    float *const values = own_new(loader, find->tensor->name, want->cols * sizeof *values, error);
    if (values == NULL) return SINQ_FAILED;
    const uint64_t row = want->expert < 0 ? 0 : (uint64_t)want->expert;
    const int status = sinq_read_rows(loader->source, find->index, row, 1, values, error);
    for (uint64_t i = 0; status == SINQ_OK && i < want->cols; i++) values[i] += want->plus;
    *weight = (struct sinq_weight){.dtype = SINQ_F32,
                                   .rows = 1,
                                   .cols = want->cols,
                                   .bytes = (const uint8_t *)values,
                                   .size = want->cols * sizeof *values};
    return status;
}

/* ---- the public half ---- */

int sinq_load_weight(struct sinq_weight_loader *loader, const struct sinq_want *want, struct sinq_weight *weight,
                     bool *is_there, struct sinq_error *error) {
    struct find find;
    const int status = find_tensor(loader, want, &find, error);
    *is_there = find.tensor != NULL;
    if (status != SINQ_OK || find.tensor == NULL) return status;
    if (want->is_vector) return load_vector(loader, &find, weight, error);
    if (find.scales >= 0) return load_mxfp4(loader, &find, weight, error);
    if (find.tensor->dtype == SINQ_DUAL_SCALE) return load_quantized(loader, &find, weight, error);
    return load_dense(loader, &find, weight, error);
}

/* Of a tensor that the source makes in our layout when it is asked for. */
static int measure_made(const struct sinq_weight_loader *loader, const struct find *find, uint64_t *bytes,
                        struct sinq_error *error) {
    const struct sinq_want *const want = find->want;
    const uint64_t expert = want->expert < 0 ? 0 : (uint64_t)want->expert;
    struct sinq_matrix_info info;
    const int status = sinq_source_matrix_info(loader->source, find->index, expert, &info, error);
    if (status != SINQ_OK) return status;
    const bool is_part = want->rows != info.rows && want->first_row % SINQ_SCALE_BLOCK_ROWS != 0;
    *bytes = info.native_bytes != 0 && !is_part
                 ? (uint64_t)((double)info.native_bytes * (double)want->rows / (double)info.rows)
                 : want->rows * want->cols * sizeof(float);
    return SINQ_OK;
}

int sinq_measure_weight(const struct sinq_weight_loader *loader, const struct sinq_want *want, uint64_t *bytes,
                        uint64_t *owned, struct sinq_error *error) {
    struct find find;
    *bytes = *owned = 0;
    const int status = find_tensor(loader, want, &find, error);
    if (status != SINQ_OK || find.tensor == NULL) return status;
    const uint64_t count = want->rows * want->cols;
    const enum sinq_dtype dtype = find.tensor->dtype;
    if (want->is_vector) {
        *bytes = *owned = want->cols * sizeof(float);
    } else if (find.scales >= 0) {
        *bytes = *owned = count / 2 + count / 16 + count / 32; /* codes; f16 scales and u8 zeros of groups of 32 */
    } else if (dtype == SINQ_DUAL_SCALE && loader->source->ops->read_rows != NULL) {
        const int measured = measure_made(loader, &find, bytes, error);
        *owned = *bytes;
        return measured;
    } else if (dtype == SINQ_DUAL_SCALE) {
        const uint64_t parts =
            (want->expert < 0 ? 1 : want->experts) * (want->tensor_rows != 0 ? want->tensor_rows : want->rows);
        *bytes = (uint64_t)((double)find.tensor->bytes * (double)want->rows / (double)parts);
        *owned = loader->source->ops->map == NULL ? *bytes : 0;
    } else {
        *bytes = count * (kernels_read(dtype) ? sinq_dtype_size(dtype) : sizeof(float));
        *owned = find.is_transposed || !kernels_read(dtype) || loader->source->ops->map == NULL ? *bytes : 0;
    }
    return SINQ_OK;
}
