/*
 * byte_levels_template.h: the bodies of byte_levels.h, written once over sixteen lanes. An instruction set's file defines the lane
 * operations (simd_*.h, lanes_*.h) and KERNELS, the name of its table, and includes this.
 */
#include "kernels/byte_levels.h"
#include "kernels/codes_template.h"

#ifdef HAS_SPREAD_QUAD

static void spread_scales(const uint8_t *packed, size_t quads, uint8_t *scales) {
    for (size_t i = 0; i < quads; i++) l_store(scales + 64 * i, l_spread_signed_quad(packed + 48 * i));
}

#else

/* Bits 0 to 3 of `low`; two bits of `high`, where they lie at bit 4: bit 4 of the magnitude and the sign. */
ALWAYS_INLINE sixteen_bytes join_scales(sixteen_bytes low, sixteen_bytes high) {
    return (low & 15) | (high & 16) | (high << 2 & 128);
}

/* docs/format.md, section 5.2. */
static void spread_scales(const uint8_t *packed, size_t quads, uint8_t *scales) {
    for (size_t i = 0; i < quads; i++, packed += 48, scales += 64) {
        const sixteen_bytes first = load_bytes(packed), second = load_bytes(packed + 16),
                            high = load_bytes(packed + 32);
        const sixteen_bytes groups[4] = {join_scales(first, high << 4), join_scales(first >> 4, high << 2),
                                         join_scales(second, high), join_scales(second >> 4, high >> 2)};
        memcpy(scales, groups, sizeof groups);
    }
}

#endif

/*
 * v_load_signed makes magnitudes m to 1 + m / 128, so that low + m * step is (low - 128 step) + that * 128 step. (What rounding
 * that difference costs is 2^-17 steps.)
 */
static void fold_ranges(size_t groups, const float *x_scales, float *ranges) {
    for (size_t g = 0; g < groups; g++) {
        const float steps = 128.0f * ranges[2 * g + 1];
        ranges[2 * g] = (ranges[2 * g] - steps) * x_scales[g];
        ranges[2 * g + 1] = steps * x_scales[g];
    }
}

/* Of one panel or two. */
struct level_totals {
    v16 of[2];
};

/* Panel p's total + scale * (dot - centre's share), both of which know the activations' scale. */
ALWAYS_INLINE void end_group(const struct sinq_byte_level_part *part, const unsigned p, const size_t group,
                             const v16i dot, struct level_totals *totals) {
    const v16 entry = v_load_signed(part->scales[p] + 16 * group);
    const v16 low = v_flip(v_set(part->ranges[p][2 * group]), entry);
    const v16 scale = v_fma(entry, v_set(part->ranges[p][2 * group + 1]), low);
    totals->of[p] = v_fma(scale, v_sub(i_to_float(dot), v_set(part->centres[group])), totals->of[p]);
}

/* Sums of one group: two, so that additions need not wait; where it has but four quads, joining two costs as much as it saves. */
struct level_sums {
    v16i sum[2];
};

ALWAYS_INLINE struct level_sums begin_sums(void) { return (struct level_sums){{i_zero(), i_zero()}}; }

/* Quads [first, end) of panel p's block, to `count` sums. */
ALWAYS_INLINE void add_quads(const unsigned bits, const struct sinq_byte_level_part *part, const unsigned p,
                             const size_t block, const unsigned first, const unsigned end, const unsigned count,
                             struct level_sums *sums) {
    const uint8_t *const lines = part->lines + p * part->line_stride + 64 * bits * block;
    const int8_t *const x = part->x + 32 * block;
    for (unsigned i = 0; first == 0 && i < bits; i++) __builtin_prefetch(lines + SINQ_LEVELS_AHEAD + 64 * i, 0, 3);
    for (unsigned q = first; q < end; q++) {
        v16i *const sum = &sums->sum[q % count];
        *sum = i_dot_narrow(*sum, load_levels(bits, part->tables, lines, q), x + 4 * q);
    }
}

/* Blocks of two groups, of which the last may have no columns. */
ALWAYS_INLINE void multiply_halves(const unsigned bits, const struct sinq_byte_level_part *part, const unsigned panels,
                                   struct level_totals *totals) {
    for (size_t block = 0; block < part->blocks; block++) {
        for (unsigned p = 0; p < panels; p++) {
            struct level_sums first = begin_sums(), second = begin_sums();
            add_quads(bits, part, p, block, 0, 4, 1, &first);
            end_group(part, p, 2 * block, first.sum[0], totals);
            if (2 * block + 1 == part->groups) continue;
            add_quads(bits, part, p, block, 4, 8, 1, &second);
            end_group(part, p, 2 * block + 1, second.sum[0], totals);
        }
    }
}

/* Groups of one block. */
ALWAYS_INLINE void multiply_blocks(const unsigned bits, const struct sinq_byte_level_part *part, const unsigned panels,
                                   struct level_totals *totals) {
    for (size_t block = 0; block < part->blocks; block++) {
        for (unsigned p = 0; p < panels; p++) {
            struct level_sums sums = begin_sums();
            add_quads(bits, part, p, block, 0, 8, 2, &sums);
            end_group(part, p, block, i_add(sums.sum[0], sums.sum[1]), totals);
        }
    }
}

/* Groups of more, the last of which may have fewer. */
ALWAYS_INLINE void multiply_groups(const unsigned bits, const struct sinq_byte_level_part *part, const unsigned panels,
                                   struct level_totals *totals) {
    size_t first = 0;
    for (size_t group = 0; group < part->groups; group++) {
        const size_t left = part->blocks - first, end = first + (part->group_blocks < left ? part->group_blocks : left);
        for (unsigned p = 0; p < panels; p++) {
            struct level_sums sums = begin_sums();
            for (size_t block = first; block < end; block++) add_quads(bits, part, p, block, 0, 8, 2, &sums);
            end_group(part, p, group, i_add(sums.sum[0], sums.sum[1]), totals);
        }
        first = end;
    }
}

/* Panels by turns, group by group: two are read at once. */
ALWAYS_INLINE void multiply_levels(const unsigned bits, const struct sinq_byte_level_part *part, const unsigned panels,
                                   float *sums) {
    struct level_totals totals = {{v_load(sums), v_load(sums + 16 * (panels - 1))}};
    if (part->group_blocks == 0) {
        multiply_halves(bits, part, panels, &totals);
    } else if (part->group_blocks == 1) {
        multiply_blocks(bits, part, panels, &totals);
    } else {
        multiply_groups(bits, part, panels, &totals);
    }
    for (unsigned p = 0; p < panels; p++) v_store(sums + 16 * p, totals.of[p]);
}

#define DEFINE_BITS(BITS)                                                                                              \
    static void place_levels_##BITS(const uint8_t levels[16], struct sinq_level_tables *tables) {                      \
        place_levels(BITS, levels, tables);                                                                            \
    }                                                                                                                  \
    static void multiply_##BITS(const struct sinq_byte_level_part *stored, unsigned panels, float *sums) {             \
        const struct sinq_byte_level_part part = *stored; /* in registers whatever else is written */                  \
        if (panels == 2) {                                                                                             \
            multiply_levels(BITS, &part, 2, sums);                                                                     \
        } else {                                                                                                       \
            multiply_levels(BITS, &part, 1, sums);                                                                     \
        }                                                                                                              \
    }
DEFINE_BITS(2)
DEFINE_BITS(3)
DEFINE_BITS(4)

const struct sinq_byte_level_kernels KERNELS = {
    .spread_scales = spread_scales,
    .fold_ranges = fold_ranges,
    .place_levels = {[2] = place_levels_2, [3] = place_levels_3, [4] = place_levels_4},
    .multiply = {[2] = multiply_2, [3] = multiply_3, [4] = multiply_4},
};
