/* int8_template.h: products of codes and int8 activations; a part of compute_template.h. */
#ifndef SINQ_KERNELS_INT8_TEMPLATE_H
#define SINQ_KERNELS_INT8_TEMPLATE_H

#include "kernels/coded_template.h"

/*
 * What is not finite must show: such a group's scale is NaN. It shows in the sum, because neither NaN nor infinity (by 0)
 * becomes a number again. What is below 2^-100 counts as zero.
 */
ALWAYS_INLINE void quantize_columns(const float *x, const float *columns, const size_t count, int8_t *codes,
                                    float *scale, float *sum) {
    v16 scaled[8], largest = v_set(0.0f), total = v_set(0.0f);
    for (size_t i = 0; i < count; i += 16) {
        const size_t some = count_some(i, count);
        const v16 product = v_mul(load_some(x + i, some), load_some(columns + i, some));
        largest = v_max(v_max(product, v_sub(v_set(0.0f), product)), largest);
        scaled[i / 16] = product;
    }
    const float magnitude = v_largest(largest);
    const v16 by = v_set(magnitude < 0x1p-100f ? 0.0f : 127.0f / magnitude);
    for (size_t i = 0; i < count; i += 16) {
        scaled[i / 16] = v_round(v_mul(scaled[i / 16], by));
        total = v_add(total, scaled[i / 16]); /* exact: small integers */
    }
    *sum = v_sum(total);
    *scale = magnitude < 0x1p-100f ? 0.0f : magnitude / 127.0f;
    if (!(*sum >= -128.0f * 127.0f && *sum <= 128.0f * 127.0f)) {
        *scale = NAN;
        *sum = 0.0f;
        for (size_t i = 0; i < count; i += 16) scaled[i / 16] = v_set(0.0f);
    }
    for (size_t i = 0; i < count; i += 16) v_store_i8(codes + i, scaled[i / 16]);
}

static void quantize_group(const float *x, const float *columns, size_t count, int8_t *codes, float *scale,
                           float *sum) {
    if (count == 64) {
        quantize_columns(x, columns, 64, codes, scale, sum);
    } else {
        quantize_columns(x, columns, count, codes, scale, sum);
    }
}

/* ---- unpacking ---- */

/*
 * Where WIDE_OFFSET is not 0, i_dot takes signed bytes: codes of 8 bits, or levels' bytes, less that. A group's end puts back
 * what the sums lack.
 */
#ifndef WIDE_OFFSET
#define WIDE_OFFSET 0
static inline line l_offset(line l) { return l; }
#endif

/* The bytes of levels as i_dot takes them. */
struct level_bytes {
    uint8_t low[16], high[16];
};

/* The part with its levels' bytes like that. */
static inline struct sinq_int8_part offset_levels(const struct sinq_int8_part *part, struct level_bytes *bytes) {
    struct sinq_int8_part result = *part;
    for (unsigned i = 0; i < 16; i++) {
        bytes->low[i] = (uint8_t)(part->low[i] - WIDE_OFFSET);
        bytes->high[i] = (uint8_t)(part->high[i] - WIDE_OFFSET);
    }
    result.low = bytes->low;
    result.high = bytes->high;
    return result;
}

ALWAYS_INLINE void unpack_bits(const unsigned bits, const bool has_levels, const struct sinq_int8_part *part,
                               uint8_t *lines) {
    const size_t whole = part->blocks * bits * 64; /* what follows is wanted next */
    for (size_t b = 0; b < part->blocks; b++) {
        for (unsigned i = 0; i < bits; i++) __builtin_prefetch(part->lines + whole + (b * bits + i) * 64, 0, 2);
        for (unsigned q = 0; q < 8; q++) {
            const line codes = load_quad(bits, part->lines + b * bits * 64, q);
            l_store(lines, has_levels ? l_lookup(part->low, codes) : codes);
            lines += 64;
            if (!has_levels) continue;
            l_store(lines, l_lookup(part->high, codes));
            lines += 64;
        }
    }
}

#define DEFINE_UNPACK(BITS)                                                                                            \
    static void unpack_##BITS(const struct sinq_int8_part *part, uint8_t *lines) {                                     \
        if (BITS <= 4 && part->high != NULL) {                                                                         \
            struct level_bytes bytes;                                                                                  \
            const struct sinq_int8_part whole = offset_levels(part, &bytes);                                           \
            unpack_bits(BITS, true, &whole, lines);                                                                    \
        } else {                                                                                                       \
            unpack_bits(BITS, false, part, lines);                                                                     \
        }                                                                                                              \
    }
DEFINE_UNPACK(2)
DEFINE_UNPACK(3)
DEFINE_UNPACK(4)
DEFINE_UNPACK(5)
DEFINE_UNPACK(6)
DEFINE_UNPACK(8)

/* ---- products ---- */

/* One group's sums so far; high: of the levels' high bytes. More than one of each, so that additions need not wait. */
#define MOST_SUMS (INT8_PANELS * SINQ_MOST_TILE)

/* How one kind of product reads its codes; constants once inlined. */
struct code_form {
    unsigned bits;
    bool has_levels;
};

ALWAYS_INLINE v16i restore_offset(const struct code_form form, const v16i sums, const float x_sum) {
#if WIDE_OFFSET != 0
    if (form.has_levels || form.bits == 8) return i_add(sums, i_set(WIDE_OFFSET * (int32_t)x_sum));
#endif
    (void)form;
    (void)x_sum;
    return sums;
}

ALWAYS_INLINE v16i dot_codes(const struct code_form form, v16i sums, const line codes, const int8_t *x) {
    if (form.has_levels) return i_dot(sums, codes, x);
    return form.bits < 8 ? i_dot_narrow(sums, codes, x) : i_dot(sums, l_offset(codes), x);
}

/*
 * A run: up to RUN_QUADS(bits) quads whose products are summed in lanes of 16 bits, where that saves operations. Without runs
 * (0 quads) a run is the sums themselves.
 */
#ifndef RUN_QUADS
#define RUN_QUADS(bits) 0u
typedef v16i i_run;
static inline i_run run_begin(v16i sums) { return sums; }
static inline i_run run_dot(i_run run, line codes, const int8_t *quad) { return i_dot_narrow(run, codes, quad); }
static inline v16i run_end(v16i sums, i_run run) {
    (void)sums;
    return run;
}
#endif

ALWAYS_INLINE bool has_runs(const struct code_form form) { return !form.has_levels && RUN_QUADS(form.bits) > 0; }

/* total + scale * x's scale * (dot - zero * x's sum) */
ALWAYS_INLINE v16 add_group(const v16 total, const v16 scale, const v16 zero, const v16i dot, const float x_scale,
                            const float x_sum) {
    const v16 difference = v_fnma(zero, v_set(x_sum), i_to_float(dot));
    return v_fma(v_mul(scale, v_set(x_scale)), difference, total);
}

#define UNROLL _Pragma("GCC unroll 24")

/* ---- one token ---- */

/*
 * Bytes ahead of the codes in use that are called for: into the second cache about what a core reads in the time that memory
 * takes to answer, and again into the first.
 */
#define PREFETCH_BYTES      6144
#define NEAR_PREFETCH_BYTES 2048

/* How scales and zero points are stored, as far as it is known when this is compiled. */
enum aux_kind { AUX_ANY, AUX_BYTES, AUX_HALVES };

ALWAYS_INLINE v16 load_aux(const enum aux_kind kind, const struct sinq_stored_aux *aux, const float *ranges,
                           const size_t group) {
    if (kind == AUX_HALVES || (kind == AUX_ANY && ranges == NULL)) return load_f16(aux->entries + 32 * group);
    return v_fma(v_load_u8(aux->entries + 16 * group), v_set(ranges[2 * group + 1]), v_set(ranges[2 * group]));
}

/* Where i_dot takes any byte, quads of 2, 3 and 4 bits need not be shifted to bit 0: their sums are, once a group. */
ALWAYS_INLINE bool stays_in_place(const struct code_form form) {
    return I_DOT_WIDE && !form.has_levels && form.bits <= 4;
}

/* The bit at which quad q's codes begin: where they lie, or for 3 bits where one shift is enough and the third bit has room. */
ALWAYS_INLINE unsigned find_place(const unsigned bits, const unsigned q) {
    static const unsigned of_three[4] = {0, 2, 4, 5};
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
        const v16i last = i_shift_right(s[3], find_place(form.bits, 3));
        return i_add(i_add(s[0], i_shift_right(s[1], 2)), i_add(i_shift_right(s[2], 4), last));
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
    v16 zero = load_aux(kind, &aux->zeros, aux->zero_ranges, at);
    if (form.has_levels) zero = v_fma(zero, v_set(aux->zero_factor), v_set(aux->zero_shift));
    return add_group(total, load_aux(kind, &aux->scales, aux->scale_ranges, at), zero,
                     join_quads(form, sums, part->x_sums[group]), part->x_scales[group], part->x_sums[group]);
}

ALWAYS_INLINE struct one_token_sums begin_sums(void) {
    const v16i none = i_zero();
    return (struct one_token_sums){{none, none, none, none}, {none, none, none, none}};
}

ALWAYS_INLINE void prefetch_block(const struct code_form form, const uint8_t *lines) {
    for (unsigned i = 0; i < form.bits; i++) __builtin_prefetch(lines + PREFETCH_BYTES + 64 * i, 0, 2);
    for (unsigned i = 0; i < form.bits; i++) __builtin_prefetch(lines + NEAR_PREFETCH_BYTES + 64 * i, 0, 3);
}

ALWAYS_INLINE void add_packed_block(const struct code_form form, const struct sinq_int8_part *part, const size_t block,
                                    struct one_token_sums *sums) {
    const uint8_t *const lines = part->lines + 64 * form.bits * block;
    prefetch_block(form, lines);
    add_packed_quads(form, part, lines, 0, 8, part->x + 32 * block, sums);
}

/* Groups of whole blocks. */
ALWAYS_INLINE void multiply_one(const struct code_form form, const enum aux_kind kind,
                                const struct sinq_int8_part *part, const struct sinq_packed_aux *aux, float *sums) {
    v16 total = v_load(sums);
    size_t block = 0;
    for (size_t group = 0; group < part->groups; group++) {
        const size_t left = part->blocks - block, end = block + (part->group_blocks < left ? part->group_blocks : left);
        struct one_token_sums s = begin_sums();
        for (; block < end; block++) add_packed_block(form, part, block, &s);
        total = end_packed_group(form, kind, part, aux, group, &s, total);
    }
    v_store(sums, total);
}

/* Groups of two whole blocks. */
ALWAYS_INLINE void multiply_one_by_pairs(const struct code_form form, const enum aux_kind kind,
                                         const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,
                                         float *sums) {
    v16 total = v_load(sums);
    for (size_t group = 0; group < part->groups; group++) {
        struct one_token_sums s = begin_sums();
        add_packed_block(form, part, 2 * group, &s);
        add_packed_block(form, part, 2 * group + 1, &s);
        total = end_packed_group(form, kind, part, aux, group, &s, total);
    }
    v_store(sums, total);
}

/* Blocks of two groups, of which the last may have no columns. */
ALWAYS_INLINE void multiply_one_by_halves(const struct code_form form, const struct sinq_int8_part *part,
                                          const struct sinq_packed_aux *aux, float *sums) {
    v16 total = v_load(sums);
    for (size_t block = 0; block < part->blocks; block++) {
        const uint8_t *const lines = part->lines + 64 * form.bits * block;
        const int8_t *const x = part->x + 32 * block;
        struct one_token_sums first = begin_sums(), second = begin_sums();
        prefetch_block(form, lines);
        add_packed_quads(form, part, lines, 0, 4, x, &first);
        total = end_packed_group(form, AUX_ANY, part, aux, 2 * block, &first, total);
        if (2 * block + 1 == part->groups) break;
        add_packed_quads(form, part, lines, 4, 8, x, &second);
        total = end_packed_group(form, AUX_ANY, part, aux, 2 * block + 1, &second, total);
    }
    v_store(sums, total);
}

/*
 * At 4 bits from memory a loop over a group's blocks is faster than both written out, by 3 to 8 % (from the caches the other
 * way round); at other widths they are equal or it is slower.
 */
ALWAYS_INLINE bool goes_by_pairs(const struct code_form form) { return !(stays_in_place(form) && form.bits == 4); }

ALWAYS_INLINE void multiply_whole_groups(const struct code_form form, const struct sinq_int8_part *part,
                                         const struct sinq_packed_aux *aux, float *sums) {
    const bool is_plain = !aux->is_row && (!goes_by_pairs(form) || (part->group_blocks == 2 && part->blocks % 2 == 0));
    if (is_plain && aux->scale_ranges != NULL && aux->zero_ranges != NULL) {
        if (goes_by_pairs(form)) {
            multiply_one_by_pairs(form, AUX_BYTES, part, aux, sums);
        } else {
            multiply_one(form, AUX_BYTES, part, aux, sums);
        }
    } else if (is_plain && aux->scale_ranges == NULL && aux->zero_ranges == NULL) {
        if (goes_by_pairs(form)) {
            multiply_one_by_pairs(form, AUX_HALVES, part, aux, sums);
        } else {
            multiply_one(form, AUX_HALVES, part, aux, sums);
        }
    } else {
        multiply_one(form, AUX_ANY, part, aux, sums);
    }
}

ALWAYS_INLINE void multiply_packed(const struct code_form form, const struct sinq_int8_part *part,
                                   const struct sinq_packed_aux *aux, float *sums) {
    if (part->group_blocks == 0) {
        multiply_one_by_halves(form, part, aux, sums);
    } else {
        multiply_whole_groups(form, part, aux, sums);
    }
}

#define DEFINE_MULTIPLY_PACKED(BITS)                                                                                   \
    static void multiply_packed_##BITS(const struct sinq_int8_part *part, const struct sinq_packed_aux *aux,           \
                                       float *sums) {                                                                  \
        const struct code_form form = {BITS, false}, levels = {BITS, true};                                            \
        if (BITS <= 4 && part->high != NULL) {                                                                         \
            struct level_bytes bytes;                                                                                  \
            const struct sinq_int8_part whole = offset_levels(part, &bytes);                                           \
            multiply_packed(levels, &whole, aux, sums);                                                                \
        } else {                                                                                                       \
            multiply_packed(form, part, aux, sums);                                                                    \
        }                                                                                                              \
    }
DEFINE_MULTIPLY_PACKED(2)
DEFINE_MULTIPLY_PACKED(3)
DEFINE_MULTIPLY_PACKED(4)
DEFINE_MULTIPLY_PACKED(5)
DEFINE_MULTIPLY_PACKED(6)
DEFINE_MULTIPLY_PACKED(8)

/* ---- tiles ---- */

/* Quads [0, 4) at `lines` of each panel: sums[panel][token]. */
ALWAYS_INLINE void add_quads(const struct code_form form, const unsigned panels, const unsigned width,
                             const uint8_t *lines, const size_t line_stride, const int8_t *x, v16i *low, v16i *high) {
    const size_t size = form.has_levels ? 128 : 64;
    UNROLL
    for (unsigned q = 0; q < 4; q++) {
        line codes[INT8_PANELS], above[INT8_PANELS];
        UNROLL
        for (unsigned p = 0; p < panels; p++) {
            codes[p] = l_load(lines + p * line_stride + q * size);
            if (form.has_levels) above[p] = l_load(lines + p * line_stride + q * size + 64);
        }
        UNROLL
        for (unsigned t = 0; t < width; t++) {
            UNROLL
            for (unsigned p = 0; p < panels; p++) {
                v16i *const sum = low + p * width + t;
                *sum = dot_codes(form, *sum, codes[p], x + 4 * (q * width + t));
                if (form.has_levels) high[t] = i_dot(high[t], above[p], x + 4 * (q * width + t));
            }
        }
    }
}

ALWAYS_INLINE void end_group(const struct code_form form, const unsigned panels, const unsigned width,
                             const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux, const size_t group,
                             const v16i *low, const v16i *high, float *sums, const size_t sums_stride) {
    UNROLL
    for (unsigned p = 0; p < panels; p++) {
        const size_t at = p * aux->panel_stride + group * aux->stride;
        const v16 scale = v_load(aux->scales + at), zero = v_load(aux->zeros + at);
        UNROLL
        for (unsigned t = 0; t < width; t++) {
            float *const sum = sums + p * sums_stride + 16 * t;
            const float x_sum = part->x_sums[group * width + t];
            v16i dot = restore_offset(form, low[p * width + t], x_sum);
            if (form.has_levels) dot = i_join(restore_offset(form, high[t], x_sum), dot);
            v_store(sum, add_group(v_load(sum), scale, zero, dot, part->x_scales[group * width + t], x_sum));
        }
    }
}

/* Levels take one panel, but two sums a token. */
#define LEVELS_TILE (INT8_TILE * INT8_PANELS / 2)

/* The same into runs. */
ALWAYS_INLINE void add_runs(const unsigned panels, const unsigned width, const size_t quads, const uint8_t *lines,
                            const size_t line_stride, const int8_t *x, v16i *low) {
    i_run runs[MOST_SUMS];
    UNROLL
    for (unsigned i = 0; i < panels * width; i++) runs[i] = run_begin(low[i]);
    for (size_t q = 0; q < quads; q++) {
        UNROLL
        for (unsigned p = 0; p < panels; p++) {
            const line codes = l_load(lines + p * line_stride + 64 * q);
            UNROLL
            for (unsigned t = 0; t < width; t++) {
                runs[p * width + t] = run_dot(runs[p * width + t], codes, x + 4 * (q * width + t));
            }
        }
    }
    UNROLL
    for (unsigned i = 0; i < panels * width; i++) low[i] = run_end(low[i], runs[i]);
}

ALWAYS_INLINE void multiply_tile_codes(const unsigned width, const struct code_form form, const unsigned panels,
                                       const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux,
                                       float *sums, const size_t sums_stride) {
    const size_t quad_bytes = form.has_levels ? 128 : 64;
    const uint8_t *lines = part->lines;
    const int8_t *x = part->x;
    size_t halves = 2 * part->blocks;
    for (size_t group = 0; group < part->groups; group++) {
        const size_t whole = part->group_blocks == 0 ? 1 : 2 * part->group_blocks;
        const size_t some = whole < halves ? whole : halves;
        v16i low[MOST_SUMS], high[SINQ_MOST_TILE];
        UNROLL
        for (unsigned i = 0; i < panels * width; i++) low[i] = i_zero();
        UNROLL
        for (unsigned t = 0; t < width; t++) high[t] = i_zero();
        const size_t most = has_runs(form) ? RUN_QUADS(form.bits) : 4;
        for (size_t left = 4 * some, now; left > 0; left -= now) {
            now = most < left ? most : left;
            if (has_runs(form)) {
                add_runs(panels, width, now, lines, part->line_stride, x, low);
            } else {
                add_quads(form, panels, width, lines, part->line_stride, x, low, high);
            }
            lines += now * quad_bytes;
            x += now * 4 * width;
        }
        halves -= some;
        end_group(form, panels, width, part, aux, group, low, high, sums, sums_stride);
    }
}

ALWAYS_INLINE void multiply_lines_form(const unsigned width, const struct code_form form, const unsigned panels,
                                       const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux,
                                       float *sums, size_t sums_stride) {
    if (INT8_PANELS > 1 && !form.has_levels && panels > 1) {
        multiply_tile_codes(width, form, INT8_PANELS, part, aux, sums, sums_stride);
    } else {
        multiply_tile_codes(width, form, 1, part, aux, sums, sums_stride);
    }
}

/* As many panels at once as registers hold sums of. */
ALWAYS_INLINE void multiply_lines_width(const struct code_form form, unsigned width, unsigned panels,
                                        const struct sinq_int8_part *whole, const struct sinq_expanded_aux *whole_aux,
                                        float *sums, size_t sums_stride) {
    struct sinq_int8_part part = *whole;
    struct sinq_expanded_aux aux = *whole_aux;
    const unsigned most = form.has_levels ? 1 : INT8_PANELS;
    for (unsigned p = 0; p < panels; p += most) {
        CALL_WITH_WIDTH((form.has_levels ? LEVELS_TILE : INT8_TILE), multiply_lines_form, width, form, panels - p,
                        &part, &aux, sums + p * sums_stride, sums_stride)
        part.lines += most * part.line_stride;
        aux.scales += most * aux.panel_stride;
        aux.zeros += most * aux.panel_stride;
    }
}

static void multiply_lines(const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux, unsigned panels,
                           unsigned width, float *sums, size_t sums_stride) {
    if (part->high != NULL) {
        multiply_lines_width((struct code_form){8, true}, width, panels, part, aux, sums, sums_stride);
    } else if (RUN_QUADS(4) > 0 && part->bits <= 4) {
        multiply_lines_width((struct code_form){4, false}, width, panels, part, aux, sums, sums_stride);
    } else if (RUN_QUADS(5) > 0 && part->bits == 5) {
        multiply_lines_width((struct code_form){5, false}, width, panels, part, aux, sums, sums_stride);
    } else if (I_DOT_WIDE || part->bits < 8) {
        multiply_lines_width((struct code_form){6, false}, width, panels, part, aux, sums, sums_stride);
    } else {
        multiply_lines_width((struct code_form){8, false}, width, panels, part, aux, sums, sums_stride);
    }
}

static void write_sums(const float *sums, float factor, const float *bias, bool accumulate, unsigned rows, float *y) {
    v16 value = v_mul(v_load(sums), v_set(factor));
    if (bias != NULL) value = v_add(value, load_some(bias, rows));
    store_some(y, rows, accumulate ? v_add(load_some(y, rows), value) : value);
}

#endif
