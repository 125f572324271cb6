#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/literal.h"

/* ---- what it is ---- */

void sinq_tokenizer_free(struct sinq_tokenizer *tokenizer) {
    if (tokenizer == NULL) return;
    sinq_vocabulary_free(&tokenizer->bpe.vocabulary);
    sinq_merges_free(&tokenizer->bpe.merges);
    sinq_added_tokens_free(&tokenizer->added);
    sinq_normalizer_free(&tokenizer->normalizer);
    sinq_pretokenizer_free(&tokenizer->pretokenizer);
    sinq_postprocessor_free(&tokenizer->postprocessor);
    sinq_decoder_free(&tokenizer->decoder);
    sinq_tokens_free(&tokenizer->ends);
    free(tokenizer);
}

uint32_t sinq_tokenizer_size(const struct sinq_tokenizer *tokenizer) {
    const uint32_t limit = tokenizer->bpe.vocabulary.limit, added = tokenizer->added.limit;
    return limit > added ? limit : added;
}

int32_t sinq_tokenizer_find(const struct sinq_tokenizer *tokenizer, const char *token) {
    const size_t size = strlen(token);
    const struct sinq_added_token *const added = sinq_added_tokens_find(&tokenizer->added, token, size);
    if (added != NULL) return (int32_t)added->id;
    return sinq_is_utf8(token, size) ? sinq_vocabulary_find_written(&tokenizer->bpe.vocabulary, token, size) : -1;
}

bool sinq_tokenizer_is_end(const struct sinq_tokenizer *tokenizer, int32_t id) {
    for (size_t i = 0; i < tokenizer->ends.count; i++) {
        if (tokenizer->ends.ids[i] == id) return true;
    }
    return false;
}

bool sinq_write_token(const struct sinq_tokenizer *tokenizer, int32_t id, struct sinq_text *text) {
    if (id < 0) return false;
    const struct sinq_added_token *const added = sinq_added_tokens_by_id(&tokenizer->added, (uint32_t)id);
    if (added == NULL) return sinq_vocabulary_write(&tokenizer->bpe.vocabulary, (uint32_t)id, text);
    sinq_text_add_bytes(text, added->content, added->size);
    return true;
}

/* ---- tokenizing ---- */

/* One call. */
struct encoding {
    const struct sinq_tokenizer *tokenizer;
    struct sinq_tokens *tokens;
    bool literal;
    struct sinq_normalizer_work normalizer;
    struct sinq_pretokenizer_work pretokenizer;
    struct sinq_bpe_work bpe;
    /* The part in hand: first of the whole text, then of what the normalizer made of a part. */
    const char *text, *normal;
    bool is_first;
    /* Of text with literal ranges: all of it, and where the part begins that is looked at between two control tokens. */
    const char *whole;
    size_t base;
};

static int take_word(void *user, const char *word, size_t size, struct sinq_error *error) {
    struct encoding *const e = user;
    return sinq_bpe_encode(&e->bpe, word, size, error);
}

static int take_normal_part(void *user, const struct sinq_added_token *token, size_t start, size_t end,
                            struct sinq_error *error) {
    struct encoding *const e = user;
    if (token != NULL) return sinq_tokens_add(e->tokens, (int32_t)token->id, error);
    return sinq_run_pretokenizer(&e->tokenizer->pretokenizer, &e->pretokenizer, e->normal + start, end - start,
                                 e->is_first && start == 0, take_word, e, error);
}

static int take_raw_part(void *user, const struct sinq_added_token *token, size_t start, size_t end,
                         struct sinq_error *error) {
    struct encoding *const e = user;
    const struct sinq_tokenizer *const t = e->tokenizer;
    size_t size;
    if (token != NULL) return sinq_tokens_add(e->tokens, (int32_t)token->id, error);
    const int status =
        sinq_run_normalizer(&t->normalizer, &e->normalizer, e->text + start, end - start, &e->normal, &size, error);
    if (status != SINQ_OK) return status;
    e->is_first =
        e->base == 0 && start == 0 && !e->normalizer.has_lost_start; /* the latter as in Hugging Face's library */
    return sinq_split_added_tokens(&t->added, &t->added.normalized, e->literal, e->normal, size, take_normal_part, e,
                                   error);
}

static int encode_text(struct encoding *e, const char *text, size_t size, struct sinq_error *error) {
    e->text = text;
    return sinq_split_added_tokens(&e->tokenizer->added, &e->tokenizer->added.raw, e->literal, text, size,
                                   take_raw_part, e, error);
}

/* What is not UTF-8 becomes U+FFFD. */
static int encode_bytes(struct encoding *e, const char *text, size_t size, struct sinq_error *error) {
    if (sinq_is_utf8(text, size)) return encode_text(e, text, size, error);
    struct sinq_utf8_filter filter = {0};
    struct sinq_text valid = {0};
    sinq_filter_utf8(&filter, text, size, &valid);
    sinq_finish_utf8(&filter, &valid);
    const int status =
        valid.failed ? sinq_fail_memory(error, "a text", size) : encode_text(e, valid.data, valid.size, error);
    sinq_text_free(&valid);
    return status;
}

static int add_all(struct sinq_tokens *tokens, const struct sinq_tokens *more, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < more->count && status == SINQ_OK; i++) status = sinq_tokens_add(tokens, more->ids[i], error);
    return status;
}

static void end_encoding(struct encoding *e) {
    sinq_bpe_end(&e->bpe);
    sinq_pretokenizer_work_free(&e->tokenizer->pretokenizer, &e->pretokenizer);
    sinq_normalizer_work_free(&e->tokenizer->normalizer, &e->normalizer);
}

int sinq_tokenize(const struct sinq_tokenizer *tokenizer, const char *text, size_t size, unsigned flags,
                  struct sinq_tokens *tokens, struct sinq_error *error) {
    const struct sinq_postprocessor *const around = &tokenizer->postprocessor;
    const bool adds_special = (flags & SINQ_TOKENIZE_SPECIAL) != 0;
    const size_t count = tokens->count;
    struct encoding e = {.tokenizer = tokenizer, .tokens = tokens, .literal = (flags & SINQ_TOKENIZE_LITERAL) != 0};
    sinq_bpe_begin(&e.bpe, &tokenizer->bpe, tokens, size);
    int status = adds_special ? add_all(tokens, &around->before, error) : SINQ_OK;
    if (status == SINQ_OK) status = encode_bytes(&e, text, size, error);
    if (status == SINQ_OK && adds_special) status = add_all(tokens, &around->after, error);
    end_encoding(&e);
    if (status != SINQ_OK) tokens->count = count;
    return status;
}

/* ---- text of which parts are literal ---- */

static int take_part_of_whole(void *user, const struct sinq_added_token *token, size_t start, size_t end,
                              struct sinq_error *error) {
    struct encoding *const e = user;
    if (token != NULL) return sinq_tokens_add(e->tokens, (int32_t)token->id, error);
    e->base = start;
    return encode_text(e, e->whole + start, end - start, error);
}

/* The text in which no control token can be found in literal ranges; white space stays, as tokens may take it along. */
static char *mask_ranges(const char *text, size_t size, const struct sinq_literal_range *literal, size_t count) {
    char *const masked = malloc(size + 1);
    if (masked == NULL) return NULL;
    memcpy(masked, text, size);
    masked[size] = '\0';
    for (size_t i = 0; i < count; i++) {
        for (size_t at = literal[i].begin; at < literal[i].end && at < size; at++) {
            if (masked[at] > ' ' && masked[at] < 127) masked[at] = '\1';
        }
    }
    return masked;
}

int sinq_tokenize_ranges(const struct sinq_tokenizer *tokenizer, const char *text, size_t size,
                         const struct sinq_literal_range *literal, size_t count, struct sinq_tokens *tokens,
                         struct sinq_error *error) {
    const size_t before = tokens->count;
    struct encoding e = {.tokenizer = tokenizer, .tokens = tokens, .literal = true, .whole = text};
    if (!sinq_is_utf8(text, size)) return sinq_fail(error, SINQ_FAILED, "a text is not UTF-8");
    char *const masked = mask_ranges(text, size, literal, count);
    if (masked == NULL) return sinq_fail_memory(error, "a text", size);
    sinq_bpe_begin(&e.bpe, &tokenizer->bpe, tokens, size);
    const int status = sinq_split_added_tokens(&tokenizer->added, &tokenizer->added.control, false, masked, size,
                                               take_part_of_whole, &e, error);
    end_encoding(&e);
    free(masked);
    if (status != SINQ_OK) tokens->count = before;
    return status;
}
