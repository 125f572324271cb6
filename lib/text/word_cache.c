#include "text/word_cache.h"

#include <stdlib.h>
#include <string.h>

#define LARGEST_CACHE ((size_t)1 << 15) /* words: a megabyte, which stays in the second-level cache */

void sinq_word_cache_open(struct sinq_word_cache *cache, size_t text_size) {
    size_t count = 64;
    while (count < LARGEST_CACHE && count < text_size / 8) count *= 2;
    cache->words = text_size < 64 ? NULL : calloc(count, sizeof *cache->words);
    cache->mask = count - 1;
}

static uint64_t load_bytes(const char *bytes, size_t size) {
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

/* Together with the size, the two values are the word. */
static void load_word(const char *word, size_t size, uint64_t key[2]) {
    if (size >= 8) {
        key[0] = load_bytes(word, 8);
        key[1] = load_bytes(word + size - 8, 8);
    } else if (size >= 4) {
        key[0] = load_bytes(word, 4);
        key[1] = load_bytes(word + size - 4, 4);
    } else {
        const unsigned char *const s = (const unsigned char *)word;
        key[0] = (uint64_t)s[0] | (uint64_t)s[size / 2] << 8 | (uint64_t)s[size - 1] << 16;
        key[1] = 0;
    }
}

static uint64_t hash_word(const uint64_t key[2], size_t size) {
    uint64_t hash = (key[0] ^ size << 56) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
    hash = (hash + key[1]) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}

struct sinq_cached_word *sinq_word_cache_find(const struct sinq_word_cache *cache, const char *word, size_t size,
                                              bool *is_found) {
    uint64_t key[2];
    load_word(word, size, key);
    struct sinq_cached_word *const place = &cache->words[hash_word(key, size) & cache->mask];
    *is_found = place->size == size && place->key[0] == key[0] && place->key[1] == key[1];
    if (*is_found) return place;
    place->key[0] = key[0];
    place->key[1] = key[1];
    place->size = 0;
    return place;
}

void sinq_word_cache_close(struct sinq_word_cache *cache) {
    free(cache->words);
    cache->words = NULL;
}
