#include "base/utf8.h"

#include <string.h>

size_t sinq_measure_utf8(const char *text, size_t size) {
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

size_t sinq_encode_utf8(uint32_t point, char out[4]) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    const size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const unsigned char leads[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, point >>= 6) out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(leads[length] | point);
    return length;
}

/* How many of the first bytes are ASCII, counted by eights. */
static size_t measure_ascii(const char *text, size_t size) {
    size_t i = 0;
    for (uint64_t eight; i + 8 <= size; i += 8) {
        memcpy(&eight, text + i, sizeof eight);
        if ((eight & 0x8080808080808080u) != 0) break;
    }
    return i;
}

bool sinq_is_utf8(const char *text, size_t size) {
    for (size_t i = measure_ascii(text, size); i < size;) {
        if ((unsigned char)text[i] < 0x80 && i + 8 <= size) {
            const size_t ascii = measure_ascii(text + i, size - i);
            i += ascii > 0 ? ascii : 1;
            continue;
        }
        const size_t length = sinq_measure_utf8(text + i, size - i);
        if (length == 0) return false;
        i += length;
    }
    return true;
}

void sinq_make_printable(char *text) {
    const size_t size = strlen(text);
    for (size_t i = 0; i < size;) {
        const size_t length = sinq_measure_utf8(text + i, size - i);
        const unsigned char first = (unsigned char)text[i];
        const bool is_control = first < 0x20 || first == 0x7f || (first == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        if (length == 0 || (is_control && length == 1)) text[i] = '?';
        if (length == 2 && is_control) text[i] = text[i + 1] = '?';
        i += length == 0 ? 1 : length;
    }
}
