#include "quant/recipe/allocation.h"

#include <assert.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"

/* From one corner of an item's hull to the next. */
struct step {
    double gain; /* cost saved a byte */
    uint64_t bytes;
    size_t item, rank; /* the rank-th step of its item */
    size_t choice;     /* where it leads */
};

/* Falling gain; then the items' order. Steps of one item have falling gains, and equal ones stay in order. */
static int compare_steps(const void *left, const void *right) {
    const struct step *const a = left, *const b = right;
    if (a->gain != b->gain) return a->gain > b->gain ? -1 : 1;
    if (a->item != b->item) return a->item < b->item ? -1 : 1;
    return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* The choice with the fewest bytes, of those the cheapest. */
static size_t find_smallest(const struct sinq_allocation_item *item) {
    size_t best = 0;
    for (size_t i = 1; i < item->count; i++) {
        const struct sinq_allocation_choice *const choice = &item->choices[i], *const least = &item->choices[best];
        if (choice->bytes < least->bytes || (choice->bytes == least->bytes && choice->cost < least->cost)) best = i;
    }
    return best;
}

/* The next corner of the hull beyond `from`: what saves most a byte, of equal ones the largest. SIZE_MAX at the end. */
static size_t find_next_corner(const struct sinq_allocation_item *item, size_t from, double *gain) {
    const struct sinq_allocation_choice *const start = &item->choices[from];
    size_t best = SIZE_MAX;
    *gain = 0;
    for (size_t i = 0; i < item->count; i++) {
        const struct sinq_allocation_choice *const choice = &item->choices[i];
        if (choice->bytes <= start->bytes || choice->cost >= start->cost) continue;
        const double saved = (start->cost - choice->cost) / (double)(choice->bytes - start->bytes);
        const bool is_farther = best != SIZE_MAX && saved == *gain && choice->bytes > item->choices[best].bytes;
        if (best != SIZE_MAX && saved <= *gain && !is_farther) continue;
        best = i;
        *gain = saved;
    }
    return best;
}

static size_t list_steps(const struct sinq_allocation_item *item, size_t index, struct step *steps) {
    size_t count = 0, at = item->chosen;
    for (;;) {
        double gain;
        const size_t next = find_next_corner(item, at, &gain);
        if (next == SIZE_MAX) return count;
        steps[count] = (struct step){.gain = gain,
                                     .bytes = item->choices[next].bytes - item->choices[at].bytes,
                                     .item = index,
                                     .rank = count,
                                     .choice = next};
        at = next;
        count++;
    }
}

/* Takes what fits in the order of the list. An item of which a step did not fit takes no later one. */
static void take_steps(struct sinq_allocation_item *items, const struct step *steps, size_t count, bool *is_full,
                       uint64_t left) {
    for (size_t i = 0; i < count; i++) {
        const struct step *const step = &steps[i];
        if (is_full[step->item]) continue;
        is_full[step->item] = step->bytes > left;
        if (is_full[step->item]) continue;
        items[step->item].chosen = step->choice;
        left -= step->bytes;
    }
}

int sinq_allocate_bytes(struct sinq_allocation_item *items, size_t count, uint64_t budget, uint64_t *smallest,
                        bool *fits, struct sinq_error *error) {
    *smallest = 0;
    *fits = true;
    for (size_t i = 0; i < count; i++) {
        assert(items[i].count > 0 && items[i].count <= SINQ_MOST_CHOICES);
        items[i].chosen = find_smallest(&items[i]);
        *smallest = sinq_add_saturating(*smallest, items[i].choices[items[i].chosen].bytes);
    }
    *fits = *smallest <= budget;
    if (!*fits || count == 0) return SINQ_OK;
    struct step *const steps = calloc(count, SINQ_MOST_CHOICES * sizeof *steps);
    bool *const is_full = calloc(count, sizeof *is_full);
    if (steps != NULL && is_full != NULL) {
        size_t found = 0;
        for (size_t i = 0; i < count; i++) found += list_steps(&items[i], i, steps + found);
        qsort(steps, found, sizeof *steps, compare_steps);
        take_steps(items, steps, found, is_full, budget - *smallest);
    }
    const bool is_short = steps == NULL || is_full == NULL;
    free(steps);
    free(is_full);
    return is_short ? sinq_fail_memory(error, "an allocation of bytes", count * SINQ_MOST_CHOICES * sizeof *steps)
                    : SINQ_OK;
}
