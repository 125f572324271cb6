/* tokenizer_json.c: from the text of tokenizer.json to a tokenizer. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/model_json.h"
#include "text/tokenizer.h"

#define LONGEST_ADDED ((size_t)1000) /* bytes of an added token */
#define KEY_BYTES     ((size_t)256)  /* of a key outside the vocabulary */

/* A value of the file, by where it lies. */
struct span {
    const char *begin, *end; /* NULL: absent */
};

struct reading {
    const char *path;
    struct sinq_tokenizer *tokenizer;
    struct sinq_json json;
    struct sinq_error *error;
    struct sinq_text key, content;
    struct span normalizer, pretokenizer, postprocessor, decoder, added, model;
};

/* ---- the outline ---- */

static struct span *find_span(struct reading *r, const char *key) {
    if (strcmp(key, "normalizer") == 0) return &r->normalizer;
    if (strcmp(key, "pre_tokenizer") == 0) return &r->pretokenizer;
    if (strcmp(key, "post_processor") == 0) return &r->postprocessor;
    if (strcmp(key, "decoder") == 0) return &r->decoder;
    if (strcmp(key, "added_tokens") == 0) return &r->added;
    return strcmp(key, "model") == 0 ? &r->model : NULL;
}

static int parse_span(const struct reading *r, struct span span, cJSON **json) {
    *json = NULL;
    if (span.begin == NULL) return SINQ_OK;
    *json = cJSON_ParseWithLength(span.begin, (size_t)(span.end - span.begin));
    return *json != NULL ? SINQ_OK : sinq_fail_memory(r->error, "tokenizer.json", (uint64_t)(span.end - span.begin));
}

/* Words are bytes or text: that decides how the vocabulary is kept. */
static int read_pretokenizer(struct reading *r) {
    cJSON *json;
    int status = parse_span(r, r->pretokenizer, &json);
    if (status == SINQ_OK) {
        status = sinq_read_pretokenizer(r->path, json, &r->tokenizer->pretokenizer, r->error);
        r->tokenizer->bpe.vocabulary.is_byte_level = r->tokenizer->pretokenizer.is_byte_level;
    }
    cJSON_Delete(json);
    return status;
}

/* The model comes last in files as they are written: then it is read in the same pass. */
static int read_outline(struct reading *r) {
    if (!sinq_json_begin_object(&r->json)) return SINQ_FAILED;
    bool has_model = false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, KEY_BYTES, &r->key);) {
        struct span *const span = find_span(r, r->key.data);
        (void)sinq_json_peek(&r->json);
        const char *const begin = r->json.at;
        if (span == &r->model && !has_model && r->model.begin == NULL && r->pretokenizer.begin != NULL) {
            int status = read_pretokenizer(r);
            if (status == SINQ_OK) status = sinq_read_bpe(&r->json, r->path, &r->tokenizer->bpe, r->error);
            if (status != SINQ_OK) return status;
            has_model = true;
            continue;
        }
        if (!sinq_json_skip(&r->json)) return SINQ_FAILED;
        if (span != NULL && span->begin == NULL) *span = (struct span){begin, r->json.at};
    }
    if (r->json.has_failed || !sinq_json_end(&r->json)) return SINQ_FAILED;
    if (has_model) return SINQ_OK;
    if (r->model.begin == NULL) return sinq_fail(r->error, SINQ_FAILED, "%.300s: there is no \"model\"", r->path);
    const int status = read_pretokenizer(r);
    r->json.at = r->model.begin;
    return status == SINQ_OK ? sinq_read_bpe(&r->json, r->path, &r->tokenizer->bpe, r->error) : status;
}

int sinq_find_section(const char *path, const char *json, size_t size, const char *name, cJSON **section,
                      struct sinq_error *error) {
    struct sinq_json reader;
    struct sinq_text key = {0};
    *section = NULL;
    sinq_json_open_text(&reader, path, json, size, error);
    reader.allow_nul = true;
    bool failed = !sinq_json_begin_object(&reader);
    for (bool first = true; !failed && sinq_json_next_key(&reader, &first, KEY_BYTES, &key);) {
        (void)sinq_json_peek(&reader);
        const char *const begin = reader.at;
        failed = !sinq_json_skip(&reader);
        if (failed || *section != NULL || strcmp(key.data, name) != 0) continue;
        *section = cJSON_ParseWithLength(begin, (size_t)(reader.at - begin));
    }
    failed |= reader.has_failed;
    sinq_json_close(&reader);
    sinq_text_free(&key);
    return failed ? SINQ_FAILED : SINQ_OK;
}

/* ---- added tokens ---- */

static bool read_flag(struct reading *r, bool *flag) {
    *flag = sinq_json_peek(&r->json) == 't';
    return sinq_json_skip(&r->json);
}

static bool read_added_setting(struct reading *r, struct sinq_added_token *token, bool *has_id) {
    const char *const key = r->key.data;
    uint64_t id = 0;
    if (strcmp(key, "id") == 0) {
        if (!sinq_json_read_u64(&r->json, &id)) return false;
        token->id = id < SINQ_TOKEN_LIMIT ? (uint32_t)id : UINT32_MAX;
        return *has_id = true;
    }
    if (strcmp(key, "content") == 0) return sinq_json_read_string(&r->json, LONGEST_ADDED, &r->content);
    if (strcmp(key, "single_word") == 0) return read_flag(r, &token->single_word);
    if (strcmp(key, "lstrip") == 0) return read_flag(r, &token->lstrip);
    if (strcmp(key, "rstrip") == 0) return read_flag(r, &token->rstrip);
    if (strcmp(key, "normalized") == 0) return read_flag(r, &token->normalized);
    if (strcmp(key, "special") == 0) return read_flag(r, &token->special);
    return sinq_json_skip(&r->json);
}

/* Of a token that the vocabulary has too its id there counts. */
static int settle_id(const struct reading *r, struct sinq_added_token *token) {
    const struct sinq_vocabulary *const v = &r->tokenizer->bpe.vocabulary;
    const int32_t id = sinq_vocabulary_find_written(v, token->content, token->size);
    if (id >= 0) token->id = (uint32_t)id;
    if (token->id == UINT32_MAX) {
        return sinq_fail(r->error, SINQ_FAILED, "%.300s: added token \"%.100s\": an id below %llu was expected",
                         r->path, token->content, (unsigned long long)SINQ_TOKEN_LIMIT);
    }
    if (id < 0 && sinq_vocabulary_token(v, token->id) != NULL) {
        return sinq_fail(r->error, SINQ_FAILED, "%.300s: added token \"%.100s\" has id %u, which is another token's",
                         r->path, token->content, token->id);
    }
    return SINQ_OK;
}

static int read_added_token(struct reading *r) {
    struct sinq_added_token token = {.normalized = true};
    bool has_id = false;
    r->content.size = 0;
    if (!sinq_json_begin_object(&r->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(&r->json, &first, KEY_BYTES, &r->key);) {
        if (!read_added_setting(r, &token, &has_id)) return SINQ_FAILED;
    }
    if (r->json.has_failed) return SINQ_FAILED;
    if (!has_id) return sinq_fail(r->error, SINQ_FAILED, "%.300s: an added token has no id", r->path);
    if (r->content.size == 0) return SINQ_OK;
    token.size = r->content.size;
    token.content = malloc(token.size + 1);
    if (token.content == NULL) return sinq_fail_memory(r->error, "an added token", token.size);
    memcpy(token.content, r->content.data, token.size + 1);
    const int status = settle_id(r, &token);
    if (status == SINQ_OK) return sinq_added_tokens_add(&r->tokenizer->added, &token, r->error);
    free(token.content);
    return status;
}

/* The same id for two contents would have the second never come out of it. */
static int check_added_ids(const struct reading *r) {
    const struct sinq_added_tokens *const added = &r->tokenizer->added;
    for (size_t i = 0; i < added->count; i++) {
        if (added->by_id[added->tokens[i].id] == i + 1) continue;
        return sinq_fail(r->error, SINQ_FAILED, "%.300s: id %u is that of two added tokens, one of them \"%.100s\"",
                         r->path, added->tokens[i].id, added->tokens[i].content);
    }
    return SINQ_OK;
}

static int read_added_tokens(struct reading *r) {
    int status = SINQ_OK;
    if (r->added.begin != NULL && *r->added.begin != 'n') {
        r->json.at = r->added.begin;
        if (!sinq_json_begin_array(&r->json)) return SINQ_FAILED;
        for (bool first = true; status == SINQ_OK && sinq_json_next_element(&r->json, &first);) {
            status = read_added_token(r);
        }
        if (status == SINQ_OK && r->json.has_failed) status = SINQ_FAILED;
    }
    if (status == SINQ_OK) status = sinq_added_tokens_finish(&r->tokenizer->added, &r->tokenizer->normalizer, r->error);
    return status == SINQ_OK ? check_added_ids(r) : status;
}

/* ---- the whole ---- */

static int read_sections(struct reading *r) {
    struct sinq_tokenizer *const t = r->tokenizer;
    cJSON *normalizer = NULL, *postprocessor = NULL, *decoder = NULL;
    int status = parse_span(r, r->normalizer, &normalizer);
    if (status == SINQ_OK) status = parse_span(r, r->postprocessor, &postprocessor);
    if (status == SINQ_OK) status = parse_span(r, r->decoder, &decoder);
    if (status == SINQ_OK) status = sinq_read_normalizer(r->path, normalizer, &t->normalizer, r->error);
    if (status == SINQ_OK) status = sinq_read_postprocessor(r->path, postprocessor, &t->postprocessor, r->error);
    if (status == SINQ_OK) status = sinq_read_decoder(r->path, decoder, &t->decoder, r->error);
    cJSON_Delete(normalizer);
    cJSON_Delete(postprocessor);
    cJSON_Delete(decoder);
    return status;
}

int sinq_parse_tokenizer(const char *path, const char *json, size_t size, struct sinq_tokenizer **tokenizer,
                         struct sinq_error *error) {
    if (size > SINQ_JSON_LIMIT) {
        return sinq_fail(error, SINQ_FAILED, "%.300s: %zu bytes, at most %llu were expected", path, size,
                         (unsigned long long)SINQ_JSON_LIMIT);
    }
    struct reading r = {.path = path, .error = error, .tokenizer = calloc(1, sizeof **tokenizer)};
    if (r.tokenizer == NULL) return sinq_fail_memory(error, "a tokenizer", sizeof **tokenizer);
    sinq_json_open_text(&r.json, path, json, size, error);
    r.json.allow_nul = true;
    int status = read_outline(&r);
    if (status == SINQ_OK) status = read_sections(&r);
    if (status == SINQ_OK) status = read_added_tokens(&r);
    sinq_json_close(&r.json);
    sinq_text_free(&r.key);
    sinq_text_free(&r.content);
    if (status == SINQ_OK) {
        *tokenizer = r.tokenizer;
    } else {
        sinq_tokenizer_free(r.tokenizer);
    }
    return status;
}
