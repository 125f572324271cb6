/* gguf_sidecars.c: config.json and the tokenizer's files, made from a GGUF file's metadata. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "gguf_source.h"
#include "model/gguf_config.h"
#include "text/token_table.h"

#define MAX_ROPE_PAIRS ((uint64_t)4096)

/* ---- config.json ---- */

static bool has_part(const struct sinq_gguf_source *source, const char *name) {
    return sinq_find_gguf_part(source, name) != NULL;
}

static int add_rope(const struct sinq_gguf_source *source, const char *name, struct sinq_gguf_facts *facts,
                    struct sinq_error *error) {
    const struct sinq_gguf_part *const part = sinq_find_gguf_part(source, name);
    if (part == NULL) return SINQ_OK;
    const uint64_t count = part->tensor->shape[0];
    if (part->tensor->rank != 1 || count > MAX_ROPE_PAIRS) {
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: expected at most %llu values of one dimension",
                         source->base.path, name, (unsigned long long)MAX_ROPE_PAIRS);
    }
    float *const factors = malloc((size_t)count * sizeof *factors);
    if (factors == NULL) return sinq_fail_memory(error, name, count * sizeof *factors);
    facts->ropes[facts->rope_count++] =
        (struct sinq_gguf_rope){.name = name, .factors = factors, .count = (uint32_t)count};
    return sinq_read_gguf_part(source, part, 0, 1, factors, error);
}

static int find_facts(const struct sinq_gguf_source *source, struct sinq_gguf_facts *facts, struct sinq_error *error) {
    static const char *const ropes[] = {SINQ_GGUF_ROPE_FREQS, SINQ_GGUF_ROPE_SHORT, SINQ_GGUF_ROPE_LONG};
    const struct sinq_gguf_part *const embedding = sinq_find_gguf_part(source, "token_embd.weight");
    facts->path = source->base.path;
    if (embedding != NULL && embedding->tensor->rank == 2) facts->vocabulary = embedding->tensor->shape[0];
    facts->has_head = has_part(source, "output.weight");
    facts->has_attention_bias = has_part(source, "blk.0.attn_q.bias") || has_part(source, "blk.0.attn_qkv.bias");
    facts->has_mlp_bias = has_part(source, "blk.0.ffn_up.bias");
    int status = SINQ_OK;
    for (size_t i = 0; i < sizeof ropes / sizeof ropes[0] && status == SINQ_OK; i++) {
        status = add_rope(source, ropes[i], facts, error);
    }
    return status;
}

/* Whether there is a tokenizer at all. Test files have none. */
static bool has_tokenizer(const struct sinq_gguf_values *values) {
    const char *bytes;
    size_t size;
    if (!sinq_gguf_get_string(sinq_gguf_find(values, "tokenizer.ggml.model"), &bytes, &size)) return false;
    const bool is_none =
        (size == 4 && memcmp(bytes, "none", size) == 0) || (size == 8 && memcmp(bytes, "no_vocab", size) == 0);
    return !is_none && sinq_gguf_find(values, "tokenizer.ggml.tokens") != NULL;
}

static int list_sidecars(struct sinq_source *base, bool with_tokenizer, struct sinq_error *error) {
    static const char *const names[] = {"config.json", "tokenizer.json", "tokenizer_config.json"};
    const size_t count = with_tokenizer ? 3 : 1;
    base->sidecars = calloc(count, sizeof *base->sidecars);
    if (base->sidecars == NULL) return sinq_fail_memory(error, base->path, count * sizeof *base->sidecars);
    for (size_t i = 0; i < count; i++) {
        base->sidecars[i] = strdup(names[i]);
        if (base->sidecars[i] == NULL) return sinq_fail_memory(error, base->path, strlen(names[i]));
        base->sidecar_count++;
    }
    return SINQ_OK;
}

int sinq_make_gguf_config_text(struct sinq_gguf_source *source, struct sinq_error *error) {
    const struct sinq_gguf_values *const values = &source->files[0].values;
    struct sinq_gguf_facts facts = {.path = NULL};
    struct sinq_text json = {0};
    char name[64];
    const char *const model_type = sinq_find_gguf_model_type(values, name);
    int status = find_facts(source, &facts, error);
    if (status == SINQ_OK) status = sinq_print_gguf_config(values, &facts, &json, error);
    for (uint32_t i = 0; i < facts.rope_count; i++) free(facts.ropes[i].factors);
    if (status != SINQ_OK) {
        sinq_text_free(&json);
        return status;
    }
    source->base.config = json.data;
    source->base.model_type = strdup(model_type);
    if (source->base.model_type == NULL) return sinq_fail_memory(error, source->base.path, strlen(model_type));
    return list_sidecars(&source->base, has_tokenizer(values), error);
}

/* ---- the tokenizer ---- */

static struct sinq_table_string find_string(const struct sinq_gguf_values *values, const char *key) {
    struct sinq_table_string string = {NULL, 0};
    (void)sinq_gguf_get_string(sinq_gguf_find(values, key), &string.bytes, &string.size);
    return string;
}

static int64_t find_id(const struct sinq_gguf_values *values, const char *key) {
    uint64_t id;
    return sinq_gguf_get_u64(sinq_gguf_find(values, key), &id) && id <= INT32_MAX ? (int64_t)id : -1;
}

static int find_flag(const struct sinq_gguf_values *values, const char *key) {
    bool flag;
    return sinq_gguf_get_bool(sinq_gguf_find(values, key), &flag) ? flag : -1;
}

/* An array of strings, or one that is missing or of other things: then there are none. */
static uint64_t count_strings(const struct sinq_gguf_value *value) {
    return value != NULL && value->is_array && value->type == SINQ_GGUF_STRING ? value->count : 0;
}

static void fill_tokens(const struct sinq_gguf_values *values, struct sinq_token_table *table) {
    const struct sinq_gguf_value *const texts = sinq_gguf_find(values, "tokenizer.ggml.tokens");
    const struct sinq_gguf_value *const scores = sinq_gguf_find(values, "tokenizer.ggml.scores");
    const struct sinq_gguf_value *const kinds = sinq_gguf_find(values, "tokenizer.ggml.token_type");
    uint64_t at = 0;
    for (size_t i = 0; i < table->token_count; i++) {
        struct sinq_table_token *const token = &table->tokens[i];
        double score = 0.0, kind = SINQ_TOKEN_NORMAL;
        (void)sinq_gguf_next_string(texts, &at, &token->text.bytes, &token->text.size);
        (void)sinq_gguf_get_element(scores, i, &score);
        (void)sinq_gguf_get_element(kinds, i, &kind);
        token->score = score >= -3e38 && score <= 3e38 ? (float)score : 0.0f;
        token->kind =
            kind >= SINQ_TOKEN_NORMAL && kind <= SINQ_TOKEN_BYTE ? (enum sinq_token_kind)(int)kind : SINQ_TOKEN_NORMAL;
    }
}

static void fill_names(const struct sinq_gguf_values *values, struct sinq_token_table *table) {
    table->model = find_string(values, "tokenizer.ggml.model");
    table->pre = find_string(values, "tokenizer.ggml.pre");
    table->bos = find_id(values, "tokenizer.ggml.bos_token_id");
    table->eos = find_id(values, "tokenizer.ggml.eos_token_id");
    table->unknown = find_id(values, "tokenizer.ggml.unknown_token_id");
    table->padding = find_id(values, "tokenizer.ggml.padding_token_id");
    table->end_of_turn = find_id(values, "tokenizer.ggml.eot_token_id");
    table->adds_bos = find_flag(values, "tokenizer.ggml.add_bos_token");
    table->adds_eos = find_flag(values, "tokenizer.ggml.add_eos_token");
    table->adds_space_prefix = find_flag(values, "tokenizer.ggml.add_space_prefix");
    table->chat_template = find_string(values, "tokenizer.chat_template");
}

/* Free `tokens` and `merges` in any case. */
static int fill_table(const struct sinq_gguf_source *source, struct sinq_token_table *table, struct sinq_error *error) {
    const struct sinq_gguf_values *const values = &source->files[0].values;
    const struct sinq_gguf_value *const merges = sinq_gguf_find(values, "tokenizer.ggml.merges");
    uint64_t at = 0;
    table->token_count = (size_t)count_strings(sinq_gguf_find(values, "tokenizer.ggml.tokens"));
    table->merge_count = (size_t)count_strings(merges);
    table->tokens = calloc(table->token_count + 1, sizeof *table->tokens);
    table->merges = calloc(table->merge_count + 1, sizeof *table->merges);
    if (table->tokens == NULL || table->merges == NULL) {
        return sinq_fail_memory(error, source->base.path, table->token_count * sizeof *table->tokens);
    }
    fill_tokens(values, table);
    for (size_t i = 0; i < table->merge_count; i++) {
        (void)sinq_gguf_next_string(merges, &at, &table->merges[i].bytes, &table->merges[i].size);
    }
    fill_names(values, table);
    return SINQ_OK;
}

int sinq_read_gguf_sidecar(const struct sinq_source *base, size_t index, char **data, size_t *size,
                           struct sinq_error *error) {
    const struct sinq_gguf_source *const source = (const struct sinq_gguf_source *)base;
    struct sinq_token_table table = sinq_empty_token_table();
    struct sinq_text text = {0};
    int status = SINQ_OK;
    if (strcmp(base->sidecars[index], "config.json") == 0) {
        sinq_text_add(&text, base->config);
    } else {
        const bool is_config = strcmp(base->sidecars[index], "tokenizer_config.json") == 0;
        status = fill_table(source, &table, error);
        if (status == SINQ_OK) {
            status = is_config ? sinq_print_tokenizer_config(&table, base->path, &text, error)
                               : sinq_print_tokenizer_json(&table, base->path, &text, error);
        }
        free(table.tokens);
        free(table.merges);
    }
    if (status == SINQ_OK && text.failed) status = sinq_fail_memory(error, base->sidecars[index], text.capacity);
    if (status != SINQ_OK) {
        sinq_text_free(&text);
        return status;
    }
    *data = text.data;
    *size = text.size;
    return SINQ_OK;
}
