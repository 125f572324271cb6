#include "quant/recipe/reference_recipe.h"

#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "tensor/method.h"

#define LEAST_GROUP 16u
#define REFERENCE   "the reference's layout"

/* ---- from one layout to the other ---- */

/* The first tensor that is quantized; NULL: none is. */
static const struct sinq_tensor *find_quantized(const struct sinq_source *source, size_t *index) {
    for (size_t i = 0; i < source->tensor_count; i++) {
        if (source->tensors[i].dtype != SINQ_DUAL_SCALE) continue;
        *index = i;
        return &source->tensors[i];
    }
    return NULL;
}

static bool asks_for_more(const struct sinq_quantize_options *options) {
    const bool has_scale_type = options->scale_type >= 0 && options->format != SINQ_FORMAT_REFERENCE;
    return options->recipe != NULL || options->bits != 0 || options->group_size >= 0 || options->method >= 0 ||
           has_scale_type || options->head_bits != 0 || options->embed_bits != 0 || options->kurtosis_gate > 0 ||
           options->tiling_2d || options->absorb || options->rule_count > 0;
}

int sinq_check_repacking(const struct sinq_source *source, const struct sinq_quantize_options *options, bool *repacks,
                         struct sinq_error *error) {
    size_t index;
    struct sinq_matrix_info info;
    const struct sinq_tensor *const tensor = find_quantized(source, &index);
    const bool is_reference = options->format == SINQ_FORMAT_REFERENCE;
    *repacks = false;
    if (tensor == NULL || options->allow_requantize || options->is_trial || source->ops->origin != NULL) return SINQ_OK;
    if (!is_reference && options->format != SINQ_FORMAT_NATIVE) return SINQ_OK;
    if (sinq_is_in_blocks(source, tensor) == is_reference) return SINQ_OK;
    const int status = sinq_source_matrix_info(source, index, 0, &info, error);
    if (status != SINQ_OK || info.block_type != NULL) return status;
    if (asks_for_more(options)) {
        return sinq_fail(error, SINQ_USAGE,
                         "%s: is quantized already, and its codes are taken over as they are: options that say how to "
                         "quantize need --allow-requantize",
                         source->path);
    }
    *repacks = true;
    return SINQ_OK;
}

static int fail_tensor(const struct sinq_source *source, size_t tensor, const char *who, const char *why,
                       struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: %s cannot hold it: %s", source->path,
                     source->tensors[tensor].name, who, why);
}

/* A matrix with zero points of its own is of no symmetric method, whatever it says. */
static enum sinq_method name_method(const struct sinq_matrix_info *info) {
    if (!sinq_method_is_symmetric(info->method) || info->zero_type == SINQ_AUX_NONE) return info->method;
    return sinq_method_normalizes(info->method) ? SINQ_METHOD_SINQ : SINQ_METHOD_RTN;
}

int sinq_decide_repacked(const struct sinq_source *source, size_t tensor, const struct sinq_tensor_role *role,
                         enum sinq_format format, int scale_type, struct sinq_recipe_entry *entry,
                         struct sinq_error *error) {
    struct sinq_matrix_info info;
    entry->action = SINQ_KEEP;
    entry->reason = role->reason;
    if (source->tensors[tensor].dtype != SINQ_DUAL_SCALE) {
        if (role->is_linear) entry->reason = "not quantized in the source";
        return SINQ_OK;
    }
    const int status = sinq_source_matrix_info(source, tensor, 0, &info, error);
    if (status != SINQ_OK) return status;
    entry->action = SINQ_QUANTIZE;
    entry->bits = (int)info.bits;
    entry->group_size = info.group_size;
    entry->method = name_method(&info);
    entry->scale_type = SINQ_AUX_F16; /* what both can hold without loss: ranges are of other rows in each of them */
    entry->bytes_after = info.native_bytes;
    if (format == SINQ_FORMAT_REFERENCE) {
        if (scale_type >= 0) entry->scale_type = (enum sinq_aux_type)scale_type;
        return sinq_fit_reference(source, tensor, role, false, entry, error);
    }
    if (info.native_bytes > 0) return SINQ_OK;
    return fail_tensor(source, tensor, "our layout",
                       "2-D tiling, scales that are no f16, or groups that 16 does not divide (--allow-requantize "
                       "rounds it anew)",
                       error);
}

/* ---- what the reference can hold ---- */

struct sinq_reference_matrix sinq_describe_reference_layer(const struct sinq_tensor *tensor,
                                                           const struct sinq_recipe_entry *entry, bool is_tiled) {
    const uint64_t cols = tensor->shape[1];
    return (struct sinq_reference_matrix){.rows = tensor->shape[0],
                                          .cols = cols,
                                          .bits = (uint32_t)entry->bits,
                                          .group = entry->group_size == SINQ_GROUP_ROW ? cols : entry->group_size,
                                          .group_size =
                                              entry->group_asked == SINQ_GROUP_ROW ? cols : entry->group_asked,
                                          .method = entry->method,
                                          .has_codes = entry->scale_type == SINQ_AUX_U8,
                                          .is_tiled = is_tiled};
}

/* Its loader puts layers in the place of torch.nn.Linear alone. */
static const char *find_unfit(const struct sinq_tensor *tensor, const struct sinq_tensor_role *role,
                              const struct sinq_recipe_entry *entry) {
    const size_t size = strlen(tensor->name);
    if (tensor->rank != 2) return "it quantizes linear layers, and a stack of experts is none (--exclude keeps it)";
    if (entry->transposed) return "it quantizes linear layers stored [out, in], and this is [in, out]";
    if (role->role == SINQ_ROLE_EMBEDDING) return "it quantizes linear layers, and an embedding is none";
    if (size < 8 || strcmp(tensor->name + size - 7, ".weight") != 0) return "it is no weight of a layer by its name";
    return NULL;
}

static void halve_group(const struct sinq_tensor *tensor, struct sinq_recipe_entry *entry) {
    entry->group_asked = entry->group_size;
    if (entry->group_size == SINQ_GROUP_ROW) return;
    while (tensor->shape[1] % entry->group_size != 0 && entry->group_size > LEAST_GROUP) entry->group_size /= 2;
}

/* A matrix of ours may end in a short group. */
static int fail_short_group(const struct sinq_source *source, size_t tensor, uint32_t group, struct sinq_error *error) {
    const struct sinq_tensor *const t = &source->tensors[tensor];
    uint32_t fitting = group;
    while (fitting > LEAST_GROUP && t->shape[1] % fitting != 0) fitting /= 2;
    if (t->shape[1] % fitting != 0)
        return fail_tensor(source, tensor, REFERENCE, "no group of its divides the row", error);
    char why[200];
    (void)snprintf(
        why, sizeof why,
        "its groups divide the row, and %u columns do not divide %llu: quantize the original in groups of %u, "
        "or this with --allow-requantize",
        group, (unsigned long long)t->shape[1], fitting);
    return fail_tensor(source, tensor, REFERENCE, why, error);
}

int sinq_fit_reference(const struct sinq_source *source, size_t tensor, const struct sinq_tensor_role *role,
                       bool is_tiled, struct sinq_recipe_entry *entry, struct sinq_error *error) {
    const struct sinq_tensor *const t = &source->tensors[tensor];
    const char *why = find_unfit(t, role, entry);
    struct sinq_reference_parts parts;
    if (why == NULL && t->dtype != SINQ_DUAL_SCALE) halve_group(t, entry);
    if (why == NULL && t->dtype == SINQ_DUAL_SCALE) entry->group_asked = entry->group_size;
    if (why == NULL && entry->group_size != SINQ_GROUP_ROW && t->shape[1] % entry->group_size != 0) {
        return fail_short_group(source, tensor, entry->group_size, error);
    }
    const struct sinq_reference_matrix matrix = sinq_describe_reference_layer(t, entry, is_tiled);
    if (why == NULL && entry->scale_type == SINQ_AUX_U6) why = "its scales have 8 or 16 bits";
    if (why == NULL) why = sinq_find_reference_obstacle(&matrix);
    if (why != NULL) return fail_tensor(source, tensor, REFERENCE, why, error);
    sinq_measure_reference(&matrix, &parts);
    entry->bytes_after = parts.bytes;
    return SINQ_OK;
}

uint64_t sinq_measure_plain_memory(const struct sinq_tensor *tensor, const struct sinq_recipe_entry *entry,
                                   unsigned threads) {
    const uint64_t rows = tensor->shape[0], cols = tensor->shape[1];
    const uint64_t group = entry->group_size == SINQ_GROUP_ROW ? cols : entry->group_size;
    const uint64_t groups = sinq_multiply_saturating(rows, sinq_divide_up(cols, group));
    const uint64_t parts[] = {
        sinq_multiply_saturating(rows, cols),
        sinq_multiply_saturating(groups, 4 * sizeof(float)),
        sinq_multiply_saturating(cols, threads * SINQ_PANEL_ROWS * sizeof(float)),
        sinq_multiply_saturating(rows, 2 * sizeof(double)),
    };
    uint64_t bytes = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) bytes = sinq_add_saturating(bytes, parts[i]);
    return bytes;
}
