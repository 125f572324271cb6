/* phi3.c: Llama with fused matrices, a sliding window where sliding_window gives one, and longrope in its long versions. */
#include "model/config_reader.h"
#include "model/families/decoder.h"
#include "model/layer_kinds.h"

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    sinq_read_window(reader, 0, config);
    sinq_slide_layers(config, NULL, 0);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    static const struct sinq_decoder_form form = {
        .attention_norm = "input_layernorm",
        .mlp_norm = "post_attention_layernorm",
        .is_fused = true,
    };
    sinq_build_decoder(graph, config, &form);
}

const struct sinq_family_graph sinq_graph_of_phi3 = {
    .defaults = {.context = 4096, .eps = 1e-5, .theta = 10000.0},
    .configure = configure,
    .build = build,
};
