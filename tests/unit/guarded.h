/* guarded.h: aligned memory with guard bytes around it. */
#ifndef SINQ_TESTS_GUARDED_H
#define SINQ_TESTS_GUARDED_H

#include <string.h>

#include "unit.h"

enum { GUARD_BYTES = 64, GUARD = 0xa5 };

struct guarded {
    uint8_t *memory, *bytes;
    size_t size;
};

static inline struct guarded make_guarded(size_t size) {
    struct guarded g = {.size = size};
    g.memory = aligned_alloc(64, (size + 2 * GUARD_BYTES + 63) / 64 * 64 + 64);
    ck_assert_ptr_nonnull(g.memory);
    memset(g.memory, GUARD, size + 2 * GUARD_BYTES);
    g.bytes = g.memory + GUARD_BYTES;
    return g;
}

static inline void release_guarded(struct guarded g, const char *what) {
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        check_often(g.memory[i] == GUARD && g.bytes[g.size + i] == GUARD, "%s: written beyond its bounds", what);
    }
    free(g.memory);
}

#endif
