/* tokens.h: a growing list of token ids. */
#ifndef SINQ_TEXT_TOKENS_H
#define SINQ_TEXT_TOKENS_H

#include "sinq.h"

/* Appends one id. */
int sinq_tokens_add(struct sinq_tokens *tokens, int32_t id, struct sinq_error *error);

#endif
