/*
 * selection.h: tokens in the order of their scores, and the best of them without sorting all.
 *
 * A choice is a token whose key orders it: a higher score first, a lower id first among equals. Keys are unique.
 */
#ifndef SINQ_MODEL_SELECTION_H
#define SINQ_MODEL_SELECTION_H

#include <stddef.h>
#include <stdint.h>

struct sinq_choice {
    uint64_t key; /* larger is better */
    double weight;
};

/* `score` is finite. */
uint64_t sinq_choice_key(float score, uint32_t id);
float sinq_key_score(uint64_t key);
uint32_t sinq_key_id(uint64_t key);

/*
 * Reorders choices so that the best ones come first, as few as have weights of at least `goal` together, and returns how
 * many they are: at least one (of count > 0), all where they do not reach it. In expected linear time.
 */
size_t sinq_gather_best(struct sinq_choice *choices, size_t count, double goal);

#endif
