#include "stop_text.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

static void drop_passed(struct sinq_stop_texts *stop) {
    if (stop->passed == 0) return;
    stop->size -= stop->passed;
    memmove(stop->held, stop->held + stop->passed, stop->size);
    stop->passed = 0;
}

/* Where `text` first ends in what is held, or 0. */
static size_t find_end(const struct sinq_stop_texts *stop, const char *text) {
    const size_t length = strlen(text);
    for (size_t end = length; end <= stop->size; end++)
        if (memcmp(stop->held + end - length, text, length) == 0) return end;
    return 0;
}

/* Where the stop text that is complete first begins; SIZE_MAX where none is. */
static size_t find_stop(const struct sinq_stop_texts *stop) {
    size_t begin = SIZE_MAX, end = SIZE_MAX;
    for (size_t i = 0; i < stop->count; i++) {
        const size_t length = strlen(stop->texts[i]);
        const size_t found = find_end(stop, stop->texts[i]);
        if (found == 0 || found > end) continue;
        if (found < end || found - length < begin) begin = found - length;
        end = found;
    }
    return begin;
}

/* Whether the held bytes from `from` on are how a stop text begins. */
static bool is_beginning(const struct sinq_stop_texts *stop, size_t from) {
    const size_t length = stop->size - from;
    for (size_t i = 0; i < stop->count; i++)
        if (strlen(stop->texts[i]) > length && memcmp(stop->held + from, stop->texts[i], length) == 0) return true;
    return false;
}

/* Bytes that can no longer be part of a stop text. */
static size_t count_safe(const struct sinq_stop_texts *stop) {
    size_t longest = 1;
    for (size_t i = 0; i < stop->count; i++)
        longest = strlen(stop->texts[i]) > longest ? strlen(stop->texts[i]) : longest;
    size_t safe = stop->size > longest - 1 ? stop->size - (longest - 1) : 0;
    while (safe < stop->size && !is_beginning(stop, safe)) safe++;
    return safe;
}

bool sinq_stop_add(struct sinq_stop_texts *stop, const char *piece, size_t size, const char **out, size_t *out_size) {
    drop_passed(stop);
    sinq_reserve(&stop->held, &stop->capacity, stop->size + size + 1, 1);
    if (size > 0) memcpy(stop->held + stop->size, piece, size);
    stop->size += size;
    const size_t begin = find_stop(stop);
    *out = stop->held;
    *out_size = begin != SIZE_MAX ? begin : count_safe(stop);
    stop->passed = begin != SIZE_MAX ? stop->size : *out_size;
    return begin != SIZE_MAX;
}

void sinq_stop_end(struct sinq_stop_texts *stop, const char **out, size_t *out_size) {
    drop_passed(stop);
    *out = stop->held;
    *out_size = stop->size;
    stop->passed = stop->size;
}

void sinq_stop_free(struct sinq_stop_texts *stop) {
    free(stop->held);
    stop->held = NULL;
    stop->size = stop->capacity = stop->passed = 0;
}
