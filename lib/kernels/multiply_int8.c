/* Products of quantized panels with int8 activations. */
#include <math.h>
#include <string.h>

#include "kernels/product.h"

/* Columns of a panel that are unpacked at once: 16 KiB (32 with levels). */
#define UNPACKED_COLUMNS 1024u
#define LEVEL_STEPS      65535.0f

struct int8_scratch {
    uint8_t lines[2 * UNPACKED_COLUMNS * SINQ_PANEL_ROWS];
    float scales[UNPACKED_COLUMNS], zeros[UNPACKED_COLUMNS]; /* [group of 16 columns or more][16] */
};

size_t sinq_int8_scratch(const struct sinq_product *product) {
    (void)product;
    return (size_t)sinq_round_up(sizeof(struct int8_scratch), 64);
}

/*
 * Levels as 16-bit numbers: level = low + step * number, off by half a step of 1/65535 of their range at most. A code's dot
 * product is then 256 times that of the high bytes plus that of the low ones, and 128 columns of it fit 31 bits.
 */
struct integer_levels {
    uint8_t low_bytes[16], high_bytes[16];
    float low, step;
};

static void find_integer_levels(const struct sinq_weight *weight, struct integer_levels *out) {
    float levels[16];
    const unsigned count = 1u << weight->matrix.bits;
    memcpy(levels, weight->bytes + weight->sizes.levels_offset, sizeof levels);
    float low = levels[0], high = levels[0];
    bool is_finite = true;
    for (unsigned i = 0; i < count; i++) {
        low = fminf(low, levels[i]);
        high = fmaxf(high, levels[i]);
        is_finite = is_finite && isfinite(levels[i]);
    }
    memset(out, 0, sizeof *out);
    out->low = low;
    out->step = !is_finite || !isfinite(high - low) ? NAN : high > low ? (high - low) / LEVEL_STEPS : 1.0f;
    if (isnan(out->step)) return; /* what is not finite must show: all sums become NaN */
    for (unsigned i = 0; i < count; i++) {
        const float number = fminf(LEVEL_STEPS, rintf((levels[i] - low) / out->step));
        out->low_bytes[i] = (uint8_t)((unsigned)number & 255u);
        out->high_bytes[i] = (uint8_t)((unsigned)number >> 8);
    }
}

/* s (level - z) = s step (number - (z - low) / step): so levels need no arithmetic of their own. */
static void apply_levels(const struct integer_levels *levels, uint64_t count, float *scales, float *zeros) {
    for (uint64_t i = 0; i < count; i++) {
        zeros[i] = (zeros[i] - levels->low) / levels->step;
        scales[i] *= levels->step;
    }
}

/* Scales and zeros of `count` groups (one where the group is the row) as sixteen f32 each. */
static void expand_groups(const struct sinq_product *p, const struct integer_levels *levels, uint64_t panel,
                          uint64_t first, uint64_t count, struct int8_scratch *s) {
    const struct sinq_stored_aux scales = sinq_find_scales(p->weight, panel, first);
    const struct sinq_stored_aux zeros = sinq_find_zeros(p->weight, panel, first);
    p->kernels->expand_aux(&scales, (size_t)count, s->scales);
    p->kernels->expand_aux(&zeros, (size_t)count, s->zeros);
    if (levels != NULL) apply_levels(levels, count * SINQ_PANEL_ROWS, s->scales, s->zeros);
}

/* Columns [first, first + columns) of one panel times all tiles. One token reads the lines as they are packed. */
static void multiply_columns(const struct sinq_product *p, const struct integer_levels *levels, const void *prepared,
                             uint64_t panel, uint64_t first, uint64_t columns, struct int8_scratch *s, float *sums) {
    const struct sinq_weight *const w = p->weight;
    const bool is_row = w->matrix.group_size == 0, is_packed = p->tiles * p->width == 1;
    const uint64_t group = first / p->group, groups = sinq_divide_up(columns, p->group);
    struct sinq_int8_part part = {
        .lines = w->bytes + sinq_block_offset(&w->matrix, &w->sizes, panel, first / SINQ_BLOCK_COLUMNS),
        .scales = s->scales,
        .zeros = s->zeros,
        .aux_stride = is_row ? 0 : SINQ_PANEL_ROWS,
        .blocks = (size_t)sinq_divide_up(columns, SINQ_BLOCK_COLUMNS),
        .groups = (size_t)groups,
        .group_blocks = (size_t)(p->group / SINQ_BLOCK_COLUMNS),
        .bits = w->matrix.bits,
        .low = levels != NULL ? levels->low_bytes : NULL,
        .high = levels != NULL ? levels->high_bytes : NULL,
    };
    expand_groups(p, levels, panel, is_row ? 0 : group, is_row ? 1 : groups, s);
    if (!is_packed) {
        p->kernels->unpack[w->matrix.bits](&part, s->lines);
        part.lines = s->lines;
    }
    for (uint64_t tile = 0; tile < p->tiles; tile++) {
        part.x = sinq_tile_int8(p, prepared, tile, first);
        part.x_scales = sinq_tile_scales(p, prepared, tile, group);
        part.x_sums = sinq_tile_sums(p, prepared, tile, group);
        if (is_packed) {
            p->kernels->multiply_packed[w->matrix.bits](&part, sums);
        } else {
            p->kernels->multiply_lines(&part, p->width, sums + tile * p->width * SINQ_PANEL_ROWS);
        }
    }
}

void sinq_multiply_int8(const struct sinq_product *p, const void *prepared, uint64_t first_panel, uint64_t panels,
                        void *scratch, float *sums) {
    struct integer_levels levels;
    const bool has_levels = p->weight->matrix.levels == SINQ_LEVELS_F32;
    const uint64_t cols = p->weight->cols;
    if (has_levels) find_integer_levels(p->weight, &levels);
    memset(sums, 0, panels * sinq_panel_sums(p) * sizeof *sums);
    for (uint64_t i = 0; i < panels; i++) {
        for (uint64_t first = 0; first < cols; first += UNPACKED_COLUMNS) {
            multiply_columns(p, has_levels ? &levels : NULL, prepared, first_panel + i, first,
                             sinq_min_u64(UNPACKED_COLUMNS, cols - first), scratch, sums + i * sinq_panel_sums(p));
        }
    }
    const float factor = p->weight->matrix.factor;
    for (uint64_t i = 0; i < panels * sinq_panel_sums(p); i++) sums[i] *= factor;
}
