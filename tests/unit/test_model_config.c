/*
 * test_model_config.c: what config.json says of a model, family by family, as transformers 4 and 5 write it; defaults; and what
 * is said of configurations that contradict themselves.
 */
#include <math.h>
#include <string.h>

#include "model/config.h"
#include "unit.h"

#define SIZES                                                                                                          \
    "\"hidden_size\":128,\"num_hidden_layers\":4,\"num_attention_heads\":4,\"intermediate_size\":192,\"vocab_size\":"  \
    "320"

static struct sinq_model_config read_good(const char *name, const char *text) {
    struct sinq_model_config config;
    struct sinq_error error = {0};
    const int status = sinq_read_model_config("config.json", text, &config, &error);
    ck_assert_msg(status == SINQ_OK, "%s: %s", name, error.message);
    return config;
}

/* ---- numbers that one case or another expects ---- */

struct expected {
    uint32_t hidden, layers, heads, kv_heads, head_dim, ffn, vocabulary;
    uint64_t context;
    double eps, theta, sliding_theta;
    bool tied, attention_bias, output_bias, mlp_bias;
    enum sinq_activation activation;
    double embedding_scale, attention_scale, attention_softcap, final_softcap;
    uint32_t window;
    const char *sliding; /* a letter a layer: s or f */
    enum sinq_rope_type rope;
    uint32_t rope_dims;
    uint32_t experts, chosen, expert_ffn, shared;
    const char *sparse; /* a letter a layer: e or m; NULL: not compared */
    enum sinq_routing routing;
    uint32_t groups, top_groups;
    bool by_two, normalized, router_bias;
    double share_scale;
    uint32_t q_rank, kv_rank, nope_dim, rope_dim, value_dim;
    bool interleaved;
    int64_t bos;
};

static void check_close(const char *name, const char *what, double value, double expected) {
    ck_assert_msg(fabs(value - expected) <= 1e-6 * fabs(expected), "%s: %s is %.9g, expected %.9g", name, what, value,
                  expected);
}

static void check_equal(const char *name, const char *what, uint64_t value, uint64_t expected) {
    ck_assert_msg(value == expected, "%s: %s is %llu, expected %llu", name, what, (unsigned long long)value,
                  (unsigned long long)expected);
}

static void check_letters(const char *name, const uint8_t *bytes, uint32_t layers, const char *letters, char set) {
    ck_assert_uint_eq(strlen(letters), layers);
    for (uint32_t i = 0; i < layers; i++) {
        ck_assert_msg((letters[i] == set) == (bytes[i] != 0), "%s: layer %u is not %c", name, i, letters[i]);
    }
}

static void check_sizes(const char *name, const struct sinq_model_config *c, const struct expected *e) {
    check_equal(name, "hidden", c->hidden, e->hidden);
    check_equal(name, "layers", c->layers, e->layers);
    check_equal(name, "heads", c->heads, e->heads);
    check_equal(name, "kv_heads", c->kv_heads, e->kv_heads);
    check_equal(name, "head_dim", c->head_dim, e->head_dim);
    check_equal(name, "ffn", c->ffn, e->ffn);
    check_equal(name, "vocabulary", c->vocabulary, e->vocabulary);
    check_equal(name, "context", c->context, e->context);
    check_close(name, "eps", (double)c->eps, e->eps);
    check_equal(name, "tied", c->tied, e->tied);
    check_equal(name, "attention_bias", c->attention_bias, e->attention_bias);
    check_equal(name, "output_bias", c->output_bias, e->output_bias);
    check_equal(name, "mlp_bias", c->mlp_bias, e->mlp_bias);
    check_equal(name, "activation", c->activation, e->activation);
    check_close(name, "embedding_scale", (double)c->embedding_scale, e->embedding_scale == 0 ? 1 : e->embedding_scale);
    check_close(name, "attention_scale", (double)c->attention_scale, e->attention_scale);
    check_close(name, "attention_softcap", (double)c->attention_softcap, e->attention_softcap);
    check_close(name, "final_softcap", (double)c->final_softcap, e->final_softcap);
    ck_assert_msg(c->bos == e->bos, "%s: bos is %lld", name, (long long)c->bos);
}

static void check_layers_and_ropes(const char *name, const struct sinq_model_config *c, const struct expected *e) {
    check_equal(name, "window", c->window, e->window);
    check_letters(name, c->is_sliding, c->layers, e->sliding == NULL ? "ffff" : e->sliding, 's');
    check_equal(name, "ropes", c->rope_count, e->sliding_theta != 0 ? 2 : 1);
    check_equal(name, "rope type", c->ropes[0].type, e->rope);
    check_equal(name, "rope dims", c->ropes[0].dims, e->rope_dims);
    check_equal(name, "interleaved", c->ropes[0].interleaved, e->interleaved);
    check_close(name, "theta", c->ropes[0].theta, e->theta);
    if (e->sliding_theta != 0) check_close(name, "theta of sliding layers", c->ropes[1].theta, e->sliding_theta);
}

static void check_experts(const char *name, const struct sinq_model_config *c, const struct expected *e) {
    check_equal(name, "experts", c->experts, e->experts);
    if (e->experts == 0) return;
    check_equal(name, "chosen", c->experts_chosen, e->chosen);
    check_equal(name, "expert_ffn", c->expert_ffn, e->expert_ffn);
    check_equal(name, "shared", c->shared_experts, e->shared);
    check_equal(name, "routing", c->routing, e->routing);
    check_equal(name, "groups", c->expert_groups, e->groups == 0 ? 1 : e->groups);
    check_equal(name, "top_groups", c->expert_top_groups, e->top_groups == 0 ? 1 : e->top_groups);
    check_equal(name, "by_two", c->groups_by_two, e->by_two);
    check_equal(name, "normalized", c->shares_normalized, e->normalized);
    check_equal(name, "router_bias", c->router_bias, e->router_bias);
    check_close(name, "share_scale", (double)c->share_scale, e->share_scale == 0 ? 1 : e->share_scale);
    if (e->sparse != NULL) check_letters(name, c->is_sparse, c->layers, e->sparse, 'e');
}

static void check_latent(const char *name, const struct sinq_model_config *c, const struct expected *e) {
    check_equal(name, "q_rank", c->q_rank, e->q_rank);
    check_equal(name, "kv_rank", c->kv_rank, e->kv_rank);
    check_equal(name, "nope_dim", c->nope_dim, e->nope_dim);
    check_equal(name, "rope_dim", c->rope_dim, e->rope_dim);
    check_equal(name, "value_dim", c->value_dim, e->value_dim);
}

/* ---- families ---- */

#define V5_ROPE "\"rope_parameters\":{\"rope_theta\":10000.0,\"rope_type\":\"default\"}"

/* clang-format off */
static const struct family_case {
    const char *name, *text;
    struct expected e;
} families[] = {
    {"llama, only what it needs",
     "{\"model_type\":\"llama\"," SIZES "}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 2048, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.17677669529663687, .rope_dims = 32,
      .bos = -1}},
    {"llama 3.1 as transformers 4 writes it",
     "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"," SIZES ",\"attention_bias\":true,"
     "\"mlp_bias\":true,\"bos_token_id\":128000,\"eos_token_id\":[128001,128009],\"hidden_act\":\"silu\","
     "\"num_key_value_heads\":2,\"max_position_embeddings\":131072,\"rms_norm_eps\":1e-05,\"rope_theta\":500000.0,"
     "\"rope_scaling\":{\"factor\":8.0,\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
     "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"},\"tie_word_embeddings\":true,"
     "\"torch_dtype\":\"bfloat16\",\"head_dim\":64}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-5, .theta = 5e5, .tied = true, .attention_bias = true, .output_bias = true,
      .mlp_bias = true, .attention_scale = 0.125, .rope = SINQ_ROPE_LLAMA3, .rope_dims = 64, .bos = 128000}},
    {"llama as transformers 5 writes it, nulls",
     "{\"model_type\":\"llama\"," SIZES ",\"head_dim\":null,\"num_key_value_heads\":null,\"dtype\":\"bfloat16\","
     "\"bos_token_id\":[3,4],\"rope_parameters\":{\"rope_theta\":300.0,\"rope_type\":\"linear\",\"factor\":2.0}}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 2048, .eps = 1e-6, .theta = 300, .attention_scale = 0.17677669529663687, .rope = SINQ_ROPE_LINEAR,
      .rope_dims = 32, .bos = 3}},
    {"llama with a dynamic rope reaches further",
     "{\"model_type\":\"llama\"," SIZES ",\"max_position_embeddings\":1000,\"rope_scaling\":{\"type\":\"dynamic\","
     "\"factor\":2.5}}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 2500, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.17677669529663687, .rope = SINQ_ROPE_DYNAMIC,
      .rope_dims = 32, .bos = -1}},
    {"the text model of a multimodal one; the outside says what ties",
     "{\"model_type\":\"llava\",\"tie_word_embeddings\":true,\"text_config\":{\"model_type\":\"llama\"," SIZES "},"
     "\"vision_config\":{\"hidden_size\":7}}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 2048, .eps = 1e-6, .theta = 1e4, .tied = true, .attention_scale = 0.17677669529663687,
      .rope_dims = 32, .bos = -1}},
    {"mistral: the window is 4096 where nothing is said",
     "{\"model_type\":\"mistral\"," SIZES ",\"num_key_value_heads\":2}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 2, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.17677669529663687, .window = 4096,
      .sliding = "ssss", .rope_dims = 32, .bos = -1}},
    {"mistral without a window",
     "{\"model_type\":\"mistral\"," SIZES ",\"sliding_window\":null,\"rope_theta\":1000000.0}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-6, .theta = 1e6, .attention_scale = 0.17677669529663687, .rope_dims = 32,
      .bos = -1}},
    {"mixtral",
     "{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":6,\"num_experts_per_tok\":3}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-5, .theta = 1e6, .attention_scale = 0.17677669529663687, .rope_dims = 32,
      .experts = 6, .chosen = 3, .expert_ffn = 192, .routing = SINQ_ROUTING_TOP_SOFTMAX, .bos = -1}},
    {"qwen2: biases, no window unless use_sliding_window",
     "{\"model_type\":\"qwen2\"," SIZES ",\"sliding_window\":64,\"use_sliding_window\":false,\"max_window_layers\":2}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 32768, .eps = 1e-6, .theta = 1e4, .attention_bias = true, .attention_scale = 0.17677669529663687,
      .rope_dims = 32, .bos = -1}},
    {"qwen2 with a window in its upper layers",
     "{\"model_type\":\"qwen2\"," SIZES ",\"sliding_window\":64,\"use_sliding_window\":true,\"max_window_layers\":3}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 32768, .eps = 1e-6, .theta = 1e4, .attention_bias = true, .attention_scale = 0.17677669529663687,
      .window = 64, .sliding = "fffs", .rope_dims = 32, .bos = -1}},
    {"qwen3 with layer_types; yarn reaches further than max_position_embeddings",
     "{\"model_type\":\"qwen3\"," SIZES ",\"sliding_window\":64,\"use_sliding_window\":true,\"layer_types\":"
     "[\"sliding_attention\",\"full_attention\",\"full_attention\",\"sliding_attention\"],"
     "\"max_position_embeddings\":40960,\"rope_theta\":1000000,\"rope_scaling\":{\"rope_type\":\"yarn\","
     "\"factor\":4.0,\"original_max_position_embeddings\":32768}}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 128, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-6, .theta = 1e6, .attention_scale = 0.08838834764831845, .window = 64,
      .sliding = "sffs", .rope = SINQ_ROPE_YARN, .rope_dims = 128, .bos = -1}},
    {"qwen3_moe as transformers 4 writes it",
     "{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_experts\":16,\"num_experts_per_tok\":4,"
     "\"moe_intermediate_size\":48,\"norm_topk_prob\":true,\"decoder_sparse_step\":2,\"mlp_only_layers\":[3]}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 32768, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.17677669529663687, .rope_dims = 32,
      .experts = 16, .chosen = 4, .expert_ffn = 48, .sparse = "memm", .routing = SINQ_ROUTING_SOFTMAX,
      .normalized = true, .bos = -1}},
    {"qwen3_moe as transformers 5 writes it",
     "{\"model_type\":\"qwen3_moe\"," SIZES ",\"num_local_experts\":8,\"num_experts_per_tok\":2,"
     "\"moe_intermediate_size\":64,\"mlp_only_layers\":[]," V5_ROPE "}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 32768, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.17677669529663687, .rope_dims = 32,
      .experts = 8, .chosen = 2, .expert_ffn = 64, .sparse = "eeee", .routing = SINQ_ROUTING_SOFTMAX, .bos = -1}},
    {"phi3, three quarters of a head turn",
     "{\"model_type\":\"phi3\"," SIZES ",\"partial_rotary_factor\":0.75,\"original_max_position_embeddings\":4096,"
     "\"max_position_embeddings\":131072,\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":"
     "[1,1,1,1,1,1,1,1,1,1,1,1],\"long_factor\":[2,2,2,2,2,2,2,2,2,2,2,2]},\"sliding_window\":262144}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-5, .theta = 1e4, .attention_scale = 0.17677669529663687, .window = 262144,
      .sliding = "ssss", .rope = SINQ_ROPE_LONGROPE, .rope_dims = 24, .bos = -1}},
    {"gemma2, only what it needs",
     "{\"model_type\":\"gemma2\"," SIZES ",\"hidden_act\":\"silu\"}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 256, .ffn = 192, .vocabulary = 320,
      .context = 8192, .eps = 1e-6, .theta = 1e4, .tied = true, .activation = SINQ_ACTIVATION_GELU_TANH,
      .embedding_scale = 11.313708498984761, .attention_scale = 0.0625, .attention_softcap = 50, .final_softcap = 30,
      .window = 4096, .sliding = "sfsf", .rope_dims = 256, .bos = -1}},
    {"gemma2 without caps, with a scale of its own",
     "{\"model_type\":\"gemma2\"," SIZES ",\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null,"
     "\"query_pre_attn_scalar\":144,\"head_dim\":16,\"num_key_value_heads\":1,\"sliding_window\":32,"
     "\"layer_types\":[\"full_attention\",\"full_attention\",\"sliding_attention\",\"full_attention\"],"
     "\"hidden_activation\":\"gelu\",\"tie_word_embeddings\":false," V5_ROPE "}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 1, .head_dim = 16, .ffn = 192, .vocabulary = 320,
      .context = 8192, .eps = 1e-6, .theta = 1e4, .activation = SINQ_ACTIVATION_GELU,
      .embedding_scale = 11.313708498984761, .attention_scale = 1.0 / 12, .window = 32, .sliding = "ffsf",
      .rope_dims = 16, .bos = -1}},
    {"gemma3 as transformers 4 writes it",
     "{\"model_type\":\"gemma3_text\"," SIZES ",\"rope_theta\":1000000.0,\"rope_local_base_freq\":5000.0,"
     "\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},\"sliding_window\":512,\"sliding_window_pattern\":3}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 256, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-6, .theta = 1e6, .sliding_theta = 5e3, .tied = true,
      .activation = SINQ_ACTIVATION_GELU_TANH, .embedding_scale = 11.313708498984761, .attention_scale = 0.0625,
      .window = 512, .sliding = "ssfs", .rope = SINQ_ROPE_LINEAR, .rope_dims = 256, .bos = -1}},
    {"gemma3 as transformers 5 writes it",
     "{\"model_type\":\"gemma3_text\"," SIZES ",\"_sliding_window_pattern\":2,\"sliding_window\":512,"
     "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":2000000.0,\"rope_type\":\"linear\",\"factor\":8.0},"
     "\"sliding_attention\":{\"rope_theta\":20000.0,\"rope_type\":\"default\"}}}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 256, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-6, .theta = 2e6, .sliding_theta = 2e4, .tied = true,
      .activation = SINQ_ACTIVATION_GELU_TANH, .embedding_scale = 11.313708498984761, .attention_scale = 0.0625,
      .window = 512, .sliding = "sfsf", .rope = SINQ_ROPE_LINEAR, .rope_dims = 256, .bos = -1}},
    {"gemma-3-4b: the multimodal one leaves most to defaults",
     "{\"model_type\":\"gemma3\",\"text_config\":{\"hidden_size\":2560,\"intermediate_size\":10240,"
     "\"model_type\":\"gemma3_text\",\"num_hidden_layers\":7,\"rope_scaling\":{\"factor\":8.0,"
     "\"rope_type\":\"linear\"},\"sliding_window\":1024}}",
     {.hidden = 2560, .layers = 7, .heads = 8, .kv_heads = 4, .head_dim = 256, .ffn = 10240, .vocabulary = 262208,
      .context = 131072, .eps = 1e-6, .theta = 1e6, .sliding_theta = 1e4, .tied = true,
      .activation = SINQ_ACTIVATION_GELU_TANH, .embedding_scale = 50.596442562694074, .attention_scale = 0.0625,
      .window = 1024, .sliding = "sssssfs", .rope = SINQ_ROPE_LINEAR, .rope_dims = 256, .bos = -1}},
    {"deepseek_v2-lite: no q_lora_rank, yarn scales scores too",
     "{\"model_type\":\"deepseek_v2\"," SIZES ",\"q_lora_rank\":null,\"kv_lora_rank\":64,\"qk_nope_head_dim\":32,"
     "\"qk_rope_head_dim\":16,\"v_head_dim\":24,\"n_routed_experts\":8,\"n_shared_experts\":2,"
     "\"num_experts_per_tok\":3,\"moe_intermediate_size\":40,\"first_k_dense_replace\":1,\"moe_layer_freq\":1,"
     "\"n_group\":1,\"topk_group\":1,\"topk_method\":\"greedy\",\"scoring_func\":\"softmax\",\"norm_topk_prob\":false,"
     "\"max_position_embeddings\":163840,\"rope_scaling\":{\"beta_fast\":32,\"beta_slow\":1,\"factor\":40,"
     "\"mscale\":0.707,\"mscale_all_dim\":0.707,\"original_max_position_embeddings\":4096,\"type\":\"yarn\"}}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 64, .ffn = 192, .vocabulary = 320,
      .context = 163840, .eps = 1e-6, .theta = 1e4,
      /* (0.0707 ln 40 + 1)^2 / sqrt(48) */
     .attention_scale = 1.5896261190507147 / 6.928203230275509, .rope = SINQ_ROPE_YARN, .rope_dims = 16, .experts = 8,
      .chosen = 3, .expert_ffn = 40, .shared = 2, .sparse = "meee", .routing = SINQ_ROUTING_SOFTMAX, .kv_rank = 64,
      .nope_dim = 32, .rope_dim = 16, .value_dim = 24, .interleaved = true, .bos = -1}},
    {"deepseek_v2 with groups",
     "{\"model_type\":\"deepseek_v2\"," SIZES ",\"n_routed_experts\":8,\"n_shared_experts\":null,"
     "\"num_experts_per_tok\":2,\"n_group\":4,\"topk_group\":2,\"topk_method\":\"group_limited_greedy\","
     "\"routed_scaling_factor\":16.0,\"q_lora_rank\":48,\"first_k_dense_replace\":0," V5_ROPE "}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 64, .ffn = 192, .vocabulary = 320,
      .context = 2048, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.07216878364870323, .rope_dims = 64,
      .experts = 8, .chosen = 2, .expert_ffn = 1407, .sparse = "eeee", .routing = SINQ_ROUTING_SOFTMAX, .groups = 4,
      .top_groups = 2, .share_scale = 16, .q_rank = 48, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64,
      .value_dim = 128, .interleaved = true, .bos = -1}},
    {"deepseek_v3, only what it needs",
     "{\"model_type\":\"deepseek_v3\"," SIZES "}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 64, .ffn = 192, .vocabulary = 320,
      .context = 4096, .eps = 1e-6, .theta = 1e4, .attention_scale = 0.07216878364870323, .rope_dims = 64,
      .experts = 256, .chosen = 8, .expert_ffn = 2048, .shared = 1, .sparse = "mmme", .routing = SINQ_ROUTING_SIGMOID,
      .groups = 8, .top_groups = 4, .by_two = true, .normalized = true, .share_scale = 2.5, .q_rank = 1536,
      .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .value_dim = 128, .interleaved = true, .bos = -1}},
    {"kimi_k2 is a deepseek_v3; halves that turn",
     "{\"model_type\":\"kimi_k2\"," SIZES ",\"n_group\":1,\"topk_group\":1,\"n_routed_experts\":6,"
     "\"num_experts_per_tok\":2,\"moe_intermediate_size\":32,\"rope_interleave\":false,\"topk_method\":\"noaux_tc\","
     "\"scoring_func\":\"sigmoid\",\"attention_bias\":true}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 4, .head_dim = 64, .ffn = 192, .vocabulary = 320,
      .context = 4096, .eps = 1e-6, .theta = 1e4, .attention_bias = true, .output_bias = true,
      .attention_scale = 0.07216878364870323, .rope_dims = 64, .experts = 6, .chosen = 2, .expert_ffn = 32,
      .shared = 1, .sparse = "mmme", .routing = SINQ_ROUTING_SIGMOID, .by_two = true, .normalized = true,
      .share_scale = 2.5, .q_rank = 1536, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .value_dim = 128,
      .bos = -1}},
    {"gpt_oss: a yarn rope where nothing is said",
     "{\"model_type\":\"gpt_oss\",\"hidden_size\":128,\"num_hidden_layers\":4,\"num_attention_heads\":8,"
     "\"intermediate_size\":192,\"vocab_size\":320,\"num_local_experts\":4,\"num_experts_per_tok\":2}",
     {.hidden = 128, .layers = 4, .heads = 8, .kv_heads = 8, .head_dim = 64, .ffn = 192, .vocabulary = 320,
      .context = 131072, .eps = 1e-5, .theta = 150000, .attention_bias = true, .output_bias = true,
      .activation = SINQ_ACTIVATION_GPT_OSS, .attention_scale = 0.125, .window = 128, .sliding = "sfsf",
      .rope = SINQ_ROPE_YARN, .rope_dims = 64, .experts = 4, .chosen = 2, .expert_ffn = 192,
      .routing = SINQ_ROUTING_TOP_SOFTMAX, .router_bias = true, .bos = -1}},
    {"olmo2",
     "{\"model_type\":\"olmo2\"," SIZES ",\"num_key_value_heads\":1,\"attention_bias\":true}",
     {.hidden = 128, .layers = 4, .heads = 4, .kv_heads = 1, .head_dim = 32, .ffn = 192, .vocabulary = 320,
      .context = 2048, .eps = 1e-5, .theta = 1e4, .attention_bias = true, .output_bias = true,
      .attention_scale = 0.17677669529663687, .rope_dims = 32, .bos = -1}},
};
/* clang-format on */

START_TEST(families_are_read) {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        const struct family_case *const f = &families[i];
        struct sinq_model_config config = read_good(f->name, f->text);
        ck_assert_ptr_nonnull(config.family);
        check_sizes(f->name, &config, &f->e);
        check_layers_and_ropes(f->name, &config, &f->e);
        check_experts(f->name, &config, &f->e);
        check_latent(f->name, &config, &f->e);
        sinq_model_config_free(&config);
        ck_assert_ptr_null(config.is_sliding);
    }
}
END_TEST

/* What Python writes and JSON has not, repeated keys (the last counts), nothing before the first key that matters. */
START_TEST(json_as_python_writes_it) {
    struct sinq_model_config config = read_good(
        "NaN", "{\"x\":NaN,\"y\":[Infinity,-Infinity],\"z\":\"NaN \\\" Infinity\",\"model_type\":\"llama\"," SIZES
               ",\"rope_theta\":NaN,\"hidden_size\":64}");
    ck_assert_uint_eq(config.hidden, 64);
    ck_assert(config.ropes[0].theta == 10000.0);
    sinq_model_config_free(&config);
}
END_TEST

/* ---- faults ---- */

#define LLAMA(rest)    "{\"model_type\":\"llama\"," SIZES rest "}"
#define QWEN(rest)     "{\"model_type\":\"qwen3_moe\"," SIZES rest "}"
#define DEEPSEEK(rest) "{\"model_type\":\"deepseek_v3\"," SIZES rest "}"

static const struct fault {
    const char *text, *message;
} faults[] = {
    {"", "config.json: expected a JSON object"},
    {"[1]", "config.json: expected a JSON object"},
    {"{}", "config.json: there is no model_type; families that can run: llama, mistral, "},
    {"{\"model_type\":\"gpt2\"}",
     "config.json: a model of type \"gpt2\" cannot run; families that can: llama, mistral, "},
    {"{\"model_type\":3}", "config.json: model_type is 3, expected a string"},
    {"{\"model_type\":\"llama\"}", "config.json: hidden_size is missing, expected a whole number from 1 to "},
    {LLAMA(",\"hidden_size\":0"), "hidden_size is 0, expected a whole number from 1 to 1048576"},
    {LLAMA(",\"hidden_size\":-128"), "hidden_size is -128, expected"},
    {LLAMA(",\"hidden_size\":128.5"), "hidden_size is 128.5, expected"},
    {LLAMA(",\"hidden_size\":1e300"), "hidden_size is 1e+300, expected"},
    {LLAMA(",\"hidden_size\":\"128\""), "hidden_size is \"128\", expected"},
    {LLAMA(",\"num_hidden_layers\":100000"), "num_hidden_layers is 100000, expected a whole number from 1 to 4096"},
    {LLAMA(",\"num_attention_heads\":7"),
     "num_attention_heads 7 does not divide hidden_size 128, and there is no head_dim"},
    {LLAMA(",\"num_key_value_heads\":3"), "num_key_value_heads 3 does not divide num_attention_heads 4"},
    {LLAMA(",\"num_key_value_heads\":8"), "num_key_value_heads 8 does not divide num_attention_heads 4"},
    {LLAMA(",\"head_dim\":0"), "head_dim is 0, expected"},
    {LLAMA(",\"head_dim\":33"), "33 of a head's 33 values turn, expected an even number from 2 to 2048"},
    {LLAMA(",\"vocab_size\":{}"), "vocab_size is {}, expected"},
    {LLAMA(",\"max_position_embeddings\":0"), "max_position_embeddings is 0, expected"},
    {LLAMA(",\"rms_norm_eps\":-1e-6"), "rms_norm_eps is -1e-06, expected a number from 0 to 1"},
    {LLAMA(",\"hidden_act\":\"relu\""), "hidden_act is \"relu\", expected silu, gelu or gelu_pytorch_tanh"},
    {LLAMA(",\"tie_word_embeddings\":\"yes\""), "tie_word_embeddings is \"yes\", expected true or false"},
    {LLAMA(",\"attention_bias\":1"), "attention_bias is 1, expected true or false"},
    {LLAMA(",\"rope_scaling\":3"), "rope_scaling is no object"},
    {LLAMA(",\"rope_parameters\":\"default\""), "rope_parameters is no object"},
    {LLAMA(",\"rope_scaling\":{\"type\":\"ntk\",\"factor\":2}"), "rope_scaling.rope_type is \"ntk\""},
    {LLAMA(",\"rope_parameters\":{\"rope_type\":\"linear\"}"), "rope_parameters.factor is missing"},
    {LLAMA(",\"partial_rotary_factor\":2"), "partial_rotary_factor is 2, expected a number from 0 to 1"},
    {"{\"model_type\":\"mistral\"," SIZES ",\"sliding_window\":0}", "sliding_window is 0, expected"},
    {"{\"model_type\":\"qwen3\"," SIZES ",\"layer_types\":[\"full_attention\"]}",
     "layer_types has 1 entries, expected num_hidden_layers = 4"},
    {"{\"model_type\":\"qwen3\"," SIZES ",\"layer_types\":[\"full_attention\",\"linear_attention\"]}",
     "layer_types has linear_attention at 1, expected full_attention or sliding_attention"},
    {"{\"model_type\":\"qwen3\"," SIZES ",\"layer_types\":7}", "layer_types is no array"},
    {"{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":2,\"num_experts_per_tok\":3}",
     "num_experts_per_tok 3 is more than the 2 experts there are"},
    {"{\"model_type\":\"mixtral\"," SIZES ",\"num_local_experts\":99999}", "num_local_experts is 99999, expected"},
    {QWEN(",\"mlp_only_layers\":[4]"), "mlp_only_layers has an entry that is no layer, expected 0 to 3"},
    {QWEN(",\"mlp_only_layers\":1"), "mlp_only_layers is no array"},
    {QWEN(",\"decoder_sparse_step\":0"), "decoder_sparse_step is 0, expected"},
    {DEEPSEEK(",\"n_group\":7"), "n_group 7 does not divide the 256 experts there are"},
    {DEEPSEEK(",\"topk_group\":9"), "topk_group 9 is more than n_group 8"},
    {DEEPSEEK(",\"n_group\":256"), "n_group 256 leaves groups of less than two of the 256 experts"},
    {DEEPSEEK(",\"n_group\":128,\"topk_group\":1"),
     "num_experts_per_tok 8 is more than the experts of topk_group 1 groups"},
    {DEEPSEEK(",\"scoring_func\":\"softmax\""), "scoring_func is \"softmax\", expected sigmoid"},
    {DEEPSEEK(",\"topk_method\":\"greedy\""), "topk_method is \"greedy\", expected noaux_tc"},
    {DEEPSEEK(",\"qk_rope_head_dim\":63"), "63 of a head's 63 values turn"},
    {"{\"model_type\":\"deepseek_v2\"," SIZES ",\"topk_method\":\"best\"}",
     "topk_method is \"best\", expected greedy or"},
    {"{\"model_type\":\"gpt_oss\"," SIZES ",\"num_key_value_heads\":4,\"swiglu_limit\":8}",
     "swiglu_limit is 8, expected 7"},
    {"{\"model_type\":\"gemma3_text\"," SIZES ",\"use_bidirectional_attention\":true}", "use_bidirectional_attention"},
    {"{\"model_type\":\"gemma3_text\"," SIZES ",\"rope_parameters\":{\"full_attention\":{},"
     "\"sliding_attention\":{\"rope_theta\":0}}}",
     "rope_parameters.sliding_attention.rope_theta is 0, expected"},
    {"{\"model_type\":\"gemma2\"," SIZES ",\"hidden_activation\":\"relu\"}", "hidden_activation is \"relu\", expected"},
};

START_TEST(faults_are_named) {
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct sinq_model_config config;
        struct sinq_error error = {0};
        const int status = sinq_read_model_config("config.json", faults[i].text, &config, &error);
        ck_assert_msg(status == SINQ_FAILED, "%s is accepted", faults[i].text);
        ck_assert_msg(strstr(error.message, faults[i].message) != NULL, "%s: \"%s\" is not in \"%s\"", faults[i].text,
                      faults[i].message, error.message);
        ck_assert_ptr_null(config.is_sliding);
        ck_assert_ptr_null(config.ropes[0].frequencies);
    }
}
END_TEST

/* Every family of the list is read from the sizes alone, so that the list and the files fit. */
START_TEST(listed_families_can_be_read) {
    char list[512], text[512], *rest = NULL;
    size_t count = 0;
    snprintf(list, sizeof list, "%s", sinq_runnable_families());
    for (char *name = strtok_r(list, ", ", &rest); name != NULL; name = strtok_r(NULL, ", ", &rest), count++) {
        snprintf(text, sizeof text, "{\"model_type\":\"%s\",\"num_key_value_heads\":4," SIZES "}", name);
        struct sinq_model_config config = read_good(name, text);
        ck_assert_str_eq(config.model_type, name);
        sinq_model_config_free(&config);
    }
    ck_assert_uint_eq(count, 15);
}
END_TEST

UNIT_MAIN("model config", families_are_read, json_as_python_writes_it, faults_are_named, listed_families_can_be_read)
