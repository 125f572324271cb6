/* unicode.h: the classes of characters that Hugging Face's tokenizers ask for, and text that may not be UTF-8. */
#ifndef SINQ_TEXT_UNICODE_H
#define SINQ_TEXT_UNICODE_H

#include "base/text.h"
#include "base/utf8.h"

#define SINQ_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

typedef bool sinq_character_test(uint32_t point);

bool sinq_is_space(uint32_t point);       /* White_Space */
bool sinq_is_word(uint32_t point);        /* \w of UTS 18: letters, marks, decimal digits, connectors, joiners */
bool sinq_is_punctuation(uint32_t point); /* ASCII punctuation, or of category P */
bool sinq_is_numeric(uint32_t point);     /* of category N */

/* Where the run of white space at the end of text[0..size) begins, and where that at its beginning ends. */
size_t sinq_find_trailing_space(const char *text, size_t size);
size_t sinq_skip_space(const char *text, size_t size);

/* The last character of a text that is not empty. */
uint32_t sinq_last_character(const char *text, size_t size);

/*
 * UTF-8 that comes byte by byte. Whole characters go to *out, bytes of an unfinished one are held; what is not UTF-8 becomes
 * U+FFFD: one for each byte (each_byte), or one for the longest beginning of a character (as Unicode advises).
 */
struct sinq_utf8_filter {
    unsigned char held[4];
    uint8_t count;
    bool each_byte;
};
void sinq_filter_utf8(struct sinq_utf8_filter *filter, const char *bytes, size_t size, struct sinq_text *out);
void sinq_finish_utf8(struct sinq_utf8_filter *filter, struct sinq_text *out);

#endif
