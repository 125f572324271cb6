#include "tensor/block_parts.h"

#include <string.h>

#include "tensor/dtype.h"

/*
 * A plane holds `width` bits of every code of a block. Its bytes come in runs: value number s * run + i of a run is `width`
 * bits of the run's byte i, from bit s * width on.
 */
struct plane {
    uint8_t offset, width, run; /* run 0: bit k of the plane, counted through its bytes, belongs to value k */
    uint8_t shift;              /* where the bits stand in a code */
};

/* How a block's scales are written down. */
enum scale_form {
    SCALE_ONE,      /* f16 */
    SCALE_ONE_F32,  /* f32 */
    SCALE_EXPONENT, /* u8: 2^(e - 128) */
    SCALE_NIBBLES,  /* q2_k: a byte a group, scale and minimum of 4 bits */
    SCALE_HIGH_6,   /* q3_k: 6 bits, 32 too high: 4 bits, then the high 2 bits of all */
    SCALE_PAIRS_6,  /* q4_k, q5_k: scale and minimum of 6 bits */
    SCALE_BYTES,    /* q6_k: i8 */
    SCALE_SPLIT_6   /* iq4_xs: 6 bits, 32 too high: the high 2 bits of all, then 4 bits */
};

struct layout {
    struct sinq_block_form form;
    uint8_t scale_at, minimum_at; /* of the block's own, f16 */
    uint8_t codes_at;             /* of the groups' scales */
    enum scale_form scales;
    struct plane planes[2];
    uint8_t flipped; /* bits of a code that are stored inverted, or as two's complement */
};

/* The levels of iq4_nl and iq4_xs; those of mxfp4 are twice E2M1's, its scale is half. */
static const int8_t iq4_levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t mxfp4_levels[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Type by type: group, bits, zero, has_minimum, scale codes from, to, highest minimum code, levels; then the layout. */
static const struct layout layouts[SINQ_BLOCK_ID_END] = {
    [SINQ_BLOCK_Q4_0] = {{32, 4, 8, false, 1, 1, 0, NULL}, 0, 0, 0, SCALE_ONE, {{2, 4, 16, 0}}, 0},
    [SINQ_BLOCK_Q4_1] = {{32, 4, 0, true, 1, 1, 1, NULL}, 0, 2, 0, SCALE_ONE, {{4, 4, 16, 0}}, 0},
    [SINQ_BLOCK_Q5_0] = {{32, 5, 16, false, 1, 1, 0, NULL}, 0, 0, 0, SCALE_ONE, {{6, 4, 16, 0}, {2, 1, 0, 4}}, 0},
    [SINQ_BLOCK_Q5_1] = {{32, 5, 0, true, 1, 1, 1, NULL}, 0, 2, 0, SCALE_ONE, {{8, 4, 16, 0}, {4, 1, 0, 4}}, 0},
    [SINQ_BLOCK_Q8_0] = {{32, 8, 128, false, 1, 1, 0, NULL}, 0, 0, 0, SCALE_ONE, {{2, 8, 32, 0}}, 0x80},
    [SINQ_BLOCK_Q2_K] = {{16, 2, 0, true, 0, 15, 15, NULL}, 80, 82, 0, SCALE_NIBBLES, {{16, 2, 32, 0}}, 0},
    [SINQ_BLOCK_Q3_K] =
        {{16, 3, 4, false, -32, 31, 0, NULL}, 108, 0, 96, SCALE_HIGH_6, {{32, 2, 32, 0}, {0, 1, 32, 2}}, 0},
    [SINQ_BLOCK_Q4_K] = {{32, 4, 0, true, 0, 63, 63, NULL}, 0, 2, 4, SCALE_PAIRS_6, {{16, 4, 32, 0}}, 0},
    [SINQ_BLOCK_Q5_K] =
        {{32, 5, 0, true, 0, 63, 63, NULL}, 0, 2, 4, SCALE_PAIRS_6, {{48, 4, 32, 0}, {16, 1, 32, 4}}, 0},
    [SINQ_BLOCK_Q6_K] =
        {{16, 6, 32, false, -128, 127, 0, NULL}, 208, 0, 192, SCALE_BYTES, {{0, 4, 64, 0}, {128, 2, 32, 4}}, 0},
    [SINQ_BLOCK_Q8_K] = {{256, 8, 128, false, 1, 1, 0, NULL}, 0, 0, 0, SCALE_ONE_F32, {{4, 8, 0, 0}}, 0x80},
    [SINQ_BLOCK_IQ4_NL] = {{32, 4, 0, false, 1, 1, 0, iq4_levels}, 0, 0, 0, SCALE_ONE, {{2, 4, 16, 0}}, 0},
    [SINQ_BLOCK_IQ4_XS] = {{32, 4, 0, false, -32, 31, 0, iq4_levels}, 0, 0, 2, SCALE_SPLIT_6, {{8, 4, 16, 0}}, 0},
    [SINQ_BLOCK_MXFP4] = {{32, 4, 0, false, 1, 1, 0, mxfp4_levels}, 0, 0, 0, SCALE_EXPONENT, {{1, 4, 16, 0}}, 0},
};

const struct sinq_block_form *sinq_block_form(const struct sinq_block_type *type) { return &layouts[type->id].form; }

/* ---- codes ---- */

static void read_plane(const struct plane *plane, uint32_t values, const uint8_t *bytes, uint8_t *codes) {
    const unsigned width = plane->width, mask = (1u << width) - 1u, shift = plane->shift;
    const uint8_t *from = bytes + plane->offset;
    if (width == 8) {
        memcpy(codes, from, values);
        return;
    }
    if (plane->run == 0) {
        for (uint32_t k = 0; k < values; k++)
            codes[k] = (uint8_t)(codes[k] | ((unsigned)from[k / 8] >> k % 8 & 1u) << shift);
        return;
    }
    for (uint32_t first = 0; first < values; from += plane->run) {
        for (unsigned bit = 0; bit < 8; bit += width, first += plane->run) {
            for (uint32_t i = 0; i < plane->run; i++) {
                codes[first + i] = (uint8_t)(codes[first + i] | ((unsigned)from[i] >> bit & mask) << shift);
            }
        }
    }
}

static void write_plane(const struct plane *plane, uint32_t values, const uint8_t *codes, uint8_t *bytes) {
    const unsigned width = plane->width, mask = (1u << width) - 1u, shift = plane->shift;
    uint8_t *to = bytes + plane->offset;
    if (width == 8) {
        memcpy(to, codes, values);
        return;
    }
    if (plane->run == 0) {
        for (uint32_t k = 0; k < values; k++) to[k / 8] = (uint8_t)(to[k / 8] | (codes[k] >> shift & 1u) << k % 8);
        return;
    }
    for (uint32_t first = 0; first < values; to += plane->run) {
        for (unsigned bit = 0; bit < 8; bit += width, first += plane->run) {
            for (uint32_t i = 0; i < plane->run; i++) {
                to[i] = (uint8_t)(to[i] | (codes[first + i] >> shift & mask) << bit);
            }
        }
    }
}

/* ---- scales ---- */

static float read_half(const uint8_t *bytes) { return sinq_half_to_float((uint16_t)(bytes[0] | bytes[1] << 8)); }

static void write_half(uint8_t *bytes, float value) {
    const uint16_t half = sinq_float_to_half(value);
    bytes[0] = (uint8_t)half;
    bytes[1] = (uint8_t)(half >> 8);
}

static float read_exponent(uint8_t exponent) {
    const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void read_pairs(const uint8_t *from, struct sinq_block_parts *parts) {
    for (unsigned g = 0; g < 4; g++) {
        parts->scale_codes[g] = (int8_t)(from[g] & 63);
        parts->minimum_codes[g] = from[g + 4] & 63;
        parts->scale_codes[g + 4] = (int8_t)((from[g + 8] & 15) | (from[g] >> 6) << 4);
        parts->minimum_codes[g + 4] = (uint8_t)(from[g + 8] >> 4 | (from[g + 4] >> 6) << 4);
    }
}

static void write_pairs(const struct sinq_block_parts *parts, uint8_t *to) {
    for (unsigned g = 0; g < 4; g++) {
        const unsigned scale = (uint8_t)parts->scale_codes[g + 4], minimum = parts->minimum_codes[g + 4];
        to[g] = (uint8_t)((uint8_t)parts->scale_codes[g] | (scale >> 4) << 6);
        to[g + 4] = (uint8_t)(parts->minimum_codes[g] | (minimum >> 4) << 6);
        to[g + 8] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
    }
}

static void read_scale_codes(enum scale_form form, const uint8_t *from, struct sinq_block_parts *parts) {
    switch (form) {
    case SCALE_NIBBLES:
        for (unsigned g = 0; g < 16; g++) {
            parts->scale_codes[g] = (int8_t)(from[g] & 15);
            parts->minimum_codes[g] = from[g] >> 4;
        }
        return;
    case SCALE_HIGH_6:
        for (unsigned g = 0; g < 16; g++) {
            const unsigned low = (unsigned)from[g % 8] >> g / 8 * 4 & 15u;
            const unsigned high = (unsigned)from[8 + g % 4] >> g / 4 * 2 & 3u;
            parts->scale_codes[g] = (int8_t)((int)(low | high << 4) - 32);
        }
        return;
    case SCALE_PAIRS_6:
        read_pairs(from, parts);
        return;
    case SCALE_BYTES:
        memcpy(parts->scale_codes, from, 16);
        return;
    case SCALE_SPLIT_6:
        for (unsigned g = 0; g < 8; g++) {
            const unsigned low = (unsigned)from[2 + g / 2] >> g % 2 * 4 & 15u;
            const unsigned high = (unsigned)from[g / 4] >> g % 4 * 2 & 3u;
            parts->scale_codes[g] = (int8_t)((int)(low | high << 4) - 32);
        }
        return;
    default:
        parts->scale_codes[0] = 1;
        parts->minimum_codes[0] = 1;
        return;
    }
}

/* Of the types that are written. The bytes are zero. */
static void write_scale_codes(enum scale_form form, const struct sinq_block_parts *parts, uint8_t *to) {
    switch (form) {
    case SCALE_NIBBLES:
        for (unsigned g = 0; g < 16; g++) to[g] = (uint8_t)(parts->scale_codes[g] | parts->minimum_codes[g] << 4);
        return;
    case SCALE_HIGH_6:
        for (unsigned g = 0; g < 16; g++) {
            const unsigned code = (unsigned)(parts->scale_codes[g] + 32);
            to[g % 8] = (uint8_t)(to[g % 8] | (code & 15u) << g / 8 * 4);
            to[8 + g % 4] = (uint8_t)(to[8 + g % 4] | (code >> 4) << g / 4 * 2);
        }
        return;
    case SCALE_PAIRS_6:
        write_pairs(parts, to);
        return;
    case SCALE_BYTES:
        memcpy(to, parts->scale_codes, 16);
        return;
    default:
        return;
    }
}

/* ---- blocks ---- */

void sinq_read_block(const struct sinq_block_type *type, const uint8_t *bytes, struct sinq_block_parts *parts) {
    const struct layout *const layout = &layouts[type->id];
    memset(parts->codes, 0, type->values);
    read_plane(&layout->planes[0], type->values, bytes, parts->codes);
    if (layout->planes[1].width != 0) read_plane(&layout->planes[1], type->values, bytes, parts->codes);
    for (uint32_t k = 0; layout->flipped != 0 && k < type->values; k++) parts->codes[k] ^= layout->flipped;

    read_scale_codes(layout->scales, bytes + layout->codes_at, parts);
    parts->minimum = 0.0f;
    if (layout->scales == SCALE_EXPONENT) {
        parts->scale = read_exponent(bytes[0]);
    } else if (layout->scales == SCALE_ONE_F32) {
        memcpy(&parts->scale, bytes, sizeof parts->scale);
    } else {
        parts->scale = read_half(bytes + layout->scale_at);
    }
    /* The types with one minimum a block add it, those with one a group subtract it. */
    if (layout->form.has_minimum) parts->minimum = read_half(bytes + layout->minimum_at);
    if (layout->form.has_minimum && layout->scales == SCALE_ONE) parts->minimum = -parts->minimum;
}

void sinq_write_block(const struct sinq_block_type *type, const struct sinq_block_parts *parts, uint8_t *bytes) {
    const struct layout *const layout = &layouts[type->id];
    uint8_t codes[SINQ_MOST_BLOCK_VALUES];
    for (uint32_t k = 0; k < type->values; k++) codes[k] = parts->codes[k] ^ layout->flipped;
    memset(bytes, 0, type->bytes);
    write_plane(&layout->planes[0], type->values, codes, bytes);
    if (layout->planes[1].width != 0) write_plane(&layout->planes[1], type->values, codes, bytes);
    write_scale_codes(layout->scales, parts, bytes + layout->codes_at);
    write_half(bytes + layout->scale_at, parts->scale);
    if (layout->form.has_minimum) {
        write_half(bytes + layout->minimum_at, layout->scales == SCALE_ONE ? -parts->minimum : parts->minimum);
    }
}
