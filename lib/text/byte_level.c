#include "text/byte_level.h"

#include "base/utf8.h"

static bool is_visible(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/* The invisible ones in order: 0x00..0x20, 0x7f..0xa0, 0xad. */
uint32_t sinq_byte_to_character(unsigned char byte) {
    if (is_visible(byte)) return byte;
    if (byte <= 0x20) return 0x100u + byte;
    if (byte <= 0xa0) return 0x100u + 33 + (byte - 0x7fu);
    return 0x100u + 67;
}

/* The byte that a character stands for, or -1. */
static int character_to_byte(uint32_t point) {
    if (point < 0x100) return is_visible(point) ? (int)point : -1;
    const uint32_t rank = point - 0x100;
    if (rank <= 32) return (int)rank;
    if (rank <= 66) return (int)(rank - 33 + 0x7f);
    return rank == 67 ? 0xad : -1;
}

bool sinq_text_to_bytes(const char *text, size_t size, char *bytes, size_t *count) {
    size_t used = 0, length;
    for (size_t i = 0; i < size; i += length) {
        const int byte = character_to_byte(sinq_decode_utf8(text + i, &length));
        if (byte < 0) return false;
        bytes[used++] = (char)byte;
    }
    *count = used;
    return true;
}

void sinq_add_bytes_as_text(const char *bytes, size_t size, struct sinq_text *text) {
    for (size_t i = 0; i < size; i++) {
        char character[4];
        const size_t length = sinq_encode_utf8(sinq_byte_to_character((unsigned char)bytes[i]), character);
        sinq_text_add_bytes(text, character, length);
    }
}
