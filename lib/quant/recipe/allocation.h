/*
 * allocation.h: one choice for each of many items, so that all together cost least and take no more than so many bytes.
 *
 * Choices that lie above the lower convex hull of an item's (bytes, cost) points are left aside; from the smallest choice of each item on,
 * the step that saves most a byte is taken first (Shoham and Gersho 1988, "Efficient bit allocation for an arbitrary set of
 * quantizers"). That is the least cost for the bytes it takes; what is left of the budget goes to smaller steps that still fit.
 * Equal steps are taken in the order of the items, so that the result is the same everywhere.
 */
#ifndef SINQ_QUANT_ALLOCATION_H
#define SINQ_QUANT_ALLOCATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sinq.h"

#define SINQ_MOST_CHOICES 32

struct sinq_allocation_choice {
    uint64_t bytes;
    double cost; /* finite, not negative */
};

struct sinq_allocation_item {
    struct sinq_allocation_choice choices[SINQ_MOST_CHOICES];
    size_t count; /* at least 1 */
    size_t chosen;
};

/*
 * Sets `chosen` of all items. *smallest is what they take with each one's smallest choice; where that is more than `budget`, nothing
 * is chosen and *fits is false. Fails for want of memory only.
 */
int sinq_allocate_bytes(struct sinq_allocation_item *items, size_t count, uint64_t budget, uint64_t *smallest,
                        bool *fits, struct sinq_error *error);

#endif
