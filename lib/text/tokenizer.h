/* tokenizer.h: the parts of a tokenizer. The public half is in sinq.h. */
#ifndef SINQ_TEXT_TOKENIZER_H
#define SINQ_TEXT_TOKENIZER_H

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/postprocessor.h"
#include "text/pretokenizer.h"
#include "text/tokens.h"

struct sinq_tokenizer {
    struct sinq_bpe bpe;
    struct sinq_added_tokens added;
    struct sinq_normalizer normalizer;
    struct sinq_pretokenizer pretokenizer;
    struct sinq_postprocessor postprocessor;
    struct sinq_decoder decoder;
    struct sinq_tokens ends; /* generation ends with these */
};

/* Adds a token as it is written in tokenizer.json; false where there is none with that id. */
bool sinq_write_token(const struct sinq_tokenizer *tokenizer, int32_t id, struct sinq_text *text);

/* The token that tokenizer_config.json names as `name`: "<s>", or an object with it as "content"; -1 where there is none. */
int32_t sinq_find_named_token(const struct sinq_tokenizer *tokenizer, const cJSON *config, const char *name);

/* A value of the outermost object of a tokenizer.json that has been parsed before; *section is NULL where it has none. Delete it. */
int sinq_find_section(const char *path, const char *json, size_t size, const char *name, cJSON **section,
                      struct sinq_error *error);

#endif
