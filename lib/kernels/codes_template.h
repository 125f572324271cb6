/* codes_template.h: codes of a block as they are packed, and levels in their place; a part of compute_template.h. */
#ifndef SINQ_KERNELS_CODES_TEMPLATE_H
#define SINQ_KERNELS_CODES_TEMPLATE_H

#include "kernels/byte_levels.h"
#include "kernels/read_ahead.h"
#include "kernels/template_basics.h"

/* Codes of quad q (columns 4 q to 4 q + 3) of a block, a byte each: docs/format.md, section 5.1. */
ALWAYS_INLINE line load_plane(const unsigned width, const uint8_t *lines, const unsigned q) {
    const unsigned per_line = 8 / width;
    const line packed = l_load(lines + 64 * (q / per_line));
    return width == 8 ? packed : l_bits(packed, q % per_line * width, (1u << width) - 1);
}

/* Quad q of a plane of `width` bits, from bit `to` on, besides `low`. */
ALWAYS_INLINE line merge_plane(const line low, const unsigned width, const uint8_t *lines, const unsigned q,
                               const unsigned to) {
    const unsigned per_line = 8 / width, from = q % per_line * width;
    return l_merge(low, l_load(lines + 64 * (q / per_line)), (int)from - (int)to, ((1u << width) - 1) << to);
}

ALWAYS_INLINE line load_quad(const unsigned bits, const uint8_t *lines, const unsigned q) {
    switch (bits) {
    case 3:
        return merge_plane(load_plane(2, lines, q), 1, lines + 128, q, 2);
    case 5:
        return merge_plane(load_plane(4, lines, q), 1, lines + 256, q, 4);
    case 6:
        return merge_plane(load_plane(4, lines, q), 2, lines + 256, q, 4);
    default:
        return load_plane(bits, lines, q);
    }
}

/* Lines of blocks of codes that come later. */
ALWAYS_INLINE void prefetch_ahead(const struct sinq_read_ahead ahead, const unsigned bits, const uint8_t *lines) {
    if (ahead.page_lines > 0 && (uintptr_t)lines % SINQ_SMALL_PAGE < 64 * bits) {
        for (unsigned i = 0; i < ahead.page_lines; i++) __builtin_prefetch(lines + SINQ_SMALL_PAGE + 64 * i, 0, 2);
    }
    for (unsigned i = 0; i < bits; i++) {
        __builtin_prefetch(lines + ahead.near + 64 * i, 0, 3);
        __builtin_prefetch(lines + ahead.far + 64 * i, 0, 2);
    }
}

ALWAYS_INLINE void prefetch_blocks(const unsigned bits, const uint8_t *lines) {
    prefetch_ahead(sinq_read_ahead[bits], bits, lines);
}

/* ---- levels below 128, in place of codes of 2, 3 or 4 bits ---- */

/*
 * They are looked up from where codes lie, so that as few shifts as possible are needed. LOOKUP_BITS: how many bits of a byte choose
 * an entry. All of them must count with 4; with 6 a table does not mind what is beside a code.
 */
#ifndef LOOKUP_BITS
#define LOOKUP_BITS 4
#endif

#if LOOKUP_BITS == 6

/*
 * How quad q of 3 bits becomes an index: its line of low bits is shifted to the right, and one bit of the third bits' line, which is
 * shifted as well, takes its place. `table` knows where both are then: see place_levels.
 */
struct three_bits {
    int shift, third_shift;
    unsigned third_bit, table;
};
static const struct three_bits three_bit_quads[8] = {{-2, 0, 0, 0}, {0, 0, 1, 1}, {0, 0, 2, 2}, {2, 0, 3, 3},
                                                     {0, 0, 4, 4},  {0, 0, 5, 5}, {0, 4, 2, 2}, {2, 4, 3, 3}};

ALWAYS_INLINE void place_levels(const unsigned bits, const uint8_t levels[16], struct sinq_level_tables *tables) {
    static const uint8_t three[6][2] = {{2, 0}, {2, 1}, {4, 2},
                                        {4, 3}, {0, 4}, {2, 5}}; /* bits of low bits and third */
    uint8_t numbers[64];
    for (unsigned i = 0; i < 64; i++) numbers[i] = (uint8_t)i;
    const line number = l_load(numbers);
    for (unsigned t = 0; t < (bits == 4 ? 1 : bits == 3 ? 6 : 3); t++) {
        line codes = l_bits(number, bits == 3 ? three[t][0] : 2 * t, bits == 4 ? 15 : 3);
        if (bits == 3) codes = l_merge(codes, number, three[t][1] - 2, 4);
        l_store(tables->bytes[t], l_lookup(levels, codes));
    }
}

ALWAYS_INLINE line load_levels(const unsigned bits, const struct sinq_level_tables *tables, const uint8_t *lines,
                               const unsigned q) {
    const unsigned place = q % (8 / bits);
    const line packed = l_load(lines + 64 * (q / (bits == 4 ? 2 : 4)));
    if (bits == 4) return l_lookup_six(tables->bytes[0], l_shift(packed, 4 * (int)place));
    if (bits == 2) return l_lookup_six(tables->bytes[place < 3 ? place : 2], l_shift(packed, place < 3 ? 0 : 2));
    const struct three_bits quad = three_bit_quads[q];
    const line third = l_shift(l_load(lines + 128), quad.third_shift);
    return l_lookup_six(tables->bytes[quad.table], l_choose(third, l_shift(packed, quad.shift), 1u << quad.third_bit));
}

#else

/*
 * Two tables of sixteen, the low and the high one:
 *   2 bits  a nibble is two codes: the low one knows the first, the high one the second
 *   3 bits  low: low bits at bit 0, the third at bit 2; high: low bits at bit 2, the third at bit 1
 */
ALWAYS_INLINE void place_levels(const unsigned bits, const uint8_t levels[16], struct sinq_level_tables *tables) {
    for (unsigned i = 0; i < 16; i++) {
        tables->bytes[0][i] = levels[i & ((1u << bits) - 1)];
        tables->bytes[1][i] = levels[bits == 2 ? i >> 2 : bits == 3 ? i >> 2 | (i & 2u) << 1 : i];
    }
}

ALWAYS_INLINE line load_levels(const unsigned bits, const struct sinq_level_tables *tables, const uint8_t *lines,
                               const unsigned q) {
    const bool is_low = bits == 4 || q % 2 == 0;
    const uint8_t *const table = tables->bytes[is_low ? 0 : 1];
    if (bits == 4) return l_lookup(table, load_plane(4, lines, q));
    const line packed = l_load(lines + 64 * (q / 4));
    if (bits == 2) return l_lookup(table, l_bits(packed, q % 4 / 2 * 4, 15));
    const line low = l_bits(packed, q % 4 / 2 * 4, is_low ? 3 : 12), third = l_load(lines + 128);
    return l_lookup(table, l_merge(low, third, (int)q - (is_low ? 2 : 1), is_low ? 4 : 2));
}

#endif

#endif
