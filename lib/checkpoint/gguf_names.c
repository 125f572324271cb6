#include "checkpoint/gguf_names.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "checkpoint/roles.h"

#define SAME     SINQ_GGUF_SAME
#define PLUS_ONE SINQ_GGUF_PLUS_ONE
#define EXPERT   SINQ_GGUF_EXPERT
#define MODULE   SINQ_GGUF_MODULE
#define STACK    SINQ_GGUF_STACK
#define END_OF_TABLE                                                                                                   \
    { NULL, NULL, SAME, MODULE }

/* ---- what many families have in common ---- */

static const struct sinq_gguf_pattern ends[] = {
    {"token_embd", "embed_tokens", SAME, MODULE},
    {"output", "lm_head", SAME, MODULE},
    END_OF_TABLE,
};
static const struct sinq_gguf_pattern norms[] = {
    {"output_norm", "norm", SAME, MODULE},
    {"blk.{L}.attn_norm", "layers.{L}.input_layernorm", SAME, MODULE},
    {"blk.{L}.ffn_norm", "layers.{L}.post_attention_layernorm", SAME, MODULE},
    END_OF_TABLE,
};
/* Of families whose ropes turn pairs as transformers does. */
static const struct sinq_gguf_pattern attention[] = {
    {"blk.{L}.attn_q", "layers.{L}.self_attn.q_proj", SAME, MODULE},
    {"blk.{L}.attn_k", "layers.{L}.self_attn.k_proj", SAME, MODULE},
    {"blk.{L}.attn_v", "layers.{L}.self_attn.v_proj", SAME, MODULE},
    {"blk.{L}.attn_output", "layers.{L}.self_attn.o_proj", SAME, MODULE},
    {"blk.{L}.attn_q_norm", "layers.{L}.self_attn.q_norm", SAME, MODULE},
    {"blk.{L}.attn_k_norm", "layers.{L}.self_attn.k_norm", SAME, MODULE},
    END_OF_TABLE,
};
static const struct sinq_gguf_pattern llama_attention[] = {
    {"blk.{L}.attn_q", "layers.{L}.self_attn.q_proj", SINQ_GGUF_QUERY_ROWS, MODULE},
    {"blk.{L}.attn_k", "layers.{L}.self_attn.k_proj", SINQ_GGUF_KEY_ROWS, MODULE},
    {"blk.{L}.attn_v", "layers.{L}.self_attn.v_proj", SAME, MODULE},
    {"blk.{L}.attn_output", "layers.{L}.self_attn.o_proj", SAME, MODULE},
    END_OF_TABLE,
};
static const struct sinq_gguf_pattern mlp[] = {
    {"blk.{L}.ffn_gate", "layers.{L}.mlp.gate_proj", SAME, MODULE},
    {"blk.{L}.ffn_up", "layers.{L}.mlp.up_proj", SAME, MODULE},
    {"blk.{L}.ffn_down", "layers.{L}.mlp.down_proj", SAME, MODULE},
    END_OF_TABLE,
};
/* As checkpoints have them; and fused, as transformers 5 has them in memory. */
static const struct sinq_gguf_pattern experts[] = {
    {"blk.{L}.ffn_gate_inp", "layers.{L}.mlp.gate", SAME, MODULE},
    {"blk.{L}.ffn_gate_exps", "layers.{L}.mlp.experts.{E}.gate_proj", EXPERT, MODULE},
    {"blk.{L}.ffn_up_exps", "layers.{L}.mlp.experts.{E}.up_proj", EXPERT, MODULE},
    {"blk.{L}.ffn_down_exps", "layers.{L}.mlp.experts.{E}.down_proj", EXPERT, MODULE},
    {"blk.{L}.ffn_gate_exps", "layers.{L}.mlp.experts.gate_up_proj", SINQ_GGUF_FIRST_HALF, STACK},
    {"blk.{L}.ffn_up_exps", "layers.{L}.mlp.experts.gate_up_proj", SINQ_GGUF_SECOND_HALF, STACK},
    {"blk.{L}.ffn_down_exps", "layers.{L}.mlp.experts.down_proj", SAME, STACK},
    END_OF_TABLE,
};

/* ---- one family each ---- */

static const struct sinq_gguf_pattern mixtral[] = {
    {"blk.{L}.ffn_gate_inp", "layers.{L}.block_sparse_moe.gate", SAME, MODULE},
    {"blk.{L}.ffn_gate_exps", "layers.{L}.block_sparse_moe.experts.{E}.w1", EXPERT, MODULE},
    {"blk.{L}.ffn_up_exps", "layers.{L}.block_sparse_moe.experts.{E}.w3", EXPERT, MODULE},
    {"blk.{L}.ffn_down_exps", "layers.{L}.block_sparse_moe.experts.{E}.w2", EXPERT, MODULE},
    END_OF_TABLE,
};
static const struct sinq_gguf_pattern phi3[] = {
    {"blk.{L}.attn_qkv", "layers.{L}.self_attn.qkv_proj", SAME, MODULE},
    {"blk.{L}.attn_output", "layers.{L}.self_attn.o_proj", SAME, MODULE},
    {"blk.{L}.ffn_up", "layers.{L}.mlp.gate_up_proj", SAME, MODULE},
    {"blk.{L}.ffn_down", "layers.{L}.mlp.down_proj", SAME, MODULE},
    END_OF_TABLE,
};
static const struct sinq_gguf_pattern gemma_norms[] = {
    {"output_norm", "norm", PLUS_ONE, MODULE},
    {"blk.{L}.attn_norm", "layers.{L}.input_layernorm", PLUS_ONE, MODULE},
    {"blk.{L}.post_attention_norm", "layers.{L}.post_attention_layernorm", PLUS_ONE, MODULE},
    {"blk.{L}.ffn_norm", "layers.{L}.pre_feedforward_layernorm", PLUS_ONE, MODULE},
    {"blk.{L}.post_ffw_norm", "layers.{L}.post_feedforward_layernorm", PLUS_ONE, MODULE},
    {"blk.{L}.attn_q_norm", "layers.{L}.self_attn.q_norm", PLUS_ONE, MODULE},
    {"blk.{L}.attn_k_norm", "layers.{L}.self_attn.k_norm", PLUS_ONE, MODULE},
    END_OF_TABLE,
};
static const struct sinq_gguf_pattern olmo2_norms[] = {
    {"output_norm", "norm", SAME, MODULE},
    {"blk.{L}.post_attention_norm", "layers.{L}.post_attention_layernorm", SAME, MODULE},
    {"blk.{L}.post_ffw_norm", "layers.{L}.post_feedforward_layernorm", SAME, MODULE},
    END_OF_TABLE,
};
/* Newer files hold attn_k_b and attn_v_b, older ones attn_kv_b. */
static const struct sinq_gguf_pattern deepseek[] = {
    {"blk.{L}.attn_q", "layers.{L}.self_attn.q_proj", SAME, MODULE},
    {"blk.{L}.attn_q_a", "layers.{L}.self_attn.q_a_proj", SAME, MODULE},
    {"blk.{L}.attn_q_a_norm", "layers.{L}.self_attn.q_a_layernorm", SAME, MODULE},
    {"blk.{L}.attn_q_b", "layers.{L}.self_attn.q_b_proj", SAME, MODULE},
    {"blk.{L}.attn_kv_a_mqa", "layers.{L}.self_attn.kv_a_proj_with_mqa", SAME, MODULE},
    {"blk.{L}.attn_kv_a_norm", "layers.{L}.self_attn.kv_a_layernorm", SAME, MODULE},
    {"blk.{L}.attn_k_b", "layers.{L}.self_attn.kv_b_proj", SINQ_GGUF_KEY_HALF, MODULE},
    {"blk.{L}.attn_v_b", "layers.{L}.self_attn.kv_b_proj", SINQ_GGUF_VALUE_HALF, MODULE},
    {"blk.{L}.attn_kv_b", "layers.{L}.self_attn.kv_b_proj", SAME, MODULE},
    {"blk.{L}.attn_output", "layers.{L}.self_attn.o_proj", SAME, MODULE},
    {"blk.{L}.exp_probs_b", "layers.{L}.mlp.gate.e_score_correction_bias", SAME, SINQ_GGUF_BIAS_ONLY},
    {"blk.{L}.ffn_gate_shexp", "layers.{L}.mlp.shared_experts.gate_proj", SAME, MODULE},
    {"blk.{L}.ffn_up_shexp", "layers.{L}.mlp.shared_experts.up_proj", SAME, MODULE},
    {"blk.{L}.ffn_down_shexp", "layers.{L}.mlp.shared_experts.down_proj", SAME, MODULE},
    END_OF_TABLE,
};
/* The norm before the mlp is called as if it came behind attention. */
static const struct sinq_gguf_pattern gpt_oss[] = {
    {"output_norm", "norm", SAME, MODULE},
    {"blk.{L}.attn_norm", "layers.{L}.input_layernorm", SAME, MODULE},
    {"blk.{L}.post_attention_norm", "layers.{L}.post_attention_layernorm", SAME, MODULE},
    {"blk.{L}.attn_sinks", "layers.{L}.self_attn.sinks", SAME, SINQ_GGUF_WEIGHT},
    {"blk.{L}.ffn_gate_inp", "layers.{L}.mlp.router", SAME, MODULE},
    {"blk.{L}.ffn_gate_exps", "layers.{L}.mlp.experts.gate_up_proj", SINQ_GGUF_EVEN_COLUMNS, STACK},
    {"blk.{L}.ffn_up_exps", "layers.{L}.mlp.experts.gate_up_proj", SINQ_GGUF_ODD_COLUMNS, STACK},
    {"blk.{L}.ffn_down_exps", "layers.{L}.mlp.experts.down_proj", SINQ_GGUF_TRANSPOSED, STACK},
    END_OF_TABLE,
};

static const struct sinq_gguf_family families[] = {
    {"llama mistral", "llama", {ends, norms, llama_attention, mlp}},
    {"mixtral", "llama", {ends, norms, llama_attention, mixtral, experts}},
    {"qwen2", "qwen2", {ends, norms, attention, mlp}},
    {"qwen3", "qwen3", {ends, norms, attention, mlp}},
    {"qwen3_moe", "qwen3moe", {ends, norms, attention, mlp, experts}},
    {"phi3", "phi3", {ends, norms, phi3}},
    {"gemma2", "gemma2", {ends, gemma_norms, attention, mlp}},
    {"gemma3_text gemma3", "gemma3", {ends, gemma_norms, attention, mlp}},
    {"olmo2", "olmo2", {ends, olmo2_norms, attention, mlp}},
    {"deepseek_v2 deepseek_v3 kimi_k2", "deepseek2", {ends, norms, deepseek, mlp, experts}},
    {"gpt_oss", "gpt-oss", {ends, attention, gpt_oss}},
};

const struct sinq_gguf_family *sinq_find_gguf_family(const char *model_type) {
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (sinq_is_listed(families[i].model_types, model_type)) return &families[i];
    }
    return NULL;
}

/* ---- matching ---- */

/* Whether all of name[0..size) is the pattern with numbers of at most 8 digits in place of {L} and {E}. */
static bool fits_pattern(const char *pattern, const char *name, size_t size, struct sinq_gguf_match *match) {
    size_t at = 0;
    match->layer = match->expert = -1;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (at == size || name[at++] != *pattern++) return false;
            continue;
        }
        int number = 0;
        size_t digits = 0;
        for (; digits < 8 && at < size && name[at] >= '0' && name[at] <= '9'; digits++) {
            number = number * 10 + (name[at++] - '0');
        }
        if (digits == 0 || (digits > 1 && name[at - digits] == '0')) return false;
        *(pattern[1] == 'L' ? &match->layer : &match->expert) = number;
        pattern += 3;
    }
    return at == size;
}

static bool fits_suffixed(const char *pattern, const char *name, const char *suffix, struct sinq_gguf_match *match) {
    const size_t size = strlen(name), tail = strlen(suffix);
    if (size < tail || strcmp(name + size - tail, suffix) != 0) return false;
    return fits_pattern(pattern, name, size - tail, match);
}

struct suffixes {
    const char *gguf_weight, *gguf_bias; /* NULL: there is no such tensor */
    const char *hf_weight, *hf_bias;
};

static const struct suffixes suffixes[] = {
    [SINQ_GGUF_MODULE] = {".weight", ".bias", ".weight", ".bias"},
    [SINQ_GGUF_STACK] = {".weight", ".bias", "", "_bias"},
    [SINQ_GGUF_WEIGHT] = {".weight", NULL, "", NULL},
    [SINQ_GGUF_BIAS_ONLY] = {".bias", NULL, "", NULL},
};

static bool fits_gguf(const struct sinq_gguf_pattern *pattern, const char *name, struct sinq_gguf_match *match) {
    const struct suffixes *const s = &suffixes[pattern->suffix];
    match->is_bias = false;
    if (fits_suffixed(pattern->gguf, name, s->gguf_weight, match)) return true;
    match->is_bias = true;
    return s->gguf_bias != NULL && fits_suffixed(pattern->gguf, name, s->gguf_bias, match);
}

static bool fits_hf(const struct sinq_gguf_pattern *pattern, const char *name, struct sinq_gguf_match *match) {
    const struct suffixes *const s = &suffixes[pattern->suffix];
    match->is_bias = false;
    if (fits_suffixed(pattern->module, name, s->hf_weight, match)) return true;
    if (pattern->suffix == SINQ_GGUF_STACK && fits_suffixed(pattern->module, name, ".weight", match)) return true;
    match->is_bias = true;
    return s->hf_bias != NULL && fits_suffixed(pattern->module, name, s->hf_bias, match);
}

typedef bool fits_fn(const struct sinq_gguf_pattern *pattern, const char *name, struct sinq_gguf_match *match);

static struct sinq_gguf_match find_match(const struct sinq_gguf_family *family, const char *name,
                                         const struct sinq_gguf_pattern *after, fits_fn *fits) {
    struct sinq_gguf_match match = {NULL, -1, -1, false};
    bool is_behind = after == NULL;
    for (size_t t = 0; t < SINQ_GGUF_TABLES && family->tables[t] != NULL; t++) {
        for (const struct sinq_gguf_pattern *p = family->tables[t]; p->gguf != NULL; p++) {
            if (is_behind && fits(p, name, &match)) {
                match.pattern = p;
                return match;
            }
            is_behind = is_behind || p == after;
        }
    }
    return (struct sinq_gguf_match){NULL, -1, -1, false};
}

struct sinq_gguf_match sinq_match_gguf_name(const struct sinq_gguf_family *family, const char *name,
                                            const struct sinq_gguf_pattern *after) {
    return find_match(family, name, after, fits_gguf);
}

struct sinq_gguf_match sinq_match_hf_name(const struct sinq_gguf_family *family, const char *name,
                                          const struct sinq_gguf_pattern *after) {
    return find_match(family, sinq_skip_wrappers(name), after, fits_hf);
}

/* ---- printing ---- */

static void print_pattern(const char *prefix, const char *pattern, const struct sinq_gguf_match *match,
                          const char *suffix, char name[SINQ_GGUF_NAME_BYTES]) {
    size_t used = (size_t)snprintf(name, SINQ_GGUF_NAME_BYTES, "%s", prefix);
    for (; *pattern != '\0' && used + 16 < SINQ_GGUF_NAME_BYTES; pattern++) {
        if (*pattern == '{') {
            const int number = pattern[1] == 'L' ? match->layer : match->expert;
            used += (size_t)snprintf(name + used, SINQ_GGUF_NAME_BYTES - used, "%d", number);
            pattern += 2;
        } else {
            name[used++] = *pattern;
        }
    }
    (void)snprintf(name + used, SINQ_GGUF_NAME_BYTES - used, "%s", suffix);
}

void sinq_print_gguf_name(const struct sinq_gguf_match *match, char name[SINQ_GGUF_NAME_BYTES]) {
    const struct suffixes *const s = &suffixes[match->pattern->suffix];
    print_pattern("", match->pattern->gguf, match, match->is_bias ? s->gguf_bias : s->gguf_weight, name);
}

void sinq_print_hf_name(const struct sinq_gguf_match *match, char name[SINQ_GGUF_NAME_BYTES]) {
    const struct suffixes *const s = &suffixes[match->pattern->suffix];
    const char *const module = match->pattern->module;
    const char *const prefix = strcmp(module, "lm_head") == 0 ? "" : "model.";
    print_pattern(prefix, module, match, match->is_bias ? s->hf_bias : s->hf_weight, name);
}

/* ---- rows ---- */

/* convert_hf_to_gguf.py, LlamaModel.permute: [heads, 2, half] becomes [heads, half, 2]. */
uint64_t sinq_gguf_to_hf_row(uint64_t row, uint64_t rows, uint64_t heads) {
    const uint64_t dim = rows / heads, within = row % dim;
    return row - within + within % 2 * (dim / 2) + within / 2;
}

uint64_t sinq_hf_to_gguf_row(uint64_t row, uint64_t rows, uint64_t heads) {
    const uint64_t dim = rows / heads, within = row % dim;
    return row - within + within % (dim / 2) * 2 + within / (dim / 2);
}
