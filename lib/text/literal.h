/* literal.h: tokenizing text of which some parts may hold no special tokens: what people write into a chat. */
#ifndef SINQ_TEXT_LITERAL_H
#define SINQ_TEXT_LITERAL_H

#include "sinq.h"

/* Bytes [begin, end) of a text. Ranges are in order and do not overlap; empty ones are allowed. */
struct sinq_literal_range {
    size_t begin, end;
};

/*
 * As sinq_tokenize without flags, but a control token that overlaps a literal range is not recognised: there, its bytes are
 * text (as with SINQ_TOKENIZE_LITERAL). Control tokens are added tokens that are special, and those written <|like this|> or
 * with wide bars (U+FF5C): DeepSeek's turns are not marked special. Other added tokens (Gemma's runs of line feeds, Qwen's
 * <think>) are recognised everywhere, as Hugging Face does. What lies between two recognised tokens is tokenized in one run,
 * across the edges of ranges. The text must be UTF-8.
 */
int sinq_tokenize_ranges(const struct sinq_tokenizer *tokenizer, const char *text, size_t size,
                         const struct sinq_literal_range *literal, size_t count, struct sinq_tokens *tokens,
                         struct sinq_error *error);

#endif
