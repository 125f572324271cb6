/* int8_template.h: products of codes and int8 activations; a part of compute_template.h. */
#ifndef SINQ_KERNELS_INT8_TEMPLATE_H
#define SINQ_KERNELS_INT8_TEMPLATE_H

#include "kernels/coded_template.h"

/* What is not finite must show: such a group's scale is NaN. What is below 2^-100 counts as zero. */
static void quantize_group(const float *x, const float *columns, size_t count, int8_t *codes, float *scale,
                           float *sum) {
    const v16 zero = v_set(0.0f);
    v16 scaled[8], largest = zero, strange = zero; /* strange: NaN where one is not finite */
    for (size_t i = 0; i < count; i += 16) {
        const size_t some = count_some(i, count);
        const v16 product = v_mul(load_some(x + i, some), load_some(columns + i, some));
        largest = v_max(largest, v_max(product, v_sub(zero, product)));
        strange = v_add(strange, v_mul(product, zero));
        scaled[i / 16] = product;
    }
    const float magnitude = v_largest(largest);
    const bool is_finite = v_sum(strange) == 0.0f, is_zero = !is_finite || magnitude < 0x1p-100f;
    const v16 by = v_set(is_zero ? 0.0f : 127.0f / magnitude);
    v16 total = zero;
    for (size_t i = 0; i < count; i += 16) {
        const v16 rounded = is_zero ? zero : v_round(v_mul(scaled[i / 16], by));
        v_store_i8(codes + i, rounded);
        total = v_add(total, rounded); /* exact: small integers */
    }
    *scale = !is_finite ? NAN : is_zero ? 0.0f : magnitude / 127.0f;
    *sum = v_sum(total);
}

/* ---- unpacking ---- */

ALWAYS_INLINE void unpack_bits(const unsigned bits, const bool has_levels, const struct sinq_int8_part *part,
                               uint8_t *lines) {
    for (size_t b = 0; b < part->blocks; b++) {
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
            unpack_bits(BITS, true, part, lines);                                                                      \
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

/* Sums over one group's columns so far; high: of the levels' high bytes. */
struct group_sums {
    v16i low[SINQ_MOST_TILE], high[SINQ_MOST_TILE];
};

/* How one kind of product reads its codes; constants once inlined. */
struct code_form {
    unsigned bits;
    bool is_unpacked, has_levels;
};

ALWAYS_INLINE void add_quad(const struct code_form form, const unsigned width, const struct sinq_int8_part *part,
                            const uint8_t *lines, const unsigned q, const int8_t *x, struct group_sums *sums) {
    if (form.has_levels) {
        const line codes = form.is_unpacked ? l_load(lines) : load_quad(form.bits, lines, q);
        const line low = form.is_unpacked ? l_load(lines + 128 * q) : l_lookup(part->low, codes);
        const line high = form.is_unpacked ? l_load(lines + 128 * q + 64) : l_lookup(part->high, codes);
        for (unsigned t = 0; t < width; t++) {
            sums->low[t] = i_dot(sums->low[t], low, x + 4 * t);
            sums->high[t] = i_dot(sums->high[t], high, x + 4 * t);
        }
        return;
    }
    const line codes = form.is_unpacked ? l_load(lines + 64 * q) : load_quad(form.bits, lines, q);
    for (unsigned t = 0; t < width; t++) {
        sums->low[t] =
            form.bits < 8 ? i_dot_narrow(sums->low[t], codes, x + 4 * t) : i_dot(sums->low[t], codes, x + 4 * t);
    }
}

/* total += scale * x's scale * (dot - zero * x's sum), and the group's sums start again. */
ALWAYS_INLINE void end_group(const bool has_levels, const unsigned width, const struct sinq_int8_part *part,
                             size_t group, struct group_sums *sums, v16 *total) {
    const v16 scale = v_load(part->scales + group * part->aux_stride);
    const v16 zero = v_load(part->zeros + group * part->aux_stride);
    for (unsigned t = 0; t < width; t++) {
        const v16 dot = i_to_float(has_levels ? i_join(sums->high[t], sums->low[t]) : sums->low[t]);
        const v16 difference = v_fnma(zero, v_set(part->x_sums[group * width + t]), dot);
        total[t] = v_fma(v_mul(scale, v_set(part->x_scales[group * width + t])), difference, total[t]);
        sums->low[t] = sums->high[t] = i_zero();
    }
}

ALWAYS_INLINE void multiply_codes(const struct code_form form, const bool is_sixteen, const unsigned width,
                                  const struct sinq_int8_part *part, float *sums) {
    const size_t block_bytes = form.is_unpacked ? (form.has_levels ? 1024 : 512) : form.bits * 64;
    v16 total[SINQ_MOST_TILE];
    struct group_sums group_sums;
    for (unsigned t = 0; t < width; t++) {
        total[t] = v_load(sums + 16 * t);
        group_sums.low[t] = group_sums.high[t] = i_zero();
    }
    size_t group = 0, blocks_left = part->group_blocks;
    for (size_t b = 0; b < part->blocks; b++) {
        const uint8_t *const lines = part->lines + b * block_bytes;
        const int8_t *const x = part->x + b * 32 * width;
        for (unsigned half = 0; half < 2; half++) {
            for (unsigned q = 4 * half; q < 4 * half + 4; q++) {
                add_quad(form, width, part, lines, q, x + 4 * q * width, &group_sums);
            }
            if (is_sixteen && group < part->groups) {
                end_group(form.has_levels, width, part, group++, &group_sums, total);
            }
        }
        if (!is_sixteen && (--blocks_left == 0 || b + 1 == part->blocks)) {
            end_group(form.has_levels, width, part, group++, &group_sums, total);
            blocks_left = part->group_blocks;
        }
    }
    for (unsigned t = 0; t < width; t++) v_store(sums + 16 * t, total[t]);
}

#define DEFINE_MULTIPLY_PACKED(BITS)                                                                                   \
    static void multiply_packed_##BITS(const struct sinq_int8_part *part, float *sums) {                               \
        const struct code_form form = {BITS, false, false}, levels = {BITS, false, BITS <= 4};                         \
        if (levels.has_levels && part->high != NULL) {                                                                 \
            if (part->group_blocks == 0) {                                                                             \
                multiply_codes(levels, true, 1, part, sums);                                                           \
            } else {                                                                                                   \
                multiply_codes(levels, false, 1, part, sums);                                                          \
            }                                                                                                          \
        } else if (part->group_blocks == 0) {                                                                          \
            multiply_codes(form, true, 1, part, sums);                                                                 \
        } else {                                                                                                       \
            multiply_codes(form, false, 1, part, sums);                                                                \
        }                                                                                                              \
    }
DEFINE_MULTIPLY_PACKED(2)
DEFINE_MULTIPLY_PACKED(3)
DEFINE_MULTIPLY_PACKED(4)
DEFINE_MULTIPLY_PACKED(5)
DEFINE_MULTIPLY_PACKED(6)
DEFINE_MULTIPLY_PACKED(8)

ALWAYS_INLINE void multiply_lines_form(const unsigned width, const struct code_form form,
                                       const struct sinq_int8_part *part, float *sums) {
    if (part->group_blocks == 0) {
        multiply_codes(form, true, width, part, sums);
    } else {
        multiply_codes(form, false, width, part, sums);
    }
}

static void multiply_lines(const struct sinq_int8_part *part, unsigned width, float *sums) {
    const struct code_form levels = {8, true, true}, narrow = {6, true, false}, wide = {8, true, false};
    if (part->high != NULL) {
        CALL_WITH_WIDTH(INT8_TILE / 2, multiply_lines_form, width, levels, part, sums)
    } else if (part->bits < 8) {
        CALL_WITH_WIDTH(INT8_TILE, multiply_lines_form, width, narrow, part, sums)
    } else {
        CALL_WITH_WIDTH(INT8_TILE, multiply_lines_form, width, wide, part, sums)
    }
}

#endif
