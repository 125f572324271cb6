/* normalizer.h: what tokenizer.json's "normalizer" does to a text before it is split. Immutable, shared by threads. */
#ifndef SINQ_TEXT_NORMALIZER_H
#define SINQ_TEXT_NORMALIZER_H

#include "text/component.h"
#include "text/normal_form.h"
#include "text/pattern.h"

enum sinq_normalizer_kind {
    SINQ_NORMAL_FORM,
    SINQ_PREPEND,
    SINQ_REPLACE,
    SINQ_LOWERCASE,
    SINQ_STRIP,
    SINQ_STRIP_ACCENTS
};

struct sinq_normalizer_stage {
    enum sinq_normalizer_kind kind;
    struct sinq_normal_form form;
    char *content; /* what is prepended, or put in place of the pattern */
    size_t content_size;
    struct sinq_pattern pattern;
    bool strip_left, strip_right;
};

struct sinq_normalizer {
    struct sinq_normalizer_stage *stages;
    size_t count;
};

int sinq_read_normalizer(const char *path, const cJSON *json, struct sinq_normalizer *normalizer,
                         struct sinq_error *error);
void sinq_normalizer_free(struct sinq_normalizer *normalizer);

/* Scratch of one call: all zero at first. */
struct sinq_normalizer_work {
    struct sinq_text texts[2];
    struct sinq_regex_scratch *scratches; /* one a stage */
    struct sinq_inert_characters *inert;  /* likewise */
    size_t limit;                         /* bytes that a text may become */
    bool has_lost_start;                  /* white space was stripped from the beginning, in the last call */
};

/* text[0..size) is valid UTF-8; *result lies in it or in the work, until the next call. */
int sinq_run_normalizer(const struct sinq_normalizer *normalizer, struct sinq_normalizer_work *work, const char *text,
                        size_t size, const char **result, size_t *result_size, struct sinq_error *error);
void sinq_normalizer_work_free(const struct sinq_normalizer *normalizer, struct sinq_normalizer_work *work);

#endif
