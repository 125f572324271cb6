#include "text/model_json.h"

#include <string.h>

#include "base/error.h"
#include "text/merge_queue.h"
#include "text/unicode.h"

/* "model" while it is read. */
struct reading {
    struct sinq_json *json;
    const char *path;
    struct sinq_bpe *bpe;
    struct sinq_error *error;
    struct sinq_text key, left, right, unknown;
    bool has_unknown, has_vocabulary, has_merges, has_type;
    const char *merges_at; /* they came before the vocabulary */
};

static int fail_json(const struct reading *r) { return r->json->has_failed ? SINQ_FAILED : SINQ_OK; }

/* ---- the vocabulary ---- */

static int read_vocabulary(struct reading *r) {
    struct sinq_json *const json = r->json;
    uint64_t id = 0;
    if (sinq_json_peek(json) == '[') {
        return sinq_fail(r->error, SINQ_FAILED,
                         "%.300s: model: the vocabulary is a list (Unigram?): only BPE is supported", r->path);
    }
    if (!sinq_json_begin_object(json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(json, &first, SINQ_TOKEN_BYTES, &r->key);) {
        if (!sinq_json_read_u64(json, &id)) return SINQ_FAILED;
        const int status = sinq_vocabulary_add(&r->bpe->vocabulary, r->path, r->key.data, r->key.size, id, r->error);
        if (status != SINQ_OK) return status;
    }
    r->has_vocabulary = true;
    return fail_json(r);
}

/* ---- merges ---- */

/* What the boundaries of a token are known by: bytes in a byte-level vocabulary, else characters. */
static uint32_t first_unit(const struct sinq_vocabulary *v, uint32_t id) {
    const struct sinq_token *const token = &v->tokens[id];
    const char *const bytes = v->bytes.data + token->offset;
    size_t length;
    return v->is_byte_level ? (unsigned char)bytes[0] : sinq_decode_utf8(bytes, &length);
}

static uint32_t last_unit(const struct sinq_vocabulary *v, uint32_t id) {
    const struct sinq_token *const token = &v->tokens[id];
    const char *const bytes = v->bytes.data + token->offset;
    return v->is_byte_level ? (unsigned char)bytes[token->size - 1] : sinq_last_character(bytes, token->size);
}

/* "a b" */
static bool read_joined_merge(struct reading *r) {
    if (!sinq_json_read_string(r->json, 2 * SINQ_TOKEN_BYTES + 1, &r->left)) return false;
    char *const space = memchr(r->left.data, ' ', r->left.size);
    if (space == NULL || memchr(space + 1, ' ', (size_t)(r->left.data + r->left.size - space - 1)) != NULL) {
        return sinq_json_fail(r->json, "a merge of two tokens with a space between");
    }
    r->right.size = 0;
    sinq_text_add(&r->right, space + 1);
    r->left.size = (size_t)(space - r->left.data);
    *space = '\0';
    return true;
}

/* ["a", "b"] */
static bool read_pair_merge(struct reading *r) {
    bool first = true;
    struct sinq_json *const json = r->json;
    if (!sinq_json_begin_array(json)) return false;
    if (!sinq_json_next_element(json, &first)) return sinq_json_fail(json, "a pair of tokens");
    if (!sinq_json_read_string(json, SINQ_TOKEN_BYTES, &r->left)) return false;
    if (!sinq_json_next_element(json, &first)) return sinq_json_fail(json, "a pair of tokens");
    if (!sinq_json_read_string(json, SINQ_TOKEN_BYTES, &r->right)) return false;
    return !sinq_json_next_element(json, &first) || sinq_json_fail(json, "a pair of tokens");
}

static int read_queued(struct reading *r, struct sinq_merge_queue *queue) {
    struct sinq_json *const json = r->json;
    if (!sinq_json_begin_array(json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_element(json, &first);) {
        const bool is_read = sinq_json_peek(json) == '[' ? read_pair_merge(r) : read_joined_merge(r);
        if (!is_read || json->has_failed) return SINQ_FAILED;
        if (r->right.failed) return sinq_fail_memory(r->error, "merges", r->left.size);
        const int status = sinq_merge_queue_add(queue, &r->left, &r->right, r->error);
        if (status != SINQ_OK) return status;
    }
    return json->has_failed ? SINQ_FAILED : sinq_merge_queue_flush(queue, r->error);
}

static int read_merges(struct reading *r) {
    struct sinq_merge_queue queue = {.vocabulary = &r->bpe->vocabulary, .merges = &r->bpe->merges, .path = r->path};
    const int status = read_queued(r, &queue);
    sinq_merge_queue_free(&queue);
    r->has_merges = true;
    return status;
}

/* ---- settings ---- */

static int read_type(struct reading *r) {
    struct sinq_text *const type = &r->left;
    if (!sinq_json_read_string(r->json, 100, type)) return SINQ_FAILED;
    r->has_type = true;
    if (strcmp(type->data, "BPE") == 0) return SINQ_OK;
    return sinq_fail(r->error, SINQ_FAILED, "%.300s: model: type %.100s is not supported, only BPE is", r->path,
                     type->data);
}

static int read_flag(struct reading *r, bool *flag) {
    *flag = sinq_json_peek(r->json) == 't';
    return sinq_json_skip(r->json) ? SINQ_OK : SINQ_FAILED;
}

/* Null or "" only. */
static int read_affix(struct reading *r, const char *name) {
    if (sinq_json_peek(r->json) != '"') return sinq_json_skip(r->json) ? SINQ_OK : SINQ_FAILED;
    if (!sinq_json_read_string(r->json, SINQ_TOKEN_BYTES, &r->left)) return SINQ_FAILED;
    if (r->left.size == 0) return SINQ_OK;
    return sinq_fail(r->error, SINQ_FAILED, "%.300s: model: %s \"%.100s\" is not supported", r->path, name,
                     r->left.data);
}

static int read_unknown(struct reading *r) {
    if (sinq_json_peek(r->json) != '"') return sinq_json_skip(r->json) ? SINQ_OK : SINQ_FAILED;
    if (!sinq_json_read_string(r->json, SINQ_TOKEN_BYTES, &r->unknown)) return SINQ_FAILED;
    r->has_unknown = true;
    return SINQ_OK;
}

static int read_setting(struct reading *r) {
    const char *const key = r->key.data;
    struct sinq_bpe *const bpe = r->bpe;
    if (strcmp(key, "type") == 0) return read_type(r);
    if (strcmp(key, "unk_token") == 0) return read_unknown(r);
    if (strcmp(key, "fuse_unk") == 0) return read_flag(r, &bpe->fuse_unknown);
    if (strcmp(key, "byte_fallback") == 0) return read_flag(r, &bpe->byte_fallback);
    if (strcmp(key, "ignore_merges") == 0) return read_flag(r, &bpe->ignore_merges);
    if (strcmp(key, "continuing_subword_prefix") == 0) return read_affix(r, "continuing_subword_prefix");
    if (strcmp(key, "end_of_word_suffix") == 0) return read_affix(r, "end_of_word_suffix");
    if (strcmp(key, "vocab") == 0 && !r->has_vocabulary) return read_vocabulary(r);
    if (strcmp(key, "merges") == 0 && !r->has_merges && r->merges_at == NULL) {
        if (r->has_vocabulary) return read_merges(r);
        (void)sinq_json_peek(r->json);
        r->merges_at = r->json->at;
    }
    return sinq_json_skip(r->json) ? SINQ_OK : SINQ_FAILED;
}

/* ---- the whole ---- */

static int find_unknown(struct reading *r) {
    struct sinq_bpe *const bpe = r->bpe;
    bpe->unknown = -1;
    if (!r->has_unknown) return SINQ_OK;
    bpe->unknown = sinq_vocabulary_find_written(&bpe->vocabulary, r->unknown.data, r->unknown.size);
    if (bpe->unknown < 0 || r->unknown.size == 0) {
        return sinq_fail(r->error, SINQ_FAILED, "%.300s: model: unk_token \"%.100s\" is not in the vocabulary", r->path,
                         r->unknown.data);
    }
    bpe->unknown_first = first_unit(&bpe->vocabulary, (uint32_t)bpe->unknown);
    bpe->unknown_last = last_unit(&bpe->vocabulary, (uint32_t)bpe->unknown);
    return SINQ_OK;
}

static int read_model(struct reading *r) {
    if (!sinq_json_begin_object(r->json)) return SINQ_FAILED;
    for (bool first = true; sinq_json_next_key(r->json, &first, SINQ_TOKEN_BYTES, &r->key);) {
        const int status = read_setting(r);
        if (status != SINQ_OK) return status;
    }
    if (r->json->has_failed) return SINQ_FAILED;
    if (!r->has_vocabulary) return sinq_fail(r->error, SINQ_FAILED, "%.300s: model has no \"vocab\"", r->path);
    if (r->merges_at != NULL) { /* back to them; what follows has been checked */
        const char *const end = r->json->at;
        r->json->at = r->merges_at;
        const int status = read_merges(r);
        if (status != SINQ_OK) return status;
        r->json->at = end;
    }
    if (!r->has_merges) return sinq_fail(r->error, SINQ_FAILED, "%.300s: model has no \"merges\"", r->path);
    const int status = find_unknown(r);
    if (status == SINQ_OK) sinq_bpe_finish(r->bpe);
    return status;
}

int sinq_read_bpe(struct sinq_json *json, const char *path, struct sinq_bpe *bpe, struct sinq_error *error) {
    struct reading r = {.json = json, .path = path, .bpe = bpe, .error = error};
    const int status = read_model(&r);
    sinq_text_free(&r.key);
    sinq_text_free(&r.left);
    sinq_text_free(&r.right);
    sinq_text_free(&r.unknown);
    return status;
}
