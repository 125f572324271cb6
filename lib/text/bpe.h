/*
 * bpe.h: byte pair encoding of one word (Sennrich et al., arXiv 1508.07909, as Hugging Face's tokenizers apply it).
 *
 * A word falls into its first symbols: bytes, or characters with bytes for those the vocabulary lacks. They are merged in stretches, between
 * which no merge reaches. Words already seen in the call come from a cache.
 */
#ifndef SINQ_TEXT_BPE_H
#define SINQ_TEXT_BPE_H

#include "text/stretch.h"
#include "text/vocabulary.h"
#include "text/word_cache.h"

/* The model: immutable, shared by threads. */
struct sinq_bpe {
    struct sinq_vocabulary vocabulary;
    struct sinq_merges merges;
    bool byte_fallback, fuse_unknown, ignore_merges;
    int32_t unknown;                      /* the token for what the vocabulary lacks; -1: it is left out */
    uint32_t unknown_first, unknown_last; /* its outer characters */
    int32_t byte_symbols[256];            /* byte-level: the tokens of single bytes, or -1 */
    int32_t ascii_symbols[128];           /* otherwise: those of single characters, or -1 */
    int32_t byte_tokens[256];             /* "<0x00>".. of byte_fallback, or -1 */
    bool splits_at_space_mark;            /* no token crosses from another character to U+2581: words begin there */
};

/* Fills what follows from the vocabulary and the merges, once both are complete. */
void sinq_bpe_finish(struct sinq_bpe *bpe);

/* Scratch of one call. */
struct sinq_bpe_work {
    const struct sinq_bpe *bpe;
    struct sinq_tokens *tokens; /* where ids go; borrowed */
    struct sinq_word_cache cache;
    struct sinq_stretch stretch; /* in hand: symbols that may become one */
    uint32_t last;               /* the last character of its last symbol */
    bool has_unknown;            /* one is waiting to be added or to grow */
};

void sinq_bpe_begin(struct sinq_bpe_work *work, const struct sinq_bpe *bpe, struct sinq_tokens *tokens,
                    size_t text_size);
/* Appends the ids of a word, which is UTF-8 (in a byte-level model any bytes). */
int sinq_bpe_encode(struct sinq_bpe_work *work, const char *word, size_t size, struct sinq_error *error);
void sinq_bpe_end(struct sinq_bpe_work *work);

#endif
