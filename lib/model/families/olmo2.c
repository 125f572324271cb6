/* olmo2.c: Llama that norms what attention and mlp give instead of what they take, and whole rows of queries and keys. */
#include "model/config_reader.h"
#include "model/families/decoder.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", false);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .is_post_normed = true,
        .attention_post_norm = "post_attention_layernorm",
        .mlp_post_norm = "post_feedforward_layernorm",
        .query_key_norm = SINQ_QUERY_KEY_WHOLE,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_olmo2 = {
    .defaults = {.context = 2048, .eps = 1e-5, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
