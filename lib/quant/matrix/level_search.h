/*
 * level_search.h: byte levels with a signed scale and no zero point: their tables, and the scale of each group, searched for the
 * least squared error in the normalized domain. docs/rounding.md tells where the tables come from.
 *
 * Calling sequence for a block of rows: sinq_search_signed_scales; choose a range; sinq_choose_stored_scales among what can be
 * stored. `values` is the caller's working memory, 64 rows of the group; it must stay as it is between the two.
 */
#ifndef SINQ_QUANT_LEVEL_SEARCH_H
#define SINQ_QUANT_LEVEL_SEARCH_H

#include "kernels/level_table.h"
#include "quant/matrix/rounding.h"

struct sinq_byte_levels {
    uint8_t level[16]; /* ascending; beyond 2^bits the last one again */
    float centre;
    struct sinq_level_table above_centre; /* level - centre */
};

/* The table of 2, 3 or 4 bits that was fitted to groups of this size (other sizes: the nearest). */
void sinq_find_byte_levels(unsigned bits, uint32_t group_size, struct sinq_byte_levels *levels);

/*
 * Arrays have 32 entries, whatever the block's rows. scale: of either sign, 0 for groups of zeros. error (or NULL): what it
 * leaves with the codes from which it follows, in a unit of each row's own: to be compared with what
 * sinq_choose_stored_scales leaves, and with nothing else.
 */
void sinq_search_signed_scales(enum sinq_effort effort, unsigned bits, const struct sinq_byte_levels *levels,
                               const struct sinq_group_block *block, float *values, float *scale, float *error);

/* What a stored range offers: magnitudes (low + code * step) * unit[row]. scale comes as searched and leaves as stored. */
struct sinq_signed_range {
    float low, step, most;
    const float *unit;
};
void sinq_choose_stored_scales(const struct sinq_byte_levels *levels, const struct sinq_signed_range *range,
                               const struct sinq_group_block *block, const float *values, float *scale, uint8_t *code,
                               float *error);

#endif
