/* arena.h: strings that live as long as their checkpoint, kept in large blocks and freed at once. Not thread safe. */
#ifndef SINQ_FORMATS_ARENA_H
#define SINQ_FORMATS_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct sinq_arena_block;

/* Empty when all zero. */
struct sinq_arena {
    struct sinq_arena_block *blocks; /* the one being filled first */
    uint64_t bytes;                  /* of all strings kept, their NULs included */
};

/* A NUL-terminated copy of text[0..size), or NULL when out of memory. */
const char *sinq_arena_add(struct sinq_arena *arena, const char *text, size_t size);

void sinq_arena_free(struct sinq_arena *arena);

#endif
