/*
 * one_token_template.h: packed codes times one token's int8 activations, codes, scales and zero points read as they are stored; a part of
 * compute_template.h.
 */
#ifndef SINQ_KERNELS_ONE_TOKEN_TEMPLATE_H
#define SINQ_KERNELS_ONE_TOKEN_TEMPLATE_H

#include "kernels/int8_template.h"

/* How scales and zero points are stored, as far as it is known when this is compiled. */
enum aux_kind { AUX_ANY, AUX_BYTES, AUX_HALVES };

ALWAYS_INLINE v16 load_scale(const enum aux_kind kind, const struct sinq_stored_aux *aux, const float *ranges,
                             const size_t group) {
    if (kind == AUX_HALVES || (kind == AUX_ANY && ranges == NULL)) return load_f16(aux->entries + 32 * group);
    v16 codes = v_load_u8(aux->entries + 16 * group);
    const v16 step = v_set(ranges[2 * group + 1]), low = v_set(ranges[2 * group]);
    if (kind != AUX_ANY || aux->sign == 0) return v_fma(codes, step, low);
    const v16 sign = take_sign(aux->sign, &codes);
    return v_mul(v_fma(codes, step, low), sign);
}

ALWAYS_INLINE v16 load_zero(const enum aux_kind kind, const struct sinq_stored_aux *aux, const float *ranges,
                            const size_t group) {
    if (kind == AUX_ANY && aux->entries == NULL) return v_set(aux->low);
    return load_scale(kind, aux, ranges, group);
}

/* Where i_dot takes any byte, quads of 2, 3 and 4 bits need not be shifted to bit 0: their sums are, once a group. */
ALWAYS_INLINE bool stays_in_place(const struct code_form form) {
    return I_DOT_WIDE && !form.has_levels && form.bits <= 4;
}

/*
 * The bit at which quad q's codes begin: where they lie, or for 3 bits where the third bit has room and the fewest shifts do: of each
 * line of low bits one, of the third bits' three.
 */
ALWAYS_INLINE unsigned find_place(const unsigned bits, const unsigned q) {
    static const unsigned of_three[4] = {0, 1, 4, 5};
    return bits == 3 ? of_three[q % 4] : q % (8 / bits) * bits;
}

ALWAYS_INLINE line load_in_place(const unsigned bits, const uint8_t *lines, const unsigned q) {
    const unsigned place = find_place(bits, q);
    if (bits != 3) return l_bits(l_load(lines + 64 * (q / (8 / bits))), 0, ((1u << bits) - 1) << place);
    const line low = l_bits(l_load(lines + 64 * (q / 4)), q % 4 * 2 - place, 3u << place);
    return merge_plane(low, 1, lines + 128, q, place + 2);
}

/* Four sums over one group: of quads q, q + 4, q + 8 ... each. */
struct one_token_sums {
    v16i low[4], high[4];
};

ALWAYS_INLINE void add_packed_quad(const struct code_form form, const struct sinq_int8_part *part, const uint8_t *lines,
                                   const unsigned q, const int8_t *x, struct one_token_sums *sums) {
    if (stays_in_place(form)) {
        sums->low[q % 4] = i_dot(sums->low[q % 4], load_in_place(form.bits, lines, q), x);
        return;
    }
    const line codes = load_quad(form.bits, lines, q);
    if (form.has_levels) {
        sums->low[q % 4] = i_dot(sums->low[q % 4], l_lookup(part->low, codes), x);
        sums->high[q % 4] = i_dot(sums->high[q % 4], l_lookup(part->high, codes), x);
    } else {
        sums->low[q % 4] = dot_codes(form, sums->low[q % 4], codes, x);
    }
}

ALWAYS_INLINE v16i join_quads(const struct code_form form, const struct one_token_sums *sums, const float x_sum) {
    const v16i *const s = sums->low;
#if I_DOT_WIDE
    if (stays_in_place(form) && form.bits == 4) return i_add(i_add(s[0], s[2]), i_shift_right(i_add(s[1], s[3]), 4));
    if (stays_in_place(form)) {
        const v16i second = i_shift_right(s[1], find_place(form.bits, 1));
        const v16i last = i_shift_right(s[3], find_place(form.bits, 3));
        return i_add(i_add(s[0], second), i_add(i_shift_right(s[2], 4), last));
    }
#endif
    const v16i low = i_add(i_add(s[0], s[1]), i_add(s[2], s[3])), *const h = sums->high;
    if (!form.has_levels) return restore_offset(form, low, x_sum);
    const v16i high = i_add(i_add(h[0], h[1]), i_add(h[2], h[3]));
    return i_join(restore_offset(form, high, x_sum), restore_offset(form, low, x_sum));
}

/* Quads [first, end) of the block at `lines`, a group's columns or a part of them. */
ALWAYS_INLINE void add_packed_quads(const struct code_form form, const struct sinq_int8_part *part,
                                    const uint8_t *lines, const unsigned first, const unsigned end, const int8_t *x,
                                    struct one_token_sums *sums) {
    if (!has_runs(form)) {
        for (unsigned q = first; q < end; q++) add_packed_quad(form, part, lines, q, x + 4 * q, sums);
        return;
    }
    const unsigned most = RUN_QUADS(form.bits), step = most > 0 && most < end - first ? most : end - first;
    for (unsigned start = first; start < end; start += step) {
        i_run run = run_begin(sums->low[0]);
        UNROLL
        for (unsigned q = start; q < start + step; q++) run = run_dot(run, load_quad(form.bits, lines, q), x + 4 * q);
        sums->low[0] = run_end(sums->low[0], run);
    }
}

ALWAYS_INLINE v16 end_packed_group(const struct code_form form, const enum aux_kind kind,
                                   const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,
                                   const size_t group, struct one_token_sums *sums, const v16 total) {
    const size_t at = kind == AUX_ANY && aux->is_row ? 0 : group;
    v16 zero = load_zero(kind, &aux->zeros, aux->zero_ranges, at);
    if (form.has_levels) zero = v_fma(zero, v_set(aux->zero_factor), v_set(aux->zero_shift));
    return add_group(total, load_scale(kind, &aux->scales, aux->scale_ranges, at), zero,
                     join_quads(form, sums, part->x_sums[group]), part->x_scales[group], part->x_sums[group]);
}

ALWAYS_INLINE struct one_token_sums begin_sums(void) {
    const v16i none = i_zero();
    return (struct one_token_sums){{none, none, none, none}, {none, none, none, none}};
}

/* Of the entries of four groups or two a line. */
ALWAYS_INLINE void prefetch_entries(const struct code_form form, const enum aux_kind kind,
                                    const struct sinq_packed_aux *aux, const unsigned p, const size_t group) {
    const size_t each = kind == AUX_HALVES ? 32 : 16, turns = 64 / each;
    const struct sinq_read_ahead ahead = sinq_read_ahead[form.bits];
    const size_t scales_turn = ahead.by_turns ? 2 * p % turns : 0,
                 zeros_turn = ahead.by_turns ? (2 * p + 1) % turns : 0;
    if (kind == AUX_ANY) return;
    if (group % turns == scales_turn) __builtin_prefetch(aux->scales.entries + each * group + ahead.entries, 0, 3);
    if (group % turns == zeros_turn) __builtin_prefetch(aux->zeros.entries + each * group + ahead.entries, 0, 3);
}

/* Panel p's. */
ALWAYS_INLINE void add_packed_block(const struct code_form form, const struct sinq_int8_part *part, const unsigned p,
                                    const size_t block, struct one_token_sums *sums) {
    const uint8_t *const lines = part->lines + p * part->line_stride + 64 * form.bits * block;
    prefetch_blocks(form.bits, lines);
    __asm__ volatile("" ::: "memory"); /* the block's own loads come after: among them it is slower, 3 bits by 4 % */
    add_packed_quads(form, part, lines, 0, 8, part->x + 32 * block, sums);
}

/* Panels at once. */
struct one_token_totals {
    v16 of[2];
};

ALWAYS_INLINE struct one_token_totals load_totals(const unsigned panels, const float *sums) {
    struct one_token_totals totals = {{v_load(sums), v_load(sums)}};
    if (panels == 2) totals.of[1] = v_load(sums + 16);
    return totals;
}

ALWAYS_INLINE void store_totals(const unsigned panels, const struct one_token_totals totals, float *sums) {
    for (unsigned p = 0; p < panels; p++) v_store(sums + 16 * p, totals.of[p]);
}

/* Groups of whole blocks. */
ALWAYS_INLINE void multiply_some(const struct code_form form, const enum aux_kind kind,
                                 const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,
                                 const unsigned panels, float *sums) {
    struct one_token_totals totals = load_totals(panels, sums);
    size_t block = 0;
    for (size_t group = 0; group < part->groups; group++) {
        const size_t left = part->blocks - block, some = part->group_blocks < left ? part->group_blocks : left;
        UNROLL
        for (unsigned p = 0; p < panels; p++) {
            struct one_token_sums s = begin_sums();
            prefetch_entries(form, kind, &aux[p], p, group);
            for (size_t i = 0; i < some; i++) add_packed_block(form, part, p, block + i, &s);
            totals.of[p] = end_packed_group(form, kind, part, &aux[p], group, &s, totals.of[p]);
        }
        block += some;
    }
    store_totals(panels, totals, sums);
}

/* Groups of two whole blocks. */
ALWAYS_INLINE void multiply_some_by_pairs(const struct code_form form, const enum aux_kind kind,
                                          const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,
                                          const unsigned panels, float *sums) {
    struct one_token_totals totals = load_totals(panels, sums);
    for (size_t group = 0; group < part->groups; group++) {
        UNROLL
        for (unsigned p = 0; p < panels; p++) {
            struct one_token_sums s = begin_sums();
            prefetch_entries(form, kind, &aux[p], p, group);
            add_packed_block(form, part, p, 2 * group, &s);
            add_packed_block(form, part, p, 2 * group + 1, &s);
            totals.of[p] = end_packed_group(form, kind, part, &aux[p], group, &s, totals.of[p]);
        }
    }
    store_totals(panels, totals, sums);
}

/* Blocks of two groups, of which the last may have no columns. */
ALWAYS_INLINE void multiply_one_by_halves(const struct code_form form, const enum aux_kind kind,
                                          const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,
                                          const unsigned p, float *sums) {
    v16 total = v_load(sums);
    for (size_t block = 0; block < part->blocks; block++) {
        const uint8_t *const lines = part->lines + p * part->line_stride + 64 * form.bits * block;
        const int8_t *const x = part->x + 32 * block;
        struct one_token_sums first = begin_sums(), second = begin_sums();
        prefetch_blocks(form.bits, lines);
        add_packed_quads(form, part, lines, 0, 4, x, &first);
        total = end_packed_group(form, kind, part, aux, 2 * block, &first, total);
        if (2 * block + 1 == part->groups) break;
        add_packed_quads(form, part, lines, 4, 8, x, &second);
        total = end_packed_group(form, kind, part, aux, 2 * block + 1, &second, total);
    }
    v_store(sums, total);
}

/* At 4 bits a loop over a group's blocks is as fast as both written out, and serves all sizes of groups; at others it is slower. */
ALWAYS_INLINE bool goes_by_pairs(const struct code_form form) { return !(stays_in_place(form) && form.bits == 4); }

ALWAYS_INLINE void multiply_whole_groups(const struct code_form form, const struct sinq_int8_part *part,
                                         const struct sinq_packed_aux *aux, const unsigned panels, float *sums) {
    const bool is_plain = !aux->is_row && (!goes_by_pairs(form) || (part->group_blocks == 2 && part->blocks % 2 == 0));
    const bool has_codes = aux->scales.sign == 0 && aux->zeros.entries != NULL;
    if (is_plain && has_codes && aux->scale_ranges != NULL && aux->zero_ranges != NULL) {
        if (goes_by_pairs(form)) {
            multiply_some_by_pairs(form, AUX_BYTES, part, aux, panels, sums);
        } else {
            multiply_some(form, AUX_BYTES, part, aux, panels, sums);
        }
    } else if (is_plain && has_codes && aux->scale_ranges == NULL && aux->zero_ranges == NULL) {
        if (goes_by_pairs(form)) {
            multiply_some_by_pairs(form, AUX_HALVES, part, aux, panels, sums);
        } else {
            multiply_some(form, AUX_HALVES, part, aux, panels, sums);
        }
    } else {
        multiply_some(form, AUX_ANY, part, aux, panels, sums);
    }
}

ALWAYS_INLINE void multiply_packed(const struct code_form form, const struct sinq_int8_part *part,
                                   const struct sinq_packed_aux *aux, const unsigned panels, float *sums) {
    if (part->group_blocks == 0) {
        for (unsigned p = 0; p < panels; p++) {
            multiply_one_by_halves(form, AUX_ANY, part, &aux[p], p, sums + 16 * p);
        }
    } else if (form.has_levels) { /* which have one zero point */
        multiply_some(form, AUX_ANY, part, aux, panels, sums);
    } else {
        multiply_whole_groups(form, part, aux, panels, sums);
    }
}

/* One panel of each place. Copies: in registers whatever else is written. */
ALWAYS_INLINE void multiply_places(const struct code_form form, const struct sinq_int8_part *part,
                                   const struct sinq_packed_aux *stored, const unsigned places, float *sums) {
    const struct sinq_packed_aux aux[2] = {stored[0], stored[places - 1]};
    struct sinq_int8_part one = *part;
    if (!form.has_levels) {
        multiply_packed(form, &one, aux, places, sums);
        return;
    }
    for (unsigned p = 0; p < places; p++, one.lines += one.line_stride) {
        multiply_packed(form, &one, &aux[p], 1, sums + 16 * p);
    }
}

/* What leads from a panel to the next costs little here, and nothing is waited for meanwhile. */
ALWAYS_INLINE void multiply_panels(const struct code_form form, struct sinq_int8_part part,
                                   const struct sinq_packed_aux *stored, const unsigned places, const size_t panels,
                                   float *sums) {
    struct sinq_packed_aux aux[2] = {stored[0], stored[places - 1]};
    for (size_t k = 0;; sums += 16 * places) {
        multiply_places(form, &part, aux, places, sums);
        if (++k == panels) return;
        part.lines += part.panel_bytes;
        for (unsigned p = 0; p < places; p++) sinq_step_packed_aux(&aux[p]);
    }
}

#define DEFINE_MULTIPLY_PACKED(BITS)                                                                                   \
    static void multiply_packed_##BITS(const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,           \
                                       unsigned places, size_t panels, float *sums) {                                  \
        const struct code_form form = {.bits = BITS}, levels = {.bits = BITS, .has_levels = true};                     \
        if (BITS <= 4 && part->high != NULL) {                                                                         \
            struct level_bytes bytes;                                                                                  \
            multiply_panels(levels, offset_levels(part, &bytes), aux, places, panels, sums);                           \
        } else if (places == 2) {                                                                                      \
            multiply_panels(form, *part, aux, 2, panels, sums);                                                        \
        } else {                                                                                                       \
            multiply_panels(form, *part, aux, 1, panels, sums);                                                        \
        }                                                                                                              \
    }
DEFINE_MULTIPLY_PACKED(2)
DEFINE_MULTIPLY_PACKED(3)
DEFINE_MULTIPLY_PACKED(4)
DEFINE_MULTIPLY_PACKED(5)
DEFINE_MULTIPLY_PACKED(6)
DEFINE_MULTIPLY_PACKED(8)

#endif
