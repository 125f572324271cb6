#include "model/gguf_keys.h"

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct sinq_model_config, field)
#define END_OF_TABLE                                                                                                   \
    { NULL, NULL, 0, SINQ_GGUF_COUNT, false }

static const struct sinq_gguf_key sizes[] = {
    {"context_length", "max_position_embeddings", AT(context), SINQ_GGUF_CONTEXT, true},
    {"embedding_length", "hidden_size", AT(hidden), SINQ_GGUF_COUNT, true},
    {"block_count", "num_hidden_layers", AT(layers), SINQ_GGUF_COUNT, true},
    {"feed_forward_length", "intermediate_size", AT(ffn), SINQ_GGUF_COUNT, true},
    {"attention.head_count", "num_attention_heads", AT(heads), SINQ_GGUF_COUNT, true},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps", AT(eps), SINQ_GGUF_NUMBER, false},
    {"vocab_size", NULL, AT(vocabulary), SINQ_GGUF_COUNT, false},
    END_OF_TABLE,
};
static const struct sinq_gguf_key heads[] = {
    {"attention.head_count_kv", "num_key_value_heads", AT(kv_heads), SINQ_GGUF_COUNT, false},
    {"attention.key_length", NULL, AT(head_dim), SINQ_GGUF_COUNT, false},
    {"attention.value_length", NULL, AT(head_dim), SINQ_GGUF_COUNT, false},
    END_OF_TABLE,
};
static const struct sinq_gguf_key window[] = {
    {"attention.sliding_window", "sliding_window", AT(window), SINQ_GGUF_COUNT, false},
    END_OF_TABLE,
};
static const struct sinq_gguf_key gemma[] = {
    {"attention.sliding_window", "sliding_window", AT(window), SINQ_GGUF_COUNT, false},
    {"attn_logit_softcapping", "attn_logit_softcapping", AT(attention_softcap), SINQ_GGUF_NUMBER, false},
    {"final_logit_softcapping", "final_logit_softcapping", AT(final_softcap), SINQ_GGUF_NUMBER, false},
    END_OF_TABLE,
};
static const struct sinq_gguf_key mixtral[] = {
    {"attention.sliding_window", "sliding_window", AT(window), SINQ_GGUF_COUNT, false},
    {"expert_count", "num_local_experts", AT(experts), SINQ_GGUF_COUNT, true},
    {"expert_used_count", "num_experts_per_tok", AT(experts_chosen), SINQ_GGUF_COUNT, true},
    END_OF_TABLE,
};
static const struct sinq_gguf_key qwen3_moe[] = {
    {"expert_count", "num_experts", AT(experts), SINQ_GGUF_COUNT, true},
    {"expert_used_count", "num_experts_per_tok", AT(experts_chosen), SINQ_GGUF_COUNT, true},
    {"expert_feed_forward_length", "moe_intermediate_size", AT(expert_ffn), SINQ_GGUF_COUNT, true},
    END_OF_TABLE,
};
static const struct sinq_gguf_key gpt_oss[] = {
    {"attention.sliding_window", "sliding_window", AT(window), SINQ_GGUF_COUNT, true},
    {"expert_count", "num_local_experts", AT(experts), SINQ_GGUF_COUNT, true},
    {"expert_used_count", "num_experts_per_tok", AT(experts_chosen), SINQ_GGUF_COUNT, true},
    {"expert_feed_forward_length", NULL, AT(expert_ffn), SINQ_GGUF_COUNT, false},
    END_OF_TABLE,
};
static const struct sinq_gguf_key deepseek[] = {
    {"attention.kv_lora_rank", "kv_lora_rank", AT(kv_rank), SINQ_GGUF_COUNT, true},
    {"expert_count", "n_routed_experts", AT(experts), SINQ_GGUF_COUNT, true},
    {"expert_used_count", "num_experts_per_tok", AT(experts_chosen), SINQ_GGUF_COUNT, true},
    {"expert_shared_count", "n_shared_experts", AT(shared_experts), SINQ_GGUF_COUNT, false},
    {"expert_feed_forward_length", "moe_intermediate_size", AT(expert_ffn), SINQ_GGUF_COUNT, true},
    {"expert_weights_scale", "routed_scaling_factor", AT(share_scale), SINQ_GGUF_NUMBER, false},
    {"expert_weights_norm", "norm_topk_prob", AT(shares_normalized), SINQ_GGUF_FLAG, false},
    END_OF_TABLE,
};

#define SILU SINQ_ACTIVATION_SILU
#define GELU SINQ_ACTIVATION_GELU_TANH
#define NONE SINQ_GGUF_NO_SLIDING

static const struct sinq_gguf_architecture architectures[] = {
    {"llama", "llama", SILU, NONE, 0, false, {sizes, heads}},
    {"mistral", "llama", SILU, SINQ_GGUF_IGNORED_SLIDING, 0, false, {sizes, heads, window}},
    {"mixtral", "llama", SILU, SINQ_GGUF_IGNORED_SLIDING, 0, false, {sizes, heads, mixtral}},
    {"qwen2", "qwen2", SILU, NONE, 0, false, {sizes, heads}},
    {"qwen3", "qwen3", SILU, NONE, 0, false, {sizes, heads}},
    {"qwen3_moe", "qwen3moe", SILU, NONE, 0, false, {sizes, heads, qwen3_moe}},
    {"phi3", "phi3", SILU, SINQ_GGUF_IGNORED_SLIDING, 0, false, {sizes, heads, window}},
    {"gemma2", "gemma2", GELU, SINQ_GGUF_SLIDING, 2, false, {sizes, heads, gemma}},
    {"gemma3_text", "gemma3", GELU, SINQ_GGUF_SLIDING, 6, false, {sizes, heads, gemma}},
    {"gemma3", "gemma3", GELU, SINQ_GGUF_SLIDING, 6, false, {sizes, heads, gemma}},
    {"olmo2", "olmo2", SILU, NONE, 0, false, {sizes, heads}},
    {"gpt_oss", "gpt-oss", SINQ_ACTIVATION_GPT_OSS, SINQ_GGUF_SLIDING, 2, false, {sizes, heads, gpt_oss}},
    {"deepseek_v2", "deepseek2", SILU, NONE, 0, true, {sizes, deepseek}},
    {"deepseek_v3", "deepseek2", SILU, NONE, 0, true, {sizes, deepseek}},
    {"kimi_k2", "deepseek2", SILU, NONE, 0, true, {sizes, deepseek}},
};

const struct sinq_gguf_architecture *sinq_find_gguf_architecture(const char *model_type) {
    for (size_t i = 0; model_type != NULL && i < sizeof architectures / sizeof architectures[0]; i++) {
        if (strcmp(architectures[i].model_type, model_type) == 0) return &architectures[i];
    }
    return NULL;
}
