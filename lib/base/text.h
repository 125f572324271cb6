/* text.h: a growing string. After a failed allocation it stays empty and `failed` is set: check once, at the end. */
#ifndef SINQ_BASE_TEXT_H
#define SINQ_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "sinq.h"

struct sinq_text {
    char *data; /* NUL-terminated once anything was added; malloc'ed, may be handed on with sinq_text_take */
    size_t size, capacity;
    bool failed;
};

void sinq_text_add(struct sinq_text *text, const char *string);
void sinq_text_add_bytes(struct sinq_text *text, const char *bytes, size_t size);
void sinq_text_print(struct sinq_text *text, const char *format, ...) SINQ_PRINTF(2, 3);
/* A JSON string with its quotes; `string` is valid UTF-8. */
void sinq_text_add_json(struct sinq_text *text, const char *string);
void sinq_text_free(struct sinq_text *text);

/* Whether `word` is one of the words of `list`, which single spaces separate. False for NULL, "" and what has spaces itself. */
bool sinq_is_listed(const char *list, const char *word);

#endif
