#include "model/layer_kinds.h"

#include <cjson/cJSON.h>
#include <string.h>

void sinq_read_window(struct sinq_config_reader *reader, uint32_t fallback, struct sinq_model_config *config) {
    const bool is_null = sinq_config_is_null(reader, "sliding_window");
    config->window = (uint32_t)sinq_config_count(reader, "sliding_window", 1, INT32_MAX, is_null ? 0 : fallback);
}

static void read_types(struct sinq_config_reader *reader, const cJSON *types, struct sinq_model_config *config) {
    uint32_t layer = 0;
    if (!cJSON_IsArray(types)) sinq_config_fail(reader, "layer_types is no array");
    for (const cJSON *type = types->child; type != NULL && reader->status == SINQ_OK; type = type->next) {
        const bool is_sliding = cJSON_IsString(type) && strcmp(type->valuestring, "sliding_attention") == 0;
        const bool is_full = cJSON_IsString(type) && strcmp(type->valuestring, "full_attention") == 0;
        if (!is_sliding && !is_full) {
            sinq_config_fail(reader, "layer_types has %.60s at %u, expected full_attention or sliding_attention",
                             cJSON_IsString(type) ? type->valuestring : "no string", layer);
        } else if (layer < config->layers) {
            config->is_sliding[layer] = is_sliding && config->window != 0;
        }
        layer++;
    }
    if (layer != config->layers) {
        sinq_config_fail(reader, "layer_types has %u entries, expected num_hidden_layers = %u", layer, config->layers);
    }
}

void sinq_slide_layers(struct sinq_model_config *config, sinq_is_full_fn *is_full, uint32_t parameter) {
    for (uint32_t layer = 0; config->is_sliding != NULL && layer < config->layers; layer++) {
        config->is_sliding[layer] = config->window != 0 && (is_full == NULL || !is_full(layer, parameter));
    }
}

void sinq_read_layer_types(struct sinq_config_reader *reader, sinq_is_full_fn *is_full, uint32_t parameter,
                           struct sinq_model_config *config) {
    if (reader->status != SINQ_OK) return;
    const cJSON *const types = sinq_config_member(reader, "layer_types");
    if (types != NULL) {
        read_types(reader, types, config);
    } else {
        sinq_slide_layers(config, is_full, parameter);
    }
}

static bool is_below(uint32_t layer, uint32_t first) { return layer < first; }

void sinq_read_qwen_layers(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    const bool is_used = sinq_config_flag(reader, "use_sliding_window", false);
    const uint32_t first = (uint32_t)sinq_config_count(reader, "max_window_layers", 0, UINT32_MAX, 28);
    if (is_used) sinq_read_window(reader, 4096, config);
    sinq_read_layer_types(reader, is_below, first, config);
}
