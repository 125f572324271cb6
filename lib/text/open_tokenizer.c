/* open_tokenizer.c: a checkpoint's tokenizer, from its sidecar files. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer.h"

#define KEY_BYTES ((size_t)256)
#define MAX_ENDS  ((size_t)256)

/* ---- sidecar files ---- */

/* The index of the file with that name, or -1. */
static int64_t find_sidecar(const struct sinq_source *source, const char *name) {
    for (size_t i = 0; i < sinq_source_sidecar_count(source); i++) {
        if (strcmp(sinq_source_sidecar_name(source, i), name) == 0) return (int64_t)i;
    }
    return -1;
}

static int fail_absent(const struct sinq_source *source, struct sinq_error *error) {
    static const char *const others[] = {"tokenizer.model", "vocab.json", "tiktoken.model", "vocab.txt"};
    const char *other = NULL;
    for (size_t i = 0; i < sizeof others / sizeof others[0] && other == NULL; i++) {
        if (find_sidecar(source, others[i]) >= 0) other = others[i];
    }
    return sinq_fail(error, SINQ_FAILED,
                     "%.300s: the model has no tokenizer.json%s%s%s; --token-ids takes ids instead of text",
                     sinq_source_path(source), other == NULL ? "" : " (it has ", other == NULL ? "" : other,
                     other == NULL ? "" : ", which is not read)");
}

/* ---- what generation ends with ---- */

static int add_end(struct sinq_tokenizer *t, int64_t id, struct sinq_error *error) {
    const bool is_new = id >= 0 && id < (int64_t)SINQ_TOKEN_LIMIT && !sinq_tokenizer_is_end(t, (int32_t)id);
    return is_new ? sinq_tokens_add(&t->ends, (int32_t)id, error) : SINQ_OK;
}

/* One id. What is none (null, -1) is passed over. */
static int read_end(struct sinq_json *json, struct sinq_tokenizer *t, struct sinq_error *error) {
    uint64_t id = 0;
    const char c = sinq_json_peek(json);
    if (c < '0' || c > '9') return sinq_json_skip(json) ? SINQ_OK : SINQ_FAILED;
    if (!sinq_json_read_u64(json, &id)) return SINQ_FAILED;
    return id < SINQ_TOKEN_LIMIT ? add_end(t, (int64_t)id, error) : SINQ_OK;
}

/* One id, or a list of them. */
static int read_ends(struct sinq_json *json, struct sinq_tokenizer *t, struct sinq_error *error) {
    if (sinq_json_peek(json) != '[') return read_end(json, t, error);
    if (!sinq_json_begin_array(json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_element(json, &first);) {
        if (t->ends.count == MAX_ENDS) return sinq_json_fail(json, "a shorter list"), SINQ_FAILED;
        const int status = read_end(json, t, error);
        if (status != SINQ_OK) return status;
    }
    return json->has_failed ? SINQ_FAILED : SINQ_OK;
}

/* The eos_token_id of config.json or generation_config.json. */
static int read_config(const char *what, const char *text, size_t size, struct sinq_tokenizer *t,
                       struct sinq_error *error) {
    struct sinq_json json;
    struct sinq_text key = {0};
    sinq_json_open_text(&json, what, text, size, error);
    json.allow_nonfinite = true;
    int status = sinq_json_begin_object(&json) ? SINQ_OK : SINQ_FAILED;
    for (bool first = true; status == SINQ_OK && sinq_json_next_key(&json, &first, KEY_BYTES, &key);) {
        if (strcmp(key.data, "eos_token_id") == 0) {
            status = read_ends(&json, t, error);
        } else if (!sinq_json_skip(&json)) {
            status = SINQ_FAILED;
        }
    }
    if (json.has_failed) status = SINQ_FAILED;
    sinq_json_close(&json);
    sinq_text_free(&key);
    return status;
}

/* ---- tokenizer_config.json ---- */

/* "<s>", or an object with it as "content"; -1 where there is none. */
static int32_t find_named(const struct sinq_tokenizer *t, const cJSON *config, const char *name) {
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(config, name);
    const char *const content = cJSON_IsString(value) ? value->valuestring : sinq_component_string(value, "content");
    return content == NULL ? -1 : sinq_tokenizer_find(t, content);
}

/*
 * Hugging Face's classes for Llama and Gemma replace the post-processor by what add_bos_token and add_eos_token say (transformers,
 * LlamaTokenizerFast.update_post_processor). All others follow tokenizer.json.
 */
static int replace_postprocessor(struct sinq_tokenizer *t, const cJSON *config, struct sinq_error *error) {
    static const char *const classes[] = {"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer"};
    const char *const class = sinq_component_string(config, "tokenizer_class");
    bool is_one = false;
    for (size_t i = 0; class != NULL && i < sizeof classes / sizeof classes[0]; i++) {
        is_one |= strncmp(class, classes[i], strlen(classes[i])) == 0;
    }
    if (!is_one) return SINQ_OK;
    const bool adds_bos = sinq_component_flag(config, "add_bos_token", true);
    const bool adds_eos = sinq_component_flag(config, "add_eos_token", false);
    const int32_t bos = find_named(t, config, "bos_token"), eos = find_named(t, config, "eos_token");
    if ((adds_bos && bos < 0) || (adds_eos && eos < 0)) return SINQ_OK;
    struct sinq_postprocessor *const p = &t->postprocessor;
    p->before.count = p->after.count = 0;
    const int status = adds_bos ? sinq_tokens_add(&p->before, bos, error) : SINQ_OK;
    return status == SINQ_OK && adds_eos ? sinq_tokens_add(&p->after, eos, error) : status;
}

static int read_tokenizer_config(const char *what, const char *text, size_t size, struct sinq_tokenizer *t,
                                 struct sinq_error *error) {
    cJSON *const config = cJSON_ParseWithLength(text, size);
    if (!cJSON_IsObject(config)) {
        cJSON_Delete(config);
        return sinq_fail(error, SINQ_FAILED, "%s: a JSON object was expected", what);
    }
    int status = add_end(t, find_named(t, config, "eos_token"), error);
    if (status == SINQ_OK) status = replace_postprocessor(t, config, error);
    cJSON_Delete(config);
    return status;
}

/* ---- the whole ---- */

typedef int read_fn(const char *what, const char *text, size_t size, struct sinq_tokenizer *t,
                    struct sinq_error *error);

/* Reads a sidecar file if it is there. */
static int read_sidecar(const struct sinq_source *source, const char *name, read_fn *read, struct sinq_tokenizer *t,
                        struct sinq_error *error) {
    const int64_t index = find_sidecar(source, name);
    char *text = NULL;
    size_t size = 0;
    if (index < 0) return SINQ_OK;
    struct sinq_text what = {0};
    sinq_text_print(&what, "%.300s/%s", sinq_source_path(source), name);
    if (what.failed) return sinq_fail_memory(error, "a path", what.size);
    int status = sinq_source_read_sidecar(source, (size_t)index, &text, &size, error);
    if (status == SINQ_OK) status = read(what.data, text, size, t, error);
    free(text);
    sinq_text_free(&what);
    return status;
}

static int apply_configs(const struct sinq_source *source, struct sinq_tokenizer *t, struct sinq_error *error) {
    int status = read_sidecar(source, "generation_config.json", read_config, t, error);
    if (status == SINQ_OK) status = read_sidecar(source, "config.json", read_config, t, error);
    return status == SINQ_OK ? read_sidecar(source, "tokenizer_config.json", read_tokenizer_config, t, error) : status;
}

int sinq_open_tokenizer(const struct sinq_source *source, struct sinq_tokenizer **tokenizer, struct sinq_error *error) {
    const int64_t index = find_sidecar(source, "tokenizer.json");
    char *json = NULL;
    size_t size = 0;
    if (index < 0) return fail_absent(source, error);
    struct sinq_text path = {0};
    struct sinq_tokenizer *t = NULL;
    sinq_text_print(&path, "%.300s/tokenizer.json", sinq_source_path(source));
    int status = path.failed ? sinq_fail_memory(error, "a path", path.size)
                             : sinq_source_read_sidecar(source, (size_t)index, &json, &size, error);
    if (status == SINQ_OK) status = sinq_parse_tokenizer(path.data, json, size, &t, error);
    if (status == SINQ_OK) status = apply_configs(source, t, error);
    free(json);
    sinq_text_free(&path);
    if (status == SINQ_OK) {
        *tokenizer = t;
    } else {
        sinq_tokenizer_free(t);
    }
    return status;
}
