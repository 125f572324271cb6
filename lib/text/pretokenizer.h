/*
 * pretokenizer.h: how tokenizer.json's "pre_tokenizer" takes a text apart into words. Each stage gets the pieces of the one before.
 * Immutable, shared by threads.
 */
#ifndef SINQ_TEXT_PRETOKENIZER_H
#define SINQ_TEXT_PRETOKENIZER_H

#include "text/component.h"
#include "text/pattern.h"

/* GPT-2's words, which ByteLevel has inside (openai/gpt-2, encoder.py). */
#define SINQ_GPT2_WORDS "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum sinq_prepend { SINQ_PREPEND_NEVER, SINQ_PREPEND_FIRST, SINQ_PREPEND_ALWAYS };

struct sinq_pretokenizer_stage {
    bool is_metaspace; /* spaces become `mark`, which may be put in front; else a split */
    bool adds_space;   /* ByteLevel's add_prefix_space */
    bool names_bytes;  /* ByteLevel: parts are written in the characters that stand for their bytes */
    bool splits;
    enum sinq_prepend prepend;
    char mark[5];
    size_t mark_size;
    struct sinq_pattern pattern;
    enum sinq_behavior behavior;
    bool invert;
};

struct sinq_pretokenizer {
    struct sinq_pretokenizer_stage *stages;
    size_t count;
    bool is_byte_level; /* the last stage is ByteLevel: words are left as bytes instead */
};

int sinq_read_pretokenizer(const char *path, const cJSON *json, struct sinq_pretokenizer *pretokenizer,
                           struct sinq_error *error);
void sinq_pretokenizer_free(struct sinq_pretokenizer *pretokenizer);

/* Called for each word, from left to right. */
typedef int sinq_word_fn(void *user, const char *word, size_t size, struct sinq_error *error);

/* Scratch of one call, one for each stage: all zero at first. */
struct sinq_pretokenizer_scratch {
    struct sinq_regex_scratch regex;
    struct sinq_text text, named;
};
struct sinq_pretokenizer_work {
    struct sinq_pretokenizer_scratch *scratches;
};

/* A piece of the text, valid UTF-8; is_first: it begins where the text does. */
int sinq_run_pretokenizer(const struct sinq_pretokenizer *pretokenizer, struct sinq_pretokenizer_work *work,
                          const char *text, size_t size, bool is_first, sinq_word_fn *word, void *user,
                          struct sinq_error *error);
void sinq_pretokenizer_work_free(const struct sinq_pretokenizer *pretokenizer, struct sinq_pretokenizer_work *work);

#endif
