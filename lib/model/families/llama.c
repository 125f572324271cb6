/* llama.c: Llama 1, 2 and 3, and the many that say they are one. */
#include "model/config_reader.h"
#include "model/families/decoder.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", false);
    config->mlp_bias = sinq_config_flag(reader, "mlp_bias", false);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_llama = {
    .defaults = {.context = 2048, .eps = 1e-6, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
