#include "text/stretch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/tokens.h"

#define SHORT_STRETCH 64u        /* symbols: up to here scanning for the lowest rank is faster than a heap */
#define NONE          UINT32_MAX /* no neighbour */

/* ---- memory ---- */

static bool grow_array(uint32_t **array, size_t capacity) {
    uint32_t *const grown = realloc(*array, capacity * sizeof *grown);
    if (grown == NULL) return false;
    *array = grown;
    return true;
}

int sinq_stretch_add(struct sinq_stretch *stretch, uint32_t symbol, struct sinq_error *error) {
    if (stretch->count == stretch->capacity) {
        const size_t capacity = stretch->capacity == 0 ? SHORT_STRETCH : 2 * stretch->capacity;
        if (capacity > UINT32_MAX / 2 || !grow_array(&stretch->symbols, capacity)) {
            return sinq_fail_memory(error, "a long word", capacity * sizeof(uint32_t));
        }
        stretch->capacity = capacity;
    }
    stretch->symbols[stretch->count++] = symbol;
    return SINQ_OK;
}

static int reserve_links(struct sinq_stretch *stretch, struct sinq_error *error) {
    if (stretch->link_capacity >= stretch->capacity) return SINQ_OK;
    if (!grow_array(&stretch->next, stretch->capacity) || !grow_array(&stretch->previous, stretch->capacity)) {
        return sinq_fail_memory(error, "a long word", stretch->capacity * sizeof(uint32_t));
    }
    stretch->link_capacity = stretch->capacity;
    return SINQ_OK;
}

void sinq_stretch_free(struct sinq_stretch *stretch) {
    free(stretch->symbols);
    free(stretch->heap);
    free(stretch->next);
    free(stretch->previous);
    stretch->symbols = stretch->next = stretch->previous = NULL;
    stretch->heap = NULL;
}

/* ---- short stretches ---- */

static struct sinq_merge find_merge(const struct sinq_stretch *stretch, uint32_t left, uint32_t right) {
    return sinq_merges_find(stretch->merges, left, right);
}

static size_t find_lowest(const struct sinq_merge *candidates, size_t count) {
    size_t lowest = 0;
    for (size_t i = 1; i < count; i++) {
        if (candidates[i].rank < candidates[lowest].rank) lowest = i;
    }
    return lowest;
}

/* Returns how many symbols are left. */
static size_t merge_short(const struct sinq_stretch *stretch) {
    struct sinq_merge candidates[SHORT_STRETCH]; /* of symbol i and its right neighbour */
    uint32_t *const symbols = stretch->symbols;
    size_t count = stretch->count;
    for (size_t i = 0; i + 1 < count; i++) candidates[i] = find_merge(stretch, symbols[i], symbols[i + 1]);
    while (count > 1) {
        const size_t at = find_lowest(candidates, count - 1);
        if (candidates[at].rank == SINQ_NO_MERGE) break;
        symbols[at] = candidates[at].result;
        count--;
        memmove(symbols + at + 1, symbols + at + 2, (count - at - 1) * sizeof *symbols);
        memmove(candidates + at, candidates + at + 1, (count - at - 1) * sizeof *candidates);
        if (at > 0) candidates[at - 1] = find_merge(stretch, symbols[at - 1], symbols[at]);
        if (at + 1 < count) candidates[at] = find_merge(stretch, symbols[at], symbols[at + 1]);
    }
    return count;
}

/* ---- long stretches: a heap of rank << 32 | position of the left symbol, the lowest on top ---- */

static void sift_down(uint64_t *heap, size_t count, size_t at) {
    const uint64_t value = heap[at];
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1] < heap[child]) child++;
        if (heap[child] >= value) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = value;
}

static int push_candidate(struct sinq_stretch *stretch, uint32_t position, struct sinq_error *error) {
    const uint32_t right = stretch->next[position];
    if (right == NONE) return SINQ_OK;
    const struct sinq_merge candidate = find_merge(stretch, stretch->symbols[position], stretch->symbols[right]);
    if (candidate.rank == SINQ_NO_MERGE) return SINQ_OK;
    if (stretch->heap_count == stretch->heap_capacity) {
        const size_t capacity = stretch->heap_capacity == 0 ? 1024 : 2 * stretch->heap_capacity;
        uint64_t *const heap = realloc(stretch->heap, capacity * sizeof *heap);
        if (heap == NULL) return sinq_fail_memory(error, "a long word", capacity * sizeof *heap);
        stretch->heap = heap;
        stretch->heap_capacity = capacity;
    }
    const uint64_t value = (uint64_t)candidate.rank << 32 | position;
    size_t at = stretch->heap_count++;
    for (; at > 0 && stretch->heap[(at - 1) / 2] > value; at = (at - 1) / 2)
        stretch->heap[at] = stretch->heap[(at - 1) / 2];
    stretch->heap[at] = value;
    return SINQ_OK;
}

static uint64_t pop_candidate(struct sinq_stretch *stretch) {
    const uint64_t lowest = stretch->heap[0];
    stretch->heap[0] = stretch->heap[--stretch->heap_count];
    if (stretch->heap_count > 0) sift_down(stretch->heap, stretch->heap_count, 0);
    return lowest;
}

/* Takes the right neighbour out of the list. It is marked, so that candidates that begin at it are void. */
static void unlink_right(struct sinq_stretch *stretch, uint32_t position) {
    const uint32_t right = stretch->next[position], behind = stretch->next[right];
    stretch->next[position] = behind;
    if (behind != NONE) stretch->previous[behind] = position;
    stretch->symbols[right] = NONE;
}

static int merge_top(struct sinq_stretch *stretch, struct sinq_error *error) {
    const uint64_t top = pop_candidate(stretch);
    const uint32_t position = (uint32_t)top, right = stretch->next[position];
    if (stretch->symbols[position] == NONE || right == NONE) return SINQ_OK;
    const struct sinq_merge candidate = find_merge(stretch, stretch->symbols[position], stretch->symbols[right]);
    if (candidate.rank != top >> 32) return SINQ_OK; /* the neighbours have changed since */
    stretch->symbols[position] = candidate.result;
    unlink_right(stretch, position);
    int status = SINQ_OK;
    if (stretch->previous[position] != NONE) status = push_candidate(stretch, stretch->previous[position], error);
    return status == SINQ_OK ? push_candidate(stretch, position, error) : status;
}

static int merge_long(struct sinq_stretch *stretch, size_t *left, struct sinq_error *error) {
    const uint32_t count = (uint32_t)stretch->count;
    int status = reserve_links(stretch, error);
    if (status != SINQ_OK) return status;
    for (uint32_t i = 0; i < count; i++) {
        stretch->previous[i] = i == 0 ? NONE : i - 1;
        stretch->next[i] = i + 1 == count ? NONE : i + 1;
    }
    stretch->heap_count = 0;
    for (uint32_t i = 0; i < count && status == SINQ_OK; i++) status = push_candidate(stretch, i, error);
    while (status == SINQ_OK && stretch->heap_count > 0) status = merge_top(stretch, error);
    *left = 0;
    for (uint32_t i = 0; i != NONE && status == SINQ_OK; i = stretch->next[i]) {
        stretch->symbols[(*left)++] = stretch->symbols[i]; /* never ahead of i */
    }
    return status;
}

int sinq_stretch_merge(struct sinq_stretch *stretch, struct sinq_tokens *tokens, struct sinq_error *error) {
    size_t left = stretch->count;
    int status = SINQ_OK;
    if (left > 1 && stretch->merges->slots != NULL) {
        if (left <= SHORT_STRETCH) {
            left = merge_short(stretch);
        } else {
            status = merge_long(stretch, &left, error);
        }
    }
    stretch->count = 0;
    for (size_t i = 0; i < left && status == SINQ_OK; i++) {
        status = sinq_tokens_add(tokens, (int32_t)stretch->symbols[i], error);
    }
    return status;
}
