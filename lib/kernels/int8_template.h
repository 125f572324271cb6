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

ALWAYS_INLINE void unpack_levels(const unsigned bits, const struct sinq_int8_part *part, uint8_t *lines) {
    struct sinq_level_tables tables;
    place_levels(bits, part->low, &tables);
    const size_t whole = part->blocks * bits * 64; /* what follows is wanted next */
    for (size_t b = 0; b < part->blocks; b++) {
        for (unsigned i = 0; i < bits; i++) __builtin_prefetch(part->lines + whole + (b * bits + i) * 64, 0, 2);
        for (unsigned q = 0; q < 8; q++, lines += 64) {
            l_store(lines, load_levels(bits, &tables, part->lines + b * bits * 64, q));
        }
    }
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
        } else if (BITS <= 4 && part->low != NULL) {                                                                   \
            unpack_levels(BITS, part, lines);                                                                          \
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
    bool has_levels; /* of 16 bits */
    bool has_starts; /* sums begin with the zero point's share */
};

ALWAYS_INLINE v16i restore_offset(const struct code_form form, const v16i sums, const float x_sum) {
#if WIDE_OFFSET != 0
    if (form.has_levels || form.bits == 8) return i_add(sums, i_set(WIDE_OFFSET * (int32_t)x_sum));
#endif
    (void)form;
    (void)x_sum;
    return sums;
}

/* Keeps sums where they are, in this order: else gcc moves them from register to register, a fifth of an AVX-512 prompt's time. */
#ifndef HAS_I_KEEP
static inline v16i i_keep(v16i sums) { return sums; }
#endif

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
                *sum = i_keep(dot_codes(form, *sum, codes[p], x + 4 * (q * width + t)));
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

/* ---- small groups whose sums begin with the zero point's share ---- */

/*
 * Groups that share an activation scale are summed up, in `partial`, before it counts: two operations a group, and one for all of
 * them, instead of four.
 */
ALWAYS_INLINE void end_small_group(const bool is_first, const bool is_last, const unsigned panels, const unsigned width,
                                   const struct sinq_expanded_aux *aux, const size_t group, const v16i *low,
                                   const float *x_scales, float *partial, float *sums, const size_t sums_stride) {
    UNROLL
    for (unsigned p = 0; p < panels; p++) {
        const v16 scale = v_load(aux->scales + p * aux->panel_stride + group * aux->stride);
        UNROLL
        for (unsigned t = 0; t < width; t++) {
            float *const so_far = partial + 16 * (p * width + t), *const sum = sums + p * sums_stride + 16 * t;
            const v16 dot = i_to_float(low[p * width + t]);
            const v16 now = is_first ? v_mul(dot, scale) : v_fma(dot, scale, v_load(so_far));
            v_store(is_last ? sum : so_far, is_last ? v_fma(now, v_set(x_scales[t]), v_load(sum)) : now);
        }
    }
    __asm__("" : : "r"(partial) : "memory"); /* else gcc holds them in registers, which sums need */
}

/* A group has `fours` times four quads. */
ALWAYS_INLINE void multiply_small_groups(const unsigned width, const unsigned fours, const unsigned panels,
                                         const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux,
                                         float *sums, const size_t sums_stride) {
    const struct code_form form = {.bits = 7, .has_starts = true};
    const uint8_t *lines = part->lines;
    const int8_t *x = part->x;
    const float *x_scales = part->x_scales;
    _Alignas(64) float partial[16 * MOST_SUMS];
    for (size_t group = 0; group < part->groups; group++) {
        const bool is_first = (group & (part->shared - 1)) == 0;
        const bool is_last = ((group + 1) & (part->shared - 1)) == 0 || group + 1 == part->groups;
        v16i low[MOST_SUMS];
        UNROLL
        for (unsigned i = 0; i < panels * width; i++) low[i] = i_set(part->starts[group * width + i % width]);
        for (unsigned i = 0; i < fours; i++, lines += 4 * 64, x += 16 * width) {
            add_quads(form, panels, width, lines, part->line_stride, x, low, NULL);
        }
        if (is_first && is_last) {
            end_small_group(true, true, panels, width, aux, group, low, x_scales, partial, sums, sums_stride);
        } else if (is_first) {
            end_small_group(true, false, panels, width, aux, group, low, x_scales, partial, sums, sums_stride);
        } else if (is_last) {
            end_small_group(false, true, panels, width, aux, group, low, x_scales, partial, sums, sums_stride);
        } else {
            end_small_group(false, false, panels, width, aux, group, low, x_scales, partial, sums, sums_stride);
        }
        if (is_last) x_scales += width;
    }
}

ALWAYS_INLINE void multiply_tile_levels(const unsigned width, const unsigned panels, const struct sinq_int8_part *part,
                                        const struct sinq_expanded_aux *aux, float *sums, const size_t sums_stride) {
    if (width == INT8_TILE && panels == INT8_PANELS && part->group_blocks == 1) { /* most often: a loop of its own */
        multiply_small_groups(width, 2, panels, part, aux, sums, sums_stride);
    } else {
        multiply_small_groups(width, part->group_blocks == 0 ? 1 : 2, panels, part, aux, sums, sums_stride);
    }
}

/* ---- any number of panels and tokens ---- */

ALWAYS_INLINE void multiply_lines_form(const unsigned width, const struct code_form form, const unsigned panels,
                                       const struct sinq_int8_part *part, const struct sinq_expanded_aux *aux,
                                       float *sums, size_t sums_stride) {
    const bool is_many = INT8_PANELS > 1 && !form.has_levels && panels > 1;
#ifdef HAS_FULL_TILE
    if (is_many && !form.has_starts && width == INT8_TILE && part->blocks == part->groups * part->group_blocks) {
        multiply_full_tile(part, aux, sums, sums_stride);
        return;
    }
    if (is_many && form.has_starts && width == INT8_TILE) {
        multiply_full_small_groups(part, part->group_blocks == 0 ? 1 : 2, aux, sums, sums_stride);
        return;
    }
#endif
    if (form.has_starts && is_many) {
        multiply_tile_levels(width, INT8_PANELS, part, aux, sums, sums_stride);
    } else if (form.has_starts) {
        multiply_tile_levels(width, 1, part, aux, sums, sums_stride);
    } else if (is_many) {
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
        multiply_lines_width((struct code_form){.bits = 8, .has_levels = true}, width, panels, part, aux, sums,
                             sums_stride);
    } else if (part->starts != NULL) { /* levels below 128, as all bytes of levels are */
        multiply_lines_width((struct code_form){.bits = 7, .has_starts = true}, width, panels, part, aux, sums,
                             sums_stride);
    } else if (part->low != NULL && RUN_QUADS(4) > 0) {
        multiply_lines_width((struct code_form){.bits = 7}, width, panels, part, aux, sums, sums_stride);
    } else if (RUN_QUADS(4) > 0 && part->bits <= 4) {
        multiply_lines_width((struct code_form){.bits = 4}, width, panels, part, aux, sums, sums_stride);
    } else if (RUN_QUADS(5) > 0 && part->bits == 5) {
        multiply_lines_width((struct code_form){.bits = 5}, width, panels, part, aux, sums, sums_stride);
    } else if (I_DOT_WIDE || part->bits < 8) {
        multiply_lines_width((struct code_form){.bits = 6}, width, panels, part, aux, sums, sums_stride);
    } else {
        multiply_lines_width((struct code_form){.bits = 8}, width, panels, part, aux, sums, sums_stride);
    }
}

static void write_sums(const float *sums, float factor, const float *bias, bool accumulate, unsigned rows, float *y) {
    v16 value = v_mul(v_load(sums), v_set(factor));
    if (bias != NULL) value = v_add(value, load_some(bias, rows));
    store_some(y, rows, accumulate ? v_add(load_some(y, rows), value) : value);
}

#endif
