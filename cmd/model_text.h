/* model_text.h: text that a model wrote, shown. */
#ifndef SINQ_CMD_MODEL_TEXT_H
#define SINQ_CMD_MODEL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sinq.h"

/*
 * Writes a piece of whole UTF-8 sequences and flushes. A terminal gets no control characters but newline and tab ('?' stands
 * for them) and no bytes that are not UTF-8; everything else gets the bytes as they are. False where they could not be written.
 */
bool sinq_write_model_text(FILE *out, bool is_terminal, const char *text, size_t size);

/* A token's text in quotes on one line, with \n, \t, \" and \\, and '?' for other control characters. */
void sinq_quote_model_text(FILE *out, const char *text, size_t size);

/* Text of one token alone, special ones included, written by `write`; nothing where there is no tokenizer. */
void sinq_write_token_text(const struct sinq_tokenizer *tokenizer, int32_t id,
                           void (*write)(void *user, const char *text, size_t size), void *user);

#endif
