#include "text/stretch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SHORT_STRETCH 64u        /* symbols: up to here scanning for the lowest rank is faster than a heap */
#define NONE          UINT32_MAX /* no neighbour */

/* ---- memory ---- */

static bool grow_array(uint32_t **array, size_t capacity) {
    uint32_t *const grown = realloc(*array, capacity * sizeof *grown);
    if (grown == NULL) return false;
    *array = grown;
    return true;
}

int sinq_grow_stretch(struct sinq_bpe_work *work, struct sinq_error *error) {
    const size_t capacity = work->capacity == 0 ? SHORT_STRETCH : 2 * work->capacity;
    if (capacity > UINT32_MAX / 2 || !grow_array(&work->symbols, capacity)) {
        return sinq_fail_memory(error, "a long word", capacity * sizeof(uint32_t));
    }
    work->capacity = capacity;
    return SINQ_OK;
}

static int reserve_links(struct sinq_bpe_work *work, struct sinq_error *error) {
    if (work->link_capacity >= work->capacity) return SINQ_OK;
    if (!grow_array(&work->next, work->capacity) || !grow_array(&work->previous, work->capacity)) {
        return sinq_fail_memory(error, "a long word", work->capacity * sizeof(uint32_t));
    }
    work->link_capacity = work->capacity;
    return SINQ_OK;
}

void sinq_free_stretch(struct sinq_bpe_work *work) {
    free(work->symbols);
    free(work->heap);
    free(work->next);
    free(work->previous);
    work->symbols = work->next = work->previous = NULL;
    work->heap = NULL;
}

/* ---- short stretches ---- */

static struct sinq_merge find_merge(const struct sinq_bpe_work *work, uint32_t left, uint32_t right) {
    return sinq_merges_find(&work->bpe->merges, left, right);
}

static size_t find_lowest(const struct sinq_merge *candidates, size_t count) {
    size_t lowest = 0;
    for (size_t i = 1; i < count; i++) {
        if (candidates[i].rank < candidates[lowest].rank) lowest = i;
    }
    return lowest;
}

/* Returns how many symbols are left. */
static size_t merge_short(const struct sinq_bpe_work *work) {
    struct sinq_merge candidates[SHORT_STRETCH]; /* of symbol i and its right neighbour */
    uint32_t *const symbols = work->symbols;
    size_t count = work->count;
    for (size_t i = 0; i + 1 < count; i++) candidates[i] = find_merge(work, symbols[i], symbols[i + 1]);
    while (count > 1) {
        const size_t at = find_lowest(candidates, count - 1);
        if (candidates[at].rank == SINQ_NO_MERGE) break;
        symbols[at] = candidates[at].result;
        count--;
        memmove(symbols + at + 1, symbols + at + 2, (count - at - 1) * sizeof *symbols);
        memmove(candidates + at, candidates + at + 1, (count - at - 1) * sizeof *candidates);
        if (at > 0) candidates[at - 1] = find_merge(work, symbols[at - 1], symbols[at]);
        if (at + 1 < count) candidates[at] = find_merge(work, symbols[at], symbols[at + 1]);
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

static int push_candidate(struct sinq_bpe_work *work, uint32_t position, struct sinq_error *error) {
    const uint32_t right = work->next[position];
    if (right == NONE) return SINQ_OK;
    const struct sinq_merge candidate = find_merge(work, work->symbols[position], work->symbols[right]);
    if (candidate.rank == SINQ_NO_MERGE) return SINQ_OK;
    if (work->heap_count == work->heap_capacity) {
        const size_t capacity = work->heap_capacity == 0 ? 1024 : 2 * work->heap_capacity;
        uint64_t *const heap = realloc(work->heap, capacity * sizeof *heap);
        if (heap == NULL) return sinq_fail_memory(error, "a long word", capacity * sizeof *heap);
        work->heap = heap;
        work->heap_capacity = capacity;
    }
    const uint64_t value = (uint64_t)candidate.rank << 32 | position;
    size_t at = work->heap_count++;
    for (; at > 0 && work->heap[(at - 1) / 2] > value; at = (at - 1) / 2) work->heap[at] = work->heap[(at - 1) / 2];
    work->heap[at] = value;
    return SINQ_OK;
}

static uint64_t pop_candidate(struct sinq_bpe_work *work) {
    const uint64_t lowest = work->heap[0];
    work->heap[0] = work->heap[--work->heap_count];
    if (work->heap_count > 0) sift_down(work->heap, work->heap_count, 0);
    return lowest;
}

/* Takes the right neighbour out of the list. It is marked, so that candidates that begin at it are void. */
static void unlink_right(struct sinq_bpe_work *work, uint32_t position) {
    const uint32_t right = work->next[position], behind = work->next[right];
    work->next[position] = behind;
    if (behind != NONE) work->previous[behind] = position;
    work->symbols[right] = NONE;
}

static int merge_top(struct sinq_bpe_work *work, struct sinq_error *error) {
    const uint64_t top = pop_candidate(work);
    const uint32_t position = (uint32_t)top, right = work->next[position];
    if (work->symbols[position] == NONE || right == NONE) return SINQ_OK;
    const struct sinq_merge candidate = find_merge(work, work->symbols[position], work->symbols[right]);
    if (candidate.rank != top >> 32) return SINQ_OK; /* the neighbours have changed since */
    work->symbols[position] = candidate.result;
    unlink_right(work, position);
    int status = SINQ_OK;
    if (work->previous[position] != NONE) status = push_candidate(work, work->previous[position], error);
    return status == SINQ_OK ? push_candidate(work, position, error) : status;
}

static int merge_long(struct sinq_bpe_work *work, size_t *left, struct sinq_error *error) {
    const uint32_t count = (uint32_t)work->count;
    int status = reserve_links(work, error);
    if (status != SINQ_OK) return status;
    for (uint32_t i = 0; i < count; i++) {
        work->previous[i] = i == 0 ? NONE : i - 1;
        work->next[i] = i + 1 == count ? NONE : i + 1;
    }
    work->heap_count = 0;
    for (uint32_t i = 0; i < count && status == SINQ_OK; i++) status = push_candidate(work, i, error);
    while (status == SINQ_OK && work->heap_count > 0) status = merge_top(work, error);
    *left = 0;
    for (uint32_t i = 0; i != NONE && status == SINQ_OK; i = work->next[i]) {
        work->symbols[(*left)++] = work->symbols[i]; /* never ahead of i */
    }
    return status;
}

int sinq_merge_stretch(struct sinq_bpe_work *work, struct sinq_error *error) {
    size_t left = work->count;
    int status = SINQ_OK;
    if (left > 1 && work->bpe->merges.slots != NULL) {
        if (left <= SHORT_STRETCH) {
            left = merge_short(work);
        } else {
            status = merge_long(work, &left, error);
        }
    }
    work->count = 0;
    for (size_t i = 0; i < left && status == SINQ_OK; i++) {
        status = sinq_tokens_add(work->tokens, (int32_t)work->symbols[i], error);
    }
    return status;
}
