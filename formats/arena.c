#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES ((size_t)1 << 16)

struct sinq_arena_block {
    struct sinq_arena_block *next;
    size_t used, capacity;
    char bytes[];
};

const char *sinq_arena_add(struct sinq_arena *arena, const char *text, size_t size) {
    struct sinq_arena_block *block = arena->blocks;
    if (block == NULL || size >= block->capacity - block->used) {
        const size_t capacity = size < BLOCK_BYTES ? BLOCK_BYTES : size + 1;
        block = malloc(sizeof *block + capacity);
        if (block == NULL) return NULL;
        *block = (struct sinq_arena_block){arena->blocks, 0, capacity};
        arena->blocks = block;
    }
    char *const copy = block->bytes + block->used;
    if (size > 0) memcpy(copy, text, size);
    copy[size] = '\0';
    block->used += size + 1;
    arena->bytes += size + 1;
    return copy;
}

void sinq_arena_free(struct sinq_arena *arena) {
    for (struct sinq_arena_block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    *arena = (struct sinq_arena){0};
}
