#include "text/normal_form.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

/* ---- the table ---- */

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

bool sinq_make_normal_form(const char *name, struct sinq_normal_form *form) {
    *form = (struct sinq_normal_form){.composes = name[strlen(name) - 1] == 'C', .is_compatible = name[2] == 'K'};
    form->inert = calloc(SINQ_INERT_LIMIT / 8, 1);
    if (form->inert == NULL) return false;
    for (uint32_t point = 0; point < SINQ_INERT_LIMIT; point++) {
        if (is_inert(form, (utf8proc_int32_t)point)) form->inert[point / 8] |= (uint8_t)(1u << point % 8);
    }
    return true;
}

void sinq_normal_form_free(struct sinq_normal_form *form) {
    free(form->inert);
    *form = (struct sinq_normal_form){0};
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

static bool is_inert_at(const struct sinq_normal_form *form, const char *text, size_t *length) {
    const uint32_t point = sinq_decode_utf8(text, length);
    return point < SINQ_INERT_LIMIT && (form->inert[point / 8] >> point % 8 & 1) != 0;
}

bool sinq_normalize(const struct sinq_normal_form *form, const char *text, size_t size, struct sinq_text *out) {
    size_t done = 0, last = 0; /* what is in *out; the last inert character */
    for (size_t i = 0, length; i < size;) {
        if (is_inert_at(form, text + i, &length)) {
            last = i;
            i += length;
            continue;
        }
        size_t end = i + length;
        while (end < size && !is_inert_at(form, text + end, &length)) end += length;
        sinq_text_add_bytes(out, text + done, last - done);
        rewrite(form, text + last, end - last, out);
        done = last = i = end;
    }
    if (done == 0) return false;
    sinq_text_add_bytes(out, text + done, size - done);
    return true;
}
