/* qwen3_moe.c: Qwen3 with an mlp of experts in some layers or in all. */
#include <cjson/cJSON.h>

#include "model/config_reader.h"
#include "model/families/experts.h"
#include "model/layer_kinds.h"

/* Layers of mlp_only_layers, and those between every decoder_sparse_step, have a plain mlp. */
static void read_sparse_layers(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    const uint32_t step = (uint32_t)sinq_config_count(reader, "decoder_sparse_step", 1, UINT32_MAX, 1);
    for (uint32_t layer = 0; layer < config->layers; layer++) config->is_sparse[layer] = (layer + 1) % step == 0;
    const cJSON *const dense = sinq_config_member(reader, "mlp_only_layers");
    if (dense != NULL && !cJSON_IsArray(dense)) sinq_config_fail(reader, "mlp_only_layers is no array");
    for (const cJSON *item = dense == NULL ? NULL : dense->child; item != NULL; item = item->next) {
        const double layer = item->valuedouble;
        if (!cJSON_IsNumber(item) || layer < 0.0 || layer >= config->layers || layer != (uint32_t)layer) {
            sinq_config_fail(reader, "mlp_only_layers has an entry that is no layer, expected 0 to %u",
                             config->layers - 1);
            return;
        }
        config->is_sparse[(uint32_t)layer] = 0;
    }
}

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", false);
    if (sinq_config_flag(reader, "use_sliding_window", false)) sinq_read_window(reader, 4096, config);
    sinq_slide_layers(config, NULL, 0);
    /* transformers 4 and 5 call it differently. */
    const uint64_t local = sinq_config_count(reader, "num_local_experts", 1, SINQ_MOST_EXPERTS, 128);
    config->experts = (uint32_t)sinq_config_count(reader, "num_experts", 1, SINQ_MOST_EXPERTS, local);
    config->experts_chosen = (uint32_t)sinq_config_count(reader, "num_experts_per_tok", 1, SINQ_MOST_EXPERTS, 8);
    config->expert_ffn = (uint32_t)sinq_config_count(reader, "moe_intermediate_size", 1, SINQ_LARGEST_EXPERT, 768);
    config->routing = SINQ_ROUTING_SOFTMAX;
    config->shares_normalized = sinq_config_flag(reader, "norm_topk_prob", false);
    if (reader->status == SINQ_OK) read_sparse_layers(reader, config);
    sinq_check_experts(reader, config);
}

static void add_mlp(struct sinq_decoder *decoder, uint32_t layer) {
    static const struct sinq_expert_form form = {
        .router = "mlp.gate",
        .experts = "mlp.experts",
        .gate = "gate_proj",
        .up = "up_proj",
        .down = "down_proj",
    };
    if (decoder->config->is_sparse[layer]) {
        sinq_add_experts(decoder, layer, &form);
    } else {
        sinq_add_mlp(decoder, layer);
    }
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
        .query_key_norm = SINQ_QUERY_KEY_HEADS,
        .mlp = add_mlp,
        .widest = sinq_expert_width,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_qwen3_moe = {
    .defaults = {.context = 32768, .eps = 1e-6, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
