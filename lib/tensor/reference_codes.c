/* reference_codes.c: packed codes, and 8-bit scales and zeros, as the reference implementation has them. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/dtype.h"
#include "tensor/reference_matrix.h"

static const struct sinq_reference_packing packings[] = {
    {"2bit_u8", 2, 4, SINQ_U8},  {"3bit_32", 3, 10, SINQ_I32}, {"4bit_u8", 4, 2, SINQ_U8},
    {"5bit_32", 5, 6, SINQ_I32}, {"6bit_32", 6, 5, SINQ_I32},  {"8bit_u8", 8, 1, SINQ_U8},
};
#define PACKINGS (sizeof packings / sizeof packings[0])

const struct sinq_reference_packing *sinq_find_reference_packing(uint32_t bits) {
    for (size_t i = 0; i < PACKINGS; i++) {
        if (packings[i].bits == bits) return &packings[i];
    }
    return NULL;
}

const struct sinq_reference_packing *sinq_find_reference_packing_named(const char *name) {
    for (size_t i = 0; i < PACKINGS; i++) {
        if (strcmp(packings[i].name, name) == 0) return &packings[i];
    }
    return NULL;
}

uint64_t sinq_count_packed_rows(const struct sinq_reference_packing *packing, uint64_t rows) {
    return sinq_divide_up(rows, packing->slices);
}

/* Where a slice's codes are in a container. */
static unsigned find_shift(const struct sinq_reference_packing *packing, uint64_t slice) {
    return packing->bits * (packing->slices - 1 - (unsigned)slice);
}

void sinq_pack_reference_codes(const struct sinq_reference_packing *packing, uint64_t rows, uint64_t width,
                               const uint8_t *codes, uint8_t *packed) {
    const uint64_t slice_values = sinq_count_packed_rows(packing, rows) * width, values = rows * width;
    const bool is_byte = packing->dtype == SINQ_U8;
    memset(packed, 0, (size_t)(slice_values * (is_byte ? 1 : 4)));
    for (uint64_t slice = 0; slice * slice_values < values; slice++) {
        const unsigned shift = find_shift(packing, slice);
        const uint8_t *const from = codes + slice * slice_values;
        const uint64_t count = sinq_min_u64(slice_values, values - slice * slice_values);
        for (uint64_t i = 0; i < count; i++) {
            if (is_byte) {
                packed[i] = (uint8_t)(packed[i] | from[i] << shift);
                continue;
            }
            uint32_t word;
            memcpy(&word, packed + 4 * i, sizeof word);
            word |= (uint32_t)from[i] << shift;
            memcpy(packed + 4 * i, &word, sizeof word);
        }
    }
}

void sinq_unpack_reference_slice(const struct sinq_reference_packing *packing, uint64_t slice, uint64_t count,
                                 const uint8_t *packed, uint8_t *codes) {
    const unsigned shift = find_shift(packing, slice), mask = (1U << packing->bits) - 1;
    const bool is_byte = packing->dtype == SINQ_U8;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t word = packed[i];
        if (!is_byte) memcpy(&word, packed + 4 * i, sizeof word);
        codes[i] = (uint8_t)(word >> shift & mask);
    }
}

/* ---- 8-bit scales and zeros ---- */

static float round_half(float value) { return sinq_half_to_float(sinq_float_to_half(value)); }

float sinq_decode_reference_aux(uint8_t code, float step, float low) {
    return round_half(round_half((float)code * step) + low);
}

/* The reference's rounding, in f32: where all values are equal it divides by zero, which changes nothing but the code. */
static void encode_column(float *values, const bool *is_free, uint64_t count, uint64_t columns, uint64_t column,
                          uint8_t *codes, uint16_t *step, uint16_t *low) {
    float least = INFINITY, most = -INFINITY;
    for (uint64_t i = column; i < count; i += columns) {
        if (is_free != NULL && is_free[i]) continue;
        least = fminf(least, values[i]);
        most = fmaxf(most, values[i]);
    }
    if (least > most) least = most = 0;
    const float wide = (most - least) / 255.0F;
    *step = sinq_float_to_half(wide);
    *low = sinq_float_to_half(least);
    for (uint64_t i = column; i < count; i += columns) {
        const bool has_code = wide > 0 && (is_free == NULL || !is_free[i]);
        const float place = has_code ? fminf(fmaxf((values[i] - least) / wide, 0.0F), 255.0F) : 0.0F;
        codes[i] = (uint8_t)((place + 8388608.0F) - 8388608.0F); /* ties to even */
        values[i] = sinq_decode_reference_aux(codes[i], sinq_half_to_float(*step), sinq_half_to_float(*low));
    }
}

void sinq_encode_reference_aux(float *values, const bool *is_free, uint64_t count, uint64_t columns, uint8_t *codes,
                               uint16_t *steps, uint16_t *lows) {
    for (uint64_t j = 0; j < columns; j++) {
        encode_column(values, is_free, count, columns, j, codes, &steps[j], &lows[j]);
    }
}
