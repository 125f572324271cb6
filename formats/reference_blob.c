/* reference_blob.c: a layer as the reference stores it in our layout, made when it is asked for: the same codes, scales and zeros. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "reference_source.h"
#include "tensor/method.h"

/* The width of a group in our layout; UINT32_MAX where there is none. */
static uint32_t choose_group_size(const struct sinq_reference_layer *layer) {
    static const uint32_t sizes[] = {128, 64, 32, 16};
    if (layer->group == layer->cols && layer->group != 128 && layer->group != 64 && layer->group != 32 &&
        layer->group != 16) {
        return SINQ_GROUP_ROW;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (layer->group % sizes[i] == 0) return sizes[i];
    }
    return UINT32_MAX;
}

/* The column scale as our layout has it. *has_column: not all of it is 1. */
static int read_column(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                       float *column, bool *has_column, struct sinq_error *error) {
    const int status = sinq_read_reference_column(source, layer, column, error);
    *has_column = false;
    if (status != SINQ_OK) return status;
    for (uint64_t k = 0; k < layer->cols; k++) {
        column[k] = ldexpf(column[k], layer->meta.shift);
        *has_column = *has_column || column[k] != 1.0F;
    }
    return SINQ_OK;
}

static bool has_levels(const struct sinq_reference_layer *layer) {
    unsigned count;
    return sinq_method_levels(layer->meta.method, &count) != NULL;
}

/* False where our layout has no room for it: 2-D tiling, scales that are no f16, groups of other widths. */
static bool describe(const struct sinq_reference_layer *layer, bool has_column, struct sinq_dual_scale *matrix,
                     struct sinq_dual_scale_sizes *sizes) {
    *matrix = (struct sinq_dual_scale){.rows = layer->rows,
                                       .cols = layer->cols,
                                       .group_size = choose_group_size(layer),
                                       .bits = layer->bits,
                                       .method = layer->meta.method,
                                       .scale_type = SINQ_AUX_F16,
                                       .zero_type = layer->has_one_zero ? SINQ_AUX_NONE : SINQ_AUX_F16,
                                       .has_column_scale = has_column,
                                       .levels = has_levels(layer) ? SINQ_LEVELS_F32 : SINQ_LEVELS_UNIFORM,
                                       .factor = ldexpf(1.0F, layer->meta.factor_exponent)};
    return layer->is_f16 && !layer->is_tiled && sinq_dual_scale_measure(matrix, sizes);
}

static bool fits_width(const struct sinq_reference_layer *layer, const uint8_t *codes) {
    unsigned any = 0;
    for (uint64_t i = 0; i < layer->rows * layer->cols && layer->packing == NULL; i++) any |= codes[i];
    return any >> layer->bits == 0;
}

/* Everything of a layer as our layout has it; *fits is false where that cannot be. */
static int read_plain(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                      const char *name, struct sinq_plain_matrix *plain, struct sinq_dual_scale *matrix, bool *fits,
                      struct sinq_error *error) {
    struct sinq_dual_scale_sizes sizes;
    bool has_column = false;
    *fits = false;
    *plain = (struct sinq_plain_matrix){.codes = NULL};
    if (!describe(layer, true, matrix, &sizes)) return SINQ_OK;
    int status = sinq_read_reference_values(source, layer, 0, layer->rows, plain, error);
    if (status != SINQ_OK) return status;
    plain->codes = malloc((size_t)(layer->rows * layer->cols));
    if (plain->codes == NULL) return sinq_fail_memory(error, name, layer->rows * layer->cols);
    status = sinq_read_reference_codes(source, layer, plain->codes, error);
    if (status == SINQ_OK) status = read_column(source, layer, plain->column, &has_column, error);
    if (status != SINQ_OK) return status;
    *fits = describe(layer, has_column, matrix, &sizes) && fits_width(layer, plain->codes);
    if (layer->has_one_zero) matrix->zero_low = plain->zero[0];
    const int exponent = layer->meta.factor_exponent + layer->meta.shift;
    const uint64_t groups = layer->rows * (layer->cols / layer->group);
    for (uint64_t i = 0; i < groups; i++) plain->scale[i] = ldexpf(plain->scale[i], -exponent);
    return SINQ_OK;
}

static const struct sinq_reference_layer *find_layer(const struct sinq_source *base, size_t tensor,
                                                     const struct sinq_reference_source **source) {
    *source = (const struct sinq_reference_source *)(const void *)base;
    return (*source)->views[tensor].layer;
}

int sinq_read_reference_blob(const struct sinq_source *base, size_t tensor, uint64_t index, uint8_t **blob,
                             uint64_t *bytes, struct sinq_error *error) {
    const struct sinq_reference_source *source;
    const struct sinq_reference_layer *const layer = find_layer(base, tensor, &source);
    const char *const name = base->tensors[tensor].name;
    struct sinq_plain_matrix plain;
    struct sinq_dual_scale matrix;
    bool fits;
    (void)index; /* layers are no stacks */
    *blob = NULL;
    int status = read_plain(source, layer, name, &plain, &matrix, &fits, error);
    if (status == SINQ_OK && fits && isfinite(matrix.zero_low)) {
        status = sinq_pack_plain(&matrix, &plain, layer->group, name, blob, bytes, error);
    }
    sinq_free_plain(&plain);
    return status;
}

int sinq_describe_reference(const struct sinq_source *base, size_t tensor, uint64_t index,
                            struct sinq_matrix_info *info, struct sinq_error *error) {
    const struct sinq_reference_source *source;
    const struct sinq_reference_layer *const layer = find_layer(base, tensor, &source);
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    bool has_column = false;
    int status = SINQ_OK;
    (void)index;
    if (!layer->is_tiled) {
        float *const column = malloc((size_t)layer->cols * sizeof *column);
        if (column == NULL) return sinq_fail_memory(error, base->tensors[tensor].name, layer->cols * sizeof *column);
        status = read_column(source, layer, column, &has_column, error);
        free(column);
    }
    const enum sinq_aux_type type = layer->has_codes ? SINQ_AUX_U8 : SINQ_AUX_F16;
    *info =
        (struct sinq_matrix_info){.rows = layer->rows,
                                  .cols = layer->cols,
                                  .group_size = layer->group == layer->cols ? SINQ_GROUP_ROW : (uint32_t)layer->group,
                                  .bits = layer->bits,
                                  .method = layer->meta.method,
                                  .scale_type = type,
                                  .zero_type = layer->has_one_zero ? SINQ_AUX_NONE : type,
                                  .has_levels = has_levels(layer),
                                  .has_column_scale = has_column || layer->is_tiled,
                                  .bytes = base->tensors[tensor].bytes};
    info->bits_per_weight = 8.0 * (double)info->bytes / ((double)layer->rows * (double)layer->cols);
    if (describe(layer, has_column, &matrix, &sizes)) {
        info->native_bytes = sizes.bytes;
        info->group_size = matrix.group_size;
    }
    return status;
}
