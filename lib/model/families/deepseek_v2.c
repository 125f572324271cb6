/* deepseek_v2.c: DeepSeek-V2: experts chosen by softmax, from the best groups where topk_method says so. */
#include <string.h>

#include "model/families/deepseek.h"
#include "model/families/experts.h"
#include "model/families/latent_attention.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    static const struct sinq_deepseek_defaults defaults = {
        .experts = 64, .chosen = 6, .shared = 2, .expert_ffn = 1407, .groups = 1, .top_groups = 1, .share_scale = 1.0};
    sinq_read_deepseek(reader, &defaults, config);
    config->mlp_bias = sinq_config_flag(reader, "mlp_bias", false);
    config->routing = SINQ_ROUTING_SOFTMAX;
    const char *const method = sinq_config_word(reader, "topk_method", "greedy");
    if (strcmp(method, "greedy") == 0) {
        config->expert_groups = config->expert_top_groups = 1;
    } else if (strcmp(method, "group_limited_greedy") != 0) {
        sinq_config_fail(reader, "topk_method is \"%.60s\", expected greedy or group_limited_greedy", method);
    }
    if (config->experts != 0) sinq_check_experts(reader, config);
}

static void add_mlp(struct sinq_decoder *decoder, uint32_t layer) { sinq_add_deepseek_mlp(decoder, layer, NULL); }

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
        .attention = sinq_add_latent_attention,
        .mlp = add_mlp,
        .widest = sinq_deepseek_width,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_deepseek_v2 = {
    .defaults = {.head_dim = 64, .context = 2048, .eps = 1e-6, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
