#include "model/config.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "model/config_reader.h"
#include "model/families/families.h"
#include "model/layer_kinds.h"
#include "model/rope_config.h"

#define LARGEST_HIDDEN     (1u << 20)
#define LARGEST_FFN        (1u << 24)
#define LARGEST_VOCABULARY (1u << 26)
#define MOST_LAYERS        4096u
#define MOST_HEADS         (1u << 16)
#define LARGEST_HEAD       (1u << 16)
#define LARGEST_CONTEXT    ((uint64_t)INT32_MAX)

/* ---- families ---- */

static const struct {
    const char *model_type;
    const struct sinq_family_graph *graph;
} families[] = {
#define FAMILY_ENTRY(model_type, name) {#model_type, &sinq_graph_of_##name},
    SINQ_RUNNABLE_FAMILIES(FAMILY_ENTRY)
#undef FAMILY_ENTRY
};

const char *sinq_runnable_families(void) {
#define FAMILY_NAME(model_type, name) ", " #model_type
    return &(SINQ_RUNNABLE_FAMILIES(FAMILY_NAME))[2];
#undef FAMILY_NAME
}

static void find_family(struct sinq_config_reader *reader, const char *model_type, struct sinq_model_config *config) {
    if (reader->status != SINQ_OK) return;
    for (size_t i = 0; model_type != NULL && i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(model_type, families[i].model_type) != 0) continue;
        config->family = families[i].graph;
        config->model_type = families[i].model_type;
        return;
    }
    if (model_type == NULL) {
        sinq_config_fail(reader, "there is no model_type; families that can run: %s", sinq_runnable_families());
    } else {
        sinq_config_fail(reader, "a model of type \"%.60s\" cannot run; families that can: %s", model_type,
                         sinq_runnable_families());
    }
}

/* ---- what all families have ---- */

static uint32_t read_size(struct sinq_config_reader *reader, const char *key, uint32_t most, uint32_t fallback) {
    return (uint32_t)sinq_config_count(reader, key, 1, most, fallback == 0 ? SINQ_CONFIG_NEEDED : fallback);
}

static void read_heads(struct sinq_config_reader *reader, const struct sinq_config_defaults *defaults,
                       struct sinq_model_config *config) {
    config->heads = read_size(reader, "num_attention_heads", MOST_HEADS, defaults->heads);
    const uint32_t kv_heads = defaults->kv_heads == 0 ? config->heads : defaults->kv_heads;
    config->kv_heads = read_size(reader, "num_key_value_heads", MOST_HEADS, kv_heads);
    config->head_dim = defaults->head_dim == 0 ? config->hidden / config->heads : defaults->head_dim;
    const bool is_said = sinq_config_member(reader, "head_dim") != NULL || defaults->head_dim != 0;
    if (!is_said && config->hidden % config->heads != 0) {
        sinq_config_fail(reader, "num_attention_heads %u does not divide hidden_size %u, and there is no head_dim",
                         config->heads, config->hidden);
    }
    config->head_dim = (uint32_t)sinq_config_count(reader, "head_dim", 1, LARGEST_HEAD, config->head_dim);
    if (config->heads % config->kv_heads != 0) {
        sinq_config_fail(reader, "num_key_value_heads %u does not divide num_attention_heads %u", config->kv_heads,
                         config->heads);
    }
}

static void read_activation(struct sinq_config_reader *reader, const struct sinq_config_defaults *defaults,
                            struct sinq_model_config *config) {
    static const struct {
        const char *name;
        enum sinq_activation activation;
    } names[] = {
        {"silu", SINQ_ACTIVATION_SILU},          {"swish", SINQ_ACTIVATION_SILU},
        {"gelu", SINQ_ACTIVATION_GELU},          {"gelu_pytorch_tanh", SINQ_ACTIVATION_GELU_TANH},
        {"gelu_new", SINQ_ACTIVATION_GELU_TANH}, {"gelu_fast", SINQ_ACTIVATION_GELU_TANH},
    };
    const char *const key = defaults->activation_key == NULL ? "hidden_act" : defaults->activation_key;
    const char *const name =
        sinq_config_word(reader, key, defaults->activation == NULL ? "silu" : defaults->activation);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i].name) != 0) continue;
        config->activation = names[i].activation;
        return;
    }
    sinq_config_fail(reader, "%s is \"%.60s\", expected silu, gelu or gelu_pytorch_tanh", key, name);
}

static int64_t read_bos(const struct sinq_config_reader *reader) {
    const cJSON *member = sinq_config_member(reader, "bos_token_id");
    if (cJSON_IsArray(member)) member = member->child;
    const bool is_token = cJSON_IsNumber(member) && member->valuedouble >= 0.0 && member->valuedouble <= INT32_MAX;
    return is_token ? (int64_t)member->valuedouble : -1;
}

static void read_sizes(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    const struct sinq_config_defaults *const defaults = &config->family->defaults;
    config->hidden = read_size(reader, "hidden_size", LARGEST_HIDDEN, defaults->hidden);
    config->layers = read_size(reader, "num_hidden_layers", MOST_LAYERS, defaults->layers);
    config->ffn = read_size(reader, "intermediate_size", LARGEST_FFN, defaults->ffn);
    config->vocabulary = read_size(reader, "vocab_size", LARGEST_VOCABULARY, defaults->vocabulary);
    config->context = sinq_config_count(reader, "max_position_embeddings", 1, LARGEST_CONTEXT, defaults->context);
    config->eps = (float)sinq_config_number(reader, "rms_norm_eps", 0.0, 1.0, defaults->eps);
    read_heads(reader, defaults, config);
    read_activation(reader, defaults, config);
    config->attention_scale = (float)(1.0 / sqrt(config->head_dim));
    config->embedding_scale = 1.0f;
    config->share_scale = 1.0f;
    config->expert_groups = config->expert_top_groups = 1;
    config->bos = read_bos(reader);
    config->is_sliding = calloc(config->layers, 1);
    config->is_sparse = calloc(config->layers, 1);
    if (config->is_sliding != NULL && config->is_sparse != NULL) return;
    if (reader->status == SINQ_OK) reader->status = sinq_fail_memory(reader->error, "a configuration", config->layers);
}

/* ---- ropes ---- */

/* rope_parameters (transformers 5), or rope_scaling (transformers 4), or none. */
static struct sinq_config_reader find_rope_parameters(struct sinq_config_reader *reader, const char *layer_type) {
    struct sinq_config_reader found = *reader;
    found.inside = "rope_parameters.";
    found.object = sinq_config_member(reader, "rope_parameters");
    const struct sinq_config_reader parameters = found;
    const cJSON *const own = sinq_config_member(&parameters, layer_type);
    if (own != NULL) {
        found.object = own;
    } else if (found.object == NULL) {
        found.inside = "rope_scaling.";
        found.object = sinq_config_member(reader, "rope_scaling");
    }
    if (found.object != NULL && !cJSON_IsObject(found.object)) {
        sinq_config_fail(reader, "%.*s is no object", (int)strlen(found.inside) - 1, found.inside);
        found.status = reader->status;
    }
    return found;
}

/* A longer context than max_position_embeddings, where the rope is there to reach it. */
static uint64_t find_context(const struct sinq_rope *rope, uint64_t context) {
    const bool is_stretched = rope->type == SINQ_ROPE_DYNAMIC || rope->type == SINQ_ROPE_YARN;
    const uint64_t original = rope->type == SINQ_ROPE_DYNAMIC ? context : rope->original_context;
    const double reached = is_stretched ? (double)original * rope->factor : 0.0;
    if (reached <= (double)context) return context;
    return reached < (double)LARGEST_CONTEXT ? (uint64_t)reached : LARGEST_CONTEXT;
}

/* transformers 4 gives it a base alone, 5 whatever parameters "sliding_attention" has. */
static void read_sliding_rope(struct sinq_config_reader *reader, struct sinq_rope_model *model,
                              struct sinq_model_config *config) {
    struct sinq_config_reader whole = *reader, own = *reader;
    whole.object = sinq_config_member(reader, "rope_parameters");
    own.inside = "rope_parameters.sliding_attention.";
    own.object = sinq_config_member(&whole, "sliding_attention");
    model->theta =
        sinq_config_number(reader, "rope_local_base_freq", 1.0, 1e12, config->family->defaults.sliding_theta);
    sinq_read_rope(&own, model, &config->ropes[1]);
    config->rope_count = 2;
    if (reader->status == SINQ_OK) reader->status = own.status;
}

static struct sinq_rope_model describe_rope_model(struct sinq_config_reader *reader,
                                                  const struct sinq_model_config *config) {
    const struct sinq_config_defaults *const defaults = &config->family->defaults;
    return (struct sinq_rope_model){
        .width = config->rope_dim == 0 ? config->head_dim : config->rope_dim,
        .theta = sinq_config_number(reader, "rope_theta", 1.0, 1e12, defaults->theta),
        .rotary_share = sinq_config_number(reader, "partial_rotary_factor", 0.0, 1.0, 1.0),
        .context = config->context,
        .original_context = sinq_config_count(reader, "original_max_position_embeddings", 2, LARGEST_CONTEXT, 0),
        .interleaved = config->rope_interleaved,
    };
}

static void read_ropes(struct sinq_config_reader *reader, struct sinq_model_config *config) {
    const struct sinq_config_defaults *const defaults = &config->family->defaults;
    struct sinq_rope_model model = describe_rope_model(reader, config);
    struct sinq_config_reader parameters = find_rope_parameters(reader, "full_attention");
    if (reader->status != SINQ_OK) return;
    cJSON *const usual = defaults->rope == NULL ? NULL : cJSON_Parse(defaults->rope);
    if (parameters.object == NULL) parameters.object = usual;
    sinq_read_rope(&parameters, &model, &config->ropes[0]);
    cJSON_Delete(usual);
    config->rope_count = 1;
    reader->status = parameters.status;
    if (reader->status == SINQ_OK && defaults->sliding_theta != 0.0) read_sliding_rope(reader, &model, config);
    if (reader->status == SINQ_OK) config->context = find_context(&config->ropes[0], config->context);
}

/* ---- the whole ---- */

/* A multimodal model's text part, or the whole. */
static const cJSON *find_text_model(const cJSON *root) {
    const cJSON *const part = cJSON_GetObjectItemCaseSensitive(root, "text_config");
    return cJSON_IsObject(part) ? part : root;
}

static void read_model(struct sinq_config_reader *reader, const cJSON *root, struct sinq_model_config *config) {
    struct sinq_config_reader whole = *reader;
    whole.object = root;
    reader->object = find_text_model(root);
    find_family(reader, sinq_config_word(reader, "model_type", sinq_config_word(&whole, "model_type", NULL)), config);
    if (reader->status != SINQ_OK) return;
    read_sizes(reader, config);
    const bool outer_tie = sinq_config_flag(&whole, "tie_word_embeddings", config->family->defaults.tied);
    config->tied = sinq_config_flag(reader, "tie_word_embeddings", outer_tie);
    if (reader->status == SINQ_OK) reader->status = whole.status;
    if (reader->status == SINQ_OK && config->family->configure != NULL) config->family->configure(reader, config);
    if (reader->status == SINQ_OK) read_ropes(reader, config);
}

/* How many bytes of `text` Python wrote for a number that is none. */
static size_t measure_nonfinite(const char *text) {
    static const char *const words[] = {"-Infinity", "Infinity", "NaN"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(text, words[i], strlen(words[i])) == 0) return strlen(words[i]);
    }
    return 0;
}

/* Such numbers are no JSON. None of what is read here can be one, so they count as null. NULL when out of memory. */
static char *replace_nonfinite(const char *text) {
    struct sinq_text copy = {0};
    bool in_string = false;
    while (*text != '\0') {
        const size_t word = in_string ? 0 : measure_nonfinite(text);
        const size_t size = word > 0 ? word : *text == '\\' && text[1] != '\0' ? 2 : 1;
        if (*text == '"') in_string = !in_string;
        sinq_text_add_bytes(&copy, word > 0 ? "null" : text, word > 0 ? strlen("null") : size);
        text += size;
    }
    return copy.data;
}

int sinq_read_model_config(const char *path, const char *text, struct sinq_model_config *config,
                           struct sinq_error *error) {
    struct sinq_config_reader reader = {.path = path, .inside = "", .status = SINQ_OK, .error = error};
    *config = (struct sinq_model_config){0};
    char *const copy = replace_nonfinite(text);
    cJSON *const root = copy == NULL ? NULL : cJSON_Parse(copy);
    if (!cJSON_IsObject(root)) {
        sinq_config_fail(&reader, "expected a JSON object");
    } else {
        read_model(&reader, root, config);
    }
    cJSON_Delete(root);
    free(copy);
    if (reader.status != SINQ_OK) sinq_model_config_free(config);
    return reader.status;
}

void sinq_model_config_free(struct sinq_model_config *config) {
    if (config == NULL) return;
    for (uint32_t i = 0; i < SINQ_MAX_ROPES; i++) sinq_rope_free(&config->ropes[i]);
    free(config->is_sliding);
    free(config->is_sparse);
    *config = (struct sinq_model_config){0};
}
