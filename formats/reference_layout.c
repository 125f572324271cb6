/*
 * reference_layout.c: the layout of the directories that huawei-csl/SINQ and transformers load: safetensors files, of which there is always an
 * index, and beside it a text that says how each layer is quantized. A layer is several tensors: tensor/reference_matrix.h.
 */
#include "reference_layout.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "reference_sidecar.h"
#include "safetensors_layout.h"

#define WEIGHT_SUFFIX ".weight"
#define CODES_SUFFIX  ".W_q"

static bool ends_with(const char *text, const char *end) {
    const size_t size = strlen(text), end_size = strlen(end);
    return size > end_size && strcmp(text + size - end_size, end) == 0;
}

/* Readers take tensors apart by their names. */
static int prepare(const struct sinq_layout *layout, struct sinq_layout_tensor *tensor, struct sinq_error *error) {
    const bool is_layer = tensor->planned.reference != NULL;
    if (tensor->planned.dtype == SINQ_DUAL_SCALE) {
        return sinq_fail(error, SINQ_FAILED, "tensor %s: the reference has no layout of ours", tensor->name);
    }
    if (is_layer ? !ends_with(tensor->name, WEIGHT_SUFFIX)
                 : ends_with(tensor->name, CODES_SUFFIX) || strstr(tensor->name, ".meta.") != NULL) {
        return sinq_fail(error, SINQ_FAILED,
                         "tensor %s: the reference knows a quantized layer's tensors by such a name", tensor->name);
    }
    return sinq_safetensors_prepare(layout, tensor, error);
}

/* Its number among all is part of every name. */
static void name_shard(const struct sinq_layout *layout, size_t shard, size_t shard_count,
                       char name[SINQ_SHARD_NAME_BYTES]) {
    (void)layout;
    (void)snprintf(name, SINQ_SHARD_NAME_BYTES, "model-%05zu-of-%05zu.safetensors", shard + 1, shard_count);
}

static int print_sidecar(const struct sinq_layout *layout, struct sinq_text *text, struct sinq_error *error) {
    const struct sinq_reference_layout_facts *const facts = layout->facts;
    struct sinq_text name = {0};
    bool is_first = true;
    sinq_text_add(text, "{");
    for (size_t i = 0; i < layout->finished; i++) {
        const struct sinq_layout_tensor *const tensor = &layout->tensors[i];
        if (tensor->planned.reference == NULL) continue;
        name.size = 0;
        sinq_text_add_bytes(&name, tensor->name, strlen(tensor->name) - strlen(WEIGHT_SUFFIX));
        sinq_text_add(text, is_first ? "" : ", ");
        sinq_text_add_json(text, name.failed ? "" : name.data);
        sinq_text_add(text, ": {\"meta\": ");
        sinq_print_reference_meta(tensor->planned.reference, facts->compute_dtype, text);
        sinq_text_add(text, "}");
        is_first = false;
    }
    sinq_text_add(text, "}\n");
    text->failed |= name.failed;
    sinq_text_free(&name);
    return text->failed ? sinq_fail_memory(error, SINQ_REFERENCE_SIDECAR, layout->finished) : SINQ_OK;
}

const char *sinq_find_compute_dtype(const char *config) {
    static const char *const keys[] = {"dtype", "torch_dtype"};
    static const char *const dtypes[] = {"bfloat16", "float16", "float32"};
    cJSON *const root = config == NULL ? NULL : cJSON_Parse(config);
    const cJSON *const places[] = {root, cJSON_GetObjectItemCaseSensitive(root, "text_config")};
    const char *found = NULL;
    for (size_t i = 0; i < 4 && found == NULL; i++) {
        const char *const value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(places[i / 2], keys[i % 2]));
        for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0] && value != NULL; d++) {
            if (strcmp(value, dtypes[d]) == 0) found = dtypes[d];
        }
    }
    cJSON_Delete(root);
    return found == NULL ? dtypes[0] : found;
}

const struct sinq_layout_ops sinq_reference_layout = {.alignment = 1,
                                                      .head_overhead = sizeof(uint64_t),
                                                      .has_files_beside = true,
                                                      .is_always_indexed = true,
                                                      .config_mark = "sinq",
                                                      .beside_name = SINQ_REFERENCE_SIDECAR,
                                                      .print_beside = print_sidecar,
                                                      .prepare = prepare,
                                                      .begin_shard = sinq_safetensors_begin_shard,
                                                      .fits_shard = sinq_safetensors_fits_shard,
                                                      .measure_shard = sinq_safetensors_measure_shard,
                                                      .print_header = sinq_safetensors_print_header,
                                                      .fill_head = sinq_safetensors_fill_head,
                                                      .check_head = sinq_safetensors_check_head,
                                                      .name_shard = name_shard};
