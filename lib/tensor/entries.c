/*
 * entries.c: scales and zeros of one panel as codes. Those of 6 bits lie in quads of groups, 16 bytes a plane as the rows are:
 * the low nibbles of groups 0 and 1, those of 2 and 3, then the two high bits of all four.
 */
#include "base/checked.h"
#include "tensor/dual_scale.h"

#define QUAD_GROUPS 4u

uint64_t sinq_measure_entries(enum sinq_aux_type type, uint64_t groups) {
    switch (type) {
    case SINQ_AUX_NONE:
        return 0;
    case SINQ_AUX_F16:
        return 2 * SINQ_PANEL_ROWS * groups;
    case SINQ_AUX_U6:
        return SINQ_ENTRY_QUAD_BYTES * sinq_divide_up(groups, QUAD_GROUPS);
    default:
        return SINQ_PANEL_ROWS * groups;
    }
}

unsigned sinq_most_entry(enum sinq_aux_type type, bool is_signed) {
    const unsigned bits = (type == SINQ_AUX_U6 ? 6u : 8u) - (is_signed ? 1u : 0u);
    return (1u << bits) - 1u;
}

void sinq_pack_entries(uint64_t groups, const uint8_t *entries, uint8_t *packed) {
    for (uint64_t first = 0; first < groups; first += QUAD_GROUPS, packed += SINQ_ENTRY_QUAD_BYTES) {
        for (unsigned r = 0; r < SINQ_PANEL_ROWS; r++) {
            unsigned e[QUAD_GROUPS] = {0}, high = 0;
            for (unsigned g = 0; g < QUAD_GROUPS && first + g < groups; g++) {
                e[g] = entries[(first + g) * SINQ_PANEL_ROWS + r] & 63u;
                high |= e[g] >> 4 << 2 * g;
            }
            packed[r] = (uint8_t)((e[0] & 15u) | (e[1] & 15u) << 4);
            packed[SINQ_PANEL_ROWS + r] = (uint8_t)((e[2] & 15u) | (e[3] & 15u) << 4);
            packed[2 * SINQ_PANEL_ROWS + r] = (uint8_t)high;
        }
    }
}

unsigned sinq_load_entry(const uint8_t *packed, uint64_t group, unsigned row) {
    const uint8_t *const quad = packed + group / QUAD_GROUPS * SINQ_ENTRY_QUAD_BYTES + row;
    const unsigned place = (unsigned)(group % QUAD_GROUPS);
    const unsigned low = quad[place / 2 * SINQ_PANEL_ROWS] >> place % 2 * 4 & 15u;
    return low | (quad[2 * SINQ_PANEL_ROWS] >> 2 * place & 3u) << 4;
}

void sinq_unpack_entries(uint64_t groups, const uint8_t *packed, uint8_t *entries) {
    for (uint64_t group = 0; group < groups; group++) {
        for (unsigned r = 0; r < SINQ_PANEL_ROWS; r++) {
            entries[group * SINQ_PANEL_ROWS + r] = (uint8_t)sinq_load_entry(packed, group, r);
        }
    }
}
