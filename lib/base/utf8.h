/* utf8.h: checking and defusing text from outside. */
#ifndef SINQ_BASE_UTF8_H
#define SINQ_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Whether all `size` bytes are valid UTF-8 (no surrogates, nothing overlong, nothing above U+10FFFF). */
bool sinq_is_utf8(const char *text, size_t size);

/* Replaces control characters and bytes that are not valid UTF-8 by '?', in place. */
void sinq_make_printable(char *text);

#endif
