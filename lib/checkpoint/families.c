#include "checkpoint/families.h"

#include <string.h>

#include "base/text.h"

#define TRANSPOSED SINQ_PATTERN_TRANSPOSED
#define STACK      SINQ_PATTERN_STACK
#define RAW        SINQ_PATTERN_RAW
#define SHARED     SINQ_PATTERN_SHARED

/* ---- what many families have in common ---- */

static const struct sinq_name_pattern ends[] = {
    {"embed_tokens", SINQ_ROLE_EMBEDDING, 0},
    {"lm_head", SINQ_ROLE_LM_HEAD, 0},
    {"norm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.input_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.post_attention_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.self_attn.rotary_emb.inv_freq", SINQ_ROLE_OTHER, RAW},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern attention[] = {
    {"layers.{L}.self_attn.q_proj", SINQ_ROLE_QUERY, 0},
    {"layers.{L}.self_attn.k_proj", SINQ_ROLE_KEY, 0},
    {"layers.{L}.self_attn.v_proj", SINQ_ROLE_VALUE, 0},
    {"layers.{L}.self_attn.o_proj", SINQ_ROLE_ATTENTION_OUTPUT, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern attention_norms[] = {
    {"layers.{L}.self_attn.q_norm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.self_attn.k_norm", SINQ_ROLE_NORM, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern feedforward_norms[] = {
    {"layers.{L}.pre_feedforward_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.post_feedforward_layernorm", SINQ_ROLE_NORM, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern mlp[] = {
    {"layers.{L}.mlp.gate_proj", SINQ_ROLE_GATE, 0},
    {"layers.{L}.mlp.up_proj", SINQ_ROLE_UP, 0},
    {"layers.{L}.mlp.down_proj", SINQ_ROLE_DOWN, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
/* One module an expert, or all of them fused as transformers 5 has them in memory: [expert, out, in]. */
static const struct sinq_name_pattern experts[] = {
    {"layers.{L}.mlp.gate", SINQ_ROLE_ROUTER, 0},
    {"layers.{L}.mlp.experts.{E}.gate_proj", SINQ_ROLE_GATE, 0},
    {"layers.{L}.mlp.experts.{E}.up_proj", SINQ_ROLE_UP, 0},
    {"layers.{L}.mlp.experts.{E}.down_proj", SINQ_ROLE_DOWN, 0},
    {"layers.{L}.mlp.experts.gate_up_proj", SINQ_ROLE_GATE_UP, STACK},
    {"layers.{L}.mlp.experts.down_proj", SINQ_ROLE_DOWN, STACK},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};

/* ---- one family each ---- */

static const struct sinq_name_pattern mixtral[] = {
    {"layers.{L}.block_sparse_moe.gate", SINQ_ROLE_ROUTER, 0},
    {"layers.{L}.block_sparse_moe.experts.{E}.w1", SINQ_ROLE_GATE, 0},
    {"layers.{L}.block_sparse_moe.experts.{E}.w3", SINQ_ROLE_UP, 0},
    {"layers.{L}.block_sparse_moe.experts.{E}.w2", SINQ_ROLE_DOWN, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern qwen2_moe[] = {
    {"layers.{L}.mlp.shared_expert.gate_proj", SINQ_ROLE_GATE, SHARED},
    {"layers.{L}.mlp.shared_expert.up_proj", SINQ_ROLE_UP, SHARED},
    {"layers.{L}.mlp.shared_expert.down_proj", SINQ_ROLE_DOWN, SHARED},
    {"layers.{L}.mlp.shared_expert_gate", SINQ_ROLE_ROUTER, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern phi3[] = {
    {"layers.{L}.self_attn.qkv_proj", SINQ_ROLE_QUERY_KEY_VALUE, 0},
    {"layers.{L}.mlp.gate_up_proj", SINQ_ROLE_GATE_UP, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern phi[] = {
    {"layers.{L}.self_attn.dense", SINQ_ROLE_ATTENTION_OUTPUT, 0},
    {"layers.{L}.self_attn.q_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.self_attn.k_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.mlp.fc1", SINQ_ROLE_UP, 0},
    {"layers.{L}.mlp.fc2", SINQ_ROLE_DOWN, 0},
    {"final_layernorm", SINQ_ROLE_NORM, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
/* Layers behind num_hidden_layers predict a second token; they carry copies of embedding and head. */
static const struct sinq_name_pattern deepseek[] = {
    {"layers.{L}.self_attn.q_a_proj", SINQ_ROLE_QUERY_A, 0},
    {"layers.{L}.self_attn.q_a_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.self_attn.q_b_proj", SINQ_ROLE_QUERY_B, 0},
    {"layers.{L}.self_attn.kv_a_proj_with_mqa", SINQ_ROLE_KEY_VALUE_A, 0},
    {"layers.{L}.self_attn.kv_a_layernorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.self_attn.kv_b_proj", SINQ_ROLE_KEY_VALUE_B, 0},
    {"layers.{L}.mlp.gate.e_score_correction_bias", SINQ_ROLE_BIAS, RAW},
    {"layers.{L}.mlp.shared_experts.gate_proj", SINQ_ROLE_GATE, SHARED},
    {"layers.{L}.mlp.shared_experts.up_proj", SINQ_ROLE_UP, SHARED},
    {"layers.{L}.mlp.shared_experts.down_proj", SINQ_ROLE_DOWN, SHARED},
    {"layers.{L}.embed_tokens", SINQ_ROLE_EMBEDDING, 0},
    {"layers.{L}.enorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.hnorm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.eh_proj", SINQ_ROLE_OTHER_LINEAR, 0},
    {"layers.{L}.shared_head.norm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.shared_head.head", SINQ_ROLE_LM_HEAD, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
/* Fused experts are [expert, in, out], gate and up interleaved. */
static const struct sinq_name_pattern gpt_oss[] = {
    {"layers.{L}.self_attn.sinks", SINQ_ROLE_OTHER, RAW},
    {"layers.{L}.mlp.router", SINQ_ROLE_ROUTER, 0},
    {"layers.{L}.mlp.experts.gate_up_proj", SINQ_ROLE_GATE_UP, STACK | TRANSPOSED},
    {"layers.{L}.mlp.experts.down_proj", SINQ_ROLE_DOWN, STACK | TRANSPOSED},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern llama4[] = {
    {"layers.{L}.feed_forward.router", SINQ_ROLE_ROUTER, 0},
    {"layers.{L}.feed_forward.gate_proj", SINQ_ROLE_GATE, 0},
    {"layers.{L}.feed_forward.up_proj", SINQ_ROLE_UP, 0},
    {"layers.{L}.feed_forward.down_proj", SINQ_ROLE_DOWN, 0},
    {"layers.{L}.feed_forward.experts.gate_up_proj", SINQ_ROLE_GATE_UP, STACK | TRANSPOSED},
    {"layers.{L}.feed_forward.experts.down_proj", SINQ_ROLE_DOWN, STACK | TRANSPOSED},
    {"layers.{L}.feed_forward.shared_expert.gate_proj", SINQ_ROLE_GATE, SHARED},
    {"layers.{L}.feed_forward.shared_expert.up_proj", SINQ_ROLE_UP, SHARED},
    {"layers.{L}.feed_forward.shared_expert.down_proj", SINQ_ROLE_DOWN, SHARED},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern starcoder2[] = {
    {"layers.{L}.mlp.c_fc", SINQ_ROLE_UP, 0},
    {"layers.{L}.mlp.c_proj", SINQ_ROLE_DOWN, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern opt[] = {
    {"embed_positions", SINQ_ROLE_POSITION_EMBEDDING, 0},
    {"layers.{L}.self_attn.out_proj", SINQ_ROLE_ATTENTION_OUTPUT, 0},
    {"layers.{L}.self_attn_layer_norm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.fc1", SINQ_ROLE_UP, 0},
    {"layers.{L}.fc2", SINQ_ROLE_DOWN, 0},
    {"layers.{L}.final_layer_norm", SINQ_ROLE_NORM, 0},
    {"final_layer_norm", SINQ_ROLE_NORM, 0},
    {"project_in", SINQ_ROLE_OTHER_LINEAR, 0},
    {"project_out", SINQ_ROLE_OTHER_LINEAR, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern gpt_ends[] = {
    {"wte", SINQ_ROLE_EMBEDDING, 0}, {"wpe", SINQ_ROLE_POSITION_EMBEDDING, 0}, {"lm_head", SINQ_ROLE_LM_HEAD, 0},
    {"ln_f", SINQ_ROLE_NORM, 0},     {"h.{L}.ln_1", SINQ_ROLE_NORM, 0},        {"h.{L}.ln_2", SINQ_ROLE_NORM, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
/* transformers' Conv1D: a linear layer whose weight is [in, out]. attn.bias is the causal mask. */
static const struct sinq_name_pattern gpt2[] = {
    {"h.{L}.attn.bias", SINQ_ROLE_OTHER, RAW},
    {"h.{L}.attn.masked_bias", SINQ_ROLE_OTHER, RAW},
    {"h.{L}.attn.c_attn", SINQ_ROLE_QUERY_KEY_VALUE, TRANSPOSED},
    {"h.{L}.attn.c_proj", SINQ_ROLE_ATTENTION_OUTPUT, TRANSPOSED},
    {"h.{L}.mlp.c_fc", SINQ_ROLE_UP, TRANSPOSED},
    {"h.{L}.mlp.c_proj", SINQ_ROLE_DOWN, TRANSPOSED},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern gpt_neo[] = {
    {"h.{L}.attn.attention.bias", SINQ_ROLE_OTHER, RAW},
    {"h.{L}.attn.attention.masked_bias", SINQ_ROLE_OTHER, RAW},
    {"h.{L}.attn.attention.q_proj", SINQ_ROLE_QUERY, 0},
    {"h.{L}.attn.attention.k_proj", SINQ_ROLE_KEY, 0},
    {"h.{L}.attn.attention.v_proj", SINQ_ROLE_VALUE, 0},
    {"h.{L}.attn.attention.out_proj", SINQ_ROLE_ATTENTION_OUTPUT, 0},
    {"h.{L}.mlp.c_fc", SINQ_ROLE_UP, 0},
    {"h.{L}.mlp.c_proj", SINQ_ROLE_DOWN, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};
static const struct sinq_name_pattern gpt_neox[] = {
    {"embed_in", SINQ_ROLE_EMBEDDING, 0},
    {"embed_out", SINQ_ROLE_LM_HEAD, 0},
    {"final_layer_norm", SINQ_ROLE_NORM, 0},
    {"layers.{L}.attention.bias", SINQ_ROLE_OTHER, RAW},
    {"layers.{L}.attention.masked_bias", SINQ_ROLE_OTHER, RAW},
    {"layers.{L}.attention.rotary_emb.inv_freq", SINQ_ROLE_OTHER, RAW},
    {"layers.{L}.attention.query_key_value", SINQ_ROLE_QUERY_KEY_VALUE, 0},
    {"layers.{L}.attention.dense", SINQ_ROLE_ATTENTION_OUTPUT, 0},
    {"layers.{L}.mlp.dense_h_to_4h", SINQ_ROLE_UP, 0},
    {"layers.{L}.mlp.dense_4h_to_h", SINQ_ROLE_DOWN, 0},
    {NULL, SINQ_ROLE_UNKNOWN, 0},
};

static const struct sinq_family families[] = {
    {"llama mistral qwen2 gemma", {ends, attention, mlp}},
    {"qwen3", {ends, attention, attention_norms, mlp}},
    {"gemma2", {ends, attention, mlp, feedforward_norms}},
    {"gemma3 gemma3_text olmo2", {ends, attention, attention_norms, mlp, feedforward_norms}},
    {"phi3", {ends, attention, mlp, phi3}},
    {"phi", {ends, attention, phi}},
    {"starcoder2", {ends, attention, starcoder2}},
    {"opt", {ends, attention, opt}},
    {"mixtral", {ends, attention, mixtral, experts}},
    {"qwen2_moe", {ends, attention, mlp, experts, qwen2_moe}},
    {"qwen3_moe olmoe", {ends, attention, attention_norms, mlp, experts}},
    {"deepseek_v2 deepseek_v3 kimi_k2", {ends, attention, mlp, experts, deepseek}},
    {"gpt_oss", {ends, attention, gpt_oss}},
    {"llama4 llama4_text", {ends, attention, llama4}},
    {"gpt2", {gpt_ends, gpt2}},
    {"gpt_neo", {gpt_ends, gpt_neo}},
    {"gpt_neox", {ends, gpt_neox}},
};

const struct sinq_family *sinq_find_family(const char *model_type) {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (sinq_is_listed(families[i].model_types, model_type)) return &families[i];
    }
    return NULL;
}

/* Reads a number of at most 8 digits; how many bytes it took, 0 if there is none. */
static size_t read_number(const char *text, size_t size, int *number) {
    size_t i = 0;
    *number = 0;
    for (; i < size && i < 8 && text[i] >= '0' && text[i] <= '9'; i++) *number = *number * 10 + (text[i] - '0');
    return i;
}

static bool fits_pattern(const char *pattern, const char *name, size_t size, int *layer, int *expert) {
    size_t at = 0;
    *layer = *expert = -1;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            const size_t digits = read_number(name + at, size - at, pattern[1] == 'L' ? layer : expert);
            if (digits == 0) return false;
            at += digits;
            pattern += 3;
        } else if (at < size && name[at] == *pattern) {
            at++;
            pattern++;
        } else {
            return false;
        }
    }
    return at == size;
}

static bool has_flags(const struct sinq_name_pattern *pattern, unsigned flags) {
    return flags == 0 ? (pattern->flags & RAW) == 0 : (pattern->flags & flags) != 0;
}

struct sinq_pattern_match sinq_match_family(const struct sinq_family *family, const char *name, size_t size,
                                            unsigned flags) {
    struct sinq_pattern_match match = {NULL, -1, -1};
    for (size_t t = 0; t < SINQ_FAMILY_TABLES && family->tables[t] != NULL; t++) {
        for (const struct sinq_name_pattern *p = family->tables[t]; p->module != NULL; p++) {
            if (!has_flags(p, flags) || !fits_pattern(p->module, name, size, &match.layer, &match.expert)) continue;
            match.pattern = p;
            return match;
        }
    }
    return (struct sinq_pattern_match){NULL, -1, -1};
}
