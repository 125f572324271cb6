/*
 * tile.h: a piece of a weight matrix laid out for the quantizer's inner loops.
 *
 * Values lie row by row, `stride` elements apart. Columns are padded to sixteen by repeating the last one (which changes no
 * extreme), rows to thirty-two by zeros.
 */
#ifndef SINQ_QUANT_TILE_H
#define SINQ_QUANT_TILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"
#include "kernels/quantize.h"

struct sinq_tile {
    const void *values; /* f32, or bf16 bit patterns */
    bool is_bf16;
    size_t rows, cols;
    size_t stride; /* in elements */
};

static inline size_t sinq_pad_lanes(size_t count) { return (size_t)sinq_round_up(count, SINQ_LANES); }

/* Sixteens of columns in the strip that begins at column `first`. */
static inline unsigned sinq_strip_vectors(const struct sinq_tile *tile, size_t first) {
    const size_t left = sinq_pad_lanes(tile->cols) - first;
    return (unsigned)((left < SINQ_STRIP_COLUMNS ? left : SINQ_STRIP_COLUMNS) / SINQ_LANES);
}

static inline const float *sinq_tile_f32(const struct sinq_tile *tile, size_t row, size_t col) {
    return (const float *)tile->values + row * tile->stride + col;
}
static inline const uint16_t *sinq_tile_bf16(const struct sinq_tile *tile, size_t row, size_t col) {
    return (const uint16_t *)tile->values + row * tile->stride + col;
}

/* One value, for the rare paths that go through a tile value by value. */
float sinq_tile_value(const struct sinq_tile *tile, size_t row, size_t col);

#endif
