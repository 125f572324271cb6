/* token_table_json.c: GGUF's lists of tokens as tokenizer.json and tokenizer_config.json. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/named_pretokenizer.h"
#include "text/token_table.h"
#include "text/vocabulary.h"

#define MARK "\xe2\x96\x81" /* U+2581: a space */

/* Of a token that is put together by merges: its halves are looked up, which takes the square of its size. */
#define LONGEST_MERGED ((size_t)256)

/* Bytes that a merge takes as JSON, at most: of all of its bytes an escape, and what stands around its halves. */
#define MERGE_BYTES(size) (6 * (uint64_t)(size) + 9)

struct printing {
    const struct sinq_token_table *table;
    const char *path;
    struct sinq_text *json;
    struct sinq_text scratch;
    struct sinq_error *error;
    bool is_llama;
    const struct sinq_named_pretokenizer *named; /* of "gpt2" */
    struct sinq_vocabulary vocabulary;           /* of "llama": tokens that may be halves of others */
};

static bool is_equal(struct sinq_table_string string, const char *text) {
    return string.size == strlen(text) && memcmp(string.bytes, text, string.size) == 0;
}

/* The token if the table has it, else NULL. */
static const struct sinq_table_token *find_token(const struct sinq_token_table *table, int64_t id) {
    return id >= 0 && (uint64_t)id < table->token_count ? &table->tokens[id] : NULL;
}

/* A string with its quotes. */
static int print_string(struct printing *p, struct sinq_table_string string, const char *what, size_t index) {
    const bool is_text = string.size == 0 ||
                         (sinq_is_utf8(string.bytes, string.size) && memchr(string.bytes, '\0', string.size) == NULL);
    if (!is_text || string.size > SINQ_JSON_LIMIT) {
        return sinq_fail(p->error, SINQ_FAILED, "%.300s: %s %zu: UTF-8 text without NUL was expected", p->path, what,
                         index);
    }
    p->scratch.size = 0;
    sinq_text_add_bytes(&p->scratch, string.size == 0 ? "" : string.bytes, string.size);
    if (p->scratch.failed) return sinq_fail_memory(p->error, "a token", string.size);
    sinq_text_add_json(p->json, p->scratch.data);
    return SINQ_OK;
}

/* ---- added tokens ---- */

static bool is_added(const struct sinq_table_token *token) {
    return token->text.size > 0 && (token->kind == SINQ_TOKEN_CONTROL || token->kind == SINQ_TOKEN_USER_DEFINED ||
                                    token->kind == SINQ_TOKEN_UNKNOWN);
}

static int print_added_tokens(struct printing *p) {
    const char *separator = "";
    int status = SINQ_OK;
    sinq_text_add(p->json, "\"added_tokens\":[");
    for (size_t id = 0; id < p->table->token_count && status == SINQ_OK; id++) {
        const struct sinq_table_token *const token = &p->table->tokens[id];
        if (!is_added(token)) continue;
        sinq_text_print(p->json, "%s{\"id\":%zu,\"content\":", separator, id);
        status = print_string(p, token->text, "token", id);
        sinq_text_print(p->json,
                        ",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
                        "\"special\":%s}",
                        token->kind == SINQ_TOKEN_USER_DEFINED ? "false" : "true");
        separator = ",\n";
    }
    sinq_text_add(p->json, "],\n");
    return status;
}

/* ---- the parts around the model ---- */

static bool adds_space_prefix(const struct printing *p) { return p->is_llama && p->table->adds_space_prefix != 0; }

static void print_splitting(struct printing *p) {
    sinq_text_add(p->json, "\"normalizer\":");
    if (p->is_llama) {
        sinq_text_print(p->json, "{\"type\":\"Sequence\",\"normalizers\":[%s%s]},\n\"pre_tokenizer\":null,\n",
                        adds_space_prefix(p) ? "{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"}," : "",
                        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}");
    } else {
        sinq_text_add(p->json, "null,\n\"pre_tokenizer\":");
        sinq_print_named_pretokenizer(p->named, p->json);
        sinq_text_add(p->json, ",\n");
    }
}

static int print_special_part(struct printing *p, int64_t id, int type_id) {
    sinq_text_add(p->json, "{\"SpecialToken\":{\"id\":");
    const int status = print_string(p, p->table->tokens[id].text, "token", (size_t)id);
    sinq_text_print(p->json, ",\"type_id\":%d}}", type_id);
    return status;
}

/* BOS, text, EOS. */
static int print_sequence(struct printing *p, const char *name, int type_id, int64_t bos, int64_t eos) {
    int status = bos < 0 ? SINQ_OK : print_special_part(p, bos, type_id);
    sinq_text_print(p->json, "%s{\"Sequence\":{\"id\":\"%s\",\"type_id\":%d}}%s", bos < 0 ? "" : ",", name, type_id,
                    eos < 0 ? "" : ",");
    if (status == SINQ_OK && eos >= 0) status = print_special_part(p, eos, type_id);
    return status;
}

static int print_special_entry(struct printing *p, int64_t id) {
    const struct sinq_table_string text = p->table->tokens[id].text;
    int status = print_string(p, text, "token", (size_t)id);
    sinq_text_add(p->json, ":{\"id\":");
    if (status == SINQ_OK) status = print_string(p, text, "token", (size_t)id);
    sinq_text_print(p->json, ",\"ids\":[%lld],\"tokens\":[", (long long)id);
    if (status == SINQ_OK) status = print_string(p, text, "token", (size_t)id);
    sinq_text_add(p->json, "]}");
    return status;
}

static int print_postprocessor(struct printing *p) {
    const struct sinq_token_table *const table = p->table;
    const bool by_default = p->is_llama || p->named->adds_bos;
    const bool wants_bos = table->adds_bos < 0 ? by_default : table->adds_bos != 0;
    const int64_t bos = wants_bos && find_token(table, table->bos) != NULL ? table->bos : -1;
    const int64_t eos = table->adds_eos > 0 && find_token(table, table->eos) != NULL ? table->eos : -1;
    if (bos < 0 && eos < 0) {
        sinq_text_add(p->json, "\"post_processor\":null,\n");
        return SINQ_OK;
    }
    sinq_text_add(p->json, "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    int status = print_sequence(p, "A", 0, bos, eos);
    sinq_text_add(p->json, "],\"pair\":[");
    if (status == SINQ_OK) status = print_sequence(p, "A", 0, bos, eos);
    sinq_text_add(p->json, ",");
    if (status == SINQ_OK) status = print_sequence(p, "B", 1, bos, eos);
    sinq_text_add(p->json, "],\"special_tokens\":{");
    if (status == SINQ_OK && bos >= 0) status = print_special_entry(p, bos);
    sinq_text_add(p->json, bos >= 0 && eos >= 0 && eos != bos ? "," : "");
    if (status == SINQ_OK && eos >= 0 && eos != bos) status = print_special_entry(p, eos);
    sinq_text_add(p->json, "}},\n");
    return status;
}

static void print_decoder(struct printing *p) {
    if (!p->is_llama) {
        sinq_text_add(p->json, "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                               "\"use_regex\":true},\n");
        return;
    }
    sinq_text_print(p->json,
                    "\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":"
                    "\"" MARK "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}%s]},\n",
                    adds_space_prefix(p) ? ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}" : "");
}

/* ---- merges of SentencePiece ---- */

/* One way to put a token together. */
struct scored_merge {
    float score;
    uint32_t token, split; /* the size of the left half */
};

/*
 * What becomes a token with a higher score is merged first (llama.cpp, llm_tokenizer_spm_session). Equal scores go by the order of ids
 * and of the halves' sizes.
 */
static int compare_scores(const void *left, const void *right) {
    const struct scored_merge *const a = left, *const b = right;
    if (a->score < b->score || a->score > b->score) return a->score < b->score ? 1 : -1;
    if (a->token != b->token) return a->token < b->token ? -1 : 1;
    return (a->split > b->split) - (a->split < b->split);
}

static bool add_merge(struct scored_merge **list, size_t *count, size_t *capacity, struct scored_merge merge) {
    if (*count == *capacity) {
        const size_t more = *capacity == 0 ? 4096 : 2 * *capacity;
        struct scored_merge *const grown = realloc(*list, more * sizeof *grown);
        if (grown == NULL) return false;
        *list = grown;
        *capacity = more;
    }
    (*list)[(*count)++] = merge;
    return true;
}

static bool is_piece(const struct sinq_table_token *token) {
    return token->kind == SINQ_TOKEN_NORMAL || token->kind == SINQ_TOKEN_BYTE || token->kind == SINQ_TOKEN_UNKNOWN;
}

static bool is_character_start(char c) { return ((unsigned char)c & 0xc0) != 0x80; }

static int list_merges(struct printing *p, struct scored_merge **list, size_t *count) {
    size_t capacity = 0;
    uint64_t bytes_left = SINQ_JSON_LIMIT; /* there may be as many for each token as it has bytes */
    for (size_t id = 0; id < p->table->token_count; id++) {
        const struct sinq_table_token *const token = &p->table->tokens[id];
        const char *const bytes = token->text.bytes;
        const size_t size = token->text.size;
        if (token->kind != SINQ_TOKEN_NORMAL) continue;
        if (size > LONGEST_MERGED) {
            return sinq_fail(p->error, SINQ_FAILED, "%.300s: token %zu: %zu bytes, at most %zu were expected", p->path,
                             id, size, LONGEST_MERGED);
        }
        const float score = isnan(token->score) ? -INFINITY : token->score;
        for (size_t split = 1; split < size; split++) {
            if (!is_character_start(bytes[split])) continue;
            if (sinq_vocabulary_find(&p->vocabulary, bytes, split) < 0) continue;
            if (sinq_vocabulary_find(&p->vocabulary, bytes + split, size - split) < 0) continue;
            if (bytes_left < MERGE_BYTES(size)) {
                return sinq_fail(p->error, SINQ_FAILED, "%.300s: token %zu: more ways than %zu to put tokens together",
                                 p->path, id, *count);
            }
            bytes_left -= MERGE_BYTES(size);
            if (add_merge(list, count, &capacity, (struct scored_merge){score, (uint32_t)id, (uint32_t)split}))
                continue;
            return sinq_fail_memory(p->error, "merges", *count);
        }
    }
    return SINQ_OK;
}

static int print_scored_merges(struct printing *p) {
    struct scored_merge *list = NULL;
    size_t count = 0;
    int status = list_merges(p, &list, &count);
    if (status == SINQ_OK && count > 0) qsort(list, count, sizeof *list, compare_scores);
    for (size_t i = 0; i < count && status == SINQ_OK; i++) {
        const struct sinq_table_string text = p->table->tokens[list[i].token].text;
        const struct sinq_table_string left = {text.bytes, list[i].split};
        const struct sinq_table_string right = {text.bytes + list[i].split, text.size - list[i].split};
        sinq_text_add(p->json, i == 0 ? "[" : ",\n[");
        status = print_string(p, left, "token", list[i].token);
        sinq_text_add(p->json, ",");
        if (status == SINQ_OK) status = print_string(p, right, "token", list[i].token);
        sinq_text_add(p->json, "]");
    }
    free(list);
    return status;
}

/* ---- the model ---- */

static int print_vocabulary(struct printing *p) {
    const char *separator = "";
    int status = SINQ_OK;
    for (size_t id = 0; id < p->table->token_count && status == SINQ_OK; id++) {
        const struct sinq_table_token *const token = &p->table->tokens[id];
        if (!is_piece(token)) continue;
        sinq_text_add(p->json, separator);
        separator = ",\n";
        status = print_string(p, token->text, "token", id);
        sinq_text_print(p->json, ":%zu", id);
        if (status != SINQ_OK || !p->is_llama) continue;
        status = sinq_vocabulary_add(&p->vocabulary, p->path, p->scratch.data, p->scratch.size, id, p->error);
    }
    return status;
}

static int print_merges(struct printing *p) {
    if (p->is_llama) return print_scored_merges(p);
    int status = SINQ_OK;
    for (size_t i = 0; i < p->table->merge_count && status == SINQ_OK; i++) {
        sinq_text_add(p->json, i == 0 ? "" : ",\n");
        status = print_string(p, p->table->merges[i], "merge", i);
    }
    return status;
}

static int print_model(struct printing *p) {
    const struct sinq_table_token *const unknown = find_token(p->table, p->table->unknown);
    int status = SINQ_OK;
    sinq_text_add(p->json, "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":");
    if (p->is_llama && unknown != NULL && is_piece(unknown) && unknown->text.size > 0) {
        status = print_string(p, unknown->text, "token", (size_t)p->table->unknown);
    } else {
        sinq_text_add(p->json, "null");
    }
    sinq_text_print(p->json,
                    ",\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":%s,"
                    "\"byte_fallback\":%s,\"ignore_merges\":%s,\"vocab\":{",
                    p->is_llama ? "true" : "false", p->is_llama ? "true" : "false",
                    !p->is_llama && p->named->ignores_merges ? "true" : "false");
    if (status == SINQ_OK) status = print_vocabulary(p);
    sinq_text_add(p->json, "},\"merges\":[");
    if (status == SINQ_OK) status = print_merges(p);
    sinq_text_add(p->json, "]}}\n");
    return status;
}

/* ---- the whole ---- */

static int settle_model(struct printing *p) {
    const struct sinq_token_table *const table = p->table;
    p->is_llama = is_equal(table->model, "llama");
    if (table->token_count > SINQ_TOKEN_LIMIT) {
        return sinq_fail(p->error, SINQ_FAILED, "%.300s: %zu tokens, at most %llu were expected", p->path,
                         table->token_count, (unsigned long long)SINQ_TOKEN_LIMIT);
    }
    if (p->is_llama) return SINQ_OK;
    if (!is_equal(table->model, "gpt2")) {
        return sinq_fail(p->error, SINQ_FAILED,
                         "%.300s: tokenizer model \"%.*s\" is not supported, only gpt2 and llama are", p->path,
                         (int)(table->model.size < 100 ? table->model.size : 100), table->model.bytes);
    }
    p->named = sinq_find_named_pretokenizer(table->pre.bytes, table->pre.size);
    if (p->named != NULL) return SINQ_OK;
    return sinq_fail(p->error, SINQ_FAILED, "%.300s: pre-tokenizer \"%.*s\" is not known", p->path,
                     (int)(table->pre.size < 100 ? table->pre.size : 100), table->pre.bytes);
}

int sinq_print_tokenizer_json(const struct sinq_token_table *table, const char *path, struct sinq_text *json,
                              struct sinq_error *error) {
    struct printing p = {.table = table, .path = path, .json = json, .error = error};
    int status = settle_model(&p);
    sinq_text_add(json, "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\n");
    if (status == SINQ_OK) status = print_added_tokens(&p);
    if (status == SINQ_OK) {
        print_splitting(&p);
        status = print_postprocessor(&p);
    }
    if (status == SINQ_OK) {
        print_decoder(&p);
        status = print_model(&p);
    }
    sinq_text_free(&p.scratch);
    sinq_vocabulary_free(&p.vocabulary);
    return status == SINQ_OK && json->failed ? sinq_fail_memory(error, "tokenizer.json", table->token_count) : status;
}

int sinq_print_tokenizer_config(const struct sinq_token_table *table, const char *path, struct sinq_text *json,
                                struct sinq_error *error) {
    const struct {
        const char *name;
        int64_t id;
    } specials[] = {{"bos_token", table->bos},
                    {"eos_token", table->eos},
                    {"unk_token", table->unknown},
                    {"pad_token", table->padding}};
    struct printing p = {.table = table, .path = path, .json = json, .error = error};
    int status = SINQ_OK;
    sinq_text_add(json, "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"clean_up_tokenization_spaces\":false");
    for (size_t i = 0; i < sizeof specials / sizeof specials[0] && status == SINQ_OK; i++) {
        const struct sinq_table_token *const token = find_token(table, specials[i].id);
        if (token == NULL || token->text.size == 0) continue;
        sinq_text_print(json, ",\n\"%s\":", specials[i].name);
        status = print_string(&p, token->text, "token", (size_t)specials[i].id);
    }
    if (status == SINQ_OK && table->chat_template.size > 0) {
        sinq_text_add(json, ",\n\"chat_template\":");
        status = print_string(&p, table->chat_template, "tokenizer.chat_template", 0);
    }
    sinq_text_add(json, "}\n");
    sinq_text_free(&p.scratch);
    if (status == SINQ_OK && json->failed) status = sinq_fail_memory(error, "tokenizer_config.json", 0);
    return status;
}
