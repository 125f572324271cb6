/* printable.h: text from outside (names in a file, arguments) made safe for a terminal and for JSON. */
#ifndef SINQ_CMD_PRINTABLE_H
#define SINQ_CMD_PRINTABLE_H

#include <stddef.h>
#include <stdint.h>

/*
 * Length of the well-formed UTF-8 sequence at `text`, its code point in *point; 0 if there is none. Stops at a NUL, so
 * that it never reads beyond a string's end.
 */
size_t sinq_decode_utf8(const char *text, uint32_t *point);

/*
 * A copy in which control characters, marks that turn the writing direction and bytes that are not UTF-8 are '?'. Freed by
 * free().
 */
char *sinq_copy_printable(const char *text);

/* Columns that printable text takes, counting code points. */
size_t sinq_text_width(const char *text);

#endif
