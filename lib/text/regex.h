/*
 * regex.h: regular expressions of tokenizer.json, run by PCRE2 with its just-in-time compiler where there is one.
 *
 * A sinq_regex is immutable and shared by threads; a sinq_regex_scratch belongs to one call.
 */
#ifndef SINQ_TEXT_REGEX_H
#define SINQ_TEXT_REGEX_H

#include "sinq.h"

struct sinq_regex;

/* `path` and `where` ("pre_tokenizer") are for messages. */
int sinq_compile_regex(const char *path, const char *where, const char *pattern, size_t size, struct sinq_regex **regex,
                       struct sinq_error *error);
void sinq_regex_free(struct sinq_regex *regex);

/* Memory for matching: all zero before its first use. */
struct sinq_regex_scratch {
    void *match_data, *match_context, *stack; /* PCRE2's */
};
void sinq_regex_scratch_free(struct sinq_regex_scratch *scratch);

struct sinq_match {
    size_t start, end;
};

/*
 * The first match at or behind `from` in text[0..size), which is valid UTF-8. An expression that takes too long or too much
 * memory on this text is SINQ_FAILED.
 */
int sinq_find_regex(const struct sinq_regex *regex, struct sinq_regex_scratch *scratch, const char *text, size_t size,
                    size_t from, struct sinq_match *match, bool *is_found, struct sinq_error *error);

#endif
