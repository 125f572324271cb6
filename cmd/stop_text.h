/*
 * stop_text.h: texts that end an answer. Text comes in pieces and a stop text may lie across several of them, so what could
 * still become one is held back. What is let through does not depend on where the pieces are cut: of several stop texts the
 * one that is complete first counts, and of those that end at the same byte the longest.
 *
 * Calling sequence: fill texts and count (borrowed), sinq_stop_add for each piece until it returns true, sinq_stop_end for
 * what is still held back, sinq_stop_free.
 */
#ifndef SINQ_CMD_STOP_TEXT_H
#define SINQ_CMD_STOP_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct sinq_stop_texts {
    const char *const *texts; /* none of them empty */
    size_t count;
    char *held; /* of which the first `passed` bytes were let through by the last call */
    size_t size, capacity, passed;
};

/*
 * Adds a piece. *out, valid until the next call, is what may now be shown. True when a stop text is complete: then *out ends
 * before it, and there is no more to come.
 */
bool sinq_stop_add(struct sinq_stop_texts *stop, const char *piece, size_t size, const char **out, size_t *out_size);

/* What was held back and became no stop text. Afterwards the next answer may begin. */
void sinq_stop_end(struct sinq_stop_texts *stop, const char **out, size_t *out_size);

void sinq_stop_free(struct sinq_stop_texts *stop);

#endif
