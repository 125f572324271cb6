/* gguf_config_json.c: from GGUF's metadata to config.json. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "model/gguf_config.h"
#include "model/gguf_keys.h"

#define PI             3.14159265358979323846
#define GATING_SIGMOID 2u

struct reader {
    const struct sinq_gguf_values *values;
    const struct sinq_gguf_facts *facts;
    const struct sinq_gguf_architecture *architecture;
    struct sinq_text *json;
    char key[128];
    int status;
    struct sinq_error *error;
};

/* ---- values ---- */

static const struct sinq_gguf_value *find(struct reader *r, const char *key) {
    (void)snprintf(r->key, sizeof r->key, "%s.%s", r->architecture->name, key);
    return sinq_gguf_find(r->values, r->key);
}

static void fail_key(struct reader *r, const char *expected, bool is_missing) {
    if (r->status != SINQ_OK) return;
    r->status = sinq_fail(r->error, SINQ_FAILED, "%s: metadata: %s %s, expected %s", r->facts->path, r->key,
                          is_missing ? "is missing" : "is of another type", expected);
}

/* A number, or an array of equal numbers (one a layer). False where it is not there. */
static bool read_number(struct reader *r, const char *key, double *number) {
    const struct sinq_gguf_value *const value = find(r, key);
    double first, other;
    if (value == NULL) return false;
    bool is_good = value->type != SINQ_GGUF_BOOL && sinq_gguf_get_element(value, 0, &first);
    for (uint64_t i = 1; is_good && i < value->count; i++) {
        is_good = sinq_gguf_get_element(value, i, &other) && other == first;
    }
    if (!is_good || !isfinite(first)) {
        fail_key(r, "a number, the same for all layers", false);
        return false;
    }
    *number = first;
    return true;
}

static double number_or(struct reader *r, const char *key, double fallback) {
    (void)read_number(r, key, &fallback);
    return fallback;
}

static double needed_number(struct reader *r, const char *key) {
    double number = 0.0;
    if (!read_number(r, key, &number)) fail_key(r, "a number", true);
    return number;
}

/* ---- writing JSON ---- */

/* As few digits as an f32 needs. What follows from numbers of a file may be beyond f64, for which JSON has no word. */
static void print_number(struct reader *r, double number) {
    char text[40] = "";
    if (!isfinite(number) && r->status == SINQ_OK) {
        r->status = sinq_fail(r->error, SINQ_FAILED, "%s: metadata: what follows from %s is no finite number",
                              r->facts->path, r->key);
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, number);
        const double back = strtod(text, NULL);
        if (back == number || (float)back == (float)number) break;
    }
    sinq_text_add(r->json, text);
}

static void put_number(struct reader *r, const char *key, double number) {
    sinq_text_print(r->json, ",\n  \"%s\": ", key);
    if (floor(number) == number && fabs(number) < 9e15) {
        sinq_text_print(r->json, "%.0f", number);
    } else {
        print_number(r, number);
    }
}

static void put_raw(struct reader *r, const char *key, const char *value) {
    sinq_text_print(r->json, ",\n  \"%s\": %s", key, value);
}

static void put_flag(struct reader *r, const char *key, bool flag) { put_raw(r, key, flag ? "true" : "false"); }

static void put_field(struct reader *r, const struct sinq_gguf_key *key) {
    double number;
    bool flag;
    if (key->json == NULL) return;
    if (key->kind == SINQ_GGUF_FLAG) {
        if (sinq_gguf_get_bool(find(r, key->gguf), &flag)) put_flag(r, key->json, flag);
    } else if (read_number(r, key->gguf, &number)) {
        put_number(r, key->json, number);
    } else if (key->is_needed) {
        fail_key(r, "a number", true);
    }
}

static void put_fields(struct reader *r) {
    for (size_t t = 0; t < SINQ_GGUF_KEY_TABLES && r->architecture->keys[t] != NULL; t++) {
        for (const struct sinq_gguf_key *key = r->architecture->keys[t]; key->gguf != NULL; key++) put_field(r, key);
    }
}

/* ---- ropes ---- */

static const struct sinq_gguf_rope *find_rope(const struct reader *r, const char *name) {
    for (uint32_t i = 0; i < r->facts->rope_count; i++) {
        if (strcmp(r->facts->ropes[i].name, name) == 0) return &r->facts->ropes[i];
    }
    return NULL;
}

static void put_factors(struct reader *r, const char *key, const struct sinq_gguf_rope *rope) {
    sinq_text_print(r->json, ", \"%s\": [", key);
    for (uint32_t i = 0; i < rope->count; i++) {
        if (i > 0) sinq_text_add(r->json, ", ");
        print_number(r, rope->factors[i]);
    }
    sinq_text_add(r->json, "]");
}

/* Llama 3's parameters, of which the file has only what follows from them. */
struct llama3 {
    double factor, low, high, context;
};

/* rope_config.c's formula: what the frequency of pair `i` of `pairs` is divided by. */
static double llama3_factor(const struct llama3 *p, double theta, uint32_t i, uint32_t pairs) {
    const double waves = p->context * pow(theta, -(double)i / pairs) / (2.0 * PI);
    const double smooth = fmin(fmax((waves - p->low) / (p->high - p->low), 0.0), 1.0);
    return 1.0 / ((1.0 - smooth) / p->factor + smooth);
}

static bool fits_llama3(const struct llama3 *p, double theta, const struct sinq_gguf_rope *rope) {
    for (uint32_t i = 0; i < rope->count; i++) {
        const double expected = llama3_factor(p, theta, i, rope->count);
        if (fabs(rope->factors[i] - expected) > 1e-5 * expected) return false;
    }
    return true;
}

/* All published models ramp from 1 to 4 waves in a context that is a power of two. */
static bool find_llama3(double theta, const struct sinq_gguf_rope *rope, struct llama3 *found) {
    if (rope->count == 0) return false;
    *found = (struct llama3){.factor = rope->factors[rope->count - 1], .low = 1.0, .high = 4.0};
    if (!(found->factor > 1.0)) return false;
    for (found->context = 32.0; found->context <= 1048576.0; found->context *= 2.0) {
        if (fits_llama3(found, theta, rope)) return true;
    }
    return false;
}

/* Frequencies with divisors, whatever they come from, are what longrope has. */
static void put_freqs(struct reader *r, double theta, const struct sinq_gguf_rope *rope) {
    struct llama3 found;
    sinq_text_print(r->json, ",\n  \"rope_scaling\": {\"rope_type\": ");
    if (find_llama3(theta, rope, &found)) {
        sinq_text_print(r->json, "\"llama3\", \"factor\": ");
        print_number(r, found.factor);
        sinq_text_print(r->json,
                        ", \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
                        "\"original_max_position_embeddings\": %.0f}",
                        found.context);
        return;
    }
    sinq_text_print(r->json, "\"longrope\", \"factor\": 1.0, \"attention_factor\": 1.0");
    put_factors(r, "short_factor", rope);
    put_factors(r, "long_factor", rope);
    sinq_text_add(r->json, "}");
}

static void put_longrope(struct reader *r, const struct sinq_gguf_rope *brief, const struct sinq_gguf_rope *lasting) {
    const double context = needed_number(r, "context_length");
    const double original = number_or(r, "rope.scaling.original_context_length", context);
    const double factor = original > 0.0 ? context / original : 1.0;
    const double implied = factor <= 1.0 || original <= 1.0 ? 1.0 : sqrt(1.0 + log(factor) / log(original));
    put_number(r, "original_max_position_embeddings", original);
    sinq_text_print(r->json, ",\n  \"rope_scaling\": {\"rope_type\": \"longrope\", \"attention_factor\": ");
    print_number(r, number_or(r, "rope.scaling.attn_factor", implied));
    put_factors(r, "short_factor", brief);
    put_factors(r, "long_factor", lasting);
    sinq_text_add(r->json, "}");
}

static void put_yarn(struct reader *r, double factor) {
    const double attention = number_or(r, "rope.scaling.yarn_attn_factor", 1.0);
    const double multiplier = number_or(r, "rope.scaling.yarn_log_multiplier", 0.0);
    const double context = number_or(r, "context_length", 0.0);
    sinq_text_print(r->json, ",\n  \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": ");
    print_number(r, factor);
    sinq_text_print(r->json, ", \"original_max_position_embeddings\": %.0f",
                    number_or(r, "rope.scaling.original_context_length", context));
    sinq_text_add(r->json, ", \"beta_fast\": ");
    print_number(r, number_or(r, "rope.scaling.yarn_beta_fast", 32.0));
    sinq_text_add(r->json, ", \"beta_slow\": ");
    print_number(r, number_or(r, "rope.scaling.yarn_beta_slow", 1.0));
    if (r->architecture->is_latent) {
        /* Cosines are not scaled; scores are, by the square of 1 + multiplier log factor. */
        sinq_text_add(r->json, ", \"attention_factor\": 1.0, \"mscale\": ");
        print_number(r, multiplier / 0.1);
        sinq_text_add(r->json, ", \"mscale_all_dim\": ");
        print_number(r, multiplier / 0.1);
    } else if (attention != 1.0) {
        sinq_text_add(r->json, ", \"attention_factor\": ");
        print_number(r, attention * (factor > 1.0 ? 1.0 + 0.1 * log(factor) : 1.0));
    }
    if (strcmp(r->architecture->model_type, "gpt_oss") == 0) sinq_text_add(r->json, ", \"truncate\": false");
    sinq_text_add(r->json, "}");
}

static bool has_word(struct reader *r, const char *key, const char *word) {
    const char *bytes;
    size_t size;
    return sinq_gguf_get_string(find(r, key), &bytes, &size) && size == strlen(word) && memcmp(bytes, word, size) == 0;
}

static void put_rope(struct reader *r) {
    const double theta = number_or(r, "rope.freq_base", 10000.0);
    const double factor = number_or(r, "rope.scaling.factor", number_or(r, "rope.scale_linear", 1.0));
    const struct sinq_gguf_rope *const freqs = find_rope(r, SINQ_GGUF_ROPE_FREQS);
    const struct sinq_gguf_rope *const brief = find_rope(r, SINQ_GGUF_ROPE_SHORT);
    const struct sinq_gguf_rope *const lasting = find_rope(r, SINQ_GGUF_ROPE_LONG);
    const bool is_yarn = has_word(r, "rope.scaling.type", "yarn");
    put_number(r, "rope_theta", theta);
    if (brief != NULL && lasting != NULL) {
        put_longrope(r, brief, lasting);
    } else if (freqs != NULL) {
        put_freqs(r, theta, freqs);
    } else if (is_yarn) {
        put_yarn(r, factor);
    } else if (factor != 1.0 && !has_word(r, "rope.scaling.type", "none")) {
        sinq_text_print(r->json, ",\n  \"rope_scaling\": {\"rope_type\": \"linear\", \"factor\": ");
        print_number(r, factor);
        sinq_text_add(r->json, "}");
    } else if (strcmp(r->architecture->model_type, "gpt_oss") == 0) {
        put_raw(r, "rope_scaling", "{\"rope_type\": \"default\"}"); /* else it would be a yarn */
    }
}

/* ---- heads ---- */

static void put_heads(struct reader *r) {
    const double hidden = needed_number(r, "embedding_length"), heads = needed_number(r, "attention.head_count");
    const double usual = heads > 0.0 ? floor(hidden / heads) : 0.0;
    const double head_dim = number_or(r, "attention.key_length", usual);
    const double turned = number_or(r, "rope.dimension_count", head_dim);
    put_number(r, "head_dim", head_dim);
    if (turned < head_dim) put_number(r, "partial_rotary_factor", turned / head_dim);
    if (r->status == SINQ_OK && number_or(r, "attention.value_length", head_dim) != head_dim) {
        r->status = sinq_fail(r->error, SINQ_FAILED, "%s: metadata: %s is not attention.key_length, which cannot run",
                              r->facts->path, r->key);
    }
}

/* Files that were made before llama.cpp knew latent attention have the trained heads' sizes under the plain keys. */
static void put_latent(struct reader *r) {
    const double rope = needed_number(r, "rope.dimension_count"), rank = number_or(r, "attention.q_lora_rank", 0.0);
    const double key = number_or(r, "attention.key_length_mla", number_or(r, "attention.key_length", 0.0));
    const double value = number_or(r, "attention.value_length_mla", number_or(r, "attention.value_length", 0.0));
    const double experts = number_or(r, "expert_count", 0.0);
    const bool is_whole = experts == 256.0; /* of DeepSeek-V3: older files do not say its groups */
    const double groups = number_or(r, "expert_group_count", is_whole ? 8.0 : 1.0);
    put_number(r, "num_key_value_heads", needed_number(r, "attention.head_count"));
    if (rank == 0.0) put_raw(r, "q_lora_rank", "null");
    if (rank != 0.0) put_number(r, "q_lora_rank", rank);
    put_number(r, "qk_rope_head_dim", rope);
    put_number(r, "qk_nope_head_dim", key - rope);
    put_number(r, "v_head_dim", value);
    put_number(r, "head_dim", rope);
    put_number(r, "first_k_dense_replace", number_or(r, "leading_dense_block_count", 0.0));
    put_number(r, "n_group", groups);
    put_number(r, "topk_group", number_or(r, "expert_group_used_count", is_whole ? 4.0 : 1.0));
    if (strcmp(r->architecture->model_type, "deepseek_v2") == 0) {
        put_raw(r, "topk_method", groups > 1.0 ? "\"group_limited_greedy\"" : "\"greedy\"");
    }
}

/* ---- what families have of their own ---- */

static void put_gemma(struct reader *r) {
    const double layers = needed_number(r, "block_count"), heads = needed_number(r, "attention.head_count");
    const double hidden = needed_number(r, "embedding_length");
    const bool is_third = strcmp(r->architecture->name, "gemma3") == 0;
    const bool is_largest = layers == (is_third ? 62.0 : 46.0) && heads > 0.0;
    put_number(r, "query_pre_attn_scalar",
               is_largest ? hidden / heads
                          : number_or(r, "attention.key_length", heads > 0.0 ? floor(hidden / heads) : 0.0));
    if (!is_third) return;
    put_number(r, "rope_local_base_freq", number_or(r, "rope.freq_base_swa", 10000.0));
    const struct sinq_gguf_value *const pattern = find(r, "attention.sliding_window_pattern");
    put_number(r, "sliding_window_pattern",
               pattern == NULL || pattern->is_array ? 6.0 : number_or(r, "attention.sliding_window_pattern", 6.0));
}

static void put_family(struct reader *r) {
    const char *const type = r->architecture->model_type;
    bool flag = true;
    if (strncmp(type, "gemma", 5) == 0) put_gemma(r);
    if (strcmp(type, "qwen3_moe") == 0) {
        (void)sinq_gguf_get_bool(find(r, "expert_weights_norm"), &flag);
        put_flag(r, "norm_topk_prob", flag);
    }
}

/* What generation needs: BOS, and the ids that end an answer. */
static void put_tokens(struct reader *r) {
    uint64_t bos, eos = UINT64_MAX, turn = UINT64_MAX;
    if (sinq_gguf_get_u64(sinq_gguf_find(r->values, "tokenizer.ggml.bos_token_id"), &bos)) {
        put_number(r, "bos_token_id", (double)bos);
    }
    const bool has_eos = sinq_gguf_get_u64(sinq_gguf_find(r->values, "tokenizer.ggml.eos_token_id"), &eos);
    const bool has_turn = sinq_gguf_get_u64(sinq_gguf_find(r->values, "tokenizer.ggml.eot_token_id"), &turn);
    if (has_eos && has_turn && eos != turn) {
        sinq_text_print(r->json, ",\n  \"eos_token_id\": [%.0f, %.0f]", (double)eos, (double)turn);
    } else if (has_eos || has_turn) {
        put_number(r, "eos_token_id", (double)(has_eos ? eos : turn));
    }
}

/* ---- the whole ---- */

const char *sinq_find_gguf_model_type(const struct sinq_gguf_values *values, char name[64]) {
    const char *bytes;
    size_t size;
    double number = 0.0;
    const struct sinq_gguf_value *const value = sinq_gguf_find(values, "general.architecture");
    if (!sinq_gguf_get_string(value, &bytes, &size) || size == 0) return NULL;
    (void)snprintf(name, 64, "%.*s", (int)(size < 60 ? size : 60), bytes);
    if (strcmp(name, "llama") == 0) {
        if (sinq_gguf_get_f64(sinq_gguf_find(values, "llama.expert_count"), &number) && number > 0.0) return "mixtral";
        return sinq_gguf_find(values, "llama.attention.sliding_window") != NULL ? "mistral" : "llama";
    }
    if (strcmp(name, "deepseek2") == 0) {
        (void)sinq_gguf_get_f64(sinq_gguf_find(values, "deepseek2.expert_gating_func"), &number);
        return number == GATING_SIGMOID ? "deepseek_v3" : "deepseek_v2";
    }
    if (strcmp(name, "qwen3moe") == 0) return "qwen3_moe";
    if (strcmp(name, "gemma3") == 0) return "gemma3_text";
    if (strcmp(name, "gpt-oss") == 0) return "gpt_oss";
    sinq_make_printable(name);
    return name;
}

int sinq_print_gguf_config(const struct sinq_gguf_values *values, const struct sinq_gguf_facts *facts,
                           struct sinq_text *json, struct sinq_error *error) {
    struct reader reader = {.values = values, .facts = facts, .json = json, .status = SINQ_OK, .error = error};
    char name[64];
    const char *const model_type = sinq_find_gguf_model_type(values, name);
    if (model_type == NULL) {
        return sinq_fail(error, SINQ_FAILED, "%s: metadata: general.architecture is missing, expected a string",
                         facts->path);
    }
    sinq_text_add(json, "{\n  \"model_type\": ");
    sinq_text_add_json(json, model_type);
    reader.architecture = sinq_find_gguf_architecture(model_type);
    if (reader.architecture != NULL) {
        put_fields(&reader);
        if (reader.architecture->is_latent) {
            put_latent(&reader);
        } else {
            put_heads(&reader);
        }
        put_number(&reader, "vocab_size", (double)facts->vocabulary);
        put_flag(&reader, "tie_word_embeddings", !facts->has_head);
        put_flag(&reader, "attention_bias", facts->has_attention_bias);
        put_flag(&reader, "mlp_bias", facts->has_mlp_bias);
        put_rope(&reader);
        put_family(&reader);
        put_tokens(&reader);
    }
    sinq_text_add(json, "\n}\n");
    if (json->failed && reader.status == SINQ_OK) return sinq_fail_memory(error, "config.json", 4096);
    return reader.status;
}
