#include "inspection.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "memory.h"

static bool is_same_kind(const struct sinq_storage_kind *kind, enum sinq_dtype dtype,
                         const struct sinq_matrix_info *info) {
    if (kind->dtype != dtype) return false;
    if (dtype != SINQ_DUAL_SCALE) return true;
    if (kind->info.block_type != NULL || info->block_type != NULL) return kind->info.block_type == info->block_type;
    return kind->info.method == info->method && kind->info.bits == info->bits &&
           kind->info.group_size == info->group_size && kind->info.scale_type == info->scale_type;
}

static void count_kind(struct sinq_inspection *inspection, size_t *capacity, const struct sinq_tensor *tensor,
                       const struct sinq_matrix_info *info, uint64_t values) {
    size_t i = 0;
    while (i < inspection->kind_count && !is_same_kind(&inspection->kinds[i], tensor->dtype, info)) i++;
    if (i == inspection->kind_count) {
        sinq_reserve(&inspection->kinds, capacity, i + 1, sizeof *inspection->kinds);
        inspection->kinds[inspection->kind_count++] = (struct sinq_storage_kind){.dtype = tensor->dtype, .info = *info};
    }
    inspection->kinds[i].tensors++;
    inspection->kinds[i].values += values;
    inspection->kinds[i].bytes += tensor->bytes;
}

static int compare_kinds(const void *a, const void *b) {
    const struct sinq_storage_kind *const x = a, *const y = b;
    return (x->values < y->values) - (x->values > y->values);
}

/*
 * Which tensors are linear layers is the recipe's to know; a model whose names a recipe does not understand has none, and
 * every quantized tensor counts.
 */
static struct sinq_recipe *make_role_recipe(const struct sinq_source *source) {
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_recipe *recipe = NULL;
    struct sinq_error ignored;
    options.allow_requantize = true;
    return sinq_make_recipe(source, &options, &recipe, &ignored) == SINQ_OK ? recipe : NULL;
}

static void read_foreign_method(const struct sinq_source *source, struct sinq_inspection *inspection) {
    const char *const text = sinq_source_quantization(source);
    if (text == NULL || inspection->quantized_values > 0) return;
    cJSON *const root = cJSON_Parse(text);
    const char *const method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "quant_method"));
    inspection->foreign_method = sinq_format("%s", method != NULL ? method : "of an unnamed method");
    cJSON_Delete(root);
}

int sinq_inspect_source(const struct sinq_source *source, struct sinq_inspection *inspection,
                        struct sinq_error *error) {
    memset(inspection, 0, sizeof *inspection);
    struct sinq_recipe *const recipe = make_role_recipe(source);
    uint64_t linear_values = 0, linear_bytes = 0;
    size_t capacity = 0;
    int status = SINQ_OK;
    for (size_t i = 0; i < sinq_source_tensor_count(source) && status == SINQ_OK; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        const uint64_t values = sinq_count_values(tensor);
        struct sinq_matrix_info info = {.bits = 0};
        inspection->tensor_bytes += tensor->bytes;
        if (tensor->is_block_scale) continue;
        inspection->parameters += values;
        if (tensor->dtype == SINQ_DUAL_SCALE) {
            status = sinq_source_matrix_info(source, i, 0, &info, error);
            inspection->quantized_values += values;
            if (recipe == NULL || sinq_recipe_entry(recipe, i)->is_linear) {
                linear_values += values;
                linear_bytes += tensor->bytes;
            }
        }
        count_kind(inspection, &capacity, tensor, &info, values);
    }
    sinq_recipe_free(recipe);
    for (size_t i = 0; i < sinq_source_shard_count(source); i++)
        inspection->file_bytes += sinq_source_shard_bytes(source, i);
    if (inspection->kind_count > 0)
        qsort(inspection->kinds, inspection->kind_count, sizeof *inspection->kinds, compare_kinds);
    if (linear_values > 0) inspection->linear_bits_per_weight = 8.0 * (double)linear_bytes / (double)linear_values;
    if (inspection->parameters > 0)
        inspection->overall_bits_per_weight = 8.0 * (double)inspection->tensor_bytes / (double)inspection->parameters;
    read_foreign_method(source, inspection);
    return status;
}

void sinq_free_inspection(struct sinq_inspection *inspection) {
    free(inspection->kinds);
    free(inspection->foreign_method);
    memset(inspection, 0, sizeof *inspection);
}
