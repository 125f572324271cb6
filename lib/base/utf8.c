#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Length of the valid sequence at text[0..size), 0 if it is not valid. */
static size_t measure_sequence(const char *text, size_t size) {
    const unsigned char *const s = (const unsigned char *)text;
    if (s[0] < 0x80) return 1;
    const size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length > size) return 0;
    uint32_t point = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        point = point << 6 | (s[i] & 0x3fu);
    }
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < smallest[length] || point > 0x10ffff || is_surrogate ? 0 : length;
}

bool sinq_is_utf8(const char *text, size_t size) {
    for (size_t i = 0; i < size;) {
        const size_t length = measure_sequence(text + i, size - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

void sinq_make_printable(char *text) {
    const size_t size = strlen(text);
    for (size_t i = 0; i < size;) {
        const size_t length = measure_sequence(text + i, size - i);
        const unsigned char first = (unsigned char)text[i];
        const bool is_control = first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        if (length == 0 || (is_control && length == 1)) text[i] = '?';
        if (length == 2 && is_control) text[i] = text[i + 1] = '?';
        i += length == 0 ? 1 : length;
    }
}
