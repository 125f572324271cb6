#include "text/bpe.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/tokens.h"

#define SPACE_MARK 0x2581u /* what SentencePiece writes for a space */

/* ---- the model ---- */

static void fill_byte_tokens(struct sinq_bpe *bpe) {
    static const char digits[] = "0123456789ABCDEF";
    for (unsigned b = 0; b < 256; b++) {
        const char name[6] = {'<', '0', 'x', digits[b >> 4], digits[b & 15], '>'};
        bpe->byte_tokens[b] = sinq_vocabulary_find_written(&bpe->vocabulary, name, sizeof name);
    }
}

void sinq_bpe_finish(struct sinq_bpe *bpe) {
    const struct sinq_vocabulary *const v = &bpe->vocabulary;
    fill_byte_tokens(bpe);
    for (unsigned b = 0; b < 256; b++) {
        const char byte = (char)b;
        const int32_t id = sinq_vocabulary_find(v, &byte, 1);
        bpe->byte_symbols[b] = id;
        if (b < 128) bpe->ascii_symbols[b] = id;
    }
    char mark[4];
    const size_t size = sinq_encode_utf8(SPACE_MARK, mark);
    bpe->splits_at_space_mark = !v->is_byte_level && !bpe->ignore_merges && sinq_vocabulary_find(v, mark, size) >= 0 &&
                                !sinq_merges_enter(&bpe->merges, SPACE_MARK);
}

/* ---- from text to symbols ---- */

/* The next symbol of the word, with its outer characters. Where no token joins it to the last one, a stretch ends. */
static int add_symbol(struct sinq_bpe_work *work, int32_t id, uint32_t first, uint32_t last, struct sinq_error *error) {
    int status = SINQ_OK;
    if (work->stretch.count > 0 && !sinq_merges_can_join(&work->bpe->merges, work->last, first)) {
        status = sinq_stretch_merge(&work->stretch, work->tokens, error);
    }
    work->last = last;
    return status == SINQ_OK ? sinq_stretch_add(&work->stretch, (uint32_t)id, error) : status;
}

static int flush_unknown(struct sinq_bpe_work *work, struct sinq_error *error) {
    if (!work->has_unknown) return SINQ_OK;
    work->has_unknown = false;
    return add_symbol(work, work->bpe->unknown, work->bpe->unknown_first, work->bpe->unknown_last, error);
}

/* A character that is no token, as it is written: its bytes, or the unknown token, or nothing. */
static int add_unknown(struct sinq_bpe_work *work, const char *text, size_t size, struct sinq_error *error) {
    const struct sinq_bpe *const bpe = work->bpe;
    bool has_bytes = bpe->byte_fallback;
    for (size_t i = 0; i < size && has_bytes; i++) has_bytes = bpe->byte_tokens[(unsigned char)text[i]] >= 0;
    int status = SINQ_OK;
    if (has_bytes) { /* without flushing: an unknown token comes behind the bytes, as in Hugging Face's */
        for (size_t i = 0; i < size && status == SINQ_OK; i++) {
            status = add_symbol(work, bpe->byte_tokens[(unsigned char)text[i]], '<', '>', error);
        }
        return status;
    }
    if (bpe->unknown < 0) return SINQ_OK;
    if (!bpe->fuse_unknown) status = flush_unknown(work, error);
    work->has_unknown = true;
    return status;
}

static int add_bytes(struct sinq_bpe_work *work, const char *word, size_t size, struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < size && status == SINQ_OK; i++) {
        const unsigned char byte = (unsigned char)word[i];
        const int32_t id = work->bpe->byte_symbols[byte];
        if (id >= 0) {
            status = flush_unknown(work, error);
            if (status == SINQ_OK) status = add_symbol(work, id, byte, byte, error);
        } else {
            char character[4];
            status = add_unknown(work, character, sinq_encode_utf8(sinq_byte_to_character(byte), character), error);
        }
    }
    return status;
}

static int add_characters(struct sinq_bpe_work *work, const char *word, size_t size, struct sinq_error *error) {
    const struct sinq_bpe *const bpe = work->bpe;
    int status = SINQ_OK;
    for (size_t i = 0, length; i < size && status == SINQ_OK; i += length) {
        const uint32_t point = sinq_decode_utf8(word + i, &length);
        const int32_t id =
            point < 128 ? bpe->ascii_symbols[point] : sinq_vocabulary_find(&bpe->vocabulary, word + i, length);
        if (id >= 0) {
            status = flush_unknown(work, error);
            if (status == SINQ_OK) status = add_symbol(work, id, point, point, error);
        } else {
            status = add_unknown(work, word + i, length, error);
        }
    }
    return status;
}

/* ---- words ---- */

static int encode_word(struct sinq_bpe_work *work, const char *word, size_t size, struct sinq_error *error) {
    const struct sinq_bpe *const bpe = work->bpe;
    if (bpe->ignore_merges) {
        const int32_t id = sinq_vocabulary_find(&bpe->vocabulary, word, size);
        if (id >= 0) return sinq_tokens_add(work->tokens, id, error);
    }
    int status =
        bpe->vocabulary.is_byte_level ? add_bytes(work, word, size, error) : add_characters(work, word, size, error);
    if (status == SINQ_OK) status = flush_unknown(work, error);
    return status == SINQ_OK ? sinq_stretch_merge(&work->stretch, work->tokens, error) : status;
}

static int copy_ids(struct sinq_tokens *tokens, const struct sinq_cached_word *word, struct sinq_error *error) {
    if (word->count == 1) return sinq_tokens_add(tokens, (int32_t)word->first, error);
    int status = SINQ_OK;
    for (uint32_t i = 0; i < word->count && status == SINQ_OK; i++) {
        status = sinq_tokens_add(tokens, tokens->ids[word->first + i], error);
    }
    return status;
}

static int encode_cached(struct sinq_bpe_work *work, const char *word, size_t size, struct sinq_error *error) {
    struct sinq_tokens *const tokens = work->tokens;
    if (size == 0 || size > SINQ_CACHED_BYTES || work->cache.words == NULL) {
        return encode_word(work, word, size, error);
    }
    bool is_found;
    struct sinq_cached_word *const place = sinq_word_cache_find(&work->cache, word, size, &is_found);
    if (is_found) return copy_ids(tokens, place, error);
    const size_t first = tokens->count;
    const int status = encode_word(work, word, size, error);
    const size_t count = tokens->count - first;
    if (status != SINQ_OK || first > UINT32_MAX) return status;
    place->first = count == 1 ? (uint32_t)tokens->ids[first] : (uint32_t)first;
    place->count = (uint16_t)count;
    place->size = (uint8_t)size;
    return SINQ_OK;
}

/* Where the next word begins behind `from`: at a space mark that follows another character. */
static size_t find_word_end(const char *text, size_t from, size_t size) {
    static const char mark[] = "\xe2\x96\x81";
    size_t i = from;
    while (i + 3 <= size && memcmp(text + i, mark, 3) == 0) i += 3; /* a run of marks stays together */
    while (i < size) {
        const char *const next = memchr(text + i, mark[0], size - i);
        if (next == NULL) return size;
        i = (size_t)(next - text);
        if (i > from && i + 3 <= size && memcmp(next, mark, 3) == 0) return i;
        i++;
    }
    return size;
}

int sinq_bpe_encode(struct sinq_bpe_work *work, const char *word, size_t size, struct sinq_error *error) {
    if (!work->bpe->splits_at_space_mark) return encode_cached(work, word, size, error);
    int status = SINQ_OK;
    for (size_t i = 0; i < size && status == SINQ_OK;) {
        const size_t end = find_word_end(word, i, size);
        status = encode_cached(work, word + i, end - i, error);
        i = end;
    }
    return status;
}

void sinq_bpe_begin(struct sinq_bpe_work *work, const struct sinq_bpe *bpe, struct sinq_tokens *tokens,
                    size_t text_size) {
    *work = (struct sinq_bpe_work){.bpe = bpe, .tokens = tokens, .stretch.merges = &bpe->merges};
    sinq_word_cache_open(&work->cache, text_size);
}

void sinq_bpe_end(struct sinq_bpe_work *work) {
    sinq_word_cache_close(&work->cache);
    sinq_stretch_free(&work->stretch);
}
