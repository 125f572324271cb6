/* mixtral.c: Mistral with an mlp of experts. */
#include "model/config_reader.h"
#include "model/families/experts.h"
#include "model/layer_kinds.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    sinq_read_window(reader, 0, config);
    sinq_slide_layers(config, NULL, 0);
    config->experts = (uint32_t)sinq_config_count(reader, "num_local_experts", 1, SINQ_MOST_EXPERTS, 8);
    config->experts_chosen = (uint32_t)sinq_config_count(reader, "num_experts_per_tok", 1, SINQ_MOST_EXPERTS, 2);
    config->expert_ffn = config->ffn;
    config->routing = SINQ_ROUTING_TOP_SOFTMAX;
    sinq_check_experts(reader, config);
}

static void add_mlp(struct sinq_decoder *decoder, uint32_t layer) {
    static const struct sinq_expert_form form = {
        .router = "block_sparse_moe.gate",
        .experts = "block_sparse_moe.experts",
        .gate = "w1",
        .up = "w3",
        .down = "w2",
        .stack_router = "mlp.gate",
        .stack = "mlp.experts",
    };
    sinq_add_experts(decoder, layer, &form);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
        .mlp = add_mlp,
        .widest = sinq_expert_width,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_mixtral = {
    .defaults = {.context = 131072, .eps = 1e-5, .theta = 1000000.0},
    .configure = configure,
    .build = build,
};
