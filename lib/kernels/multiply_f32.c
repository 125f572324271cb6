/* Products in f32: dense rows, and quantized panels decoded. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/product.h"
#include "tensor/dtype.h"

/* Columns of a panel that are decoded at once: 8 KiB, so that some panels stay in the first cache while all tokens pass. */
#define DECODED_COLUMNS 128u

struct f32_scratch {
    float panels[SINQ_PANELS_AT_ONCE][DECODED_COLUMNS * SINQ_PANEL_ROWS];
    float rows[SINQ_PANEL_ROWS * DECODED_COLUMNS];         /* F8 rows */
    float scales[DECODED_COLUMNS], zeros[DECODED_COLUMNS]; /* [group of 16 columns or more][16] */
    float columns[DECODED_COLUMNS];
    float levels[256]; /* those of codes there cannot be are 0 */
};

/* [panel][token][16] of sums behind it. */
static size_t panel_sums(const struct sinq_product *p) { return (size_t)p->tiles * p->width * SINQ_PANEL_ROWS; }

size_t sinq_f32_scratch(const struct sinq_product *product) {
    return (size_t)sinq_round_up(sizeof(struct f32_scratch) + SINQ_PANELS_AT_ONCE * panel_sums(product) * sizeof(float),
                                 64);
}

/* ---- dense ---- */

/* Columns [first, first + count) of F8 row `row`. */
static void widen_f8(const struct sinq_product *p, uint64_t row, uint64_t first, uint64_t count, float *out) {
    const struct sinq_weight *const weight = p->weight;
    const uint8_t *const from = weight->bytes + row * weight->cols + first;
    if (weight->dtype == SINQ_F8_E4M3) {
        p->kernels->widen_e4m3(from, (size_t)count, out);
    } else {
        p->kernels->widen_e5m2(from, (size_t)count, out);
    }
    if (weight->block_scales == NULL) return;
    const float *const scales = weight->block_scales + row / weight->block_rows * weight->scale_cols;
    for (uint64_t i = 0; i < count; i++) out[i] *= scales[(first + i) / weight->block_cols];
}

/* Where columns [first, first + count) of `rows` rows from `row` on lie: in the weight, or widened in scratch. */
static enum sinq_dtype find_rows(const struct sinq_product *p, uint64_t row, unsigned rows, uint64_t first,
                                 uint64_t count, struct f32_scratch *scratch, const uint8_t *places[SINQ_PANEL_ROWS]) {
    const struct sinq_weight *const weight = p->weight;
    const size_t element = sinq_dtype_size(weight->dtype);
    for (unsigned r = 0; r < SINQ_PANEL_ROWS; r++) {
        const uint64_t at = row + (r < rows ? r : rows - 1); /* rows that are not there repeat the last */
        if (element == 1) {
            float *const out = scratch->rows + r * DECODED_COLUMNS;
            if (r < rows) widen_f8(p, at, first, count, out);
            places[r] = (const uint8_t *)(r < rows ? out : scratch->rows);
        } else {
            places[r] = weight->bytes + (at * weight->cols + first) * element;
        }
    }
    return element == 1 ? SINQ_F32 : weight->dtype;
}

static void pack_dense(const struct sinq_product *p, uint64_t panel, uint64_t first, uint64_t count,
                       struct f32_scratch *scratch, float *out) {
    const uint64_t row = panel * SINQ_PANEL_ROWS;
    const uint8_t *rows[SINQ_PANEL_ROWS];
    const unsigned there = (unsigned)sinq_min_u64(SINQ_PANEL_ROWS, p->weight->rows - row);
    switch (find_rows(p, row, there, first, count, scratch, rows)) {
    case SINQ_F16:
        p->kernels->pack_f16(rows, (size_t)count, out);
        break;
    case SINQ_BF16:
        p->kernels->pack_bf16(rows, (size_t)count, out);
        break;
    default:
        p->kernels->pack_f32(rows, (size_t)count, out);
        break;
    }
}

static void dot_panel(const struct sinq_product *p, const void *prepared, uint64_t panel, struct f32_scratch *scratch,
                      float *sums) {
    const uint64_t row = panel * SINQ_PANEL_ROWS, cols = p->weight->cols;
    const unsigned there = (unsigned)sinq_min_u64(SINQ_PANEL_ROWS, p->weight->rows - row);
    const uint64_t step = sinq_dtype_size(p->weight->dtype) == 1 ? DECODED_COLUMNS : cols;
    const uint8_t *rows[SINQ_PANEL_ROWS];
    for (uint64_t first = 0; first < cols; first += step) {
        const uint64_t count = sinq_min_u64(step, cols - first);
        const enum sinq_dtype dtype = find_rows(p, row, there, first, count, scratch, rows);
        sinq_dot_rows_fn *const dot = dtype == SINQ_F16    ? p->kernels->dot_f16
                                      : dtype == SINQ_BF16 ? p->kernels->dot_bf16
                                                           : p->kernels->dot_f32;
        for (unsigned r = 0; r < there; r += 4) {
            for (uint32_t t = 0; t < p->tokens; t++) { /* the rows are in the first cache from the second token on */
                dot(rows + r, there - r < 4 ? there - r : 4, sinq_tile_f32(p, prepared, t, first), (size_t)count,
                    sums + SINQ_PANEL_ROWS * t + r);
            }
        }
    }
}

/* ---- quantized ---- */

/* Whether no step of the decoding of such values comes near infinity (what damaged scales give is left to the plain one). */
static bool is_tame(const struct sinq_product *p, const struct sinq_coded_part *part, size_t groups, size_t columns) {
    const float top = (float)((1u << p->weight->matrix.bits) - 1u);
    const float level = part->levels != NULL ? p->kernels->find_largest(part->levels, SINQ_LEVEL_COUNT) : top;
    const float scale = p->kernels->find_largest(part->scales, groups * SINQ_PANEL_ROWS);
    const float zero = p->kernels->find_largest(part->zeros, groups * SINQ_PANEL_ROWS);
    const float column = p->kernels->find_largest(part->columns, columns);
    const float difference = level + zero;
    const float scaled = part->has_minima ? scale * level + zero : scale * difference;
    const float value = fabsf(part->factor) * scaled;
    return difference < 1e38f && scaled < 1e38f && value < 1e38f && value * column < 1e38f;
}

/* As the format says, one value at a time. */
static void decode_plainly(const struct sinq_weight *weight, uint64_t panel, uint64_t first_block, uint64_t blocks,
                           float *out) {
    for (uint64_t b = 0; b < blocks; b++) {
        float rows[SINQ_PANEL_ROWS * SINQ_BLOCK_COLUMNS];
        sinq_dual_scale_decode_block(&weight->matrix, &weight->sizes, weight->bytes, panel, first_block + b, rows);
        for (unsigned k = 0; k < SINQ_BLOCK_COLUMNS; k++) {
            for (unsigned r = 0; r < SINQ_PANEL_ROWS; r++) *out++ = rows[r * SINQ_BLOCK_COLUMNS + k];
        }
    }
}

static void decode_coded(const struct sinq_product *p, uint64_t panel, uint64_t first, uint64_t count,
                         struct f32_scratch *s, float *out) {
    const struct sinq_weight *const w = p->weight;
    const uint64_t blocks = sinq_divide_up(count, SINQ_BLOCK_COLUMNS), block = first / SINQ_BLOCK_COLUMNS;
    const uint64_t size = w->matrix.group_size == 0 ? sinq_round_up(w->cols, DECODED_COLUMNS) : w->matrix.group_size;
    const uint64_t group = first / size, groups = sinq_divide_up(count, size);
    const bool has_levels = w->matrix.levels != SINQ_LEVELS_UNIFORM;
    const struct sinq_coded_part part = {
        .lines = w->bytes + sinq_block_offset(&w->matrix, &w->sizes, panel, block),
        .blocks = blocks,
        .scales = s->scales,
        .zeros = s->zeros,
        .group_shift = size > 128 ? 63 : (unsigned)__builtin_ctzll(size),
        .columns = s->columns,
        .factor = w->matrix.factor,
        .levels = has_levels ? s->levels : NULL,
        .has_minima = w->matrix.has_minima,
    };
    const struct sinq_stored_aux scales = sinq_find_scales(w, panel, group), zeros = sinq_find_zeros(w, panel, group);
    p->kernels->expand_aux(&scales, groups, s->scales);
    p->kernels->expand_aux(&zeros, groups, s->zeros);
    if (w->matrix.has_column_scale) {
        p->kernels->widen_f16(w->bytes + w->sizes.column_scale_offset + 2 * first, (size_t)count, s->columns);
    } else {
        for (uint64_t k = 0; k < count; k++) s->columns[k] = 1.0f;
    }
    for (uint64_t k = count; k < blocks * SINQ_BLOCK_COLUMNS; k++) s->columns[k] = 0.0f;
    memset(s->levels, 0, SINQ_LEVEL_COUNT * sizeof *s->levels);
    if (has_levels) sinq_dual_scale_levels(&w->matrix, &w->sizes, w->bytes, s->levels);
    if (is_tame(p, &part, groups, count)) {
        p->kernels->decode[w->matrix.bits](&part, out);
    } else {
        decode_plainly(w, panel, block, blocks, out);
    }
}

/* ---- product ---- */

static void decode_columns(const struct sinq_product *p, uint64_t panel, uint64_t first, uint64_t count,
                           struct f32_scratch *scratch, float *out) {
    if (p->weight->dtype == SINQ_DUAL_SCALE) {
        decode_coded(p, panel, first, count, scratch, out);
    } else {
        pack_dense(p, panel, first, count, scratch, out);
    }
}

static void multiply_decoded(const struct sinq_product *p, const void *prepared, uint64_t first_panel, uint64_t panels,
                             struct f32_scratch *s, float *sums) {
    for (uint64_t first = 0; first < p->weight->cols; first += DECODED_COLUMNS) {
        const uint64_t count = sinq_min_u64(DECODED_COLUMNS, p->weight->cols - first);
        for (uint64_t i = 0; i < panels; i++) decode_columns(p, first_panel + i, first, count, s, s->panels[i]);
        for (uint64_t tile = 0; tile < p->tiles; tile++) {
            const float *const x = sinq_tile_f32(p, prepared, tile, first);
            float *const tile_sums = sums + tile * p->width * SINQ_PANEL_ROWS;
            for (uint64_t i = 0; i < panels; i++) {
                p->kernels->multiply_f32(s->panels[i], SINQ_PANEL_ROWS, x, (size_t)count, p->width,
                                         tile_sums + i * panel_sums(p), SINQ_PANEL_ROWS);
            }
        }
    }
}

/* Up to SINQ_PANELS_AT_ONCE panels. */
static void multiply_some(const struct sinq_product *p, const void *prepared, uint64_t first_panel, uint64_t panels,
                          struct f32_scratch *s, const struct sinq_output *output) {
    float *const sums = (float *)(void *)(s + 1);
    memset(sums, 0, panels * panel_sums(p) * sizeof *sums);
    if (p->kind == SINQ_PRODUCT_DOTS) {
        for (uint64_t i = 0; i < panels; i++) dot_panel(p, prepared, first_panel + i, s, sums + i * panel_sums(p));
    } else {
        multiply_decoded(p, prepared, first_panel, panels, s, sums);
    }
    sinq_write_rows(p, output, sums, panel_sums(p), 1.0f, first_panel, panels, 0, p->tokens);
}

void sinq_multiply_f32(const struct sinq_product *p, const void *prepared, uint64_t first_panel, uint64_t panels,
                       void *scratch, const struct sinq_output *output) {
    for (uint64_t i = 0; i < panels; i += SINQ_PANELS_AT_ONCE) {
        multiply_some(p, prepared, first_panel + i, sinq_min_u64(SINQ_PANELS_AT_ONCE, panels - i), scratch, output);
    }
}
