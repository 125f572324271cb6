/*
 * text_windows.h: which windows of a text are evaluated, and which of their predictions count. A window of n tokens makes the
 * predictions of positions 0 .. n - 2; the prediction made at position p is of the token at p + 1.
 */
#ifndef SINQ_EVAL_TEXT_WINDOWS_H
#define SINQ_EVAL_TEXT_WINDOWS_H

#include "sinq.h"

struct sinq_text_windows {
    uint64_t length, stride; /* tokens */
    uint64_t count;
    uint64_t scored;      /* predictions that count, of all windows together */
    uint64_t first_from;  /* the first window's predictions that count begin at this position */
    uint64_t others_from; /* and those of all others at this; they end before length - 1 */
};

struct sinq_text_window {
    uint64_t start;    /* its first token in the text */
    uint64_t from, to; /* predictions of positions from .. to - 1 count */
};

/*
 * Lays out the windows that the options ask for over a text of `tokens` for models that have room for `context`. What is left of
 * the text behind the last whole window is not evaluated.
 */
int sinq_lay_windows(const struct sinq_text_options *options, uint64_t tokens, uint64_t context,
                     struct sinq_text_windows *windows, struct sinq_error *error);

struct sinq_text_window sinq_find_window(const struct sinq_text_windows *windows, uint64_t index);

#endif
