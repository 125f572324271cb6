/*
 * word_cache.h: the ids of words that a call has met already, in a bounded table: a word displaces the one in its place. Ids are
 * not copied: an entry says where in the call's output they stand.
 */
#ifndef SINQ_TEXT_WORD_CACHE_H
#define SINQ_TEXT_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINQ_CACHED_BYTES 16u /* of the longest word that is kept */

struct sinq_cached_word {
    uint64_t key[2]; /* the word's bytes */
    uint32_t first;  /* of its ids in the output; of a single one the id itself */
    uint16_t count;
    uint8_t size; /* of the word; 0: the place is free */
};

struct sinq_word_cache {
    struct sinq_cached_word *words; /* NULL: nothing is kept */
    uint64_t mask;
};

/* Room for the words of a text of that size. Out of memory, nothing is kept, which is not an error. */
void sinq_word_cache_open(struct sinq_word_cache *cache, size_t text_size);

/* The place of a word of 1 to SINQ_CACHED_BYTES bytes: the word itself where *is_found, else one to be overwritten. */
struct sinq_cached_word *sinq_word_cache_find(const struct sinq_word_cache *cache, const char *word, size_t size,
                                              bool *is_found);
void sinq_word_cache_close(struct sinq_word_cache *cache);

#endif
