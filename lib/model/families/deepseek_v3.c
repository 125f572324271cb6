/* deepseek_v3.c: DeepSeek-V3 and R1, Kimi K2: experts chosen by sigmoid and a bias, from the best groups. */
#include <string.h>

#include "model/families/deepseek.h"
#include "model/families/experts.h"
#include "model/families/latent_attention.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    static const struct sinq_deepseek_defaults defaults = {.experts = 256,
                                                           .chosen = 8,
                                                           .shared = 1,
                                                           .expert_ffn = 2048,
                                                           .first_dense = 3,
                                                           .groups = 8,
                                                           .top_groups = 4,
                                                           .share_scale = 2.5,
                                                           .normalized = true};
    sinq_read_deepseek(reader, &defaults, config);
    config->routing = SINQ_ROUTING_SIGMOID;
    config->groups_by_two = true;
    const char *const method = sinq_config_word(reader, "topk_method", "noaux_tc");
    if (strcmp(method, "noaux_tc") != 0) {
        sinq_config_fail(reader, "topk_method is \"%.60s\", expected noaux_tc", method);
    }
    const char *const scores = sinq_config_word(reader, "scoring_func", "sigmoid");
    if (strcmp(scores, "sigmoid") != 0) {
        sinq_config_fail(reader, "scoring_func is \"%.60s\", expected sigmoid", scores);
    }
    if (config->experts != 0) sinq_check_experts(reader, config);
}

static void add_mlp(struct sinq_decoder *decoder, uint32_t layer) {
    sinq_add_deepseek_mlp(decoder, layer, "mlp.gate.e_score_correction_bias");
}

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

const struct sinq_family_graph sinq_graph_of_deepseek_v3 = {
    .defaults = {.head_dim = 64, .context = 4096, .eps = 1e-6, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
