#include "printable.h"

#include <stdbool.h>
#include <string.h>

#include "memory.h"

size_t sinq_decode_utf8(const char *text, uint32_t *point) {
    const unsigned char *const bytes = (const unsigned char *)text;
    size_t length;
    uint32_t value, least;
    if (bytes[0] < 0x80) {
        *point = bytes[0];
        return bytes[0] != 0;
    }
    if (bytes[0] >= 0xc2 && bytes[0] < 0xe0) {
        length = 2, value = bytes[0] & 0x1fu, least = 0x80;
    } else if (bytes[0] >= 0xe0 && bytes[0] < 0xf0) {
        length = 3, value = bytes[0] & 0x0fu, least = 0x800;
    } else if (bytes[0] >= 0xf0 && bytes[0] < 0xf5) {
        length = 4, value = bytes[0] & 0x07u, least = 0x10000;
    } else {
        return 0;
    }
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (bytes[i] & 0x3fu);
    }
    if (value < least || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff)) return 0;
    *point = value;
    return length;
}

/* Control characters and what makes a terminal write from right to left or break a line. */
static bool is_harmful(uint32_t point) {
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x200b && point <= 0x200f) ||
           (point >= 0x2028 && point <= 0x202e) || (point >= 0x2060 && point <= 0x206f) || point == 0xfeff;
}

char *sinq_copy_printable(const char *text) {
    const size_t size = strlen(text);
    char *const copy = sinq_allocate(size + 1, 1);
    size_t used = 0;
    for (size_t i = 0; i < size;) {
        uint32_t point = 0;
        const size_t length = sinq_decode_utf8(text + i, &point);
        if (length == 0 || is_harmful(point)) {
            copy[used++] = '?';
        } else {
            memcpy(copy + used, text + i, length);
            used += length;
        }
        i += length > 0 ? length : 1;
    }
    copy[used] = '\0';
    return copy;
}

size_t sinq_text_width(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++) width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}
