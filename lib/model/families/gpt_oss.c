/* gpt_oss.c: gpt-oss: attention sinks, every other layer slides, experts in stacks with biases and an activation of their own. */
#include "model/families/experts.h"
#include "model/layer_kinds.h"

static bool is_odd(uint32_t layer, uint32_t unused) {
    (void)unused;
    return layer % 2 == 1;
}

/* SINQ_ACTIVATION_GPT_OSS has its numbers built in. */
static void check_activation(struct sinq_config_reader *reader, const char *key, double expected) {
    const double value = sinq_config_number(reader, key, -1e30, 1e30, expected);
    if (value != expected) sinq_config_fail(reader, "%s is %g, expected %g", key, value, expected);
}

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", true);
    sinq_read_window(reader, 128, config);
    sinq_read_layer_types(reader, is_odd, 0, config);
    check_activation(reader, "swiglu_alpha", 1.702);
    check_activation(reader, "swiglu_limit", 7.0);
    config->activation = SINQ_ACTIVATION_GPT_OSS;
    const uint64_t experts = sinq_config_count(reader, "num_experts", 1, SINQ_MOST_EXPERTS, 128);
    config->experts = (uint32_t)sinq_config_count(reader, "num_local_experts", 1, SINQ_MOST_EXPERTS, experts);
    config->experts_chosen = (uint32_t)sinq_config_count(reader, "num_experts_per_tok", 1, SINQ_MOST_EXPERTS, 4);
    config->expert_ffn = config->ffn;
    config->routing = SINQ_ROUTING_TOP_SOFTMAX;
    config->router_bias = true;
    sinq_check_experts(reader, config);
}

static void add_mlp(struct sinq_decoder *decoder, uint32_t layer) {
    static const struct sinq_expert_form form = {.router = "mlp.router", .experts = "mlp.experts", .is_stack = true};
    sinq_add_experts(decoder, layer, &form);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
        .has_sinks = true,
        .mlp = add_mlp,
        .widest = sinq_expert_width,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_gpt_oss = {
    .defaults = {.kv_heads = 8,
                 .head_dim = 64,
                 .context = 131072,
                 .eps = 1e-5,
                 .theta = 150000.0,
                 .rope = "{\"rope_type\":\"yarn\",\"factor\":32,\"beta_fast\":32,\"beta_slow\":1,\"truncate\":false,"
                         "\"original_max_position_embeddings\":4096}"},
    .configure = configure,
    .build = build,
};
