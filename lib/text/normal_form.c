#include "text/normal_form.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

/* ---- characters ---- */

static utf8proc_option_t options_of(const struct sinq_normal_form *form) {
    const utf8proc_option_t compatible = form->is_compatible ? UTF8PROC_COMPAT : 0;
    return UTF8PROC_STABLE | compatible | (form->composes ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
}

/* Second halves of compositions: those of the tables, and vowels and final consonants of Hangul. */
static bool is_second(utf8proc_int32_t point, const utf8proc_property_t *property) {
    const bool is_hangul = (point >= 0x1161 && point <= 0x1175) || (point >= 0x11a8 && point <= 0x11c2);
    return is_hangul || (property->comb_index >= 0x8000 && property->comb_index != UINT16_MAX);
}

static bool is_inert(const struct sinq_normal_form *form, utf8proc_int32_t point) {
    const utf8proc_property_t *const property = utf8proc_get_property(point);
    if (property->combining_class != 0 || is_second(point, property)) return false;
    if (point >= 0xd800 && point < 0xe000) return false;
    const bool is_hangul = point >= 0xac00 && point < 0xac00 + 11172;
    if (is_hangul) return form->composes;
    if (property->decomp_seqindex == UINT16_MAX) return true;
    if (!form->is_compatible && property->decomp_type != 0) return true;
    if (!form->composes) return false;
    utf8proc_int32_t buffer[32];
    int boundclass = 0;
    const utf8proc_option_t options = options_of(form);
    const utf8proc_ssize_t count = utf8proc_decompose_char(point, buffer, 32, options, &boundclass);
    return count > 0 && count <= 32 && utf8proc_normalize_utf32(buffer, count, options) == 1 && buffer[0] == point;
}

struct sinq_normal_form sinq_name_normal_form(const char *name) {
    return (struct sinq_normal_form){.composes = name[strlen(name) - 1] == 'C', .is_compatible = name[2] == 'K'};
}

/* ---- rewriting a stretch ---- */

static int compare_classes(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts marks by combining class, those of one class in their order. utf8proc's own way takes quadratic time. */
static bool sort_marks(utf8proc_int32_t *points, size_t count) {
    bool is_sorted = true;
    for (size_t i = 1; i < count && is_sorted; i++) {
        is_sorted =
            utf8proc_get_property(points[i - 1])->combining_class <= utf8proc_get_property(points[i])->combining_class;
    }
    if (is_sorted) return true;
    if (count > UINT32_MAX) return false;
    uint64_t *const keys = malloc(count * sizeof *keys);
    utf8proc_int32_t *const copy = malloc(count * sizeof *copy);
    const bool has_memory = keys != NULL && copy != NULL;
    for (size_t i = 0; has_memory && i < count; i++) {
        keys[i] = (uint64_t)utf8proc_get_property(points[i])->combining_class << 32 | i;
        copy[i] = points[i];
    }
    if (has_memory) qsort(keys, count, sizeof *keys, compare_classes);
    for (size_t i = 0; has_memory && i < count; i++) points[i] = copy[(uint32_t)keys[i]];
    free(keys);
    free(copy);
    return has_memory;
}

static bool sort_all_marks(utf8proc_int32_t *points, size_t count) {
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && utf8proc_get_property(points[end])->combining_class != 0) end++;
        if (end > i && !sort_marks(points + i, end - i)) return false;
        i = end + 1;
    }
    return true;
}

static void add_points(const utf8proc_int32_t *points, size_t count, struct sinq_text *out) {
    for (size_t i = 0; i < count; i++) {
        char bytes[4];
        sinq_text_add_bytes(out, bytes, sinq_encode_utf8((uint32_t)points[i], bytes));
    }
}

#define FEW_POINTS 256u

/* No character becomes more than 6 for each of its bytes (U+FDFA of 3 bytes becomes 18). */
static void rewrite(const struct sinq_normal_form *form, const char *text, size_t size, struct sinq_text *out) {
    utf8proc_int32_t few[FEW_POINTS];
    const size_t capacity = 8 * size;
    utf8proc_int32_t *const points = capacity <= FEW_POINTS ? few : malloc(capacity * sizeof *points);
    const utf8proc_option_t options = options_of(form);
    size_t count = 0, length;
    bool is_good = points != NULL;
    for (size_t i = 0; i < size && is_good; i += length) {
        const utf8proc_int32_t point = (utf8proc_int32_t)sinq_decode_utf8(text + i, &length);
        int boundclass = 0;
        const utf8proc_ssize_t more =
            utf8proc_decompose_char(point, points + count, (utf8proc_ssize_t)(capacity - count), options, &boundclass);
        is_good = more >= 0 && (size_t)more <= capacity - count;
        if (is_good) count += (size_t)more;
    }
    is_good = is_good && sort_all_marks(points, count);
    utf8proc_ssize_t left = (utf8proc_ssize_t)count;
    if (is_good && form->composes) left = utf8proc_normalize_utf32(points, left, options);
    if (is_good && left >= 0) {
        add_points(points, (size_t)left, out);
    } else {
        sinq_text_free(out);
        out->failed = true;
    }
    if (points != few) free(points);
}

/* ---- the whole text ---- */

#define KNOWN_LIMIT 0x20000u /* characters above it are rare: they are asked for each time */

enum { UNKNOWN, INERT, NOT_INERT };

struct scan {
    const struct sinq_normal_form *form;
    uint8_t *known; /* NULL when out of memory: then all are asked for each time */
};

static bool is_inert_at(const struct scan *scan, const char *text, size_t *length) {
    if ((unsigned char)*text < 0x80) return *length = 1, true;
    const uint32_t point = sinq_decode_utf8(text, length);
    if (point >= KNOWN_LIMIT || scan->known == NULL) return is_inert(scan->form, (utf8proc_int32_t)point);
    if (scan->known[point] == UNKNOWN) {
        scan->known[point] = is_inert(scan->form, (utf8proc_int32_t)point) ? INERT : NOT_INERT;
    }
    return scan->known[point] == INERT;
}

/* Where the first character that is not ASCII stands. */
static size_t skip_ascii(const char *text, size_t size) {
    size_t i = 0;
    for (uint64_t eight; i + 8 <= size; i += 8) {
        memcpy(&eight, text + i, sizeof eight);
        if ((eight & 0x8080808080808080u) != 0) break;
    }
    while (i < size && (unsigned char)text[i] < 0x80) i++;
    return i;
}

bool sinq_normalize(const struct sinq_normal_form *form, struct sinq_inert_characters *inert, const char *text,
                    size_t size, struct sinq_text *out) {
    size_t done = 0, last = 0; /* what is in *out; the last inert character */
    bool is_changed = false;
    const size_t ascii = skip_ascii(text, size);
    if (ascii == size) return false;
    if (inert->known == NULL) inert->known = calloc(KNOWN_LIMIT, 1);
    const struct scan scan = {form, inert->known};
    if (ascii > 0) last = ascii - 1;
    for (size_t i = ascii, length; i < size;) {
        if (is_inert_at(&scan, text + i, &length)) {
            last = i;
            i += length;
            continue;
        }
        size_t end = i + length;
        while (end < size && !is_inert_at(&scan, text + end, &length)) end += length;
        sinq_text_add_bytes(out, text + done, last - done);
        rewrite(form, text + last, end - last, out);
        done = last = i = end;
        is_changed = true;
    }
    if (is_changed) sinq_text_add_bytes(out, text + done, size - done);
    return is_changed;
}
