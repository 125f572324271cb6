/* model_json.h: reading "model" of tokenizer.json: vocabulary and merges. Megabytes, therefore without a tree. */
#ifndef SINQ_TEXT_MODEL_JSON_H
#define SINQ_TEXT_MODEL_JSON_H

#include "base/json.h"
#include "text/bpe.h"

/* The value that `json` stands at, which lies in memory as a whole. bpe->vocabulary.is_byte_level is set. */
int sinq_read_bpe(struct sinq_json *json, const char *path, struct sinq_bpe *bpe, struct sinq_error *error);

#endif
