/* gguf_config.c: from a model's configuration to GGUF's metadata. */
#include "model/gguf_config.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/gguf_keys.h"
#include "model/rope_config.h"

/* llama.cpp's enum llama_expert_gating_func_type. */
#define GATING_SOFTMAX 1u
#define GATING_SIGMOID 2u

struct writer {
    const char *path;
    const struct sinq_model_config *config;
    const struct sinq_gguf_architecture *architecture;
    struct sinq_gguf_values *values;
    char key[128];
    int status;
    struct sinq_error *error;
};

static void refuse(struct writer *w, const char *format, ...) SINQ_PRINTF(2, 3);
static void refuse(struct writer *w, const char *format, ...) {
    char reason[400];
    if (w->status != SINQ_OK) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    w->status = sinq_fail(w->error, SINQ_FAILED, "%s: %s, which llama.cpp cannot do", w->path, reason);
}

/* "llama.block_count"; valid until the next call. */
static const char *name_key(struct writer *w, const char *key) {
    (void)snprintf(w->key, sizeof w->key, "%s.%s", w->architecture->name, key);
    return w->key;
}

static void add_count(struct writer *w, const char *key, uint64_t count) {
    sinq_gguf_add_u32(w->values, name_key(w, key), (uint32_t)count);
}

static void add_number(struct writer *w, const char *key, double number) {
    sinq_gguf_add_f32(w->values, name_key(w, key), (float)number);
}

static void add_word(struct writer *w, const char *key, const char *word) {
    sinq_gguf_add_string(w->values, name_key(w, key), word, strlen(word));
}

/* ---- what the table says ---- */

/* Where llama.cpp passes over the window, the context ends where it would matter. */
static uint64_t limit_context(const struct writer *w, uint64_t context) {
    const bool is_ignored = w->architecture->sliding == SINQ_GGUF_IGNORED_SLIDING && w->config->window != 0;
    return is_ignored ? sinq_min_u64(context, w->config->window) : context;
}

static void add_field(struct writer *w, const struct sinq_gguf_key *key) {
    const uint8_t *const field = (const uint8_t *)w->config + key->field;
    uint32_t count;
    uint64_t context;
    float number;
    bool flag;
    switch (key->kind) {
    case SINQ_GGUF_COUNT:
        memcpy(&count, field, sizeof count);
        if (count != 0) add_count(w, key->gguf, count);
        return;
    case SINQ_GGUF_CONTEXT:
        memcpy(&context, field, sizeof context);
        add_count(w, key->gguf, limit_context(w, context));
        return;
    case SINQ_GGUF_NUMBER:
        memcpy(&number, field, sizeof number);
        if (number != 0.0f) add_number(w, key->gguf, number);
        return;
    case SINQ_GGUF_FLAG:
        memcpy(&flag, field, sizeof flag);
        sinq_gguf_add_bool(w->values, name_key(w, key->gguf), flag);
        return;
    }
}

static void add_fields(struct writer *w) {
    for (size_t t = 0; t < SINQ_GGUF_KEY_TABLES && w->architecture->keys[t] != NULL; t++) {
        for (const struct sinq_gguf_key *key = w->architecture->keys[t]; key->gguf != NULL; key++) add_field(w, key);
    }
}

/* ---- what llama.cpp has built in ---- */

static void check_layers(struct writer *w) {
    const struct sinq_model_config *const config = w->config;
    const bool has_experts = config->experts != 0 && !w->architecture->is_latent;
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        bool slides = config->is_sliding[layer];
        if (w->architecture->sliding == SINQ_GGUF_SLIDING) {
            slides = config->window != 0 && (layer + 1) % w->architecture->period != 0;
        }
        if (w->architecture->sliding == SINQ_GGUF_NO_SLIDING) slides = false;
        if (slides != (config->is_sliding[layer] != 0)) {
            refuse(w, "layer %u %s a sliding window", layer, slides ? "has not" : "has");
        }
        if (has_experts && strcmp(config->model_type, "qwen3_moe") == 0 && !config->is_sparse[layer]) {
            refuse(w, "layer %u has no experts though others do", layer);
        }
    }
}

/* Gemma's largest models divide by the square root of another number than head_dim, which llama.cpp knows by their layers. */
static double find_attention_scalar(const struct sinq_model_config *config) {
    const bool is_largest = (strcmp(config->model_type, "gemma2") == 0 && config->layers == 46) ||
                            (strncmp(config->model_type, "gemma3", 6) == 0 && config->layers == 62);
    return is_largest ? (double)config->hidden / config->heads : config->head_dim;
}

static void check_built_in(struct writer *w) {
    const struct sinq_model_config *const config = w->config;
    check_layers(w);
    if (config->activation != w->architecture->activation) refuse(w, "its activation is another than its family's");
    if (w->architecture->is_latent) return;
    const double scalar = find_attention_scalar(config), scale = 1.0 / sqrt(scalar);
    if (fabs(config->attention_scale - scale) > 1e-5 * scale) {
        refuse(w, "scores are scaled by %g, not by 1 / sqrt(%g)", (double)config->attention_scale, scalar);
    }
}

/* ---- ropes ---- */

static void add_yarn(struct writer *w, const struct sinq_rope *rope) {
    const double implied = w->architecture->is_latent ? 1.0 : sinq_yarn_scale(rope->factor, 1.0);
    add_word(w, "rope.scaling.type", "yarn");
    add_number(w, "rope.scaling.factor", rope->factor);
    add_count(w, "rope.scaling.original_context_length", rope->original_context);
    if (rope->beta_fast != 32.0) add_number(w, "rope.scaling.yarn_beta_fast", rope->beta_fast);
    if (rope->beta_slow != 1.0) add_number(w, "rope.scaling.yarn_beta_slow", rope->beta_slow);
    if (fabs(rope->attention_factor / implied - 1.0) < 1e-6) return;
    if (w->architecture->is_latent) {
        refuse(w, "its rope's mscale is not mscale_all_dim");
        return;
    }
    add_number(w, "rope.scaling.yarn_attn_factor", rope->attention_factor / implied);
}

static void add_rope(struct writer *w) {
    const struct sinq_rope *const rope = &w->config->ropes[0];
    add_number(w, "rope.freq_base", rope->theta);
    add_count(w, "rope.dimension_count", rope->dims);
    switch (rope->type) {
    case SINQ_ROPE_DEFAULT:
    case SINQ_ROPE_LLAMA3:
        break; /* a tensor says what to divide frequencies by */
    case SINQ_ROPE_LINEAR:
        add_word(w, "rope.scaling.type", "linear");
        add_number(w, "rope.scaling.factor", rope->factor);
        break;
    case SINQ_ROPE_DYNAMIC:
        refuse(w, "its rope is dynamic");
        break;
    case SINQ_ROPE_YARN:
        add_yarn(w, rope);
        break;
    case SINQ_ROPE_LONGROPE:
        add_word(w, "rope.scaling.type", "longrope");
        add_count(w, "rope.scaling.original_context_length", rope->original_context);
        add_number(w, "rope.scaling.attn_factor", rope->attention_factor);
        break;
    }
    if (w->config->rope_count < 2) return;
    const struct sinq_rope *const sliding = &w->config->ropes[1];
    if (sliding->type != SINQ_ROPE_DEFAULT) refuse(w, "the rope of sliding layers is not a plain one");
    if (sliding->theta != 10000.0) refuse(w, "the rope of sliding layers has a base of %g", sliding->theta);
}

static double *plain_frequencies(const struct sinq_rope *rope) {
    double *const frequencies = malloc((rope->dims / 2 + 1) * sizeof *frequencies);
    for (uint32_t i = 0; frequencies != NULL && i < rope->dims / 2; i++) {
        frequencies[i] = pow(rope->theta, -2.0 * i / rope->dims);
    }
    return frequencies;
}

static int add_factors(const struct sinq_rope *rope, const double *plain, const double *scaled, const char *name,
                       struct sinq_gguf_rope *ropes, uint32_t *count, struct sinq_error *error) {
    const uint32_t pairs = rope->dims / 2;
    float *const factors = malloc((pairs + 1) * sizeof *factors);
    if (factors == NULL) return sinq_fail_memory(error, name, pairs * sizeof *factors);
    for (uint32_t i = 0; i < pairs; i++) factors[i] = (float)(plain[i] / scaled[i]);
    ropes[(*count)++] = (struct sinq_gguf_rope){.name = name, .factors = factors, .count = pairs};
    return SINQ_OK;
}

int sinq_make_gguf_ropes(const struct sinq_model_config *config, struct sinq_gguf_rope ropes[SINQ_GGUF_MOST_ROPES],
                         uint32_t *count, struct sinq_error *error) {
    const struct sinq_rope *const rope = &config->ropes[0];
    *count = 0;
    if (rope->type != SINQ_ROPE_LLAMA3 && rope->type != SINQ_ROPE_LONGROPE) return SINQ_OK;
    double *const plain = plain_frequencies(rope);
    if (plain == NULL) return sinq_fail_memory(error, "a rope", rope->dims * sizeof *plain);
    const bool is_long = rope->type == SINQ_ROPE_LONGROPE;
    int status = add_factors(rope, plain, rope->frequencies, is_long ? SINQ_GGUF_ROPE_SHORT : SINQ_GGUF_ROPE_FREQS,
                             ropes, count, error);
    if (status == SINQ_OK && is_long) {
        status = add_factors(rope, plain, rope->long_frequencies, SINQ_GGUF_ROPE_LONG, ropes, count, error);
    }
    free(plain);
    return status;
}

/* ---- latent attention ---- */

/* Keys and values of the one head that attention works with; "_mla" are those of the heads as trained. */
static void add_latent(struct writer *w) {
    const struct sinq_model_config *const config = w->config;
    uint32_t dense = 0;
    while (dense < config->layers && !config->is_sparse[dense]) dense++;
    for (uint32_t layer = dense; layer < config->layers; layer++) {
        if (!config->is_sparse[layer]) refuse(w, "layer %u has no experts though one before it does", layer);
    }
    add_count(w, "leading_dense_block_count", dense);
    /* llama.cpp takes such queries for those of DeepSeek-V2-Lite, which it knows by its layers. */
    if (config->q_rank == 0 && config->layers != 26 && config->layers != 27) {
        refuse(w, "q_lora_rank is null in a model of %u layers", config->layers);
    }
    if (config->q_rank != 0) add_count(w, "attention.q_lora_rank", config->q_rank);
    add_count(w, "attention.head_count_kv", 1);
    add_count(w, "attention.key_length", config->kv_rank + config->rope_dim);
    add_count(w, "attention.value_length", config->kv_rank);
    add_count(w, "attention.key_length_mla", config->nope_dim + config->rope_dim);
    add_count(w, "attention.value_length_mla", config->value_dim);
    add_count(w, "expert_gating_func", config->routing == SINQ_ROUTING_SIGMOID ? GATING_SIGMOID : GATING_SOFTMAX);
    if (config->expert_groups > 1) {
        add_count(w, "expert_group_count", config->expert_groups);
        add_count(w, "expert_group_used_count", config->expert_top_groups);
        if (!config->groups_by_two) refuse(w, "groups of experts are chosen by their best expert alone");
    }
    const double inner = sqrt((double)config->nope_dim + config->rope_dim);
    const double mscale = sqrt(config->attention_scale * inner), factor = config->ropes[0].factor;
    if (config->ropes[0].type == SINQ_ROPE_YARN && factor > 1.0) {
        add_number(w, "rope.scaling.yarn_log_multiplier", (mscale - 1.0) / log(factor));
    }
}

int sinq_make_gguf_config(const char *path, const struct sinq_model_config *config, struct sinq_gguf_values *values,
                          struct sinq_error *error) {
    struct writer writer = {.path = path, .config = config, .values = values, .status = SINQ_OK, .error = error};
    writer.architecture = sinq_find_gguf_architecture(config->model_type);
    if (writer.architecture == NULL) {
        return sinq_fail(error, SINQ_FAILED, "%s: GGUF has no architecture for a model of type \"%.60s\"", path,
                         config->model_type);
    }
    check_built_in(&writer);
    add_fields(&writer);
    if (writer.architecture->is_latent) add_latent(&writer);
    add_rope(&writer);
    if (values->failed && writer.status == SINQ_OK) return sinq_fail_memory(error, "GGUF metadata", 1024);
    return writer.status;
}
