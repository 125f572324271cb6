/*
 * pattern.h: what Split and Replace look for: a regular expression, a string, or single characters of a class; and the behaviours by
 * which a text falls apart at the matches.
 */
#ifndef SINQ_TEXT_PATTERN_H
#define SINQ_TEXT_PATTERN_H

#include <cjson/cJSON.h>

#include "text/regex.h"
#include "text/unicode.h"

/* Exactly one of the three is set. Immutable. */
struct sinq_pattern {
    struct sinq_regex *regex;
    char *string;
    size_t string_size;
    sinq_character_test *characters;
};

/* {"Regex": "..."} or {"String": "..."}. */
int sinq_read_pattern(const char *path, const char *where, const cJSON *json, struct sinq_pattern *pattern,
                      struct sinq_error *error);
void sinq_pattern_free(struct sinq_pattern *pattern);

/* All matches from left to right. An empty match is none where the one before ends (as Oniguruma's find_iter has it). */
struct sinq_matches {
    const struct sinq_pattern *pattern;
    struct sinq_regex_scratch *scratch;
    const char *text;
    size_t size;
    size_t from, last_end;
    bool has_last;
};
int sinq_next_match(struct sinq_matches *matches, struct sinq_match *match, bool *is_found, struct sinq_error *error);

enum sinq_behavior { SINQ_REMOVED, SINQ_ISOLATED, SINQ_MERGED_WITH_PREVIOUS, SINQ_MERGED_WITH_NEXT, SINQ_CONTIGUOUS };
/* "Isolated", ... */
int sinq_read_behavior(const char *path, const char *where, const cJSON *json, enum sinq_behavior *behavior,
                       struct sinq_error *error);

/* Called for each part of the text, from left to right, none of them empty. */
typedef int sinq_part_fn(void *user, size_t start, size_t end, struct sinq_error *error);

/* Splits at the matches; with `invert` what matches and what does not change places. */
int sinq_split(const struct sinq_pattern *pattern, enum sinq_behavior behavior, bool invert,
               struct sinq_regex_scratch *scratch, const char *text, size_t size, sinq_part_fn *part, void *user,
               struct sinq_error *error);

/* Adds the text with all matches replaced. SINQ_FAILED where that is more than `limit` bytes. */
int sinq_replace(const struct sinq_pattern *pattern, const char *content, size_t content_size,
                 struct sinq_regex_scratch *scratch, const char *text, size_t size, size_t limit, struct sinq_text *out,
                 struct sinq_error *error);

#endif
