/* export_metadata.c: what a GGUF file says of its model. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "checkpoint/source.h"
#include "gguf_layout.h"
#include "model/gguf_config.h"
#include "tensor/block_types.h"
#include "text/sidecar.h"
#include "text/token_table.h"

#define QUANTIZATION_VERSION 2u /* ggml.h, GGML_QNT_VERSION */

/* llama.h, enum llama_ftype: what most weights are. */
static uint32_t find_file_type(const char *type) {
    static const struct {
        enum sinq_block_type_id id;
        uint32_t file_type;
    } types[] = {{SINQ_BLOCK_F32, 0},     {SINQ_BLOCK_F16, 1},   {SINQ_BLOCK_Q4_0, 2},  {SINQ_BLOCK_Q4_1, 3},
                 {SINQ_BLOCK_Q8_0, 7},    {SINQ_BLOCK_Q5_0, 8},  {SINQ_BLOCK_Q5_1, 9},  {SINQ_BLOCK_Q2_K, 10},
                 {SINQ_BLOCK_Q3_K, 11},   {SINQ_BLOCK_Q4_K, 14}, {SINQ_BLOCK_Q5_K, 16}, {SINQ_BLOCK_Q6_K, 18},
                 {SINQ_BLOCK_IQ4_NL, 25}, {SINQ_BLOCK_BF16, 32}};
    const struct sinq_block_type *const found = sinq_find_block_type_named(type);
    for (size_t i = 0; found != NULL && i < sizeof types / sizeof types[0]; i++) {
        if (types[i].id == found->id) return types[i].file_type;
    }
    return 0;
}

static void add_text(struct sinq_gguf_values *values, const char *key, const char *text) {
    sinq_gguf_add_string(values, key, text, strlen(text));
}

/* The last part of a path, without what marks a file as what it is. */
static void add_name(struct sinq_gguf_values *values, const char *path) {
    static const char *const suffixes[] = {".safetensors", ".gguf"};
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    size_t begin = size;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        const size_t length = strlen(suffixes[i]);
        if (size - begin > length && memcmp(path + size - length, suffixes[i], length) == 0) size -= length;
    }
    sinq_gguf_add_string(values, "general.name", path + begin, size - begin);
}

/* ---- the tokenizer ---- */

static void add_table_string(struct sinq_gguf_values *values, const char *key, struct sinq_table_string string) {
    if (string.size > 0) sinq_gguf_add_string(values, key, string.bytes, string.size);
}

static const char *get_token(const void *user, uint64_t index, size_t *size) {
    const struct sinq_table_string text = ((const struct sinq_token_table *)user)->tokens[index].text;
    *size = text.size;
    return text.bytes;
}

static const char *get_merge(const void *user, uint64_t index, size_t *size) {
    const struct sinq_table_string text = ((const struct sinq_token_table *)user)->merges[index];
    *size = text.size;
    return text.bytes;
}

static int add_tokens(struct sinq_gguf_values *values, const struct sinq_token_table *table, struct sinq_error *error) {
    const bool is_llama = table->model.size == 5 && memcmp(table->model.bytes, "llama", 5) == 0;
    float *const scores = calloc(table->token_count + 1, sizeof *scores);
    int32_t *const kinds = calloc(table->token_count + 1, sizeof *kinds);
    const bool is_there = scores != NULL && kinds != NULL;
    for (size_t i = 0; i < table->token_count && is_there; i++) {
        scores[i] = table->tokens[i].score;
        kinds[i] = (int32_t)table->tokens[i].kind;
    }
    if (is_there) {
        sinq_gguf_add_strings(values, "tokenizer.ggml.tokens", table->token_count, get_token, table);
        if (is_llama) {
            sinq_gguf_add_numbers(values, "tokenizer.ggml.scores", SINQ_GGUF_F32, scores, table->token_count);
        }
        sinq_gguf_add_numbers(values, "tokenizer.ggml.token_type", SINQ_GGUF_I32, kinds, table->token_count);
        if (!is_llama) {
            sinq_gguf_add_strings(values, "tokenizer.ggml.merges", table->merge_count, get_merge, table);
        }
    }
    free(scores);
    free(kinds);
    return is_there ? SINQ_OK : sinq_fail_memory(error, "a list of tokens", table->token_count);
}

static void add_specials(struct sinq_gguf_values *values, const struct sinq_token_table *table) {
    const struct {
        const char *key;
        int64_t id;
    } ids[] = {{"tokenizer.ggml.bos_token_id", table->bos},
               {"tokenizer.ggml.eos_token_id", table->eos},
               {"tokenizer.ggml.eot_token_id", table->end_of_turn},
               {"tokenizer.ggml.unknown_token_id", table->unknown},
               {"tokenizer.ggml.padding_token_id", table->padding}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (ids[i].id >= 0) sinq_gguf_add_u32(values, ids[i].key, (uint32_t)ids[i].id);
    }
    sinq_gguf_add_bool(values, "tokenizer.ggml.add_bos_token", table->adds_bos > 0);
    sinq_gguf_add_bool(values, "tokenizer.ggml.add_eos_token", table->adds_eos > 0);
    sinq_gguf_add_bool(values, "tokenizer.ggml.add_space_prefix", table->adds_space_prefix > 0);
    add_table_string(values, "tokenizer.chat_template", table->chat_template);
}

/* A model without a tokenizer takes ids alone. */
static int add_tokenizer(struct sinq_gguf_values *values, const struct sinq_source *view, uint32_t vocabulary,
                         struct sinq_error *error) {
    struct sinq_token_table table;
    if (sinq_find_sidecar(view, "tokenizer.json") < 0) {
        add_text(values, "tokenizer.ggml.model", "no_vocab");
        return SINQ_OK;
    }
    int status = sinq_make_token_table(view, vocabulary, &table, error);
    if (status != SINQ_OK) return status;
    add_table_string(values, "tokenizer.ggml.model", table.model);
    add_table_string(values, "tokenizer.ggml.pre", table.pre);
    status = add_tokens(values, &table, error);
    add_specials(values, &table);
    sinq_free_token_table(&table);
    return status;
}

/* ---- the whole ---- */

int sinq_make_gguf_metadata(const struct sinq_source *view, const char *type, struct sinq_gguf_values *metadata,
                            struct sinq_error *error) {
    const struct sinq_gguf_family *const family = sinq_find_gguf_family(view->model_type);
    struct sinq_model_config config;
    if (family == NULL) return sinq_fail(error, SINQ_FAILED, "%s: GGUF has no such architecture", view->path);
    int status = sinq_read_model_config(view->path, view->config, &config, error);
    if (status != SINQ_OK) return status;
    add_text(metadata, "general.architecture", family->architecture);
    add_text(metadata, "general.type", "model");
    add_name(metadata, view->path);
    sinq_gguf_add_u32(metadata, "general.file_type", find_file_type(type));
    sinq_gguf_add_u32(metadata, "general.quantization_version", QUANTIZATION_VERSION);
    status = sinq_make_gguf_config(view->path, &config, metadata, error);
    if (status == SINQ_OK) status = add_tokenizer(metadata, view, config.vocabulary, error);
    if (status == SINQ_OK && metadata->failed) status = sinq_fail_memory(error, "metadata", 0);
    sinq_model_config_free(&config);
    return status;
}
