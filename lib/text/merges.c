#include "text/merges.h"

#include <stdlib.h>

static const struct sinq_merge no_merge = {SINQ_NO_MERGE, 0};

/* The slot of the pair, or the free one where it belongs. */
static struct sinq_merge_slot *find_slot(const struct sinq_merges *merges, uint64_t pair) {
    uint64_t i = sinq_mix_pair(pair) & merges->mask;
    while (merges->slots[i].pair != pair && merges->slots[i].merge.rank != SINQ_NO_MERGE) i = (i + 1) & merges->mask;
    return &merges->slots[i];
}

static bool grow_slots(struct sinq_merges *merges) {
    if (merges->slots != NULL && 3 * ((uint64_t)merges->count + 1) <= 2 * merges->mask) return true;
    const struct sinq_merges old = *merges;
    const uint64_t count = old.slots == NULL ? 1024 : 2 * (old.mask + 1);
    struct sinq_merge_slot *const slots = malloc((size_t)count * sizeof *slots);
    if (slots == NULL) return false;
    for (uint64_t i = 0; i < count; i++) slots[i] = (struct sinq_merge_slot){UINT64_MAX, no_merge};
    merges->slots = slots;
    merges->mask = count - 1;
    for (uint64_t i = 0; old.slots != NULL && i <= old.mask; i++) {
        if (old.slots[i].merge.rank != SINQ_NO_MERGE) *find_slot(merges, old.slots[i].pair) = old.slots[i];
    }
    free(old.slots);
    return true;
}

static bool make_low(struct sinq_merges *merges) {
    const size_t count = SINQ_LOW_IDS * SINQ_LOW_IDS;
    if (merges->low != NULL) return true;
    merges->low = malloc(count * sizeof *merges->low);
    for (size_t i = 0; merges->low != NULL && i < count; i++) merges->low[i] = no_merge;
    return merges->low != NULL;
}

bool sinq_merges_add(struct sinq_merges *merges, uint32_t left, uint32_t right, uint32_t rank, uint32_t result) {
    if (!make_low(merges) || !grow_slots(merges)) return false;
    const struct sinq_merge merge = {rank, result};
    if (left < SINQ_LOW_IDS && right < SINQ_LOW_IDS) {
        merges->low[left * SINQ_LOW_IDS + right] = merge;
        return true;
    }
    const uint64_t pair = (uint64_t)left << 32 | right;
    struct sinq_merge_slot *const slot = find_slot(merges, pair);
    merges->count += slot->merge.rank == SINQ_NO_MERGE;
    *slot = (struct sinq_merge_slot){pair, merge};
    return true;
}

/* ---- joined characters ---- */

static uint64_t find_joined_slot(const struct sinq_merges *merges, uint64_t key) {
    uint64_t i = sinq_mix_pair(key) & merges->joined_mask;
    while (merges->joined[i] != 0 && merges->joined[i] != key) i = (i + 1) & merges->joined_mask;
    return i;
}

static bool grow_joined(struct sinq_merges *merges) {
    if (merges->joined != NULL && 2 * (merges->joined_count + 1) <= merges->joined_mask) return true;
    uint64_t *const old = merges->joined;
    const uint64_t old_count = old == NULL ? 0 : merges->joined_mask + 1, count = old == NULL ? 256 : 4 * old_count;
    uint64_t *const slots = calloc((size_t)count, sizeof *slots);
    if (slots == NULL) return false;
    merges->joined = slots;
    merges->joined_mask = count - 1;
    for (uint64_t i = 0; i < old_count; i++) {
        if (old[i] != 0) slots[find_joined_slot(merges, old[i])] = old[i];
    }
    free(old);
    return true;
}

bool sinq_merges_join(struct sinq_merges *merges, uint32_t left, uint32_t right) {
    if ((left | right) < 256) {
        merges->joined_low[left][right >> 3] |= (uint8_t)(1u << (right & 7));
        return true;
    }
    if (!grow_joined(merges)) return false;
    const uint64_t key = ((uint64_t)left << 32 | right) + 1, slot = find_joined_slot(merges, key);
    merges->joined_count += merges->joined[slot] == 0;
    merges->joined[slot] = key;
    return true;
}

bool sinq_merges_find_joined(const struct sinq_merges *merges, uint32_t left, uint32_t right) {
    if (merges->joined == NULL) return false;
    const uint64_t key = ((uint64_t)left << 32 | right) + 1;
    return merges->joined[find_joined_slot(merges, key)] == key;
}

bool sinq_merges_enter(const struct sinq_merges *merges, uint32_t character) {
    for (uint64_t i = 0; merges->joined != NULL && i <= merges->joined_mask; i++) {
        const uint64_t key = merges->joined[i] - 1;
        if (merges->joined[i] != 0 && (uint32_t)key == character && key >> 32 != character) return true;
    }
    return false;
}

void sinq_merges_free(struct sinq_merges *merges) {
    free(merges->slots);
    free(merges->low);
    free(merges->joined);
    *merges = (struct sinq_merges){0};
}
