/* token_table.c: from a checkpoint's tokenizer files to the lists that GGUF keeps. */
#include "text/token_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/chat.h"
#include "text/named_pretokenizer.h"
#include "text/sidecar.h"
#include "text/tokenizer.h"

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 */

struct sinq_token_table sinq_empty_token_table(void) {
    return (struct sinq_token_table){.bos = -1,
                                     .eos = -1,
                                     .unknown = -1,
                                     .padding = -1,
                                     .end_of_turn = -1,
                                     .adds_bos = -1,
                                     .adds_eos = -1,
                                     .adds_space_prefix = -1};
}

void sinq_free_token_table(struct sinq_token_table *table) {
    free(table->tokens);
    free(table->merges);
    sinq_text_free(&table->bytes);
    *table = sinq_empty_token_table();
}

static struct sinq_table_string to_string(const char *text) {
    return (struct sinq_table_string){.bytes = text, .size = strlen(text)};
}

/* What is known while a table is made. */
struct making {
    const struct sinq_source *source;
    struct sinq_tokenizer *tokenizer;
    struct sinq_token_table *table;
    const char *path; /* of tokenizer.json, while it is read */
};

/* ---- what kind of tokenizer it is ---- */

/* GGUF's model "llama" turns spaces into marks and may put one in front; nothing else. */
static int find_space_prefix(const struct making *m, struct sinq_error *error) {
    const struct sinq_normalizer *const n = &m->tokenizer->normalizer;
    const struct sinq_pretokenizer *const p = &m->tokenizer->pretokenizer;
    bool marks = false, is_known = true;
    m->table->adds_space_prefix = 0;
    for (size_t i = 0; i < n->count; i++) {
        const struct sinq_normalizer_stage *const stage = &n->stages[i];
        const bool is_mark = stage->content_size == strlen(SPACE_MARK) && stage->content != NULL &&
                             memcmp(stage->content, SPACE_MARK, stage->content_size) == 0;
        if (stage->kind == SINQ_PREPEND && is_mark && i == 0) {
            m->table->adds_space_prefix = 1;
        } else if (stage->kind == SINQ_REPLACE && is_mark && stage->pattern.string_size == 1 &&
                   stage->pattern.string[0] == ' ') {
            marks = true;
        } else {
            is_known = false;
        }
    }
    for (size_t i = 0; i < p->count; i++) {
        const struct sinq_pretokenizer_stage *const stage = &p->stages[i];
        const bool splits_at_space = !stage->is_metaspace && marks && stage->pattern.string_size == 1 &&
                                     stage->pattern.string[0] == ' '; /* of which none is left */
        if (stage->is_metaspace && !marks) {
            marks = strcmp(stage->mark, SPACE_MARK) == 0;
            m->table->adds_space_prefix = stage->prepend != SINQ_PREPEND_NEVER;
        } else if (!splits_at_space) {
            is_known = false;
        }
    }
    if (marks && is_known) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED,
                     "%.300s: GGUF has no name for a normalizer and pre-tokenizer that do more than to mark spaces",
                     m->path);
}

static int name_model(const struct making *m, const cJSON *pretokenizer, struct sinq_error *error) {
    const struct sinq_tokenizer *const t = m->tokenizer;
    struct sinq_token_table *const table = m->table;
    const struct sinq_named_pretokenizer *named;
    if (!t->pretokenizer.is_byte_level) {
        if (!t->bpe.byte_fallback) {
            return sinq_fail(error, SINQ_FAILED,
                             "%.300s: neither byte-level nor with byte_fallback: GGUF has no such tokenizer", m->path);
        }
        table->model = to_string("llama");
        table->pre = to_string("default");
        return find_space_prefix(m, error);
    }
    /* NFC is left out, as llama.cpp's converter does it. */
    for (size_t i = 0; i < t->normalizer.count; i++) {
        if (t->normalizer.stages[i].kind == SINQ_NORMAL_FORM) continue;
        return sinq_fail(error, SINQ_FAILED, "%.300s: GGUF has no tokenizer with this normalizer", m->path);
    }
    table->model = to_string("gpt2");
    table->adds_space_prefix = 0;
    const int status = sinq_name_pretokenizer(m->path, pretokenizer, t->bpe.ignore_merges, &named, error);
    if (status == SINQ_OK) {
        table->pre = (struct sinq_table_string){.bytes = named->names, .size = strcspn(named->names, " ")};
    }
    return status;
}

static int read_tokenizer_json(void *user, const char *what, const char *text, size_t size, struct sinq_error *error) {
    struct making *const m = user;
    cJSON *pretokenizer = NULL;
    m->path = what;
    int status = sinq_find_section(what, text, size, "pre_tokenizer", &pretokenizer, error);
    if (status == SINQ_OK) status = name_model(m, pretokenizer, error);
    cJSON_Delete(pretokenizer);
    m->path = NULL;
    return status;
}

/* ---- tokens ---- */

/* Strings are added in order, and found again when all are there: the text moves while it grows. */
static struct sinq_table_string end_string(const struct sinq_token_table *table, size_t begin) {
    return (struct sinq_table_string){.bytes = NULL, .size = table->bytes.size - begin};
}

static bool is_byte_token(const struct sinq_tokenizer *t, int32_t id) {
    for (size_t i = 0; i < 256; i++) {
        if (t->bpe.byte_tokens[i] == id) return true;
    }
    return false;
}

static enum sinq_token_kind find_kind(const struct making *m, int32_t id, const struct sinq_added_token *added) {
    const bool is_llama = !m->tokenizer->pretokenizer.is_byte_level;
    if (is_llama && id == m->tokenizer->bpe.unknown) return SINQ_TOKEN_UNKNOWN;
    if (added != NULL) return sinq_is_control_token(added) ? SINQ_TOKEN_CONTROL : SINQ_TOKEN_USER_DEFINED;
    return is_llama && is_byte_token(m->tokenizer, id) ? SINQ_TOKEN_BYTE : SINQ_TOKEN_NORMAL;
}

/* llama.cpp looks for user-defined tokens in the text as it is, before spaces are marked. */
static void add_unmarked(struct sinq_text *text, const struct sinq_added_token *token) {
    const size_t mark = strlen(SPACE_MARK);
    for (size_t i = 0; i < token->size;) {
        const bool is_mark = token->size - i >= mark && memcmp(token->content + i, SPACE_MARK, mark) == 0;
        sinq_text_add_bytes(text, is_mark ? " " : token->content + i, 1);
        i += is_mark ? mark : 1;
    }
}

static void add_token(const struct making *m, uint32_t id) {
    struct sinq_token_table *const table = m->table;
    struct sinq_table_token *const token = &table->tokens[id];
    const struct sinq_added_token *const added = sinq_added_tokens_by_id(&m->tokenizer->added, id);
    const size_t begin = table->bytes.size;
    token->kind = find_kind(m, (int32_t)id, added);
    if (added != NULL && token->kind == SINQ_TOKEN_USER_DEFINED && !m->tokenizer->pretokenizer.is_byte_level) {
        add_unmarked(&table->bytes, added);
    } else if (!sinq_write_token(m->tokenizer, (int32_t)id, &table->bytes)) {
        token->kind = SINQ_TOKEN_UNUSED;
        sinq_text_print(&table->bytes, "[PAD%u]", (unsigned)id);
    }
    token->text = end_string(table, begin);
}

/* ---- merges ---- */

struct ranked_merge {
    uint32_t rank, left, right, result;
};

static int compare_ranks(const void *left, const void *right) {
    const struct ranked_merge *const a = left, *const b = right;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* All merges, the first one first. */
static struct ranked_merge *list_merges(const struct sinq_merges *merges, size_t *count) {
    const size_t low = merges->low == NULL ? 0 : (size_t)SINQ_LOW_IDS * SINQ_LOW_IDS;
    const size_t slots = merges->slots == NULL ? 0 : (size_t)merges->mask + 1;
    struct ranked_merge *const list = calloc(low + slots + 1, sizeof *list);
    *count = 0;
    for (size_t i = 0; list != NULL && i < low + slots; i++) {
        const struct sinq_merge_slot slot =
            i < low ? (struct sinq_merge_slot){(uint64_t)(i / SINQ_LOW_IDS) << 32 | i % SINQ_LOW_IDS, merges->low[i]}
                    : merges->slots[i - low];
        if (slot.merge.rank == SINQ_NO_MERGE) continue;
        list[(*count)++] =
            (struct ranked_merge){slot.merge.rank, (uint32_t)(slot.pair >> 32), (uint32_t)slot.pair, slot.merge.result};
    }
    if (list != NULL) qsort(list, *count, sizeof *list, compare_ranks);
    return list;
}

static void add_merges(const struct making *m, const struct ranked_merge *list, size_t count) {
    struct sinq_token_table *const table = m->table;
    for (size_t i = 0; i < count; i++) {
        const size_t begin = table->bytes.size;
        (void)sinq_vocabulary_write(&m->tokenizer->bpe.vocabulary, list[i].left, &table->bytes);
        sinq_text_add(&table->bytes, " ");
        (void)sinq_vocabulary_write(&m->tokenizer->bpe.vocabulary, list[i].right, &table->bytes);
        table->merges[i] = end_string(table, begin);
    }
    table->merge_count = count;
}

/*
 * SentencePiece's scores, as they can be told from merges: what is merged first has 0, the next -1, and so on; single characters come
 * behind, in the order of their ids.
 */
static void score_tokens(const struct sinq_token_table *table, const struct ranked_merge *list, size_t count) {
    float next = 0;
    for (size_t i = 0; i < table->token_count; i++) table->tokens[i].score = 1; /* none yet */
    for (size_t i = 0; i < count; i++) {
        struct sinq_table_token *const token = &table->tokens[list[i].result];
        if (token->score > 0) token->score = next--;
    }
    for (size_t i = 0; i < table->token_count; i++) {
        struct sinq_table_token *const token = &table->tokens[i];
        if (token->score > 0) token->score = token->kind == SINQ_TOKEN_NORMAL ? next-- : 0;
    }
}

static int add_lists(const struct making *m, uint32_t vocabulary, struct sinq_error *error) {
    struct sinq_token_table *const table = m->table;
    size_t count;
    struct ranked_merge *const list = list_merges(&m->tokenizer->bpe.merges, &count);
    table->tokens = calloc((size_t)vocabulary + 1, sizeof *table->tokens);
    table->merges = calloc(count + 1, sizeof *table->merges);
    if (list == NULL || table->tokens == NULL || table->merges == NULL) {
        free(list);
        return sinq_fail_memory(error, "a list of tokens", vocabulary);
    }
    table->token_count = vocabulary;
    for (uint32_t id = 0; id < vocabulary; id++) add_token(m, id);
    if (m->tokenizer->pretokenizer.is_byte_level) {
        add_merges(m, list, count);
    } else {
        score_tokens(table, list, count);
    }
    free(list);
    return SINQ_OK;
}

/* ---- special tokens ---- */

static int64_t take_id(const struct sinq_token_table *table, const cJSON *value) {
    const cJSON *const one = cJSON_IsArray(value) ? cJSON_GetArrayItem(value, 0) : value;
    const bool is_id = cJSON_IsNumber(one) && one->valuedouble >= 0 && one->valuedouble < (double)table->token_count;
    return is_id ? (int64_t)one->valuedouble : -1;
}

static void set_once(int64_t *id, int64_t value) {
    if (*id < 0) *id = value;
}

/* Names in tokenizer_config.json come before ids in config.json and generation_config.json. */
static int read_names(void *user, const char *what, const char *text, size_t size, struct sinq_error *error) {
    const struct making *const m = user;
    struct sinq_token_table *const table = m->table;
    cJSON *const json = cJSON_ParseWithLength(text, size);
    if (!cJSON_IsObject(json)) {
        cJSON_Delete(json);
        return sinq_fail(error, SINQ_FAILED, "%s: a JSON object was expected", what);
    }
    set_once(&table->bos, sinq_find_named_token(m->tokenizer, json, "bos_token"));
    set_once(&table->eos, sinq_find_named_token(m->tokenizer, json, "eos_token"));
    set_once(&table->unknown, sinq_find_named_token(m->tokenizer, json, "unk_token"));
    set_once(&table->padding, sinq_find_named_token(m->tokenizer, json, "pad_token"));
    set_once(&table->bos, take_id(table, cJSON_GetObjectItemCaseSensitive(json, "bos_token_id")));
    set_once(&table->eos, take_id(table, cJSON_GetObjectItemCaseSensitive(json, "eos_token_id")));
    set_once(&table->padding, take_id(table, cJSON_GetObjectItemCaseSensitive(json, "pad_token_id")));
    cJSON_Delete(json);
    return SINQ_OK;
}

/* Of several tokens that end an answer the one that ends a turn, where it is not EOS. */
static int64_t find_end_of_turn(const struct making *m) {
    static const char *const names[] = {"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|eot|>", NULL};
    for (size_t i = 0; names[i] != NULL; i++) {
        const int32_t id = sinq_tokenizer_find(m->tokenizer, names[i]);
        if (id >= 0 && id != m->table->eos && sinq_tokenizer_is_end(m->tokenizer, id)) return id;
    }
    return -1;
}

/* What the post-processor puts around a text is BOS and EOS, or GGUF cannot say it. */
static int settle_around(const struct making *m, struct sinq_error *error) {
    const struct sinq_postprocessor *const around = &m->tokenizer->postprocessor;
    struct sinq_token_table *const table = m->table;
    table->adds_bos = around->before.count > 0;
    table->adds_eos = around->after.count > 0;
    if (around->before.count == 1) set_once(&table->bos, around->before.ids[0]);
    if (around->after.count == 1) set_once(&table->eos, around->after.ids[0]);
    const bool is_bos = around->before.count == 0 || (around->before.count == 1 && around->before.ids[0] == table->bos);
    const bool is_eos = around->after.count == 0 || (around->after.count == 1 && around->after.ids[0] == table->eos);
    if (is_bos && is_eos) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED,
                     "%.300s/tokenizer.json: post_processor adds other tokens than BOS and EOS, which GGUF cannot say",
                     sinq_source_path(m->source));
}

static int add_special(struct making *m, struct sinq_error *error) {
    static const char *const files[] = {"tokenizer_config.json", "config.json", "generation_config.json"};
    int status = SINQ_OK;
    for (size_t i = 0; i < sizeof files / sizeof files[0] && status == SINQ_OK; i++) {
        status = sinq_read_sidecar(m->source, files[i], read_names, m, error);
    }
    if (status != SINQ_OK) return status;
    set_once(&m->table->unknown, m->tokenizer->bpe.unknown);
    m->table->end_of_turn = find_end_of_turn(m);
    return settle_around(m, error);
}

/* ---- the whole ---- */

static void place_string(struct sinq_table_string *string, const char **at) {
    string->bytes = *at;
    *at += string->size;
}

static int add_chat_template(const struct making *m, struct sinq_error *error) {
    struct sinq_token_table *const table = m->table;
    struct sinq_chat_texts texts;
    const int status = sinq_find_chat_texts(m->source, &texts, error);
    const size_t begin = table->bytes.size;
    if (texts.chat.data != NULL) sinq_text_add_bytes(&table->bytes, texts.chat.data, texts.chat.size);
    table->chat_template = end_string(table, begin);
    sinq_free_chat_texts(&texts);
    return status;
}

static int make_lists(struct making *m, uint32_t vocabulary, struct sinq_error *error) {
    struct sinq_token_table *const table = m->table;
    int status = sinq_read_sidecar(m->source, "tokenizer.json", read_tokenizer_json, m, error);
    if (status == SINQ_OK) status = add_lists(m, vocabulary, error);
    if (status == SINQ_OK) status = add_special(m, error);
    if (status == SINQ_OK) status = add_chat_template(m, error);
    if (status == SINQ_OK && table->bytes.failed) status = sinq_fail_memory(error, "a list of tokens", vocabulary);
    if (status != SINQ_OK) return status;
    const char *at = table->bytes.data;
    for (size_t i = 0; i < table->token_count; i++) place_string(&table->tokens[i].text, &at);
    for (size_t i = 0; i < table->merge_count; i++) place_string(&table->merges[i], &at);
    place_string(&table->chat_template, &at);
    return SINQ_OK;
}

int sinq_make_token_table(const struct sinq_source *source, uint32_t vocabulary, struct sinq_token_table *table,
                          struct sinq_error *error) {
    struct making m = {.source = source, .table = table};
    *table = sinq_empty_token_table();
    int status = sinq_open_tokenizer(source, &m.tokenizer, error);
    if (status != SINQ_OK) return status;
    if (sinq_tokenizer_size(m.tokenizer) > vocabulary) {
        status = sinq_fail(error, SINQ_FAILED,
                           "%.300s/tokenizer.json: %u tokens, but config.json says vocab_size %u: GGUF has one list",
                           sinq_source_path(source), (unsigned)sinq_tokenizer_size(m.tokenizer), (unsigned)vocabulary);
    }
    if (status == SINQ_OK && vocabulary > SINQ_TOKEN_LIMIT) {
        status = sinq_fail(error, SINQ_FAILED, "%.300s: vocab_size %u, at most %llu was expected",
                           sinq_source_path(source), (unsigned)vocabulary, (unsigned long long)SINQ_TOKEN_LIMIT);
    }
    if (status == SINQ_OK) status = make_lists(&m, vocabulary, error);
    sinq_tokenizer_free(m.tokenizer);
    if (status != SINQ_OK) sinq_free_token_table(table);
    return status;
}
