#include "model/selection.h"

#include <string.h>

/* Floats order as their bits do once those of negative ones are turned round. */
uint64_t sinq_choice_key(float score, uint32_t id) {
    const float unsigned_zero = score + 0.0f; /* -0 becomes 0 */
    uint32_t bits;
    memcpy(&bits, &unsigned_zero, sizeof bits);
    bits ^= (bits >> 31) != 0 ? UINT32_MAX : (uint32_t)1 << 31;
    return (uint64_t)bits << 32 | (UINT32_MAX - id);
}

float sinq_key_score(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    bits ^= (bits >> 31) != 0 ? (uint32_t)1 << 31 : UINT32_MAX;
    float score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

uint32_t sinq_key_id(uint64_t key) { return UINT32_MAX - (uint32_t)key; }

static void swap(struct sinq_choice *a, struct sinq_choice *b) {
    const struct sinq_choice kept = *a;
    *a = *b;
    *b = kept;
}

/* Moves a pivot's betters before it and returns its place; *weight is that of its betters. */
static size_t partition(struct sinq_choice *choices, size_t begin, size_t end, uint64_t *random, double *weight) {
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    swap(&choices[begin + (size_t)((*random >> 33) % (end - begin))], &choices[end - 1]);
    const uint64_t pivot = choices[end - 1].key;
    size_t place = begin;
    *weight = 0.0;
    for (size_t i = begin; i < end - 1; i++) {
        if (choices[i].key < pivot) continue;
        *weight += choices[i].weight;
        swap(&choices[i], &choices[place++]);
    }
    swap(&choices[place], &choices[end - 1]);
    return place;
}

/* Quickselect in which weights take the place of counts. */
size_t sinq_gather_best(struct sinq_choice *choices, size_t count, double goal) {
    size_t begin = 0, end = count;
    double reached = 0.0; /* by choices[0 .. begin) */
    uint64_t random = count;
    while (begin < end) {
        double weight;
        const size_t place = partition(choices, begin, end, &random, &weight);
        if (place > begin && reached + weight >= goal) {
            end = place;
            continue;
        }
        reached += weight + choices[place].weight;
        begin = place + 1;
        if (reached >= goal) break;
    }
    return begin;
}
