/*
 * jinja.h: Jinja templates, as far as recognising one needs. Templates are never run.
 *
 * Flattening makes spellings equal: the strings of a template lose their escapes, `'a' + 'b'` becomes one string, and both
 * kinds of quotes become the byte 1.
 */
#ifndef SINQ_TEXT_JINJA_H
#define SINQ_TEXT_JINJA_H

#include "base/text.h"

#define SINQ_JINJA_QUOTE '\1'

/* text->failed is set when out of memory. */
void sinq_flatten_jinja(const char *source, struct sinq_text *flat);

/*
 * The default system message of a flattened template: the string that it writes itself between `before` and `after`, the edges
 * of a system turn (before may be ""), or that it gives to (default_)system_message, in which today's date
 * (strftime_now("%Y-%m-%d")) becomes `date`. Returns 1 with it in *message, 0 where there is none, -1 where there is one that
 * is put together otherwise.
 */
int sinq_find_default_system(const char *flat, const char *before, const char *after, const char *date,
                             struct sinq_text *message);

#endif
