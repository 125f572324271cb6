/* gguf_sidecars.c: config.json and the tokenizer's files, made from a GGUF file's metadata. */
#include <math.h>
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
    const int status = sinq_read_gguf_part(source, part, 0, 1, factors, error);
    for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
        if (isfinite(factors[i]) && factors[i] > 0.0f) continue;
        return sinq_fail(error, SINQ_FAILED, "%s: tensor %s: value %llu is %g, expected a finite number above 0",
                         source->base.path, name, (unsigned long long)i, (double)factors[i]);
    }
    return status;
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

/* The arrays of a tokenizer; NULL where the file has none. */
struct token_arrays {
    const struct sinq_gguf_value *texts, *merges; /* strings */
    const struct sinq_gguf_value *scores, *kinds; /* numbers, one a token */
};

static int find_strings(const struct sinq_gguf_source *source, const char *key, bool is_needed,
                        const struct sinq_gguf_value **value, struct sinq_error *error) {
    *value = sinq_gguf_find(&source->files[0].values, key);
    if (*value == NULL ? !is_needed : (*value)->is_array && (*value)->type == SINQ_GGUF_STRING) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: metadata: %s is %s, expected an array of strings", source->base.path, key,
                     *value == NULL ? "missing" : "of another type");
}

static int find_numbers(const struct sinq_gguf_source *source, const char *key, uint64_t count,
                        const struct sinq_gguf_value **value, struct sinq_error *error) {
    const struct sinq_gguf_value *const found = *value = sinq_gguf_find(&source->files[0].values, key);
    if (found == NULL) return SINQ_OK;
    if (found->is_array && sinq_gguf_type_size(found->type) != 0 && found->count == count) return SINQ_OK;
    return sinq_fail(error, SINQ_FAILED, "%s: metadata: %s: expected an array of %llu numbers, one for each token",
                     source->base.path, key, (unsigned long long)count);
}

/* Byte-level tokenizers go by merges, others by scores. */
static int find_arrays(const struct sinq_gguf_source *source, struct token_arrays *arrays, struct sinq_error *error) {
    const struct sinq_table_string model = find_string(&source->files[0].values, "tokenizer.ggml.model");
    const bool is_byte_level = model.size == 4 && memcmp(model.bytes, "gpt2", 4) == 0;
    int status = find_strings(source, "tokenizer.ggml.tokens", true, &arrays->texts, error);
    if (status == SINQ_OK) {
        status = find_strings(source, "tokenizer.ggml.merges", is_byte_level, &arrays->merges, error);
    }
    if (status != SINQ_OK) return status;
    const uint64_t count = arrays->texts->count;
    status = find_numbers(source, "tokenizer.ggml.scores", count, &arrays->scores, error);
    return status == SINQ_OK ? find_numbers(source, "tokenizer.ggml.token_type", count, &arrays->kinds, error) : status;
}

static void fill_tokens(const struct token_arrays *arrays, struct sinq_token_table *table) {
    uint64_t at = 0;
    for (size_t i = 0; i < table->token_count; i++) {
        struct sinq_table_token *const token = &table->tokens[i];
        double score = 0.0, kind = SINQ_TOKEN_NORMAL;
        (void)sinq_gguf_next_string(arrays->texts, &at, &token->text.bytes, &token->text.size);
        (void)sinq_gguf_get_element(arrays->scores, i, &score);
        (void)sinq_gguf_get_element(arrays->kinds, i, &kind);
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
    struct token_arrays arrays;
    uint64_t at = 0;
    const int status = find_arrays(source, &arrays, error);
    if (status != SINQ_OK) return status;
    table->token_count = (size_t)arrays.texts->count;
    table->merge_count = arrays.merges == NULL ? 0 : (size_t)arrays.merges->count;
    table->tokens = calloc(table->token_count + 1, sizeof *table->tokens);
    table->merges = calloc(table->merge_count + 1, sizeof *table->merges);
    if (table->tokens == NULL || table->merges == NULL) {
        return sinq_fail_memory(error, source->base.path, table->token_count * sizeof *table->tokens);
    }
    fill_tokens(&arrays, table);
    for (size_t i = 0; i < table->merge_count; i++) {
        (void)sinq_gguf_next_string(arrays.merges, &at, &table->merges[i].bytes, &table->merges[i].size);
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
