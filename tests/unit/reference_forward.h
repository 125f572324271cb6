/* reference_forward.h: attention and layers of the reference pass, and the pass as a whole. */
#ifndef SINQ_TESTS_REFERENCE_FORWARD_H
#define SINQ_TESTS_REFERENCE_FORWARD_H

#include "reference_experts.h"
#include "reference_rope.h"

/* ---- attention ---- */

/* What attention works on: queries [positions][heads][key_dim], keys and values for each head likewise. */
struct reference_heads {
    size_t heads, key_dim, value_dim;
    double *queries, *keys, *values;
};

static inline struct reference_heads make_heads(const struct reference *r, size_t key_dim, size_t value_dim) {
    const size_t count = r->positions * r->heads;
    return (struct reference_heads){.heads = r->heads,
                                    .key_dim = key_dim,
                                    .value_dim = value_dim,
                                    .queries = allocate(count * key_dim),
                                    .keys = allocate(count * key_dim),
                                    .values = allocate(count * value_dim)};
}

static inline void free_heads(struct reference_heads *h) {
    free(h->queries);
    free(h->keys);
    free(h->values);
}

/* Positions that a layer sees, 0 for all. */
static inline size_t find_window(const struct reference *r, size_t layer, bool *is_sliding) {
    const cJSON *const types = cJSON_GetObjectItemCaseSensitive(r->config, "layer_types");
    const cJSON *const type = cJSON_GetArrayItem(types, (int)layer);
    const double window = number_or(r->config, "sliding_window", 0);
    *is_sliding = window != 0.0 && (is_type(r, "mistral") || is_type(r, "mixtral") || is_type(r, "phi3"));
    if (is_type(r, "gemma2") || is_type(r, "gpt_oss")) *is_sliding = layer % 2 == 0;
    if (is_type(r, "gemma3_text"))
        *is_sliding = (layer + 1) % (size_t)number_or(r->config, "sliding_window_pattern", 6) != 0;
    if (is_type(r, "qwen2") || is_type(r, "qwen3")) {
        *is_sliding = flag_or(r->config, "use_sliding_window", false) &&
                      layer >= (size_t)number_or(r->config, "max_window_layers", 28);
    }
    if (type != NULL) *is_sliding = strcmp(type->valuestring, "sliding_attention") == 0;
    return *is_sliding ? (size_t)window : 0;
}

/* softmax(scale q k, capped, a sink beside it) v for one head of one position. */
static inline void attend_head(const struct reference *r, const struct reference_heads *h, size_t head, size_t position,
                               size_t window, double scale, const double *sinks, double *out) {
    const size_t first = window != 0 && position + 1 > window ? position + 1 - window : 0;
    const size_t count = position + 1 - first;
    const double cap = number_or(r->config, "attn_logit_softcapping", 0);
    const double *const query = h->queries + (position * h->heads + head) * h->key_dim;
    double *const scores = allocate(count + 1);
    for (size_t i = 0; i < count; i++) {
        const double *const key = h->keys + ((first + i) * h->heads + head) * h->key_dim;
        for (size_t k = 0; k < h->key_dim; k++) scores[i] += query[k] * key[k];
        scores[i] *= scale;
        if (cap != 0.0) scores[i] = cap * tanh(scores[i] / cap);
    }
    if (sinks != NULL) scores[count] = sinks[head];
    soften(scores, count + (sinks != NULL ? 1 : 0));
    for (size_t k = 0; k < h->value_dim; k++) {
        out[k] = 0.0;
        for (size_t i = 0; i < count; i++) {
            out[k] += scores[i] * h->values[((first + i) * h->heads + head) * h->value_dim + k];
        }
    }
    free(scores);
}

static inline void attend(struct reference *r, const char *layer, const struct reference_heads *h, size_t window,
                          double scale, double *out) {
    const size_t width = h->heads * h->value_dim;
    const bool has_bias = !is_latent(r) && flag_or(r->config, "attention_bias", is_type(r, "gpt_oss"));
    const double *const sinks =
        is_type(r, "gpt_oss") ? get_tensor(r, 0.0, 1.0, r->heads, 0, 0, "%s.self_attn.sinks", layer) : NULL;
    double *const mixed = allocate(width);
    char name[REFERENCE_NAME];
    write_name(name, "%s.self_attn.o_proj", layer);
    for (size_t p = 0; p < r->positions; p++) {
        for (size_t head = 0; head < h->heads; head++) {
            attend_head(r, h, head, p, window, scale, sinks, mixed + head * h->value_dim);
        }
        apply_linear(r, name, has_bias, r->hidden, width, mixed, out + p * r->hidden);
    }
    free(mixed);
}

/* q, k or v of one position, with what norms it. */
static inline void project(struct reference *r, const char *layer, const char *which, size_t heads, const double *x,
                           double *out) {
    const bool has_bias = is_type(r, "qwen2") || flag_or(r->config, "attention_bias", is_type(r, "gpt_oss"));
    const size_t width = heads * r->head_dim;
    char name[REFERENCE_NAME];
    write_name(name, "%s.self_attn.%s_proj", layer, which);
    apply_linear(r, name, has_bias, width, r->hidden, x, out);
    if (*which == 'v') return;
    write_name(name, "%s.self_attn.%s_norm", layer, which);
    if (is_type(r, "olmo2")) apply_norm(r, name, width, out, out);
    if (!is_type(r, "qwen3") && !is_type(r, "qwen3_moe") && !is_type(r, "gemma3_text")) return;
    for (size_t h = 0; h < heads; h++) {
        apply_norm(r, name, r->head_dim, out + h * r->head_dim, out + h * r->head_dim);
    }
}

/* Phi-3: one matrix for all three. */
static inline void project_fused(struct reference *r, const char *layer, const double *x, double *q, double *k,
                                 double *v) {
    const size_t q_width = r->heads * r->head_dim, kv_width = r->kv_heads * r->head_dim;
    double *const all = allocate(q_width + 2 * kv_width);
    char name[REFERENCE_NAME];
    write_name(name, "%s.self_attn.qkv_proj", layer);
    apply_linear(r, name, false, q_width + 2 * kv_width, r->hidden, x, all);
    memcpy(q, all, q_width * sizeof *q);
    memcpy(k, all + q_width, kv_width * sizeof *k);
    memcpy(v, all + q_width + kv_width, kv_width * sizeof *v);
    free(all);
}

static inline void attend_grouped(struct reference *r, const char *layer, size_t number, const double *x, double *out) {
    bool is_sliding;
    const size_t dim = r->head_dim, group = r->heads / r->kv_heads, window = find_window(r, number, &is_sliding);
    const struct reference_rope rope = make_reference_rope(r, dim, is_sliding);
    struct reference_heads h = make_heads(r, dim, dim);
    double *const k = allocate(r->kv_heads * dim), *const v = allocate(r->kv_heads * dim);
    for (size_t p = 0; p < r->positions; p++) {
        const double *const row = x + p * r->hidden;
        double *const q = h.queries + p * r->heads * dim;
        if (is_type(r, "phi3")) {
            project_fused(r, layer, row, q, k, v);
        } else {
            project(r, layer, "q", r->heads, row, q);
            project(r, layer, "k", r->kv_heads, row, k);
            project(r, layer, "v", r->kv_heads, row, v);
        }
        for (size_t head = 0; head < r->heads; head++) turn_head(&rope, p, false, q + head * dim);
        for (size_t head = 0; head < r->kv_heads; head++) turn_head(&rope, p, false, k + head * dim);
        for (size_t head = 0; head < r->heads; head++) {
            memcpy(h.keys + (p * r->heads + head) * dim, k + head / group * dim, dim * sizeof *k);
            memcpy(h.values + (p * r->heads + head) * dim, v + head / group * dim, dim * sizeof *v);
        }
    }
    const double scale = 1.0 / sqrt(is_gemma(r) ? number_or(r->config, "query_pre_attn_scalar", 0) : (double)dim);
    attend(r, layer, &h, window, scale, out);
    free(k);
    free(v);
    free_heads(&h);
}

/*
 * ---- latent attention: keys and values are made from a short vector, which has one turning part for all heads. Its norms
 * have an eps of their own. ----
 */

static inline void project_latent_query(struct reference *r, const char *layer, size_t width, const double *x,
                                        double *q) {
    const size_t rank = (size_t)number_or(r->config, "q_lora_rank", 0);
    char name[REFERENCE_NAME];
    if (rank == 0) {
        write_name(name, "%s.self_attn.q_proj", layer);
        apply_linear(r, name, false, width, r->hidden, x, q);
        return;
    }
    double *const small = allocate(rank);
    write_name(name, "%s.self_attn.q_a_proj", layer);
    apply_linear(r, name, false, rank, r->hidden, x, small);
    write_name(name, "%s.self_attn.q_a_layernorm", layer);
    apply_norm_eps(r, name, rank, 1e-6, small, small);
    write_name(name, "%s.self_attn.q_b_proj", layer);
    apply_linear(r, name, false, width, rank, small, q);
    free(small);
}

static inline double find_latent_scale(const struct reference *r, size_t key_dim) {
    const cJSON *const o = find_rope_object(r, false);
    const double all = number_or(o, "mscale_all_dim", 0), factor = number_or(o, "factor", 1);
    const double mscale = all != 0.0 && factor > 1.0 ? 0.1 * all * log(factor) + 1.0 : 1.0;
    return mscale * mscale / sqrt((double)key_dim);
}

static inline void attend_latent(struct reference *r, const char *layer, const double *x, double *out) {
    const size_t nope = count_of(r, "qk_nope_head_dim"), turning = count_of(r, "qk_rope_head_dim");
    const size_t value = count_of(r, "v_head_dim"), rank = count_of(r, "kv_lora_rank"), key = nope + turning;
    const bool is_interleaved = is_type(r, "deepseek_v2") || flag_or(r->config, "rope_interleave", true);
    const struct reference_rope rope = make_reference_rope(r, turning, false);
    struct reference_heads h = make_heads(r, key, value);
    double *const small = allocate(rank + turning), *const wide = allocate(r->heads * (nope + value));
    char name[REFERENCE_NAME];
    for (size_t p = 0; p < r->positions; p++) {
        const double *const row = x + p * r->hidden;
        double *const q = h.queries + p * r->heads * key;
        project_latent_query(r, layer, r->heads * key, row, q);
        write_name(name, "%s.self_attn.kv_a_proj_with_mqa", layer);
        apply_linear(r, name, false, rank + turning, r->hidden, row, small);
        write_name(name, "%s.self_attn.kv_a_layernorm", layer);
        apply_norm_eps(r, name, rank, 1e-6, small, small);
        turn_head(&rope, p, is_interleaved, small + rank);
        write_name(name, "%s.self_attn.kv_b_proj", layer);
        apply_linear(r, name, false, r->heads * (nope + value), rank, small, wide);
        for (size_t head = 0; head < r->heads; head++) {
            double *const k = h.keys + (p * r->heads + head) * key;
            turn_head(&rope, p, is_interleaved, q + head * key + nope);
            memcpy(k, wide + head * (nope + value), nope * sizeof *k);
            memcpy(k + nope, small + rank, turning * sizeof *k);
            memcpy(h.values + (p * r->heads + head) * value, wide + head * (nope + value) + nope, value * sizeof *k);
        }
    }
    attend(r, layer, &h, 0, find_latent_scale(r, key), out);
    free(small);
    free(wide);
    free_heads(&h);
}

/* ---- layers ---- */

static inline bool has_experts(const struct reference *r, size_t layer) {
    const cJSON *dense;
    if (is_latent(r)) return layer >= count_of(r, "first_k_dense_replace");
    cJSON_ArrayForEach(dense, cJSON_GetObjectItemCaseSensitive(r->config, "mlp_only_layers")) {
        if ((size_t)dense->valuedouble == layer) return false;
    }
    if (is_type(r, "qwen3_moe")) return (layer + 1) % (size_t)number_or(r->config, "decoder_sparse_step", 1) == 0;
    return is_type(r, "mixtral");
}

/* One position's mlp, into out. */
static inline void apply_mlp(struct reference *r, const char *layer, size_t number, const double *x, double *out) {
    char name[REFERENCE_NAME];
    write_name(name, "%s.mlp", layer);
    memset(out, 0, r->hidden * sizeof *out);
    if (is_type(r, "gpt_oss")) {
        add_gpt_oss_mixture(r, layer, x, out);
    } else if (has_experts(r, number)) {
        add_mixture(r, layer, x, out);
    } else if (is_type(r, "phi3")) {
        add_fused_gated(r, name, count_of(r, "intermediate_size"), x, out);
    } else {
        add_gated(r, name, "gate_proj", "up_proj", "down_proj", flag_or(r->config, "mlp_bias", false),
                  count_of(r, "intermediate_size"), 1.0, x, out);
    }
}

/* The norm of that name for all positions; NULL copies. */
static inline void norm_all(struct reference *r, const char *layer, const char *norm, const double *x, double *out) {
    char name[REFERENCE_NAME];
    if (norm == NULL) {
        memmove(out, x, r->positions * r->hidden * sizeof *out);
        return;
    }
    write_name(name, "%s.%s", layer, norm);
    for (size_t p = 0; p < r->positions; p++) apply_norm(r, name, r->hidden, x + p * r->hidden, out + p * r->hidden);
}

static inline void add_all(const struct reference *r, const double *in, double *out) {
    for (size_t i = 0; i < r->positions * r->hidden; i++) out[i] += in[i];
}

/* x += after(part(before(x))), twice; which norms there are is the family's. */
static inline void apply_layer(struct reference *r, size_t number, double *x) {
    const bool has_before = !is_type(r, "olmo2"), has_after = is_gemma(r) || is_type(r, "olmo2");
    const char *const mlp_before = is_gemma(r) ? "pre_feedforward_layernorm" : "post_attention_layernorm";
    double *const in = allocate(r->positions * r->hidden), *const out = allocate(r->positions * r->hidden);
    char layer[REFERENCE_NAME];
    write_name(layer, "model.layers.%zu", number);
    norm_all(r, layer, has_before ? "input_layernorm" : NULL, x, in);
    if (is_latent(r)) {
        attend_latent(r, layer, in, out);
    } else {
        attend_grouped(r, layer, number, in, out);
    }
    norm_all(r, layer, has_after ? "post_attention_layernorm" : NULL, out, out);
    add_all(r, out, x);
    norm_all(r, layer, has_before ? mlp_before : NULL, x, in);
    for (size_t p = 0; p < r->positions; p++) {
        apply_mlp(r, layer, number, in + p * r->hidden, out + p * r->hidden);
    }
    norm_all(r, layer, has_after ? "post_feedforward_layernorm" : NULL, out, out);
    add_all(r, out, x);
    free(in);
    free(out);
}

static inline void read_shape(struct reference *r) {
    r->type = word_or(r->config, "model_type", "");
    r->hidden = count_of(r, "hidden_size");
    r->layers = count_of(r, "num_hidden_layers");
    r->heads = count_of(r, "num_attention_heads");
    r->kv_heads = (size_t)number_or(r->config, "num_key_value_heads", (double)r->heads);
    r->head_dim = (size_t)number_or(r->config, "head_dim", (double)(r->hidden / r->heads));
    r->vocabulary = count_of(r, "vocab_size");
    r->eps = number_or(r->config, "rms_norm_eps", 1e-6);
}

/* Logits of all positions: [count][vocabulary], malloc'ed. */
static inline double *run_reference(struct reference *r, const int32_t *tokens, size_t count) {
    r->positions = count;
    read_shape(r);
    const double *const embedding =
        get_tensor(r, 0.0, is_gemma(r) ? 0.1 : 1.0, r->vocabulary, r->hidden, 0, "model.embed_tokens.weight");
    const double embedding_scale = is_gemma(r) ? sqrt((double)r->hidden) : 1.0;
    double *const x = allocate(count * r->hidden), *const logits = allocate(count * r->vocabulary);
    for (size_t p = 0; p < count; p++) {
        for (size_t i = 0; i < r->hidden; i++) {
            x[p * r->hidden + i] = embedding_scale * embedding[(size_t)tokens[p] * r->hidden + i];
        }
    }
    for (size_t layer = 0; layer < r->layers; layer++) apply_layer(r, layer, x);
    norm_all(r, "model", "norm", x, x);
    const bool is_tied = flag_or(r->config, "tie_word_embeddings", is_gemma(r));
    const double *const head =
        is_tied ? embedding : get_tensor(r, 0.0, 0.1, r->vocabulary, r->hidden, 0, "lm_head.weight");
    const double cap = number_or(r->config, "final_logit_softcapping", 0);
    for (size_t p = 0; p < count; p++) {
        double *const row = logits + p * r->vocabulary;
        if (r->watch != NULL) r->watch(r, is_tied ? "model.embed_tokens" : "lm_head", x + p * r->hidden, r->hidden);
        multiply(head, NULL, r->vocabulary, r->hidden, x + p * r->hidden, row);
        for (size_t i = 0; i < r->vocabulary && cap != 0.0; i++) row[i] = cap * tanh(row[i] / cap);
    }
    free(x);
    return logits;
}

#endif
