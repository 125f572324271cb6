/* trie.h: strings by their bytes, so that the longest that begins at a place of a text is found in one walk. */
#ifndef SINQ_TEXT_TRIE_H
#define SINQ_TEXT_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINQ_NO_VALUE UINT32_MAX

struct sinq_trie_node {
    uint32_t child, sibling; /* 0: none */
    uint32_t value;          /* of the string that ends here, or SINQ_NO_VALUE */
    uint8_t byte;
};

struct sinq_trie {
    struct sinq_trie_node *nodes; /* the root is the first */
    uint32_t count, capacity;
    uint32_t roots[256]; /* the node of each first byte, 0 where no string begins with it */
    unsigned first_bytes;
    char first_byte; /* the only one, where first_bytes is 1 */
};

/* A string that is there already keeps its value. False when out of memory. */
bool sinq_trie_add(struct sinq_trie *trie, const char *string, size_t size, uint32_t value);
void sinq_trie_free(struct sinq_trie *trie);

/* The value of exactly this string, or SINQ_NO_VALUE. */
uint32_t sinq_trie_get(const struct sinq_trie *trie, const char *string, size_t size);

/* The first place at or behind `from` where a string begins, the longest that does, and where it ends; SINQ_NO_VALUE where there is none. */
uint32_t sinq_trie_find(const struct sinq_trie *trie, const char *text, size_t size, size_t from, size_t *start,
                        size_t *end);

#endif
