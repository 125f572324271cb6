#include "text/added_tokens.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int sinq_added_tokens_add(struct sinq_added_tokens *added, const struct sinq_added_token *token,
                          struct sinq_error *error) {
    const uint32_t old = sinq_trie_get(&added->contents, token->content, token->size);
    if (old != SINQ_NO_VALUE) {
        free(added->tokens[old].content);
        added->tokens[old] = *token;
        return SINQ_OK;
    }
    const size_t index = added->count, capacity = added->capacity == 0 ? 16 : 2 * added->capacity;
    if (index == added->capacity) {
        struct sinq_added_token *const tokens = realloc(added->tokens, capacity * sizeof *tokens);
        if (tokens == NULL) {
            free(token->content);
            return sinq_fail_memory(error, "added tokens", capacity * sizeof *tokens);
        }
        added->tokens = tokens;
        added->capacity = capacity;
    }
    added->tokens[added->count++] = *token;
    const bool has_memory = sinq_trie_add(&added->contents, token->content, token->size, (uint32_t)index);
    return has_memory ? SINQ_OK : sinq_fail_memory(error, "added tokens", token->size);
}

void sinq_added_tokens_free(struct sinq_added_tokens *added) {
    for (size_t i = 0; i < added->count; i++) free(added->tokens[i].content);
    free(added->tokens);
    free(added->by_id);
    sinq_trie_free(&added->contents);
    sinq_trie_free(&added->raw);
    sinq_trie_free(&added->control);
    sinq_trie_free(&added->normalized);
    *added = (struct sinq_added_tokens){0};
}

const struct sinq_added_token *sinq_added_tokens_by_id(const struct sinq_added_tokens *added, uint32_t id) {
    return id < added->limit && added->by_id[id] != 0 ? &added->tokens[added->by_id[id] - 1] : NULL;
}

const struct sinq_added_token *sinq_added_tokens_find(const struct sinq_added_tokens *added, const char *content,
                                                      size_t size) {
    const uint32_t index = sinq_trie_get(&added->contents, content, size);
    return index == SINQ_NO_VALUE ? NULL : &added->tokens[index];
}

/* ---- finishing ---- */

static int index_by_id(struct sinq_added_tokens *added, struct sinq_error *error) {
    for (size_t i = 0; i < added->count; i++) {
        if (added->tokens[i].id >= added->limit) added->limit = added->tokens[i].id + 1;
    }
    added->by_id = calloc((size_t)added->limit + 1, sizeof *added->by_id);
    if (added->by_id == NULL) return sinq_fail_memory(error, "added tokens", added->limit);
    for (size_t i = 0; i < added->count; i++) added->by_id[added->tokens[i].id] = (uint32_t)i + 1;
    return SINQ_OK;
}

static int add_to_tries(struct sinq_added_tokens *added, size_t index, const struct sinq_normalizer *normalizer,
                        struct sinq_normalizer_work *work, struct sinq_error *error) {
    const struct sinq_added_token *const token = &added->tokens[index];
    const char *content = token->content;
    size_t size = token->size;
    if (token->normalized) {
        const int status = sinq_run_normalizer(normalizer, work, token->content, token->size, &content, &size, error);
        if (status != SINQ_OK) return status;
    }
    struct sinq_trie *const trie = token->normalized ? &added->normalized : &added->raw;
    const bool has_memory = sinq_trie_add(trie, content, size, (uint32_t)index);
    return has_memory ? SINQ_OK : sinq_fail_memory(error, "added tokens", size);
}

int sinq_added_tokens_finish(struct sinq_added_tokens *added, const struct sinq_normalizer *normalizer,
                             struct sinq_error *error) {
    struct sinq_normalizer_work work = {0};
    int status = index_by_id(added, error);
    for (int special = 1; special >= 0;
         special--) { /* of two that look the same once normalized the special one counts */
        for (size_t i = 0; i < added->count && status == SINQ_OK; i++) {
            if (added->tokens[i].special != (special == 1)) continue;
            status = add_to_tries(added, i, normalizer, &work, error);
        }
    }
    sinq_normalizer_work_free(normalizer, &work);
    for (size_t i = 0; i < added->count && status == SINQ_OK; i++) {
        const struct sinq_added_token *const token = &added->tokens[i];
        if (!sinq_is_control_token(token)) continue;
        if (!sinq_trie_add(&added->control, token->content, token->size, (uint32_t)i)) {
            status = sinq_fail_memory(error, "added tokens", token->size);
        }
    }
    return status;
}

/* ---- finding them in a text ---- */

bool sinq_is_control_token(const struct sinq_added_token *token) {
    static const char wide[] = "<\xef\xbd\x9c"; /* U+FF5C */
    return token->special || (token->size > 2 && memcmp(token->content, "<|", 2) == 0) ||
           (token->size > sizeof wide - 1 && memcmp(token->content, wide, sizeof wide - 1) == 0);
}

static bool is_single_word(const char *text, size_t size, struct sinq_match match) {
    size_t length;
    if (match.start > 0 && sinq_is_word(sinq_last_character(text, match.start))) return false;
    return match.end == size || !sinq_is_word(sinq_decode_utf8(text + match.end, &length));
}

/* Where the white space before `start` begins, but nothing that is done already. */
static size_t strip_left(const char *text, size_t start, size_t done) {
    return start > done ? done + sinq_find_trailing_space(text + done, start - done) : done;
}

/*
 * White space that a token takes along may itself be tokens: they are found there again, unless they are to take along what is before
 * them and nothing is left of it. That is how Hugging Face's library has it.
 */
int sinq_split_added_tokens(const struct sinq_added_tokens *added, const struct sinq_trie *trie, bool literal,
                            const char *text, size_t size, sinq_added_part_fn *part, void *user,
                            struct sinq_error *error) {
    size_t done = 0, from = 0; /* the end of the last part; where to look for the next token */
    size_t space_end = 0;      /* of the white space that was taken along last */
    struct sinq_match match;
    int status = SINQ_OK;
    while (status == SINQ_OK) {
        const uint32_t index = sinq_trie_find(trie, text, size, from, &match.start, &match.end);
        if (index == SINQ_NO_VALUE) break;
        const struct sinq_added_token *const token = &added->tokens[index];
        from = match.end;
        if (literal && sinq_is_control_token(token)) continue;
        if (token->single_word && !is_single_word(text, size, match)) continue;
        if (token->lstrip) match.start = strip_left(text, match.start, done);
        if (token->rstrip) {
            if (match.end >= space_end) space_end = match.end + sinq_skip_space(text + match.end, size - match.end);
            match.end = space_end;
        }
        if (match.start > done) status = part(user, NULL, done, match.start, error);
        if (status == SINQ_OK && match.start < match.end) status = part(user, token, match.start, match.end, error);
        done = match.end;
    }
    if (status == SINQ_OK && done < size) status = part(user, NULL, done, size, error);
    return status;
}
