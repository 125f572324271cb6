/* suggestion.h: what a mistyped word may have meant. */
#ifndef SINQ_CMD_SUGGESTION_H
#define SINQ_CMD_SUGGESTION_H

#include <stddef.h>

/*
 * How many letters must be inserted, left out, replaced or exchanged with their neighbour to get from one word to the
 * other. Words are compared up to their 63rd letter.
 */
size_t sinq_word_distance(const char *from, const char *to);

/* Whether `word` is near enough to `meant` to ask about it. */
int sinq_is_likely(const char *word, const char *meant);

#endif
