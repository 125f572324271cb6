/* own_text.h: tokens that a model writes itself, for `sinq quantize --calib self`. */
#ifndef SINQ_CMD_OWN_TEXT_H
#define SINQ_CMD_OWN_TEXT_H

#include "progress.h"

#define SINQ_OWN_TEXT_SEED 1u

/* Windows, and how many are written side by side: as many as their keys and values have room for, whatever the machine. */
struct sinq_own_text {
    size_t windows;
    uint32_t window; /* tokens of each */
    uint32_t sequences;
    uint64_t memory; /* bytes that writing takes beside the weights where they are mapped */
};

/* From headers alone. `windows` and `window` are set. */
int sinq_plan_own_text(const struct sinq_source *source, uint32_t vocabulary, unsigned threads,
                       struct sinq_own_text *text, struct sinq_error *error);

/*
 * Appends the windows, each begun anew: with the model's first token, where it has one, else with any; the others drawn from all that
 * the model thinks possible (temperature 1). Each draw has a seed of its own, of SINQ_OWN_TEXT_SEED, window and position.
 * SINQ_INTERRUPTED when a signal was caught.
 */
int sinq_write_own_text(const struct sinq_model *model, const struct sinq_own_text *text, unsigned threads,
                        struct sinq_meter *meter, struct sinq_tokens *tokens, struct sinq_error *error);

#endif
