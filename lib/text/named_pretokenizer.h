/*
 * named_pretokenizer.h: the pre-tokenizers that GGUF names (tokenizer.ggml.pre), by what they do: the regular expressions that take a
 * text apart one after the other, each match a piece of its own. One line of a table each; both directions use it.
 */
#ifndef SINQ_TEXT_NAMED_PRETOKENIZER_H
#define SINQ_TEXT_NAMED_PRETOKENIZER_H

#include "base/text.h"
#include "text/component.h"

#define SINQ_NAMED_STAGES 6u

/* Static and immutable. */
struct sinq_named_pretokenizer {
    const char *names;                      /* separated by spaces; the first is the one that is written */
    const char *regexes[SINQ_NAMED_STAGES]; /* as tokenizer.json has them; NULL ends them */
    bool ignores_merges;                    /* a word that is a token as a whole becomes it */
    bool adds_bos;                          /* where the file does not say */
};

/* The one of that name; an empty name is "default". NULL where it is unknown. */
const struct sinq_named_pretokenizer *sinq_find_named_pretokenizer(const char *name, size_t size);

/* The one that does what "pre_tokenizer" of a tokenizer.json does; SINQ_FAILED where GGUF has none for it. `path` is for messages. */
int sinq_name_pretokenizer(const char *path, const cJSON *json, bool ignores_merges,
                           const struct sinq_named_pretokenizer **named, struct sinq_error *error);

/* Appends "pre_tokenizer" of a tokenizer.json. */
void sinq_print_named_pretokenizer(const struct sinq_named_pretokenizer *named, struct sinq_text *json);

#endif
