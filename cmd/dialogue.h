/*
 * dialogue.h: `sinq run` on a terminal without a prompt: messages and answers by a chat template, or text that two write in
 * turns. What was said before stays in the model's keys and values.
 */
#ifndef SINQ_CMD_DIALOGUE_H
#define SINQ_CMD_DIALOGUE_H

#include "generation.h"

/* Until the person leaves, which is SINQ_OK. SINQ_INTERRUPTED after a signal to end. */
int sinq_hold_dialogue(struct sinq_generator *generator, struct sinq_error *error);

#endif
