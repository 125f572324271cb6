#include "model/tensor_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/roles.h"

struct sinq_name_index *sinq_index_tensors(const struct sinq_source *source) {
    const size_t count = sinq_source_tensor_count(source);
    struct sinq_name_index *const index = sinq_name_index_create(count);
    for (size_t i = 0; index != NULL && i < count; i++) {
        /* Of two names that differ only in what wraps them the first counts. */
        (void)sinq_name_index_add(index, sinq_skip_wrappers(sinq_source_tensor(source, i)->name), i);
    }
    return index;
}

bool sinq_has_tensor(const void *index, const char *name) { return sinq_name_index_find(index, name) >= 0; }

int sinq_check_layers(const struct sinq_source *source, uint32_t layers, struct sinq_error *error) {
    static const char prefix[] = "layers.";
    const char *const type = sinq_source_model_type(source);
    if (type != NULL && strncmp(type, "deepseek", 8) == 0) return SINQ_OK;
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const char *const name = sinq_source_tensor(source, i)->name;
        const char *const stripped = sinq_skip_wrappers(name);
        if (strncmp(stripped, prefix, sizeof prefix - 1) != 0) continue;
        const unsigned long layer = strtoul(stripped + sizeof prefix - 1, NULL, 10);
        if (layer < layers) continue;
        return sinq_fail(error, SINQ_FAILED,
                         "%s: tensor %.300s is of layer %lu, but config.json's num_hidden_layers is %u",
                         sinq_source_path(source), name, layer, layers);
    }
    return SINQ_OK;
}
