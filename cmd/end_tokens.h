/* end_tokens.h: the tokens that end a text, as the configuration says: for --token-ids, which needs no tokenizer. */
#ifndef SINQ_CMD_END_TOKENS_H
#define SINQ_CMD_END_TOKENS_H

#include "sinq.h"

#define SINQ_MOST_END_TOKENS 16

struct sinq_end_tokens {
    int32_t ids[SINQ_MOST_END_TOKENS];
    size_t count;
};

/* eos_token_id of generation_config.json and config.json, a number or a list. What cannot be read says nothing. */
void sinq_find_end_tokens(const struct sinq_source *source, struct sinq_end_tokens *ends);

/* Adds those of one such file's text. */
void sinq_add_end_tokens(struct sinq_end_tokens *ends, const char *json);

bool sinq_is_end_token(const struct sinq_end_tokens *ends, int32_t id);

#endif
