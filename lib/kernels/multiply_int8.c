/* Products of quantized panels with int8 activations. */
#include <math.h>
#include <string.h>

#include "kernels/product.h"

/* Columns of a panel that are unpacked at once, 16 KiB (32 with levels); and that one token passes at once. */
#define UNPACKED_COLUMNS 512u
#define PACKED_COLUMNS   8192u
#define LEVEL_STEPS      65535.0f

/* Groups have 16 columns or more. */
struct int8_scratch {
    union {
        struct {
            uint8_t lines[SINQ_PANELS_AT_ONCE][2 * UNPACKED_COLUMNS * SINQ_PANEL_ROWS];
            float scales[SINQ_PANELS_AT_ONCE][UNPACKED_COLUMNS], zeros[SINQ_PANELS_AT_ONCE][UNPACKED_COLUMNS];
        };
        struct {
            float scale_ranges[PACKED_COLUMNS / 8], zero_ranges[PACKED_COLUMNS / 8];
        };
    };
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

/* One product's weight, as kernels want it. */
struct operand {
    const struct sinq_product *product;
    const void *prepared;
    const struct integer_levels *levels; /* or NULL */
};

static struct sinq_int8_part find_part(const struct operand *o, uint64_t panel, uint64_t first, uint64_t columns) {
    const struct sinq_product *const p = o->product;
    const struct sinq_weight *const w = p->weight;
    return (struct sinq_int8_part){
        .lines = w->bytes + sinq_block_offset(&w->matrix, &w->sizes, panel, first / SINQ_BLOCK_COLUMNS),
        .blocks = (size_t)sinq_divide_up(columns, SINQ_BLOCK_COLUMNS),
        .groups = (size_t)sinq_divide_up(columns, p->group),
        .group_blocks = (size_t)(p->group / SINQ_BLOCK_COLUMNS),
        .bits = w->matrix.bits,
        .low = o->levels != NULL ? o->levels->low_bytes : NULL,
        .high = o->levels != NULL ? o->levels->high_bytes : NULL,
    };
}

static void place_input(const struct operand *o, uint64_t tile, uint64_t first, struct sinq_int8_part *part) {
    const uint64_t group = first / o->product->group;
    part->x = sinq_tile_int8(o->product, o->prepared, tile, first);
    part->x_scales = sinq_tile_scales(o->product, o->prepared, tile, group);
    part->x_sums = sinq_tile_sums(o->product, o->prepared, tile, group);
}

/* ---- one token: codes, scales and zeros are looked at once, as they are stored ---- */

/* NULL where the entries are halves. */
static const float *expand_ranges(const struct sinq_product *p, const struct sinq_stored_aux *aux, uint64_t groups,
                                  float *ranges) {
    if (aux->is_half) return NULL;
    if (aux->ranges != NULL) {
        p->kernels->widen_f16(aux->ranges, (size_t)(2 * groups), ranges);
        return ranges;
    }
    for (uint64_t g = 0; g < groups; g++) {
        ranges[2 * g] = aux->low;
        ranges[2 * g + 1] = aux->step;
    }
    return ranges;
}

/* s (level - z) = s step (number - (z - low) / step), s step being left to the end: so levels need no arithmetic of their own. */
static void multiply_packed(const struct operand *o, uint64_t panel, uint64_t first, uint64_t columns,
                            struct int8_scratch *s, float *sums) {
    const struct sinq_product *const p = o->product;
    const bool is_row = p->weight->matrix.group_size == 0;
    struct sinq_int8_part part = find_part(o, panel, first, columns);
    const uint64_t group = is_row ? 0 : first / p->group, groups = is_row ? 1 : part.groups;
    struct sinq_packed_aux aux = {.scales = sinq_find_scales(p->weight, panel, group),
                                  .zeros = sinq_find_zeros(p->weight, panel, group),
                                  .is_row = is_row};
    aux.scale_ranges = expand_ranges(p, &aux.scales, groups, s->scale_ranges);
    aux.zero_ranges = expand_ranges(p, &aux.zeros, groups, s->zero_ranges);
    if (o->levels != NULL) {
        aux.zero_factor = 1.0f / o->levels->step;
        aux.zero_shift = -o->levels->low / o->levels->step;
    }
    place_input(o, 0, first, &part);
    p->kernels->multiply_packed[part.bits](&part, &aux, sums);
}

/* ---- tiles: panels are unpacked once for all of them ---- */

static void unpack_panel(const struct operand *o, uint64_t panel, uint64_t first, uint64_t columns, uint8_t *lines,
                         float *scales, float *zeros) {
    const struct sinq_product *const p = o->product;
    const bool is_row = p->weight->matrix.group_size == 0;
    const struct sinq_int8_part part = find_part(o, panel, first, columns);
    const uint64_t group = is_row ? 0 : first / p->group, groups = is_row ? 1 : part.groups;
    const struct sinq_stored_aux stored_scales = sinq_find_scales(p->weight, panel, group);
    const struct sinq_stored_aux stored_zeros = sinq_find_zeros(p->weight, panel, group);
    p->kernels->expand_aux(&stored_scales, (size_t)groups, scales);
    p->kernels->expand_aux(&stored_zeros, (size_t)groups, zeros);
    for (uint64_t i = 0; o->levels != NULL && i < groups * SINQ_PANEL_ROWS; i++) {
        zeros[i] = (zeros[i] - o->levels->low) / o->levels->step;
    }
    if (part.bits != 8) p->kernels->unpack[part.bits](&part, lines); /* 8 bits are read where they are */
}

static void multiply_tiles(const struct operand *o, uint64_t first_panel, uint64_t panels, uint64_t first,
                           uint64_t columns, struct int8_scratch *s, float *sums) {
    const struct sinq_product *const p = o->product;
    const size_t panel_sums = sinq_panel_sums(p);
    struct sinq_int8_part part = find_part(o, first_panel, first, columns);
    if (part.bits != 8) {
        part.lines = s->lines[0];
        part.line_stride = sizeof s->lines[0];
    } else {
        part.line_stride = (size_t)(p->weight->sizes.column_blocks * part.bits * SINQ_LINE_BYTES);
    }
    for (uint64_t i = 0; i < panels; i++) {
        unpack_panel(o, first_panel + i, first, columns, s->lines[i], s->scales[i], s->zeros[i]);
    }
    const struct sinq_expanded_aux aux = {.scales = s->scales[0],
                                          .zeros = s->zeros[0],
                                          .stride = p->weight->matrix.group_size == 0 ? 0 : SINQ_PANEL_ROWS,
                                          .panel_stride = UNPACKED_COLUMNS};
    for (uint64_t tile = 0; tile < p->tiles; tile++) {
        place_input(o, tile, first, &part);
        p->kernels->multiply_lines(&part, &aux, (unsigned)panels, p->width, sums + tile * p->width * SINQ_PANEL_ROWS,
                                   panel_sums);
    }
}

float sinq_multiply_int8(const struct sinq_product *p, const void *prepared, uint64_t first_panel, uint64_t panels,
                         void *scratch, float *sums) {
    struct integer_levels levels;
    const bool has_levels = p->weight->matrix.levels == SINQ_LEVELS_F32, is_packed = p->tiles * p->width == 1;
    const uint64_t cols = p->weight->cols, most = is_packed ? PACKED_COLUMNS : UNPACKED_COLUMNS;
    const struct operand operand = {p, prepared, has_levels ? &levels : NULL};
    if (has_levels) find_integer_levels(p->weight, &levels);
    memset(sums, 0, panels * sinq_panel_sums(p) * sizeof *sums);
    for (uint64_t first = 0; first < cols; first += most) {
        const uint64_t columns = sinq_min_u64(most, cols - first);
        if (!is_packed) {
            multiply_tiles(&operand, first_panel, panels, first, columns, scratch, sums);
            continue;
        }
        for (uint64_t i = 0; i < panels; i++) {
            multiply_packed(&operand, first_panel + i, first, columns, scratch, sums + i * SINQ_PANEL_ROWS);
        }
    }
    return p->weight->matrix.factor * (has_levels ? levels.step : 1.0f);
}
