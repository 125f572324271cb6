#include "text/trie.h"

#include <stdlib.h>
#include <string.h>

static uint32_t add_node(struct sinq_trie *trie, uint8_t byte) {
    if (trie->count == trie->capacity) {
        const uint32_t capacity = trie->capacity == 0 ? 64 : 2 * trie->capacity;
        struct sinq_trie_node *const nodes = realloc(trie->nodes, capacity * sizeof *nodes);
        if (nodes == NULL) return 0;
        trie->nodes = nodes;
        trie->capacity = capacity;
    }
    trie->nodes[trie->count] = (struct sinq_trie_node){.value = SINQ_NO_VALUE, .byte = byte};
    return trie->count++;
}

static uint32_t find_child(const struct sinq_trie *trie, uint32_t node, uint8_t byte) {
    uint32_t child = trie->nodes[node].child;
    while (child != 0 && trie->nodes[child].byte != byte) child = trie->nodes[child].sibling;
    return child;
}

/* The child for that byte, made where there is none; 0 when out of memory. */
static uint32_t reach_child(struct sinq_trie *trie, uint32_t node, uint8_t byte) {
    const uint32_t old = find_child(trie, node, byte);
    if (old != 0) return old;
    const uint32_t child = add_node(trie, byte);
    if (child == 0) return 0;
    trie->nodes[child].sibling = trie->nodes[node].child;
    trie->nodes[node].child = child;
    return child;
}

bool sinq_trie_add(struct sinq_trie *trie, const char *string, size_t size, uint32_t value) {
    if (size == 0 || trie->count > UINT32_MAX / 4) return size == 0;
    if (trie->count == 0) {
        (void)add_node(trie, 0);
        if (trie->count == 0) return false;
    }
    uint32_t node = 0;
    for (size_t i = 0; i < size; i++) {
        node = reach_child(trie, node, (uint8_t)string[i]);
        if (node == 0) return false;
        if (i == 0 && trie->roots[(uint8_t)string[0]] == 0) {
            trie->roots[(uint8_t)string[0]] = node;
            trie->first_bytes++;
            trie->first_byte = string[0];
        }
    }
    if (trie->nodes[node].value == SINQ_NO_VALUE) trie->nodes[node].value = value;
    return true;
}

void sinq_trie_free(struct sinq_trie *trie) {
    free(trie->nodes);
    *trie = (struct sinq_trie){0};
}

uint32_t sinq_trie_get(const struct sinq_trie *trie, const char *string, size_t size) {
    if (size == 0) return SINQ_NO_VALUE;
    uint32_t node = trie->roots[(uint8_t)string[0]];
    for (size_t i = 1; i < size && node != 0; i++) node = find_child(trie, node, (uint8_t)string[i]);
    return node == 0 ? SINQ_NO_VALUE : trie->nodes[node].value;
}

/* The longest string at text[at..size). */
static uint32_t walk(const struct sinq_trie *trie, const char *text, size_t size, size_t at, size_t *end) {
    uint32_t value = SINQ_NO_VALUE;
    uint32_t node = trie->roots[(uint8_t)text[at]];
    for (size_t i = at + 1; node != 0; i++) {
        if (trie->nodes[node].value != SINQ_NO_VALUE) {
            value = trie->nodes[node].value;
            *end = i;
        }
        if (i == size) break;
        node = find_child(trie, node, (uint8_t)text[i]);
    }
    return value;
}

uint32_t sinq_trie_find(const struct sinq_trie *trie, const char *text, size_t size, size_t from, size_t *start,
                        size_t *end) {
    for (size_t at = from; at < size && trie->first_bytes > 0; at++) {
        if (trie->first_bytes == 1) {
            const char *const next = memchr(text + at, trie->first_byte, size - at);
            if (next == NULL) break;
            at = (size_t)(next - text);
        }
        if (trie->roots[(uint8_t)text[at]] == 0) continue;
        const uint32_t value = walk(trie, text, size, at, end);
        if (value == SINQ_NO_VALUE) continue;
        *start = at;
        return value;
    }
    return SINQ_NO_VALUE;
}
