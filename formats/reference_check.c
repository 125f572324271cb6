/* reference_check.c: whether the tensors of a layer and what the sidecar says of it fit each other. */
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "reference_source.h"
#include "tensor/dtype.h"
#include "tensor/method.h"

#define MOST_WEIGHTS ((uint64_t)1 << 48)
#define AUX_ROWS     32u

static const char *const part_names[SINQ_REFERENCE_PARTS] = {
    [SINQ_REFERENCE_CODES] = "W_q",
    [SINQ_REFERENCE_SCALE] = "meta.scale",
    [SINQ_REFERENCE_SCALE_STEPS] = "meta.scale.s",
    [SINQ_REFERENCE_SCALE_LOWS] = "meta.scale.m",
    [SINQ_REFERENCE_COLUMN] = "meta.scale2",
    [SINQ_REFERENCE_ZERO] = "meta.zero",
    [SINQ_REFERENCE_ZERO_STEPS] = "meta.zero.s",
    [SINQ_REFERENCE_ZERO_LOWS] = "meta.zero.m",
};

int sinq_fail_reference_layer(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                              const char *what, struct sinq_error *error) {
    const struct sinq_tensor *const codes = &source->weights->base.tensors[layer->parts[SINQ_REFERENCE_CODES]];
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %.300s: %s", source->base.shards[codes->shard].path, codes->name,
                     what);
}

static int fail_part(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                     enum sinq_reference_part_id id, const char *expected, struct sinq_error *error) {
    char what[160];
    (void)snprintf(what, sizeof what, "%s: expected %s", part_names[id], expected);
    return sinq_fail_reference_layer(source, layer, what, error);
}

/* Whether a part is there with so many values: of u8 where it is codes, else of floats. */
static bool has_part(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                     enum sinq_reference_part_id id, bool is_codes, uint64_t count) {
    if (layer->parts[id] < 0) return false;
    const struct sinq_tensor *const part = &source->weights->base.tensors[layer->parts[id]];
    const bool is_float = part->dtype == SINQ_F16 || part->dtype == SINQ_BF16 || part->dtype == SINQ_F32;
    return (is_codes ? part->dtype == SINQ_U8 : is_float) && sinq_count_values(part) == count;
}

/* Steps and minima: readers compute in their type. */
static bool has_halves(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                       enum sinq_reference_part_id id, uint64_t count) {
    return has_part(source, layer, id, false, count) &&
           source->weights->base.tensors[layer->parts[id]].dtype == SINQ_F16;
}

static bool is_codes(const struct sinq_reference_source *source, const struct sinq_reference_layer *layer,
                     enum sinq_reference_part_id id) {
    return layer->parts[id] >= 0 && source->weights->base.tensors[layer->parts[id]].dtype == SINQ_U8;
}

/* What the sidecar says by itself. */
static const char *find_fault(const struct sinq_reference_meta *meta) {
    unsigned levels;
    uint64_t weights;
    (void)sinq_method_levels(meta->method, &levels);
    if (!meta->is_there) return SINQ_REFERENCE_SIDECAR " does not say how it is quantized";
    if (meta->axis != 1) return "its groups run along columns (axis 0): not read";
    if (meta->is_float_view) return "its codes are viewed as floats: not read";
    if (meta->bits > 8 || sinq_find_reference_packing((uint32_t)meta->bits) == NULL) {
        return "nbits: expected 2, 3, 4, 5, 6 or 8";
    }
    if (meta->factor_exponent < -149 || meta->factor_exponent > 127 || abs(meta->shift) > 64) {
        return SINQ_REFERENCE_EXPONENTS ": no matrix has such";
    }
    if (meta->packing != NULL && meta->packing->bits != meta->bits) return "packing and nbits do not fit each other";
    if (levels != 0 && 1U << meta->bits > levels) return "its method has fewer levels than codes";
    if (meta->rows == 0 || meta->cols == 0 || !sinq_multiply_u64(meta->rows, meta->cols, &weights) ||
        weights > MOST_WEIGHTS) {
        return "shape: expected two sides from 1 on";
    }
    return NULL;
}

/* Codes: their width is that of the groups. Older files hold a code a byte whatever they say. */
static int check_codes(const struct sinq_reference_source *source, struct sinq_reference_layer *layer,
                       struct sinq_error *error) {
    const struct sinq_tensor *const codes = &source->weights->base.tensors[layer->parts[SINQ_REFERENCE_CODES]];
    const char *const fault = find_fault(&layer->meta);
    if (fault != NULL) return sinq_fail_reference_layer(source, layer, fault, error);
    layer->rows = layer->meta.rows;
    layer->cols = layer->meta.cols;
    layer->bits = (uint32_t)layer->meta.bits;
    layer->packing = layer->meta.packing;
    if (codes->rank != 2 || codes->shape[1] == 0 || layer->cols % codes->shape[1] != 0) {
        return sinq_fail_reference_layer(source, layer,
                                         "expected two dimensions, the second a part of the layer's columns", error);
    }
    layer->group = codes->shape[1];
    const uint64_t groups = layer->rows * (layer->cols / layer->group);
    if (codes->dtype == SINQ_U8 && codes->shape[0] == groups) layer->packing = NULL;
    const struct sinq_reference_packing *const packing = layer->packing;
    const bool fits = packing == NULL ? codes->dtype == SINQ_U8 && codes->shape[0] == groups
                                      : codes->dtype == packing->dtype &&
                                            codes->shape[0] == sinq_count_packed_rows(packing, groups) &&
                                            (packing->dtype == SINQ_I32 || groups % packing->slices == 0);
    return fits
               ? SINQ_OK
               : sinq_fail_reference_layer(source, layer, "its type or size is not what shape and packing give", error);
}

static int check_values(const struct sinq_reference_source *source, struct sinq_reference_layer *layer,
                        struct sinq_error *error) {
    const struct sinq_tensor *const tensors = source->weights->base.tensors;
    const uint64_t groups = layer->rows * (layer->cols / layer->group);
    const int64_t column = layer->parts[SINQ_REFERENCE_COLUMN];
    layer->is_tiled = column >= 0 && tensors[column].rank == 3;
    layer->has_codes = is_codes(source, layer, SINQ_REFERENCE_SCALE);
    const bool has_zero_codes = is_codes(source, layer, SINQ_REFERENCE_ZERO);
    const uint64_t columns = groups / AUX_ROWS;
    if (!has_part(source, layer, SINQ_REFERENCE_SCALE, layer->has_codes, groups)) {
        return fail_part(source, layer, SINQ_REFERENCE_SCALE, "one a group, as floats or 8-bit codes", error);
    }
    if (layer->has_codes &&
        (groups % AUX_ROWS != 0 || !has_halves(source, layer, SINQ_REFERENCE_SCALE_STEPS, columns) ||
         !has_halves(source, layer, SINQ_REFERENCE_SCALE_LOWS, columns))) {
        return fail_part(source, layer, SINQ_REFERENCE_SCALE, "steps and minima in F16, one for 32 codes", error);
    }
    layer->has_one_zero = has_part(source, layer, SINQ_REFERENCE_ZERO, has_zero_codes, 1);
    if (!layer->has_one_zero && !has_part(source, layer, SINQ_REFERENCE_ZERO, has_zero_codes, groups)) {
        return fail_part(source, layer, SINQ_REFERENCE_ZERO, "one, or one a group, as floats or 8-bit codes", error);
    }
    if (has_zero_codes && (!has_halves(source, layer, SINQ_REFERENCE_ZERO_STEPS, 1) ||
                           !has_halves(source, layer, SINQ_REFERENCE_ZERO_LOWS, 1))) {
        return fail_part(source, layer, SINQ_REFERENCE_ZERO, "one step and one minimum in F16", error);
    }
    if (column >= 0 && !has_part(source, layer, SINQ_REFERENCE_COLUMN, false, layer->is_tiled ? groups : layer->cols)) {
        return fail_part(source, layer, SINQ_REFERENCE_COLUMN, "one a column", error);
    }
    if (layer->is_tiled && layer->rows % layer->group != 0) {
        return sinq_fail_reference_layer(source, layer, "its tiles do not divide its rows", error);
    }
    layer->is_f16 = true;
    for (size_t i = SINQ_REFERENCE_SCALE; i < SINQ_REFERENCE_PARTS; i++) {
        const enum sinq_dtype dtype = layer->parts[i] < 0 ? SINQ_F16 : tensors[layer->parts[i]].dtype;
        layer->is_f16 = layer->is_f16 && (dtype == SINQ_F16 || dtype == SINQ_U8);
    }
    return SINQ_OK;
}

int sinq_check_reference_layer(const struct sinq_reference_source *source, struct sinq_reference_layer *layer,
                               struct sinq_error *error) {
    const int status = check_codes(source, layer, error);
    return status == SINQ_OK ? check_values(source, layer, error) : status;
}
