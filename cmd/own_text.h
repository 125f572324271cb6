/* own_text.h: tokens that a model writes itself, for `sinq quantize --calib self`. */
#ifndef SINQ_CMD_OWN_TEXT_H
#define SINQ_CMD_OWN_TEXT_H

#include "progress.h"

#define SINQ_OWN_TEXT_SEED 1u

/*
 * Appends `count` tokens in windows, each begun anew: with the model's first token, where it has one, else with any; the others drawn
 * from all that the model thinks possible (temperature 1), with SINQ_OWN_TEXT_SEED. SINQ_INTERRUPTED when a signal was caught.
 */
int sinq_write_own_text(const struct sinq_model *model, size_t count, uint32_t window, unsigned threads,
                        struct sinq_meter *meter, struct sinq_tokens *tokens, struct sinq_error *error);

#endif
