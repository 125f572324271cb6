/* recipe_sizes.c: what entries of a recipe take on disk and in memory. */
#include <inttypes.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "quant/matrix/rounding.h"
#include "quant/recipe/peak_memory.h"
#include "quant/recipe/recipe.h"
#include "quant/recipe/reference_recipe.h"
#include "quant/recipe/settings.h"
#include "quant/statistics/input_scales.h"
#include "tensor/dtype.h"
#include "tensor/method.h"

void sinq_describe_matrix(const struct sinq_recipe_entry *entry, uint64_t rows, uint64_t cols,
                          struct sinq_dual_scale *matrix) {
    const enum sinq_method method = entry->method;
    const bool has_byte_levels = sinq_method_has_byte_levels(method);
    const bool is_symmetric = sinq_method_is_symmetric(method) || has_byte_levels;
    *matrix = (struct sinq_dual_scale){
        .rows = rows,
        .cols = cols,
        .group_size = entry->group_size,
        .bits = (uint32_t)entry->bits,
        .method = method,
        .scale_type = entry->scale_type,
        .zero_type = is_symmetric ? SINQ_AUX_NONE : entry->scale_type,
        .zero_per_block = entry->scale_type != SINQ_AUX_F16 && !sinq_method_has_integer_zeros(method) &&
                          !sinq_method_is_searched(method) && !has_byte_levels,
        .scale_signed = has_byte_levels && entry->scale_type != SINQ_AUX_F16,
        .has_column_scale = sinq_method_normalizes(method),
        .transposed = entry->transposed,
        .levels = has_byte_levels                 ? SINQ_LEVELS_BYTES
                  : sinq_method_bits(method) != 0 ? SINQ_LEVELS_F32
                                                  : SINQ_LEVELS_UNIFORM,
    };
}

static struct sinq_matrix_shape find_matrix_shape(const struct sinq_tensor *tensor, bool transposed) {
    struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    if (!transposed) return shape;
    const uint64_t rows = shape.rows;
    shape.rows = shape.cols;
    shape.cols = rows;
    return shape;
}

int sinq_measure_entry(const struct sinq_recipe *recipe, const struct sinq_tensor *tensor,
                       const struct sinq_recipe_entry *entry, uint64_t *bytes, struct sinq_error *error) {
    const struct sinq_matrix_shape shape = find_matrix_shape(tensor, entry->transposed);
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    sinq_describe_matrix(entry, shape.rows, shape.cols, &matrix);
    if (shape.count > UINT32_MAX || !sinq_dual_scale_measure(&matrix, &sizes) ||
        !sinq_multiply_u64(sizes.bytes, shape.count, bytes)) {
        return sinq_fail(error, SINQ_FAILED,
                         "%s: tensor %s: %" PRIu64 " matrices of %" PRIu64 " x %" PRIu64
                         " are more than the layout can hold",
                         sinq_source_path(recipe->source), tensor->name, shape.count, shape.rows, shape.cols);
    }
    return SINQ_OK;
}

bool sinq_can_calibrate(const struct sinq_recipe *recipe, enum sinq_method method) {
    return recipe->scales_inputs ? sinq_method_normalizes(method) : sinq_method_can_feed_back(method);
}

int sinq_settle_entry(struct sinq_recipe *recipe, const struct sinq_tensor *tensor, struct sinq_recipe_entry *entry,
                      struct sinq_error *error) {
    const int status = sinq_measure_entry(recipe, tensor, entry, &entry->bytes_after, error);
    if (status != SINQ_OK) return status;
    const struct sinq_matrix_shape shape = find_matrix_shape(tensor, entry->transposed);
    const uint64_t element = sinq_held_bytes(entry->is_folded ? SINQ_F32 : tensor->dtype);
    uint64_t memory = sinq_estimate_peak_memory(shape.rows, shape.cols, element, entry->group_size,
                                                entry->bytes_after / sinq_max_u64(1, shape.count), recipe->threads);
    if (recipe->is_calibrated && sinq_can_calibrate(recipe, entry->method)) {
        memory = sinq_add_saturating(memory, recipe->scales_inputs
                                                 ? sinq_estimate_input_scales_memory(shape.cols, recipe->threads)
                                                 : sinq_estimate_feedback_memory(shape.cols, recipe->threads));
    }
    recipe->summary.peak_memory = sinq_max_u64(recipe->summary.peak_memory, memory);
    return SINQ_OK;
}

void sinq_settle_layer(struct sinq_recipe *recipe, const struct sinq_tensor *tensor,
                       const struct sinq_recipe_entry *entry) {
    const uint64_t element = recipe->repacks ? 0 : sinq_held_bytes(entry->is_folded ? SINQ_F32 : tensor->dtype);
    const uint64_t stored = recipe->repacks ? sinq_multiply_saturating(tensor->bytes, 2) : 0;
    const uint64_t bytes = sinq_add_saturating(sinq_add_saturating(entry->bytes_after, stored),
                                               sinq_measure_plain_memory(tensor, entry, recipe->threads));
    const uint64_t memory = sinq_estimate_peak_memory(tensor->shape[0], tensor->shape[1], element, entry->group_size,
                                                      bytes, recipe->threads);
    recipe->summary.peak_memory = sinq_max_u64(recipe->summary.peak_memory, memory);
}
