/* open_tokenizer.c: a checkpoint's tokenizer, from its sidecar files. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "text/sidecar.h"
#include "text/tokenizer.h"

#define KEY_BYTES ((size_t)256)
#define MAX_ENDS  ((size_t)256)

static int fail_absent(const struct sinq_source *source, struct sinq_error *error) {
    static const char *const others[] = {"tokenizer.model", "vocab.json", "tiktoken.model", "vocab.txt"};
    const char *other = NULL;
    for (size_t i = 0; i < sizeof others / sizeof others[0] && other == NULL; i++) {
        if (sinq_find_sidecar(source, others[i]) >= 0) other = others[i];
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
static int read_config(void *user, const char *what, const char *text, size_t size, struct sinq_error *error) {
    struct sinq_tokenizer *const t = user;
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

int32_t sinq_find_named_token(const struct sinq_tokenizer *t, const cJSON *config, const char *name) {
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
    const int32_t bos = sinq_find_named_token(t, config, "bos_token"),
                  eos = sinq_find_named_token(t, config, "eos_token");
    if ((adds_bos && bos < 0) || (adds_eos && eos < 0)) return SINQ_OK;
    struct sinq_postprocessor *const p = &t->postprocessor;
    p->before.count = p->after.count = 0;
    const int status = adds_bos ? sinq_tokens_add(&p->before, bos, error) : SINQ_OK;
    return status == SINQ_OK && adds_eos ? sinq_tokens_add(&p->after, eos, error) : status;
}

static int read_tokenizer_config(void *user, const char *what, const char *text, size_t size,
                                 struct sinq_error *error) {
    struct sinq_tokenizer *const t = user;
    cJSON *const config = cJSON_ParseWithLength(text, size);
    if (!cJSON_IsObject(config)) {
        cJSON_Delete(config);
        return sinq_fail(error, SINQ_FAILED, "%s: a JSON object was expected", what);
    }
    int status = add_end(t, sinq_find_named_token(t, config, "eos_token"), error);
    if (status == SINQ_OK) status = replace_postprocessor(t, config, error);
    cJSON_Delete(config);
    return status;
}

/* ---- the whole ---- */

static int apply_configs(const struct sinq_source *source, struct sinq_tokenizer *t, struct sinq_error *error) {
    int status = sinq_read_sidecar(source, "generation_config.json", read_config, t, error);
    if (status == SINQ_OK) status = sinq_read_sidecar(source, "config.json", read_config, t, error);
    if (status != SINQ_OK) return status;
    return sinq_read_sidecar(source, "tokenizer_config.json", read_tokenizer_config, t, error);
}

static int parse(void *user, const char *what, const char *text, size_t size, struct sinq_error *error) {
    return sinq_parse_tokenizer(what, text, size, user, error);
}

int sinq_open_tokenizer(const struct sinq_source *source, struct sinq_tokenizer **tokenizer, struct sinq_error *error) {
    struct sinq_tokenizer *t = NULL;
    if (sinq_find_sidecar(source, "tokenizer.json") < 0) return fail_absent(source, error);
    int status = sinq_read_sidecar(source, "tokenizer.json", parse, &t, error);
    if (status == SINQ_OK) status = apply_configs(source, t, error);
    if (status == SINQ_OK) {
        *tokenizer = t;
    } else {
        sinq_tokenizer_free(t);
    }
    return status;
}
