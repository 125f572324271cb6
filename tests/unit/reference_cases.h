/*
 * reference_cases.h: made-up models of families and options that have no golden file: configurations, and random weights for them
 * by the reference pass.
 */
#ifndef SINQ_TESTS_REFERENCE_CASES_H
#define SINQ_TESTS_REFERENCE_CASES_H

#include "reference_files.h"
#include "reference_forward.h"

#define POSITIONS 160

static inline cJSON *parse_config(const char *text) {
    cJSON *const json = cJSON_Parse(text);
    ck_assert_msg(json != NULL, "no JSON: %s", text);
    return json;
}

#define COMMON                                                                                                         \
    "\"hidden_size\":64,\"vocab_size\":96,\"num_hidden_layers\":3,\"num_attention_heads\":4,\"intermediate_size\":96,"
#define V2_MOE                                                                                                         \
    "\"first_k_dense_replace\":1,\"n_routed_experts\":8,\"n_shared_experts\":2,\"num_experts_per_tok\":3,"             \
    "\"moe_intermediate_size\":32,\"kv_lora_rank\":32,\"qk_nope_head_dim\":16,\"qk_rope_head_dim\":8,"                 \
    "\"v_head_dim\":24,\"num_key_value_heads\":4,"
#define LATENT_YARN                                                                                                    \
    "\"max_position_embeddings\":160,\"rope_theta\":10000,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,"           \
    "\"original_max_position_embeddings\":40,\"beta_fast\":32,\"beta_slow\":1,"
#define GPT_OSS                                                                                                        \
    "{\"model_type\":\"gpt_oss\"," COMMON "\"num_key_value_heads\":2,\"head_dim\":32,\"num_local_experts\":6,"         \
    "\"num_experts_per_tok\":2,\"rms_norm_eps\":1e-5,\"max_position_embeddings\":256,\"attention_bias\":true,"         \
    "\"hidden_act\":\"silu\",\"tie_word_embeddings\":false,"
#define DIVISORS(last) "[1,1.05,1.1,1.2,1.4,1.7,2.1," last "]"

static const struct made_case {
    const char *name, *config;
    bool in_pieces;  /* also fed in uneven pieces */
    bool has_stacks; /* of experts */
} made_cases[] = {
    {"gemma2, as transformers 4 writes it",
     "{\"model_type\":\"gemma2\"," COMMON "\"num_key_value_heads\":2,\"head_dim\":24,\"query_pre_attn_scalar\":20,"
     "\"sliding_window\":24,\"attn_logit_softcapping\":5.0,\"final_logit_softcapping\":3.0,\"rms_norm_eps\":1e-6,"
     "\"hidden_activation\":\"gelu_pytorch_tanh\",\"max_position_embeddings\":256,\"rope_theta\":10000.0,"
     "\"attention_bias\":false}",
     true, false},
    {"gemma2, as transformers 5 writes it",
     "{\"model_type\":\"gemma2\"," COMMON "\"num_key_value_heads\":4,\"head_dim\":16,\"query_pre_attn_scalar\":16,"
     "\"sliding_window\":20,\"layer_types\":[\"full_attention\",\"sliding_attention\",\"sliding_attention\"],"
     "\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null,\"rms_norm_eps\":1e-5,\"tie_word_embeddings\":"
     "true,"
     "\"hidden_activation\":\"gelu_pytorch_tanh\",\"max_position_embeddings\":256,"
     "\"rope_parameters\":{\"rope_theta\":5000.0,\"rope_type\":\"default\"},\"attention_bias\":false}",
     false, false},
    {"gemma3, as transformers 4 writes it",
     "{\"model_type\":\"gemma3_text\"," COMMON "\"num_key_value_heads\":1,\"head_dim\":32,\"query_pre_attn_scalar\":24,"
     "\"sliding_window\":16,\"sliding_window_pattern\":3,\"rms_norm_eps\":1e-6,\"rope_theta\":1000000.0,"
     "\"rope_local_base_freq\":5000.0,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0},"
     "\"hidden_activation\":\"gelu_pytorch_tanh\",\"max_position_embeddings\":256,\"attention_bias\":false}",
     true, false},
    {"qwen2, of which the last layers slide",
     "{\"model_type\":\"qwen2\"," COMMON "\"num_key_value_heads\":2,\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\","
     "\"use_sliding_window\":true,\"sliding_window\":28,\"max_window_layers\":1,\"max_position_embeddings\":256,"
     "\"rope_theta\":10000.0,\"tie_word_embeddings\":false}",
     true, false},
    {"qwen3_moe with dense layers",
     "{\"model_type\":\"qwen3_moe\"," COMMON "\"num_key_value_heads\":2,\"head_dim\":24,\"rms_norm_eps\":1e-6,"
     "\"hidden_act\":\"silu\",\"num_local_experts\":6,\"num_experts\":6,\"num_experts_per_tok\":2,"
     "\"moe_intermediate_size\":40,\"norm_topk_prob\":false,\"decoder_sparse_step\":1,\"mlp_only_layers\":[1],"
     "\"max_position_embeddings\":256,\"rope_theta\":10000.0,\"tie_word_embeddings\":false}",
     false, false},
    {"deepseek_v3",
     "{\"model_type\":\"deepseek_v3\"," COMMON V2_MOE "\"q_lora_rank\":24,\"n_group\":4,\"topk_group\":2,"
     "\"norm_topk_prob\":true,\"routed_scaling_factor\":2.5,\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":256,\"rope_theta\":10000.0,\"rope_scaling\":null,\"tie_word_embeddings\":false}",
     true, false},
    {"deepseek_v3 with yarn",
     "{\"model_type\":\"deepseek_v3\"," COMMON V2_MOE "\"q_lora_rank\":24,\"n_group\":2,\"topk_group\":1,"
     "\"norm_topk_prob\":true,\"routed_scaling_factor\":1.5,\"rms_norm_eps\":0.01,\"hidden_act\":\"silu\"," LATENT_YARN
     "\"mscale\":1.0,\"mscale_all_dim\":1.0},\"tie_word_embeddings\":false}",
     false, false},
    {"deepseek_v3 with pairs of halves, shares as they are, no rank for queries",
     "{\"model_type\":\"deepseek_v3\"," COMMON V2_MOE "\"q_lora_rank\":null,\"n_group\":1,\"topk_group\":1,"
     "\"norm_topk_prob\":false,\"routed_scaling_factor\":1.0,\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\","
     "\"rope_interleave\":false," LATENT_YARN "\"mscale\":0.7,\"mscale_all_dim\":1.3},\"tie_word_embeddings\":true}",
     false, false},
    {"deepseek_v2 with yarn, groups by their best expert",
     "{\"model_type\":\"deepseek_v2\"," COMMON V2_MOE "\"q_lora_rank\":16,\"topk_method\":\"group_limited_greedy\","
     "\"n_group\":4,\"topk_group\":2,\"norm_topk_prob\":false,\"routed_scaling_factor\":4.0,\"rms_norm_eps\":1e-6,"
     "\"hidden_act\":\"silu\"," LATENT_YARN "\"mscale\":0.707,\"mscale_all_dim\":0.707},\"tie_word_embeddings\":false}",
     true, false},
    {"gpt_oss",
     GPT_OSS "\"sliding_window\":24,\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"],"
             "\"rope_parameters\":{\"rope_type\":\"yarn\",\"rope_theta\":150000,\"factor\":8,\"beta_fast\":32.0,"
             "\"beta_slow\":1.0,\"truncate\":false,\"original_max_position_embeddings\":32}}",
     true, false},
    {"gpt_oss from mxfp4, as transformers 4 writes it",
     GPT_OSS "\"sliding_window\":20,\"rope_theta\":150000,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":8,"
             "\"beta_fast\":32.0,\"beta_slow\":1.0,\"truncate\":false,\"original_max_position_embeddings\":32},"
             "\"quantization_config\":{\"quant_method\":\"mxfp4\"}}",
     false, false},
    {"olmo2",
     "{\"model_type\":\"olmo2\"," COMMON "\"num_key_value_heads\":2,\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":256,\"rope_theta\":500000.0,\"attention_bias\":false,\"tie_word_embeddings\":false}",
     true, false},
    {"llama, linear",
     "{\"model_type\":\"llama\"," COMMON "\"num_key_value_heads\":1,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":256,\"rope_theta\":10000.0,\"rope_scaling\":{\"type\":\"linear\",\"factor\":2.5},"
     "\"tie_word_embeddings\":false}",
     true, false},
    {"llama, dynamic",
     "{\"model_type\":\"llama\"," COMMON "\"num_key_value_heads\":4,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":64,\"rope_theta\":10000.0,\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0},"
     "\"tie_word_embeddings\":false}",
     false, false},
    {"llama, dynamic within its context",
     "{\"model_type\":\"llama\"," COMMON "\"num_key_value_heads\":4,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":200,\"rope_parameters\":{\"rope_type\":\"dynamic\",\"factor\":4.0,\"rope_theta\":"
     "10000},"
     "\"tie_word_embeddings\":false}",
     true, false},
    {"llama with biases and a head of its own width",
     "{\"model_type\":\"llama\"," COMMON "\"num_key_value_heads\":2,\"head_dim\":40,\"rms_norm_eps\":1e-5,"
     "\"hidden_act\":\"silu\",\"attention_bias\":true,\"mlp_bias\":true,\"max_position_embeddings\":256,"
     "\"rope_theta\":10000.0,\"tie_word_embeddings\":true}",
     false, false},
    {"phi3, longrope beyond its original context",
     "{\"model_type\":\"phi3\"," COMMON "\"num_key_value_heads\":2,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":256,\"original_max_position_embeddings\":64,\"rope_theta\":10000.0,"
     "\"sliding_window\":null,\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":" DIVISORS(
         "2.5") ",\"long_factor\":" DIVISORS("9") "},\"tie_word_embeddings\":false}",
     true, false},
    {"phi3, longrope within its original context",
     "{\"model_type\":\"phi3\"," COMMON "\"num_key_value_heads\":4,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":1024,\"original_max_position_embeddings\":256,\"sliding_window\":30,"
     "\"rope_parameters\":{\"rope_type\":\"longrope\",\"rope_theta\":10000.0,\"original_max_position_embeddings\":256,"
     "\"short_factor\":" DIVISORS("2.5") ",\"long_factor\":" DIVISORS("9") "},\"tie_word_embeddings\":false}",
     false, false},
    {"phi3, of which a part turns",
     "{\"model_type\":\"phi3\"," COMMON "\"num_key_value_heads\":2,\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":256,\"partial_rotary_factor\":0.75,\"rope_theta\":10000.0,\"sliding_window\":null,"
     "\"tie_word_embeddings\":true}",
     false, false},
    {"mixtral with stacks of experts",
     "{\"model_type\":\"mixtral\"," COMMON
     "\"num_key_value_heads\":2,\"num_local_experts\":5,\"num_experts_per_tok\":2,"
     "\"rms_norm_eps\":1e-5,\"hidden_act\":\"silu\",\"max_position_embeddings\":256,\"rope_theta\":1000000.0,"
     "\"sliding_window\":null,\"tie_word_embeddings\":false}",
     true, true},
    {"deepseek_v3 with stacks of experts",
     "{\"model_type\":\"deepseek_v3\"," COMMON V2_MOE "\"q_lora_rank\":24,\"n_group\":4,\"topk_group\":2,"
     "\"norm_topk_prob\":true,\"routed_scaling_factor\":2.5,\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\","
     "\"max_position_embeddings\":256,\"rope_theta\":10000.0,\"rope_scaling\":null,\"tie_word_embeddings\":false}",
     false, true},
};

static inline const struct made_case *find_made_case(const char *name) {
    size_t found = 0;
    while (strcmp(made_cases[found].name, name) != 0) found++;
    return &made_cases[found];
}

/* Two experts that are nearly as good may change places in f32: such models are not comparable. */
#define SMALLEST_GAP 1e-5

/* A model of that configuration with random weights, tokens for it, and what the pass gives. */
static inline double *make_up(const struct made_case *c, const cJSON *config, uint64_t seed, struct reference *r,
                              int32_t *tokens) {
    for (;; seed += 1000) {
        *r = (struct reference){
            .config = config, .random = seed, .has_stacks = c->has_stacks, .closest = (double)INFINITY};
        for (int p = 0; p < POSITIONS; p++) tokens[p] = (int32_t)(draw_share(r) * 96.0);
        double *const logits = run_reference(r, tokens, POSITIONS);
        if (r->closest >= SMALLEST_GAP) return logits;
        free(logits);
        close_reference(r);
    }
}

/* The model of that name in the scratch folder, and tokens for it. */
static inline void write_made_model(const char *name, int32_t *tokens) {
    struct reference *const r = malloc(sizeof *r);
    const struct made_case *const made = find_made_case(name);
    cJSON *const config = parse_config(made->config);
    free(make_up(made, config, 7, r, tokens));
    write_reference(r, made->config);
    close_reference(r);
    cJSON_Delete(config);
    free(r);
}

/* Each made-up model in turn: `r` and what it computes from the tokens, its checkpoint in `scratch`. */
typedef void check_made_fn(const struct made_case *made, struct reference *r, const int32_t *tokens,
                           const double *logits);
static inline void for_each_made_model(check_made_fn *check) {
    struct reference *const r = malloc(sizeof *r);
    ck_assert_ptr_nonnull(r);
    make_folder();
    for (size_t i = 0; i < sizeof made_cases / sizeof made_cases[0]; i++) {
        cJSON *const config = parse_config(made_cases[i].config);
        int32_t tokens[POSITIONS];
        double *const logits = make_up(&made_cases[i], config, i + 1, r, tokens);
        write_reference(r, made_cases[i].config);
        check(&made_cases[i], r, tokens, logits);
        free(logits);
        close_reference(r);
        cJSON_Delete(config);
    }
    free(r);
    remove_folder();
}

#endif
