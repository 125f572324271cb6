/* qwen3.c: Llama with a norm of each query and key head; upper layers may look at a sliding window. */
#include "model/config_reader.h"
#include "model/families/decoder.h"
#include "model/layer_kinds.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", false);
    sinq_read_qwen_layers(reader, config);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
        .query_key_norm = SINQ_QUERY_KEY_HEADS,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_qwen3 = {
    .defaults = {.head_dim = 128, .context = 32768, .eps = 1e-6, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
