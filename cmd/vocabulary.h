/* vocabulary.h: whether a tokenizer can be a model's. */
#ifndef SINQ_CMD_VOCABULARY_H
#define SINQ_CMD_VOCABULARY_H

#include "sinq.h"

/*
 * A tokenizer may hold a few tokens that the model has no embedding for (Gemma 3 has one), and fewer than it where embeddings
 * are padded. One with many more belongs to another model: SINQ_FAILED. `path` begins the message.
 */
int sinq_check_vocabulary(const char *path, uint32_t tokenizer_size, uint32_t vocabulary, struct sinq_error *error);

#endif
