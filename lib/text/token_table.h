/*
 * token_table.h: a tokenizer as GGUF keeps it: tokens by id with types and scores, merges, a pre-tokenizer by name, special ids.
 *
 * Both directions: sinq_make_token_table takes it from a checkpoint's tokenizer files; sinq_print_tokenizer_json and
 * sinq_print_tokenizer_config write it as those files, which is how a GGUF's tokenizer is opened (sinq_open_tokenizer) and how its chat
 * template is found (sinq_find_chat_template): a source with a token table offers them as sidecars.
 *
 * A table from outside need not be checked before it is printed, but for what is said below.
 */
#ifndef SINQ_TEXT_TOKEN_TABLE_H
#define SINQ_TEXT_TOKEN_TABLE_H

#include "base/text.h"

/* tokenizer.ggml.token_type: llama.cpp, enum llama_token_type. */
enum sinq_token_kind {
    SINQ_TOKEN_NORMAL = 1,
    SINQ_TOKEN_UNKNOWN = 2,
    SINQ_TOKEN_CONTROL = 3,
    SINQ_TOKEN_USER_DEFINED = 4,
    SINQ_TOKEN_UNUSED = 5,
    SINQ_TOKEN_BYTE = 6
};

/* Borrowed bytes; any bytes, no NUL behind them is needed. */
struct sinq_table_string {
    const char *bytes;
    size_t size;
};

struct sinq_table_token {
    struct sinq_table_string text;
    float score; /* of model "llama": higher is merged first */
    enum sinq_token_kind kind;
};

struct sinq_token_table {
    struct sinq_table_string model; /* tokenizer.ggml.model: "gpt2" or "llama" */
    struct sinq_table_string pre;   /* tokenizer.ggml.pre of "gpt2"; empty where there is none: "default" */
    struct sinq_table_token *tokens;
    size_t token_count;
    struct sinq_table_string *merges; /* of "gpt2": "left right", the first one goes first */
    size_t merge_count;
    int64_t bos, eos, unknown, padding, end_of_turn; /* -1: none. Those outside the table count as none */
    /* 1, 0, or -1 where the file does not say: then what llama.cpp takes for granted. A made table always says. */
    int adds_bos, adds_eos, adds_space_prefix;
    struct sinq_table_string chat_template; /* Jinja; empty where there is none */
    /* Of a made table: what the strings and arrays above lie in. Others leave it all zero and own their memory themselves. */
    struct sinq_text bytes;
};

/* A table with nothing in it: ids are -1, flags unsaid. */
struct sinq_token_table sinq_empty_token_table(void);

/*
 * From a checkpoint's tokenizer.json and what goes with it. The table has `vocabulary` tokens: ids that the tokenizer lacks become
 * [PADn] of type unused, as llama.cpp's converter does it. SINQ_FAILED where llama.cpp has no such tokenizer (the pre-tokenizer
 * is none that it knows by name, a normalizer, ...), or where the tokenizer has more tokens. Free it with
 * sinq_free_token_table.
 */
int sinq_make_token_table(const struct sinq_source *source, uint32_t vocabulary, struct sinq_token_table *table,
                          struct sinq_error *error);
/* Only of a made table. */
void sinq_free_token_table(struct sinq_token_table *table);

/*
 * Appends the text of a tokenizer.json that gives the ids that llama.cpp gives; `path` is for messages. A model or a pre-tokenizer
 * that is not known, or a token that is not UTF-8, is SINQ_FAILED and named.
 */
int sinq_print_tokenizer_json(const struct sinq_token_table *table, const char *path, struct sinq_text *json,
                              struct sinq_error *error);
/* Appends the text of a tokenizer_config.json: bos_token, eos_token, unk_token, pad_token, chat_template. */
int sinq_print_tokenizer_config(const struct sinq_token_table *table, const char *path, struct sinq_text *json,
                                struct sinq_error *error);

#endif
