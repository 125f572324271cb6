/* utf8.h: checking, defusing and taking apart text from outside. */
#ifndef SINQ_BASE_UTF8_H
#define SINQ_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether all `size` bytes are valid UTF-8 (no surrogates, nothing overlong, nothing above U+10FFFF). */
bool sinq_is_utf8(const char *text, size_t size);

/* Length of the valid sequence that text[0..size) begins with, 0 where it is not valid; size is at least 1. */
size_t sinq_measure_utf8(const char *text, size_t size);

/* Bytes that a code point takes up. */
size_t sinq_encode_utf8(uint32_t point, char out[4]);

/* The code point at the beginning of valid UTF-8, and how many bytes it takes up. */
static inline uint32_t sinq_decode_utf8(const char *text, size_t *length) {
    const unsigned char *const s = (const unsigned char *)text;
    if (s[0] < 0x80) return *length = 1, s[0];
    if (s[0] < 0xe0) return *length = 2, (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
    if (s[0] < 0xf0) return *length = 3, (s[0] & 0x0fu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    *length = 4;
    return (s[0] & 0x07u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}

/* Replaces control characters and bytes that are not valid UTF-8 by '?', in place. */
void sinq_make_printable(char *text);

#endif
