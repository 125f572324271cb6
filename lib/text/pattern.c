#define _GNU_SOURCE 1 /* memmem */
#include "text/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- reading ---- */

int sinq_read_pattern(const char *path, const char *where, const cJSON *json, struct sinq_pattern *pattern,
                      struct sinq_error *error) {
    const cJSON *const regex = cJSON_GetObjectItemCaseSensitive(json, "Regex");
    const cJSON *const string = cJSON_GetObjectItemCaseSensitive(json, "String");
    *pattern = (struct sinq_pattern){0};
    if (cJSON_IsString(regex)) {
        return sinq_compile_regex(path, where, regex->valuestring, strlen(regex->valuestring), &pattern->regex, error);
    }
    if (!cJSON_IsString(string) || string->valuestring[0] == '\0') {
        return sinq_fail(error, SINQ_FAILED, "%.300s: %s: a pattern {\"Regex\": ...} or {\"String\": ...} was expected",
                         path, where);
    }
    pattern->string_size = strlen(string->valuestring);
    pattern->string = strdup(string->valuestring);
    return pattern->string != NULL ? SINQ_OK : sinq_fail_memory(error, "a pattern", pattern->string_size);
}

void sinq_pattern_free(struct sinq_pattern *pattern) {
    sinq_regex_free(pattern->regex);
    free(pattern->string);
    *pattern = (struct sinq_pattern){0};
}

int sinq_read_behavior(const char *path, const char *where, const cJSON *json, enum sinq_behavior *behavior,
                       struct sinq_error *error) {
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    for (size_t i = 0; cJSON_IsString(json) && i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(json->valuestring, names[i]) != 0) continue;
        *behavior = (enum sinq_behavior)i;
        return SINQ_OK;
    }
    return sinq_fail(error, SINQ_FAILED,
                     "%.300s: %s: unknown behavior, expected Removed, Isolated, MergedWithPrevious, MergedWithNext or "
                     "Contiguous",
                     path, where);
}

/* ---- finding ---- */

static bool find_string(const struct sinq_matches *m, struct sinq_match *match) {
    const size_t size = m->pattern->string_size;
    const char *const found = memmem(m->text + m->from, m->size - m->from, m->pattern->string, size);
    if (found == NULL) return false;
    match->start = (size_t)(found - m->text);
    match->end = match->start + size;
    return true;
}

static bool find_character(const struct sinq_matches *m, struct sinq_match *match) {
    for (size_t i = m->from, length; i < m->size; i += length) {
        if (!m->pattern->characters(sinq_decode_utf8(m->text + i, &length))) continue;
        *match = (struct sinq_match){i, i + length};
        return true;
    }
    return false;
}

int sinq_next_match(struct sinq_matches *m, struct sinq_match *match, bool *is_found, struct sinq_error *error) {
    *is_found = false;
    while (m->from <= m->size) {
        if (m->pattern->regex != NULL) {
            const int status =
                sinq_find_regex(m->pattern->regex, m->scratch, m->text, m->size, m->from, match, is_found, error);
            if (status != SINQ_OK) return status;
        } else {
            *is_found = m->pattern->string != NULL ? find_string(m, match) : find_character(m, match);
        }
        if (!*is_found) return SINQ_OK;
        if (match->end > match->start || !m->has_last || m->last_end != match->end) {
            m->from = m->last_end = match->end;
            m->has_last = true;
            return SINQ_OK;
        }
        size_t length = 1; /* empty, and right behind the last one: go on a character further */
        if (m->from < m->size) (void)sinq_decode_utf8(m->text + m->from, &length);
        m->from += length;
        *is_found = false;
    }
    return SINQ_OK;
}

/* ---- splitting ---- */

struct part {
    size_t start, end;
    bool is_match;
};

struct splitting {
    enum sinq_behavior behavior;
    bool invert;
    bool has_held, was_match;
    struct part held; /* may still grow */
    sinq_part_fn *part;
    void *user;
};

static int emit(const struct splitting *s, struct part part, struct sinq_error *error) {
    return part.start == part.end ? SINQ_OK : s->part(s->user, part.start, part.end, error);
}

/* Passes on what is held and holds this part instead. */
static int hold(struct splitting *s, struct part part, struct sinq_error *error) {
    const int status = s->has_held ? emit(s, s->held, error) : SINQ_OK;
    s->held = part;
    s->has_held = true;
    return status;
}

static int add_part(struct splitting *s, size_t start, size_t end, bool is_match, struct sinq_error *error) {
    const struct part part = {start, end, is_match != s->invert};
    const bool was_match = s->was_match;
    s->was_match = part.is_match;
    bool joins = false;
    switch (s->behavior) {
    case SINQ_REMOVED:
        return part.is_match ? SINQ_OK : emit(s, part, error);
    case SINQ_ISOLATED:
        return emit(s, part, error);
    case SINQ_CONTIGUOUS:
        joins = part.is_match == was_match;
        break;
    case SINQ_MERGED_WITH_PREVIOUS:
        joins = part.is_match && !was_match;
        break;
    case SINQ_MERGED_WITH_NEXT:
        joins = !part.is_match && was_match;
        break;
    }
    if (!joins || !s->has_held) return hold(s, part, error);
    s->held.end = end;
    return SINQ_OK;
}

int sinq_split(const struct sinq_pattern *pattern, enum sinq_behavior behavior, bool invert,
               struct sinq_regex_scratch *scratch, const char *text, size_t size, sinq_part_fn *part, void *user,
               struct sinq_error *error) {
    struct splitting s = {.behavior = behavior, .invert = invert, .part = part, .user = user};
    struct sinq_matches matches = {.pattern = pattern, .scratch = scratch, .text = text, .size = size};
    struct sinq_match match;
    size_t end = 0;
    for (;;) {
        bool is_found;
        int status = sinq_next_match(&matches, &match, &is_found, error);
        if (status != SINQ_OK) return status;
        if (!is_found) break;
        if (match.start > end) status = add_part(&s, end, match.start, false, error);
        if (status == SINQ_OK) status = add_part(&s, match.start, match.end, true, error);
        if (status != SINQ_OK) return status;
        end = match.end;
    }
    int status = end < size ? add_part(&s, end, size, false, error) : SINQ_OK;
    if (status == SINQ_OK && s.has_held) status = emit(&s, s.held, error);
    return status;
}

int sinq_replace(const struct sinq_pattern *pattern, const char *content, size_t content_size,
                 struct sinq_regex_scratch *scratch, const char *text, size_t size, size_t limit, struct sinq_text *out,
                 struct sinq_error *error) {
    struct sinq_matches matches = {.pattern = pattern, .scratch = scratch, .text = text, .size = size};
    struct sinq_match match;
    size_t end = 0;
    for (;;) {
        bool is_found;
        const int status = sinq_next_match(&matches, &match, &is_found, error);
        if (status != SINQ_OK) return status;
        if (!is_found) break;
        if (match.start > end) sinq_text_add_bytes(out, text + end, match.start - end);
        sinq_text_add_bytes(out, content, content_size);
        end = match.end;
        if (out->size > limit) return sinq_fail(error, SINQ_FAILED, "a tokenizer's Replace makes the text far longer");
    }
    sinq_text_add_bytes(out, text + end, size - end);
    return out->failed ? sinq_fail_memory(error, "a text", size) : SINQ_OK;
}
