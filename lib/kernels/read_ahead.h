/*
 * read_ahead.h: how far ahead of its use one token's products call for what they read. A core reads as fast as it has lines on their way,
 * so none may be called for late, and none twice. The distances are the best of those that were measured (docs/speed.md, "Decoding:
 * what is called for" and "Two panels at a time").
 */
#ifndef SINQ_KERNELS_READ_AHEAD_H
#define SINQ_KERNELS_READ_AHEAD_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of codes: into the second cache, less than a page; and again into the first. Of byte levels: into the first alone. */
#define SINQ_CODES_AHEAD      2560u
#define SINQ_CODES_NEAR_AHEAD 640u
#define SINQ_LEVELS_AHEAD     2048u

/* Bytes of scales or zero points; and beside uniform codes of other widths than 4 bits. */
#define SINQ_ENTRIES_AHEAD      2048u
#define SINQ_ENTRIES_NEAR_AHEAD 512u

/* Blocks of rows, whose ranges of scales or zero points are few, and far apart. */
#define SINQ_RANGES_AHEAD 4u

/* Calls for bytes that are wanted soon, into the second cache. */
static inline void sinq_prefetch_lines(const uint8_t *bytes, size_t size) {
    for (size_t at = 0; at < size; at += 64) __builtin_prefetch(bytes + at, 0, 2);
}

#endif
