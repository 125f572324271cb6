/*
 * read_ahead.h: how far ahead of its use one token's products call for what they read. A core reads as fast as it has lines on their way,
 * so none may be called for late, and none twice. The distances are the best of those that were measured (docs/speed.md, "Decoding:
 * what is called for", "Two panels at a time" and "Pages").
 */
#ifndef SINQ_KERNELS_READ_AHEAD_H
#define SINQ_KERNELS_READ_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * By bits. Codes: bytes ahead of those into the second cache, and again of those into the first; and at the start of a page so many of the
 * next page's first lines, for the processor looks ahead by itself within pages it knows. Scales and zero points: bytes ahead, those of
 * four groups (a line) and both places called for together, or one after the other.
 */
struct sinq_read_ahead {
    unsigned far, near, page_lines, entries;
    bool by_turns;
};
static const struct sinq_read_ahead sinq_read_ahead[9] = {
    [2] = {1792, 1024, 4, 2048, true}, [3] = {2560, 640, 4, 2048, false}, [4] = {1792, 1024, 4, 2048, false},
    [5] = {2560, 640, 4, 2048, false}, [6] = {1792, 1024, 4, 768, true},  [8] = {1792, 1280, 8, 704, true},
};
#define SINQ_SMALL_PAGE 4096u /* within which processors look ahead, whatever the page's true size */

/* The same of byte levels, whose scales are those of four groups. */
static const struct sinq_read_ahead sinq_levels_ahead = {1792, 1024, 4, 2048, false};

/* Bytes of entries that are spread beforehand. */
#define SINQ_ENTRIES_AHEAD 2048u

/* Blocks of rows, whose ranges of scales or zero points are few, and far apart. */
#define SINQ_RANGES_AHEAD 4u

/* Calls for bytes that are wanted soon, into the second cache. */
static inline void sinq_prefetch_lines(const uint8_t *bytes, size_t size) {
    for (size_t at = 0; at < size; at += 64) __builtin_prefetch(bytes + at, 0, 2);
}

#endif
