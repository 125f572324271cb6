/* gemma3.c: the text model of Gemma 3: five layers of six slide, with a rope of their own; queries and keys are normed. */
#include "model/families/gemma.h"
#include "model/layer_kinds.h"

static bool is_last_of_pattern(uint32_t layer, uint32_t pattern) { return (layer + 1) % pattern == 0; }

static void configure(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    sinq_read_gemma(reader, 0.0, 0.0, config);
    sinq_read_window(reader, 4096, config);
    const uint64_t pattern = sinq_config_count(reader, "_sliding_window_pattern", 1, UINT32_MAX, 6);
    const uint64_t old_pattern = sinq_config_count(reader, "sliding_window_pattern", 1, UINT32_MAX, pattern);
    sinq_read_layer_types(reader, is_last_of_pattern, (uint32_t)old_pattern, config);
}

static void build(struct sinq_graph *graph, const struct sinq_model_config *config) {
    sinq_build_gemma(graph, config, true);
}

/* The configurations of the multimodal models leave most of it out. */
const struct sinq_family_graph sinq_graph_of_gemma3 = {
    .defaults = {.hidden = 2304,
                 .layers = 26,
                 .heads = 8,
                 .kv_heads = 4,
                 .head_dim = 256,
                 .ffn = 9216,
                 .vocabulary = 262208,
                 .context = 131072,
                 .eps = 1e-6,
                 .theta = 1000000.0,
                 .sliding_theta = 10000.0,
                 .tied = true,
                 .activation_key = "hidden_activation",
                 .activation = "gelu_pytorch_tanh"},
    .configure = configure,
    .build = build,
};
