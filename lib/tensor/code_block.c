/* code_block.c: codes of a block to and from their lines. Every width is one or two planes of 1, 2, 4 or 8 bits. */
#include <string.h>

#include "tensor/dual_scale.h"

struct planes {
    unsigned low, high; /* bits of each; high is 0 where there is one plane */
};

static struct planes split_bits(unsigned bits) {
    const unsigned low = bits == 3 ? 2 : bits == 5 || bits == 6 ? 4 : bits;
    return (struct planes){low, bits - low};
}

#define QUADS     (SINQ_BLOCK_COLUMNS / 4u)
#define FOUR_ROWS 4u

/* A quad of columns, a byte each, of four rows: a register of every processor this is made for (little-endian, all of them). */
typedef uint32_t quads_of_rows __attribute__((vector_size(16)));

/* The first or the last two quads of a and b in turn. gcc before 12 lacks the builtin and is slower. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define INTERLEAVE_FIRST(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define INTERLEAVE_LAST(a, b)  __builtin_shufflevector(a, b, 2, 6, 3, 7)
#endif
#endif
#ifndef INTERLEAVE_FIRST
#define INTERLEAVE_FIRST(a, b) ((quads_of_rows){(a)[0], (b)[0], (a)[1], (b)[1]})
#define INTERLEAVE_LAST(a, b)  ((quads_of_rows){(a)[2], (b)[2], (a)[3], (b)[3]})
#endif

/* out[q] = quad q of four rows, each of which is given as four quads. */
static inline void transpose_quads(const quads_of_rows rows[FOUR_ROWS], quads_of_rows out[4]) {
    const quads_of_rows even_first = INTERLEAVE_FIRST(rows[0], rows[2]), odd_first = INTERLEAVE_FIRST(rows[1], rows[3]);
    const quads_of_rows even_last = INTERLEAVE_LAST(rows[0], rows[2]), odd_last = INTERLEAVE_LAST(rows[1], rows[3]);
    out[0] = INTERLEAVE_FIRST(even_first, odd_first);
    out[1] = INTERLEAVE_LAST(even_first, odd_first);
    out[2] = INTERLEAVE_FIRST(even_last, odd_last);
    out[3] = INTERLEAVE_LAST(even_last, odd_last);
}

static inline void load_four_rows(const uint8_t *codes, size_t stride, quads_of_rows quads[QUADS]) {
    quads_of_rows rows[FOUR_ROWS];
    for (unsigned half = 0; half < 2; half++) {
        for (unsigned r = 0; r < FOUR_ROWS; r++) memcpy(&rows[r], codes + r * stride + 16 * half, sizeof rows[r]);
        transpose_quads(rows, quads + 4 * half);
    }
}

/* One plane of four rows: a quarter of each of its lines. */
static inline __attribute__((always_inline)) void pack_plane(unsigned width, unsigned shift,
                                                             const quads_of_rows quads[QUADS], uint8_t *lines) {
    const uint32_t mask = 0x01010101u * ((1u << width) - 1u);
    const unsigned per_line = 8 / width;
    for (unsigned line = 0; line < width; line++) {
        quads_of_rows words = {0};
        for (unsigned j = 0; j < per_line; j++) words |= (quads[line * per_line + j] >> shift & mask) << width * j;
        memcpy(lines + line * SINQ_LINE_BYTES, &words, sizeof words);
    }
}

static inline __attribute__((always_inline)) void pack_planes(unsigned low, unsigned high, const uint8_t *codes,
                                                              size_t stride, uint8_t *lines) {
    for (unsigned r = 0; r < SINQ_PANEL_ROWS; r += FOUR_ROWS) {
        quads_of_rows quads[QUADS];
        load_four_rows(codes + r * stride, stride, quads);
        pack_plane(low, 0, quads, lines + 4 * r);
        if (high != 0) pack_plane(high, low, quads, lines + low * SINQ_LINE_BYTES + 4 * r);
    }
}

/* A whole block. Constant widths let the compiler unroll. */
static void pack_whole_block(unsigned bits, const uint8_t *codes, size_t stride, uint8_t *lines) {
    switch (bits) {
    case 2:
        pack_planes(2, 0, codes, stride, lines);
        return;
    case 3:
        pack_planes(2, 1, codes, stride, lines);
        return;
    case 4:
        pack_planes(4, 0, codes, stride, lines);
        return;
    case 5:
        pack_planes(4, 1, codes, stride, lines);
        return;
    case 6:
        pack_planes(4, 2, codes, stride, lines);
        return;
    default:
        pack_planes(8, 0, codes, stride, lines);
        return;
    }
}

void sinq_pack_block(unsigned bits, uint32_t rows, uint32_t cols, const uint8_t *codes, size_t stride, uint8_t *lines) {
    if (rows == SINQ_PANEL_ROWS && cols == SINQ_BLOCK_COLUMNS) {
        pack_whole_block(bits, codes, stride, lines);
        return;
    }
    uint8_t block[SINQ_PANEL_ROWS][SINQ_BLOCK_COLUMNS] = {{0}};
    for (uint32_t r = 0; r < rows; r++) memcpy(block[r], codes + r * stride, cols);
    pack_whole_block(bits, block[0], SINQ_BLOCK_COLUMNS, lines);
}

static const uint8_t *unpack_plane(unsigned width, unsigned shift, const uint8_t *lines,
                                   uint8_t block[SINQ_PANEL_ROWS][SINQ_BLOCK_COLUMNS]) {
    const unsigned per_line = 8 / width, mask = (1u << width) - 1u;
    for (unsigned line = 0; line < width; line++, lines += SINQ_LINE_BYTES) {
        for (unsigned r = 0; r < SINQ_PANEL_ROWS; r++) {
            for (unsigned j = 0; j < per_line; j++) {
                for (unsigned c = 0; c < 4; c++) {
                    const unsigned k = 4 * (line * per_line + j) + c;
                    block[r][k] = (uint8_t)(block[r][k] | (lines[4 * r + c] >> width * j & mask) << shift);
                }
            }
        }
    }
    return lines;
}

void sinq_unpack_block(unsigned bits, uint32_t rows, uint32_t cols, const uint8_t *lines, uint8_t *codes,
                       size_t stride) {
    uint8_t block[SINQ_PANEL_ROWS][SINQ_BLOCK_COLUMNS] = {{0}};
    const struct planes planes = split_bits(bits);
    lines = unpack_plane(planes.low, 0, lines, block);
    if (planes.high != 0) unpack_plane(planes.high, planes.low, lines, block);
    for (uint32_t r = 0; r < rows; r++) memcpy(codes + r * stride, block[r], cols);
}
