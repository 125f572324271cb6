/* qwen2.c: Llama with biases on queries, keys and values; upper layers may look at a sliding window. */
#include "model/config_reader.h"
#include "model/families/decoder.h"
#include "model/layer_kinds.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    config->attention_bias = true;
    sinq_read_qwen_layers(reader, config);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_qwen2 = {
    .defaults = {.context = 32768, .eps = 1e-6, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
