/*
 * byte_levels_template.h: the bodies of byte_levels.h, written once over sixteen lanes. An instruction set's file defines the lane
 * operations (simd_*.h, lanes_*.h) and KERNELS, the name of its table, and includes this.
 */
#include "kernels/byte_levels.h"
#include "kernels/codes_template.h"

#ifdef HAS_SPREAD_QUAD

ALWAYS_INLINE void spread_scales(const uint8_t packed[48], uint8_t scales[64]) {
    l_store(scales, l_spread_signed_quad(packed));
}

#else

/* Bits 0 to 3 of `low`; two bits of `high`, where they lie at bit 4: bit 4 of the magnitude and the sign. */
ALWAYS_INLINE sixteen_bytes join_scales(sixteen_bytes low, sixteen_bytes high) {
    return (low & 15) | (high & 16) | (high << 2 & 128);
}

/* docs/format.md, section 5.2. */
ALWAYS_INLINE void spread_scales(const uint8_t packed[48], uint8_t scales[64]) {
    const sixteen_bytes first = load_bytes(packed), second = load_bytes(packed + 16), high = load_bytes(packed + 32);
    const sixteen_bytes groups[4] = {join_scales(first, high << 4), join_scales(first >> 4, high << 2),
                                     join_scales(second, high), join_scales(second >> 4, high >> 2)};
    memcpy(scales, groups, sizeof groups);
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

/* One panel of each place: its sums, and the scales of four groups, a byte each. */
struct level_state {
    v16 totals[2];
    const uint8_t *scales[2];
    _Alignas(64) uint8_t spread[2][64];
};

/* Before panel p's groups [group, group + 4): their scales, which are looked at once, right before they are used. */
ALWAYS_INLINE void begin_quad(const struct sinq_packed_aux *scales, const unsigned p, const size_t group,
                              struct level_state *state) {
    const size_t bytes = scales[p].scales.is_packed ? SINQ_ENTRY_QUAD_BYTES : 64;
    const uint8_t *const entries = scales[p].scales.entries + group / 4 * bytes;
    __builtin_prefetch(entries + sinq_levels_ahead.entries, 0, 3);
    state->scales[p] = entries;
    if (!scales[p].scales.is_packed) return;
    spread_scales(entries, state->spread[p]);
    state->scales[p] = state->spread[p];
}

/* Panel p's total + scale * (dot - centre's share), both of which know the activations' scale. */
ALWAYS_INLINE void end_group(const struct sinq_byte_level_part *part, const struct sinq_packed_aux *scales,
                             const unsigned p, const size_t group, const v16i dot, struct level_state *state) {
    const float *const range = scales[p].scale_ranges + 2 * group;
    const v16 entry = v_load_signed(state->scales[p] + 16 * (group % 4));
    const v16 scale = v_fma(entry, v_set(range[1]), v_flip(v_set(range[0]), entry));
    state->totals[p] = v_fma(scale, v_sub(i_to_float(dot), v_set(part->centres[group])), state->totals[p]);
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
    if (first == 0) {
        prefetch_ahead(sinq_levels_ahead, bits, lines);
        __asm__ volatile("" ::: "memory"); /* the block's own loads come after, as in add_packed_block */
    }
    for (unsigned q = first; q < end; q++) {
        v16i *const sum = &sums->sum[q % count];
        *sum = i_dot_narrow(*sum, load_levels(bits, part->tables, lines, q), x + 4 * q);
    }
}

/* Blocks of two groups, of which the last may have no columns. */
ALWAYS_INLINE void multiply_halves(const unsigned bits, const struct sinq_byte_level_part *part,
                                   const struct sinq_packed_aux *scales, const unsigned places,
                                   struct level_state *state) {
    for (size_t block = 0; block < part->blocks; block++) {
        for (unsigned p = 0; p < places; p++) {
            struct level_sums first = begin_sums(), second = begin_sums();
            if (block % 2 == 0) begin_quad(scales, p, 2 * block, state);
            add_quads(bits, part, p, block, 0, 4, 1, &first);
            end_group(part, scales, p, 2 * block, first.sum[0], state);
            if (2 * block + 1 == part->groups) continue;
            add_quads(bits, part, p, block, 4, 8, 1, &second);
            end_group(part, scales, p, 2 * block + 1, second.sum[0], state);
        }
    }
}

/* Groups of one block. */
ALWAYS_INLINE void multiply_blocks(const unsigned bits, const struct sinq_byte_level_part *part,
                                   const struct sinq_packed_aux *scales, const unsigned places,
                                   struct level_state *state) {
    for (size_t block = 0; block < part->blocks; block++) {
        for (unsigned p = 0; p < places; p++) {
            struct level_sums sums = begin_sums();
            if (block % 4 == 0) begin_quad(scales, p, block, state);
            add_quads(bits, part, p, block, 0, 8, 2, &sums);
            end_group(part, scales, p, block, i_add(sums.sum[0], sums.sum[1]), state);
        }
    }
}

/* Groups of more, the last of which may have fewer. */
ALWAYS_INLINE void multiply_groups(const unsigned bits, const struct sinq_byte_level_part *part,
                                   const struct sinq_packed_aux *scales, const unsigned places,
                                   struct level_state *state) {
    size_t first = 0;
    for (size_t group = 0; group < part->groups; group++) {
        const size_t left = part->blocks - first, end = first + (part->group_blocks < left ? part->group_blocks : left);
        for (unsigned p = 0; p < places; p++) {
            struct level_sums sums = begin_sums();
            if (group % 4 == 0) begin_quad(scales, p, group, state);
            for (size_t block = first; block < end; block++) add_quads(bits, part, p, block, 0, 8, 2, &sums);
            end_group(part, scales, p, group, i_add(sums.sum[0], sums.sum[1]), state);
        }
        first = end;
    }
}

/* One panel of each place by turns, group by group: two are read at once. */
ALWAYS_INLINE void multiply_places(const unsigned bits, const struct sinq_byte_level_part *part,
                                   const struct sinq_packed_aux *scales, const unsigned places, float *sums) {
    struct level_state state = {.totals = {v_load(sums), v_load(sums + 16 * (places - 1))}};
    if (part->group_blocks == 0) {
        multiply_halves(bits, part, scales, places, &state);
    } else if (part->group_blocks == 1) {
        multiply_blocks(bits, part, scales, places, &state);
    } else {
        multiply_groups(bits, part, scales, places, &state);
    }
    for (unsigned p = 0; p < places; p++) v_store(sums + 16 * p, state.totals[p]);
}

/* Copies: in registers whatever else is written. What leads from a panel to the next costs little here. */
ALWAYS_INLINE void multiply_panels(const unsigned bits, struct sinq_byte_level_part part,
                                   const struct sinq_packed_aux *stored, const unsigned places, const size_t panels,
                                   float *sums) {
    struct sinq_packed_aux scales[2] = {stored[0], stored[places - 1]};
    for (size_t k = 0;; sums += 16 * places) {
        multiply_places(bits, &part, scales, places, sums);
        if (++k == panels) return;
        part.lines += part.panel_bytes;
        for (unsigned p = 0; p < places; p++) sinq_step_packed_aux(&scales[p]);
    }
}

#define DEFINE_BITS(BITS)                                                                                              \
    static void place_levels_##BITS(const uint8_t levels[16], struct sinq_level_tables *tables) {                      \
        place_levels(BITS, levels, tables);                                                                            \
    }                                                                                                                  \
    static void multiply_##BITS(const struct sinq_byte_level_part *part, const struct sinq_packed_aux *scales,         \
                                unsigned places, size_t panels, float *sums) {                                         \
        if (places == 2) {                                                                                             \
            multiply_panels(BITS, *part, scales, 2, panels, sums);                                                     \
        } else {                                                                                                       \
            multiply_panels(BITS, *part, scales, 1, panels, sums);                                                     \
        }                                                                                                              \
    }
DEFINE_BITS(2)
DEFINE_BITS(3)
DEFINE_BITS(4)

const struct sinq_byte_level_kernels KERNELS = {
    .fold_ranges = fold_ranges,
    .place_levels = {[2] = place_levels_2, [3] = place_levels_3, [4] = place_levels_4},
    .multiply = {[2] = multiply_2, [3] = multiply_3, [4] = multiply_4},
};
