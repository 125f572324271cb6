/* gemma2.c: Gemma 2: every other layer slides, scores and logits are capped. */
#include "model/families/gemma.h"
#include "model/layer_kinds.h"

static bool is_odd(uint32_t layer, uint32_t unused) {
    (void)unused;
    return layer % 2 == 1;
}

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    sinq_read_gemma(reader, 50.0, 30.0, config);
    sinq_read_window(reader, 4096, config);
    sinq_read_layer_types(reader, is_odd, 0, config);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    sinq_build_gemma(graph, config, false);
}

const struct sinq_family_graph sinq_graph_of_gemma2 = {
    .defaults = {.head_dim = 256,
                 .context = 8192,
                 .eps = 1e-6,
                 .theta = 10000.0,
                 .tied = true,
                 .activation_key = "hidden_activation",
                 .activation = "gelu_pytorch_tanh"},
    .configure = configure,
    .build = build,
};
