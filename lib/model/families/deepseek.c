#include "model/families/deepseek.h"

#include <stdio.h>

#include "base/checked.h"
#include "model/families/experts.h"
#include "model/families/latent_attention.h"

#define MOST_SHARED 256u

static uint32_t read_count(struct sinq_config_reader *reader, const char *key, uint32_t least, uint32_t most,
                           uint32_t fallback) {
    return (uint32_t)sinq_config_count(reader, key, least, most, fallback);
}

/* Layers from first_k_dense_replace on have experts, every moe_layer_freq-th of them. */
static void read_sparse_layers(struct sinq_config_reader *reader, const struct sinq_deepseek_defaults *defaults,
                               struct sinq_model_config *config) {
    const uint32_t first = read_count(reader, "first_k_dense_replace", 0, UINT32_MAX, defaults->first_dense);
    const uint32_t step = read_count(reader, "moe_layer_freq", 1, UINT32_MAX, 1);
    for (uint32_t layer = 0; reader->status == SINQ_OK && layer < config->layers; layer++) {
        config->is_sparse[layer] = config->experts != 0 && layer >= first && layer % step == 0;
    }
}

void sinq_read_deepseek(struct sinq_config_reader *reader, const struct sinq_deepseek_defaults *defaults,
                        struct sinq_model_config *config) {
    const uint32_t most = SINQ_MOST_EXPERTS;
    const bool is_dense = sinq_config_is_null(reader, "n_routed_experts");
    const bool shares_none = sinq_config_is_null(reader, "n_shared_experts");
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", false);
    sinq_read_latent_attention(reader, 1536, config);
    config->experts = is_dense ? 0 : read_count(reader, "n_routed_experts", 1, most, defaults->experts);
    config->experts_chosen = read_count(reader, "num_experts_per_tok", 1, most, defaults->chosen);
    config->expert_ffn = read_count(reader, "moe_intermediate_size", 1, SINQ_LARGEST_EXPERT, defaults->expert_ffn);
    config->shared_experts = shares_none ? 0 : read_count(reader, "n_shared_experts", 0, MOST_SHARED, defaults->shared);
    config->expert_groups = read_count(reader, "n_group", 1, most, defaults->groups);
    config->expert_top_groups = read_count(reader, "topk_group", 1, most, defaults->top_groups);
    config->share_scale = (float)sinq_config_number(reader, "routed_scaling_factor", 1e-6, 1e6, defaults->share_scale);
    config->shares_normalized = sinq_config_flag(reader, "norm_topk_prob", defaults->normalized);
    read_sparse_layers(reader, defaults, config);
}

void sinq_add_deepseek_mlp(struct sinq_decoder *decoder, uint32_t layer, const char *choice_bias) {
    const struct sinq_model_config *const config = decoder->config;
    const struct sinq_expert_form form = {
        .router = "mlp.gate",
        .experts = "mlp.experts",
        .gate = "gate_proj",
        .up = "up_proj",
        .down = "down_proj",
        .choice_bias = choice_bias,
    };
    char shared[48];
    if (!config->is_sparse[layer]) {
        sinq_add_mlp(decoder, layer);
        return;
    }
    sinq_add_experts(decoder, layer, &form);
    if (config->shared_experts == 0) return;
    (void)snprintf(shared, sizeof shared, "layers.%u.mlp.shared_experts", layer);
    sinq_add_gated_mlp(decoder, shared, config->shared_experts * config->expert_ffn, true);
}

uint64_t sinq_deepseek_width(const struct sinq_model_config *config) {
    return sinq_max_u64(sinq_latent_width(config), sinq_expert_width(config));
}
