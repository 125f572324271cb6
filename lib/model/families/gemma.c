#include "model/families/gemma.h"

#include <math.h>

#define LARGEST_CAP 1e30

static float read_cap(struct sinq_config_reader *reader, const char *key, double fallback) {
    if (sinq_config_is_null(reader, key)) return 0.0f;
    return (float)sinq_config_number(reader, key, 0.0, LARGEST_CAP, fallback);
}

void sinq_read_gemma(struct sinq_config_reader *reader, double attention_cap, double final_cap,
                     struct sinq_model_config *config) {
    const double scalar = sinq_config_number(reader, "query_pre_attn_scalar", 1e-6, 1e9, 256.0);
    config->attention_scale = (float)(1.0 / sqrt(scalar));
    config->embedding_scale = (float)sqrt(config->hidden);
    config->attention_softcap = read_cap(reader, "attn_logit_softcapping", attention_cap);
    config->final_softcap = read_cap(reader, "final_logit_softcapping", final_cap);
    config->attention_bias = config->output_bias = sinq_config_flag(reader, "attention_bias", false);
    if (sinq_config_flag(reader, "use_bidirectional_attention", false)) {
        sinq_config_fail(reader, "use_bidirectional_attention is true: a model that looks ahead cannot run");
    }
}

void sinq_build_gemma(struct sinq_graph *graph, const struct sinq_model_config *config, bool norms_queries_and_keys) {
    const struct sinq_decoder_form form = {
        .norm_plus = 1.0f,
        .is_post_normed = true,
        .attention_norm = "input_layernorm",
        .attention_post_norm = "post_attention_layernorm",
        .mlp_norm = "pre_feedforward_layernorm",
        .mlp_post_norm = "post_feedforward_layernorm",
        .query_key_norm = norms_queries_and_keys ? SINQ_QUERY_KEY_HEADS : SINQ_QUERY_KEY_PLAIN,
    };
    sinq_build_decoder(graph, config, &form);
}
