/* coded_template.h: quantized panels to f32; a part of compute_template.h. */
#ifndef SINQ_KERNELS_CODED_TEMPLATE_H
#define SINQ_KERNELS_CODED_TEMPLATE_H

#include "kernels/codes_template.h"

ALWAYS_INLINE v16 expand_super(const struct sinq_stored_aux *aux, const size_t group) {
    if (aux->entries == NULL) return v_set(aux->low);
    const v16 super = v_load(aux->supers + 16 * ((aux->first + group) >> aux->super_shift));
    return v_mul(v_load_i8(aux->entries + 16 * group), super);
}

#ifdef HAS_SPREAD_QUAD

ALWAYS_INLINE void spread_quad(const uint8_t *packed, uint8_t *entries) { l_store(entries, l_spread_quad(packed)); }

#else

/* docs/format.md, section 5.2. */
ALWAYS_INLINE void spread_quad(const uint8_t *packed, uint8_t *entries) {
    const sixteen_bytes first = load_bytes(packed), second = load_bytes(packed + 16), high = load_bytes(packed + 32);
    const sixteen_bytes groups[4] = {(first & 15) | (high << 4 & 48), first >> 4 | (high << 2 & 48),
                                     (second & 15) | (high & 48), second >> 4 | (high >> 2 & 48)};
    memcpy(entries, groups, sizeof groups);
}

#endif

static void spread_entries(const uint8_t *packed, size_t quads, uint8_t *entries) {
    for (size_t i = 0; i < quads; i++) spread_quad(packed + 48 * i, entries + 64 * i);
}

/* 1, or -1 where entries have their sign bit, which is taken off. */
ALWAYS_INLINE v16 take_sign(const unsigned sign, v16 *entries) {
    const v16 bit = v_set((float)sign), least = v_set((float)sign - 0.5f), one = v_set(1.0f);
    const v16 result = v_where_greater(*entries, least, v_set(-1.0f), one);
    *entries = v_where_greater(*entries, least, v_sub(*entries, bit), *entries);
    return result;
}

/* low + entry * step, rounded twice as the format has it. */
ALWAYS_INLINE v16 apply_range(const unsigned sign, const uint8_t *entries, const float low, const float step) {
    v16 codes = v_load_u8(entries);
    if (sign == 0) return v_add(v_set(low), v_mul(codes, v_set(step)));
    const v16 factor = take_sign(sign, &codes);
    return v_mul(v_add(v_set(low), v_mul(codes, v_set(step))), factor);
}

static void expand_aux(const struct sinq_stored_aux *aux, size_t groups, float *out) {
    if (aux->is_half) {
        for (size_t g = 0; g < groups; g++) {
            v_store(out + 16 * g, v_load_f16((const uint16_t *)(const void *)(aux->entries + 32 * g)));
        }
        return;
    }
    if (aux->entries == NULL || aux->supers != NULL) {
        for (size_t g = 0; g < groups; g++) v_store(out + 16 * g, expand_super(aux, g));
        return;
    }
    float ranges[16]; /* of eight groups */
    uint8_t quad[64];
    for (size_t g = 0; g < groups; g++) {
        const size_t place = g + aux->skip;
        if (aux->ranges != NULL && g % 8 == 0) {
            uint16_t halves[16] = {0};
            memcpy(halves, aux->ranges + 4 * g, 4 * (groups - g < 8 ? groups - g : 8));
            v_store(ranges, v_load_f16(halves));
        }
        if (aux->is_packed && (g == 0 || place % 4 == 0)) spread_quad(aux->entries + place / 4 * 48, quad);
        const float low = aux->ranges != NULL ? ranges[g % 8 * 2] : aux->low;
        const float step = aux->ranges != NULL ? ranges[g % 8 * 2 + 1] : aux->step;
        const uint8_t *const entries = aux->is_packed ? quad + place % 4 * 16 : aux->entries + 16 * g;
        v_store(out + 16 * g, apply_range(aux->sign, entries, low, step));
    }
}

static float find_largest(const float *values, size_t count) {
    uint32_t largest = 0; /* magnitudes are ordered as their bits are, NaN behind infinity */
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= 0x7fffffffu;
        largest = bits > largest ? bits : largest;
    }
    float result;
    memcpy(&result, &largest, sizeof result);
    return result;
}

ALWAYS_INLINE void decode_bits(const unsigned bits, const bool has_levels, const bool has_minima,
                               const struct sinq_coded_part *part, float *panel) {
    const v16 factor = v_set(part->factor);
    for (size_t b = 0; b < part->blocks; b++) {
        const uint8_t *const lines = part->lines + b * bits * 64;
        for (unsigned q = 0; q < 8; q++) {
            const size_t k = 32 * b + 4 * q, group = k >> part->group_shift;
            const v16 scale = v_load(part->scales + 16 * group), zero = v_load(part->zeros + 16 * group);
            const line codes = load_quad(bits, lines, q);
            for (unsigned c = 0; c < 4; c++) {
                const v16 level = has_levels ? v_level(part->levels, codes, c) : v_place(codes, c);
                const v16 scaled = has_minima ? v_sub(v_mul(scale, level), zero) : v_mul(scale, v_sub(level, zero));
                const v16 value = v_mul(factor, scaled);
                v_store(panel + 16 * (k + c), v_mul(value, v_set(part->columns[k + c])));
            }
        }
    }
}

#define DEFINE_DECODE(BITS)                                                                                            \
    static void decode_##BITS(const struct sinq_coded_part *part, float *panel) {                                      \
        if (BITS <= 4 && part->levels != NULL) {                                                                       \
            decode_bits(BITS, true, false, part, panel);                                                               \
        } else if (part->has_minima) {                                                                                 \
            decode_bits(BITS, false, true, part, panel);                                                               \
        } else {                                                                                                       \
            decode_bits(BITS, false, false, part, panel);                                                              \
        }                                                                                                              \
    }
DEFINE_DECODE(2)
DEFINE_DECODE(3)
DEFINE_DECODE(4)
DEFINE_DECODE(5)
DEFINE_DECODE(6)
DEFINE_DECODE(8)

#endif
