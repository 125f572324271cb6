/*
 * merges.h: what becomes of two neighbouring tokens, and which neighbours can never become one.
 *
 * A boundary between two characters is crossed only by a merge whose left token ends with the one and whose right token begins
 * with the other. Where no merge does, the text on both sides is encoded apart, with the same result: long texts without spaces
 * to split at fall into short pieces.
 */
#ifndef SINQ_TEXT_MERGES_H
#define SINQ_TEXT_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINQ_NO_MERGE UINT32_MAX

/* Ids below it, which single bytes have in byte-level vocabularies, have a table of their own: most look-ups are for them. */
#define SINQ_LOW_IDS 320u

struct sinq_merge {
    uint32_t rank;   /* lower goes first; SINQ_NO_MERGE where there is no such merge */
    uint32_t result; /* the id of what the two become */
};

struct sinq_merge_slot {
    uint64_t pair; /* left id << 32 | right id */
    struct sinq_merge merge;
};

struct sinq_merges {
    struct sinq_merge_slot *slots;
    uint64_t mask;
    uint32_t count;
    struct sinq_merge *low; /* [SINQ_LOW_IDS][SINQ_LOW_IDS] */
    /* Pairs of characters (in a byte-level vocabulary of bytes) that some merge crosses. */
    uint8_t joined_low[256][32]; /* both below 256: a bit each */
    uint64_t *joined;            /* left << 32 | right, plus 1; 0 is free */
    uint64_t joined_mask, joined_count;
};

/* Adds a merge, later ones rank lower; that of a pair which is there already replaces it. False when out of memory. */
bool sinq_merges_add(struct sinq_merges *merges, uint32_t left, uint32_t right, uint32_t rank, uint32_t result);

/* Notes that some merge crosses the boundary between these characters. False when out of memory. */
bool sinq_merges_join(struct sinq_merges *merges, uint32_t left, uint32_t right);

static inline uint64_t sinq_mix_pair(uint64_t pair) {
    pair ^= pair >> 32;
    pair *= 0xd6e8feb86659fd93u;
    pair ^= pair >> 32;
    pair *= 0xd6e8feb86659fd93u;
    return pair ^ pair >> 32;
}

/* At least one merge must have been added. */
static inline struct sinq_merge sinq_merges_find(const struct sinq_merges *merges, uint32_t left, uint32_t right) {
    if (left < SINQ_LOW_IDS && right < SINQ_LOW_IDS) return merges->low[left * SINQ_LOW_IDS + right];
    const uint64_t pair = (uint64_t)left << 32 | right;
    const struct sinq_merge_slot *slot = &merges->slots[sinq_mix_pair(pair) & merges->mask];
    while (slot->pair != pair && slot->merge.rank != SINQ_NO_MERGE) {
        slot = slot == merges->slots + merges->mask ? merges->slots : slot + 1;
    }
    return slot->merge;
}

/* Asks for the memory that adding this pair will need. */
static inline void sinq_merges_prefetch(const struct sinq_merges *merges, uint32_t left, uint32_t right) {
    if (merges->slots == NULL) return;
    __builtin_prefetch(&merges->slots[sinq_mix_pair((uint64_t)left << 32 | right) & merges->mask], 1);
}

bool sinq_merges_find_joined(const struct sinq_merges *merges, uint32_t left, uint32_t right);

/* Whether any merge crosses the boundary between these characters. */
static inline bool sinq_merges_can_join(const struct sinq_merges *merges, uint32_t left, uint32_t right) {
    if ((left | right) < 256) return (merges->joined_low[left][right >> 3] >> (right & 7) & 1) != 0;
    return sinq_merges_find_joined(merges, left, right);
}

/* Whether any merge crosses from another character to this one (256 or above). */
bool sinq_merges_enter(const struct sinq_merges *merges, uint32_t character);

void sinq_merges_free(struct sinq_merges *merges);

#endif
