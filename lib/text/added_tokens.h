/*
 * added_tokens.h: tokens that are found in the text before it is split ("added_tokens" of tokenizer.json). Those that are not
 * normalized are looked for in the text as it is, the others in what the normalizer makes of it. Immutable, shared by threads.
 */
#ifndef SINQ_TEXT_ADDED_TOKENS_H
#define SINQ_TEXT_ADDED_TOKENS_H

#include "text/normalizer.h"
#include "text/trie.h"

struct sinq_added_token {
    char *content;
    size_t size;
    uint32_t id;
    bool single_word;    /* not where a word goes on at either side */
    bool lstrip, rstrip; /* takes white space beside it along */
    bool normalized, special;
};

struct sinq_added_tokens {
    struct sinq_added_token *tokens;
    size_t count, capacity;
    struct sinq_trie contents;
    /* From sinq_added_tokens_finish on: */
    struct sinq_trie raw, normalized;
    struct sinq_trie control; /* control tokens as they are written, for text of which parts are literal */
    uint32_t *by_id;          /* index + 1 */
    uint32_t limit;           /* largest id + 1 */
};

/* Takes the content over, in any case. The same content again replaces the settings. */
int sinq_added_tokens_add(struct sinq_added_tokens *added, const struct sinq_added_token *token,
                          struct sinq_error *error);
/* Once all are there and their ids are below SINQ_TOKEN_LIMIT. */
int sinq_added_tokens_finish(struct sinq_added_tokens *added, const struct sinq_normalizer *normalizer,
                             struct sinq_error *error);
void sinq_added_tokens_free(struct sinq_added_tokens *added);

/* The token with that id or that content, or NULL. */
const struct sinq_added_token *sinq_added_tokens_by_id(const struct sinq_added_tokens *added, uint32_t id);
const struct sinq_added_token *sinq_added_tokens_find(const struct sinq_added_tokens *added, const char *content,
                                                      size_t size);

/* Special, or written <|like this|> or with wide bars: see literal.h. */
bool sinq_is_control_token(const struct sinq_added_token *token);

/* A part of the text: an added token, or (token NULL) what lies between two. */
typedef int sinq_added_part_fn(void *user, const struct sinq_added_token *token, size_t start, size_t end,
                               struct sinq_error *error);
/* Takes the text apart at the tokens of a trie; `literal` leaves control tokens in the text. */
int sinq_split_added_tokens(const struct sinq_added_tokens *added, const struct sinq_trie *trie, bool literal,
                            const char *text, size_t size, sinq_added_part_fn *part, void *user,
                            struct sinq_error *error);

#endif
