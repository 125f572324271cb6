/* regex_syntax.h: from the regular expressions of tokenizer.json (Oniguruma, Ruby's syntax) to PCRE2's. */
#ifndef SINQ_TEXT_REGEX_SYNTAX_H
#define SINQ_TEXT_REGEX_SYNTAX_H

#include "base/text.h"

/*
 * Adds the same expression in PCRE2's syntax, for PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE. What differs and is rewritten: \s, \w, \h, \v,
 * \uHHHH, (?m), {,n}, names of properties. What PCRE2 would read otherwise and cannot say is refused: NULL on success, else
 * what is not supported.
 */
const char *sinq_translate_regex(const char *pattern, size_t size, struct sinq_text *out);

#endif
