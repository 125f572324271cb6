/*
 * stretch.h: symbols of a word that may become one, and merging them: as long as two neighbours can be merged, those whose merge ranks
 * lowest are, the leftmost first. Short stretches are scanned for it, long ones keep the candidates in a heap, so that n symbols take
 * O(n log n).
 */
#ifndef SINQ_TEXT_STRETCH_H
#define SINQ_TEXT_STRETCH_H

#include "sinq.h"
#include "text/merges.h"

/* All zero but for the merges, which are borrowed, at first. */
struct sinq_stretch {
    const struct sinq_merges *merges;
    uint32_t *symbols;
    size_t count, capacity;
    /* For long stretches. */
    uint64_t *heap;
    size_t heap_count, heap_capacity;
    uint32_t *next, *previous;
    size_t link_capacity;
};

int sinq_stretch_add(struct sinq_stretch *stretch, uint32_t symbol, struct sinq_error *error);
/* Merges the symbols, appends the ids that are left to *tokens, and empties the stretch. */
int sinq_stretch_merge(struct sinq_stretch *stretch, struct sinq_tokens *tokens, struct sinq_error *error);
void sinq_stretch_free(struct sinq_stretch *stretch);

#endif
