/*
 * vocabulary.h: tokens by id and ids by token.
 *
 * Tokens are kept as bytes. In a byte-level vocabulary that are the bytes they stand for ("Ġthe" is " the"), so that text needs no
 * translation; those few that stand for no bytes (such as "<｜end▁of▁sentence｜>") are kept as written and found as written only.
 *
 * Calling sequence: set is_byte_level, add tokens, then only find. Belongs to one thread until it is filled.
 */
#ifndef SINQ_TEXT_VOCABULARY_H
#define SINQ_TEXT_VOCABULARY_H

#include "base/text.h"

#define SINQ_TOKEN_BYTES ((size_t)65535)       /* of the longest token */
#define SINQ_TOKEN_LIMIT ((uint64_t)1 << 22)   /* ids are below it: a file of a few bytes must not ask for gigabytes */
#define SINQ_JSON_LIMIT  ((uint64_t)512 << 20) /* of a tokenizer.json */

struct sinq_token {
    uint32_t offset; /* of its bytes */
    uint16_t size;
    bool is_used;
    bool is_literal; /* kept as written although the vocabulary is byte-level */
};

/* A place of the index: what a look-up compares, so that it touches only this and the bytes. */
struct sinq_vocabulary_slot {
    uint32_t hash;   /* its upper half */
    uint32_t id;     /* + 1; 0 is free */
    uint32_t offset; /* of the bytes */
    uint16_t size;
    bool is_literal;
};

struct sinq_vocabulary {
    bool is_byte_level;
    struct sinq_text bytes;
    struct sinq_token *tokens; /* by id */
    uint32_t limit, capacity;  /* largest id + 1 */
    uint32_t used;             /* tokens in the index */
    struct sinq_vocabulary_slot *slots;
    uint64_t mask;
};

/* A token as written in tokenizer.json. SINQ_FAILED where the id is too large or another token's; the same token again is too. */
int sinq_vocabulary_add(struct sinq_vocabulary *vocabulary, const char *path, const char *token, size_t size,
                        uint64_t id, struct sinq_error *error);

/* The id of the token with these bytes, or -1. Those that are kept as written are not among them. */
int32_t sinq_vocabulary_find(const struct sinq_vocabulary *vocabulary, const char *bytes, size_t size);

/* The id of a token as written in tokenizer.json, or -1. */
int32_t sinq_vocabulary_find_written(const struct sinq_vocabulary *vocabulary, const char *token, size_t size);

/* Many look-ups at a time, so that the memory that one needs comes while others are looked at. */
struct sinq_lookup {
    const char *bytes; /* as they are kept */
    size_t size;
    bool is_literal;
    uint64_t hash; /* filled in */
    int32_t id;    /* found, or -1 */
};
void sinq_vocabulary_find_all(const struct sinq_vocabulary *vocabulary, struct sinq_lookup *lookups, size_t count);

/* Adds the bytes as which a token would be kept; *is_literal where that is as it is written. */
void sinq_vocabulary_add_kept(const struct sinq_vocabulary *vocabulary, const char *token, size_t size,
                              struct sinq_text *bytes, bool *is_literal);

/* Adds a token to *text as it is written in tokenizer.json; false where there is none with that id. */
bool sinq_vocabulary_write(const struct sinq_vocabulary *vocabulary, uint32_t id, struct sinq_text *text);

/* The bytes of a token; NULL where there is none with that id. */
static inline const struct sinq_token *sinq_vocabulary_token(const struct sinq_vocabulary *vocabulary, int64_t id) {
    const bool is_used = id >= 0 && id < (int64_t)vocabulary->limit && vocabulary->tokens[id].is_used;
    return is_used ? &vocabulary->tokens[id] : NULL;
}

void sinq_vocabulary_free(struct sinq_vocabulary *vocabulary);

#endif
