#include "text/unicode.h"

#include <utf8proc.h>

static utf8proc_category_t category_of(uint32_t point) { return utf8proc_category((utf8proc_int32_t)point); }

bool sinq_is_space(uint32_t point) {
    if (point < 0x80) return point == ' ' || (point >= '\t' && point <= '\r');
    return point == 0x85 || point == 0xa0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200a) ||
           point == 0x2028 || point == 0x2029 || point == 0x202f || point == 0x205f || point == 0x3000;
}

/* Alphabetic characters that are symbols: letters in circles and squares. */
static bool is_enclosed_letter(uint32_t point) {
    return (point >= 0x24b6 && point <= 0x24e9) || (point >= 0x1f130 && point <= 0x1f149) ||
           (point >= 0x1f150 && point <= 0x1f169) || (point >= 0x1f170 && point <= 0x1f189);
}

bool sinq_is_word(uint32_t point) {
    switch (category_of(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default:
        return point == 0x200c || point == 0x200d || is_enclosed_letter(point);
    }
}

bool sinq_is_punctuation(uint32_t point) {
    if (point < 0x80) {
        return (point >= '!' && point <= '/') || (point >= ':' && point <= '@') || (point >= '[' && point <= '`') ||
               (point >= '{' && point <= '~');
    }
    const utf8proc_category_t category = category_of(point);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool sinq_is_numeric(uint32_t point) {
    const utf8proc_category_t category = category_of(point);
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

/* The beginning of the character that ends at `end`. */
static size_t step_back(const char *text, size_t end) {
    size_t at = end - 1;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) at--;
    return at;
}

size_t sinq_find_trailing_space(const char *text, size_t size) {
    size_t end = size, length;
    while (end > 0) {
        const size_t at = step_back(text, end);
        if (!sinq_is_space(sinq_decode_utf8(text + at, &length))) break;
        end = at;
    }
    return end;
}

size_t sinq_skip_space(const char *text, size_t size) {
    size_t at = 0, length;
    while (at < size && sinq_is_space(sinq_decode_utf8(text + at, &length))) at += length;
    return at;
}

uint32_t sinq_last_character(const char *text, size_t size) {
    size_t length;
    return sinq_decode_utf8(text + step_back(text, size), &length);
}

/* ---- bytes that may not be UTF-8 ---- */

static uint8_t sequence_length(unsigned char lead) {
    if (lead < 0xc2 || lead > 0xf4) return 0;
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Whether `byte` may be the second one of a sequence with this lead (Unicode, table 3-7). */
static bool may_be_second(unsigned char lead, unsigned char byte) {
    const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return byte >= low && byte <= high;
}

void sinq_finish_utf8(struct sinq_utf8_filter *filter, struct sinq_text *out) {
    const unsigned marks = filter->each_byte ? filter->count : filter->count > 0;
    for (unsigned i = 0; i < marks; i++) sinq_text_add(out, SINQ_REPLACEMENT);
    filter->count = 0;
}

static void filter_byte(struct sinq_utf8_filter *filter, unsigned char byte, struct sinq_text *out) {
    if (filter->count > 0) {
        const bool fits = filter->count == 1 ? may_be_second(filter->held[0], byte) : (byte & 0xc0) == 0x80;
        if (fits) {
            filter->held[filter->count++] = byte;
            if (filter->count < sequence_length(filter->held[0])) return;
            sinq_text_add_bytes(out, (const char *)filter->held, filter->count);
            filter->count = 0;
            return;
        }
        sinq_finish_utf8(filter, out);
    }
    if (byte < 0x80) {
        sinq_text_add_bytes(out, (const char *)&byte, 1);
    } else {
        filter->held[filter->count++] = byte;
        if (sequence_length(byte) == 0) sinq_finish_utf8(filter, out);
    }
}

void sinq_filter_utf8(struct sinq_utf8_filter *filter, const char *bytes, size_t size, struct sinq_text *out) {
    for (size_t i = 0; i < size; i++) {
        size_t run = i; /* whole characters are taken over as they are */
        while (filter->count == 0 && run < size) {
            const size_t length = sinq_measure_utf8(bytes + run, size - run);
            if (length == 0) break;
            run += length;
        }
        if (run > i) sinq_text_add_bytes(out, bytes + i, run - i);
        i = run;
        if (i < size) filter_byte(filter, (unsigned char)bytes[i], out);
    }
}
