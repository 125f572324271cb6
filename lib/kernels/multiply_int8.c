/* Products of quantized panels with int8 activations. */
#include <math.h>
#include <string.h>

#include "kernels/product.h"

/* Columns that one token passes at once: its codes stay in the first cache beside what is read of the weight. */
#define PACKED_COLUMNS 16384u
#define LEAST_GROUP    16u /* no group is smaller */
/* Panels of each of two places that one token passes by turns, and the blocks of rows that they may be of. */
#define PACKED_PANELS 32u
#define PACKED_BLOCKS (PACKED_PANELS / SINQ_BLOCK_PANELS + 1)
/* Columns of two unpacked panels, and tiles of the input, that stay in the first cache together. */
#define TILED_COLUMNS 512u
#define TILES_AT_ONCE 4u
#define LEVEL_STEPS   65535.0f

/* One worker's memory. */
struct scratch {
    float *scale_ranges[2], *zero_ranges[2];    /* one token: of the blocks of two places */
    uint8_t *scale_bytes[2], *zero_bytes[2];    /* likewise: [group][16], of entries of 6 bits */
    uint8_t *lines;                             /* tiles: [panel][column] of 16 bytes (32 with levels) */
    float *scales, *zeros;                      /* [panel][group][16] */
    float *sums;                                /* [panel][token][16] */
    size_t line_stride, aux_stride, panel_sums; /* from panel to panel */
};

/* `count` floats of `memory` behind the first *used of them; NULL where they are only counted. */
static float *take_floats(float *memory, size_t *used, size_t count) {
    float *const taken = memory == NULL ? NULL : memory + *used;
    *used += count;
    return taken;
}

/* Memory for entries of 6 bits, spread into bytes: of all groups of the columns that one token passes at once. */
static uint8_t *take_entries(enum sinq_aux_type type, float *memory, size_t *used) {
    return type == SINQ_AUX_U6 ? (uint8_t *)take_floats(memory, used, PACKED_COLUMNS / sizeof(float)) : NULL;
}

/* Returns how many bytes it takes, the same for any number of tokens; `memory` may be NULL. */
static size_t divide_scratch(const struct sinq_product *p, void *memory, struct scratch *s) {
    const bool has_levels = p->weight->matrix.levels == SINQ_LEVELS_F32;
    const unsigned widest = has_levels ? p->kernels->levels_tile : p->kernels->int8_tile;
    size_t used = 0;
    *s = (struct scratch){.panel_sums = TILES_AT_ONCE * widest * SINQ_PANEL_ROWS,
                          .line_stride = (size_t)p->padded * SINQ_PANEL_ROWS * (has_levels ? 2 : 1),
                          .aux_stride = (size_t)p->groups * SINQ_PANEL_ROWS};
    const size_t token_sums = 2 * (size_t)PACKED_PANELS * SINQ_PANEL_ROWS;
    const size_t ranges = 2 * PACKED_BLOCKS * (size_t)sinq_min_u64(p->groups, PACKED_COLUMNS / LEAST_GROUP);
    s->sums = take_floats(memory, &used, sinq_max_u64(SINQ_PANELS_AT_ONCE * s->panel_sums, token_sums));
    for (unsigned i = 0; i < 2; i++) {
        s->scale_ranges[i] = take_floats(memory, &used, ranges);
        s->zero_ranges[i] = take_floats(memory, &used, ranges);
        s->scale_bytes[i] = take_entries(p->weight->matrix.scale_type, memory, &used);
        s->zero_bytes[i] = take_entries(p->weight->matrix.zero_type, memory, &used);
    }
    s->scales = take_floats(memory, &used, SINQ_PANELS_AT_ONCE * s->aux_stride);
    s->zeros = take_floats(memory, &used, SINQ_PANELS_AT_ONCE * s->aux_stride);
    s->lines = memory == NULL ? NULL : (uint8_t *)memory + used * sizeof(float);
    return used * sizeof(float) + SINQ_PANELS_AT_ONCE * s->line_stride;
}

size_t sinq_int8_scratch(const struct sinq_product *product) {
    struct scratch s;
    return (size_t)sinq_round_up(divide_scratch(product, NULL, &s), 64);
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
    const uint8_t *level_bytes;          /* or NULL: 16 levels below 128 */
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
        .shared = (size_t)p->shared,
        .low = o->levels != NULL ? o->levels->low_bytes : o->level_bytes,
        .high = o->levels != NULL ? o->levels->high_bytes : NULL,
    };
}

static void place_input(const struct operand *o, uint64_t tile, uint64_t first, struct sinq_int8_part *part) {
    const uint64_t group = first / o->product->group;
    part->x = sinq_tile_int8(o->product, o->prepared, tile, first);
    part->x_scales = sinq_tile_scales(o->product, o->prepared, tile, group);
    part->x_sums = sinq_tile_sums(o->product, o->prepared, tile, group);
    part->starts = o->product->has_starts ? sinq_tile_starts(o->product, o->prepared, tile, group) : NULL;
}

/* ---- one token: codes, scales and zeros are looked at once, as they are stored ---- */

/* Ranges of the blocks of rows of panels [panel, panel + panels), *floats apart; NULL where the entries are halves. */
static const float *expand_ranges(const struct sinq_product *p, const struct sinq_stored_aux *aux, uint64_t panel,
                                  uint64_t panels, uint64_t groups, float *ranges, size_t *floats) {
    *floats = 0;
    if (aux->is_half) return NULL;
    if (aux->ranges != NULL) {
        (void)sinq_widen_ranges(p, aux->ranges, panel, panels, groups, ranges);
        *floats = (size_t)(2 * groups);
        return ranges;
    }
    for (uint64_t g = 0; g < groups; g++) {
        ranges[2 * g] = aux->low;
        ranges[2 * g + 1] = aux->step;
    }
    return ranges;
}

/* As kernels of one token want them: a byte an entry, where they are of 6 bits. */
static void spread_aux(const struct sinq_product *p, uint64_t groups, uint8_t *bytes, struct sinq_stored_aux *aux) {
    if (!aux->is_packed) return;
    const size_t quads = (size_t)sinq_divide_up(groups, 4);
    sinq_prefetch_lines(aux->entries + SINQ_ENTRIES_AHEAD, quads * SINQ_ENTRY_QUAD_BYTES);
    p->kernels->spread_entries(aux->entries, quads, bytes);
    aux->entries = bytes;
    aux->is_packed = false;
}

/* Scales and zero points of panels [panel, panel + panels), of one place. */
static struct sinq_packed_aux find_aux(const struct operand *o, uint64_t panel, uint64_t panels, uint64_t group,
                                       uint64_t groups, const struct scratch *s, unsigned place) {
    const struct sinq_product *const p = o->product;
    const uint64_t row_groups = p->weight->sizes.groups;
    const struct sinq_dual_scale *const matrix = &p->weight->matrix;
    struct sinq_packed_aux aux = {
        .scales = sinq_find_scales(p->weight, panel, group),
        .zeros = sinq_find_zeros(p->weight, panel, group),
        .scale_bytes = (size_t)sinq_measure_entries(matrix->scale_type, row_groups),
        .zero_bytes = (size_t)sinq_measure_entries(matrix->zero_type, row_groups),
        .left = (unsigned)(SINQ_BLOCK_PANELS - panel % SINQ_BLOCK_PANELS),
        .is_row = matrix->group_size == 0,
    };
    sinq_prefetch_ranges(p->weight, aux.scales.ranges, panels);
    sinq_prefetch_ranges(p->weight, aux.zeros.ranges, panels);
    aux.scale_ranges = expand_ranges(p, &aux.scales, panel, panels, groups, s->scale_ranges[place], &aux.scale_floats);
    aux.zero_ranges = expand_ranges(p, &aux.zeros, panel, panels, groups, s->zero_ranges[place], &aux.zero_floats);
    if (o->levels != NULL) {
        aux.zero_factor = 1.0f / o->levels->step;
        aux.zero_shift = -o->levels->low / o->levels->step;
    }
    return aux;
}

/* The same, where entries are spread panel by panel. */
static void multiply_spread(const struct operand *o, struct sinq_int8_part *part, struct sinq_packed_aux *aux,
                            unsigned places, uint64_t panels, uint64_t groups, const struct scratch *s, float *sums) {
    const struct sinq_product *const p = o->product;
    for (uint64_t k = 0;; sums += places * SINQ_PANEL_ROWS) {
        struct sinq_packed_aux spread[2];
        for (unsigned i = 0; i < places; i++) {
            spread[i] = aux[i];
            spread_aux(p, groups, s->scale_bytes[i], &spread[i].scales);
            spread_aux(p, groups, s->zero_bytes[i], &spread[i].zeros);
        }
        p->kernels->multiply_packed[part->bits](part, spread, places, 1, sums);
        if (++k == panels) return;
        part->lines += part->panel_bytes;
        for (unsigned i = 0; i < places; i++) sinq_step_packed_aux(&aux[i]);
    }
}

/*
 * Columns [first, first + columns) of some panels, from one place or from two that are `apart` panels from each other, by turns: a core reads
 * two streams faster than one (docs/speed.md). sums[panel][place][16] +=.
 * s (level - z) = s step (number - (z - low) / step), s step being left to the end: so levels need no arithmetic of their own.
 */
static void multiply_packed(const struct operand *o, uint64_t first_panel, uint64_t panels, uint64_t apart,
                            uint64_t first, uint64_t columns, const struct scratch *s, float *sums) {
    const struct sinq_product *const p = o->product;
    const bool is_row = p->weight->matrix.group_size == 0;
    const unsigned places = apart == 0 ? 1 : 2;
    struct sinq_int8_part part = find_part(o, first_panel, first, columns);
    part.panel_bytes = (size_t)(p->weight->sizes.column_blocks * part.bits * SINQ_LINE_BYTES);
    part.line_stride = apart * part.panel_bytes;
    place_input(o, 0, first, &part);
    const uint64_t group = is_row ? 0 : first / p->group, groups = is_row ? 1 : part.groups;
    struct sinq_packed_aux aux[2];
    for (unsigned i = 0; i < places; i++) {
        aux[i] = find_aux(o, first_panel + i * apart, panels, group, groups, s, i);
    }
    if (aux[0].scales.is_packed || aux[0].zeros.is_packed) {
        multiply_spread(o, &part, aux, places, panels, groups, s, sums);
    } else {
        p->kernels->multiply_packed[part.bits](&part, aux, places, (size_t)panels, sums);
    }
}

/* ---- tiles: panels are unpacked once for all of them ---- */

/*
 * Minima become zero points: s code - m = s (code - m / s). Where s is 0, a scale that is next to nothing beside the minimum
 * leaves it alone.
 */
static void divide_minima(size_t count, float *scales, float *zeros) {
    for (size_t i = 0; i < count; i++) {
        const float minimum = zeros[i], scale = scales[i] == 0.0f ? fabsf(minimum) * 0x1p-40f : scales[i];
        scales[i] = scale;
        zeros[i] = minimum == 0.0f ? 0.0f : minimum / scale;
    }
}

static void unpack_panel(const struct operand *o, uint64_t panel, uint8_t *lines, float *scales, float *zeros) {
    const struct sinq_product *const p = o->product;
    const struct sinq_int8_part part = find_part(o, panel, 0, p->weight->cols);
    const uint64_t groups = p->weight->matrix.group_size == 0 ? 1 : part.groups;
    const struct sinq_stored_aux stored_scales = sinq_find_scales(p->weight, panel, 0);
    const struct sinq_stored_aux stored_zeros = sinq_find_zeros(p->weight, panel, 0);
    p->kernels->expand_aux(&stored_scales, (size_t)groups, scales);
    if (!p->has_starts) p->kernels->expand_aux(&stored_zeros, (size_t)groups, zeros);
    if (p->weight->matrix.has_minima) divide_minima((size_t)(groups * SINQ_PANEL_ROWS), scales, zeros);
    for (uint64_t i = 0; o->levels != NULL && i < groups * SINQ_PANEL_ROWS; i++) {
        zeros[i] = (zeros[i] - o->levels->low) / o->levels->step;
    }
    if (part.bits != 8) p->kernels->unpack[part.bits](&part, lines); /* 8 bits are read where they are */
}

/* Some panels from panel `i` of those at hand, some columns: times tiles [first_tile, end). */
static void multiply_block(const struct operand *o, const struct sinq_int8_part *unpacked, const struct scratch *s,
                           uint64_t i, unsigned panels, uint64_t first, uint64_t first_tile, uint64_t end) {
    const struct sinq_product *const p = o->product;
    const uint64_t columns = sinq_min_u64(TILED_COLUMNS, p->weight->cols - first);
    const size_t aux_stride = p->weight->matrix.group_size == 0 ? 0 : SINQ_PANEL_ROWS;
    const size_t aux_offset = i * s->aux_stride + first / p->group * aux_stride;
    const struct sinq_expanded_aux aux = {.scales = s->scales + aux_offset,
                                          .zeros = s->zeros + aux_offset,
                                          .stride = aux_stride,
                                          .panel_stride = s->aux_stride};
    struct sinq_int8_part part = *unpacked;
    part.lines += i * part.line_stride + first * SINQ_PANEL_ROWS * (o->levels != NULL ? 2 : 1);
    part.blocks = (size_t)sinq_divide_up(columns, SINQ_BLOCK_COLUMNS);
    part.groups = (size_t)sinq_divide_up(columns, p->group);
    for (uint64_t tile = first_tile; tile < end; tile++) {
        place_input(o, tile, first, &part);
        p->kernels->multiply_lines(&part, &aux, panels, p->width,
                                   s->sums + i * s->panel_sums + (tile - first_tile) * p->width * SINQ_PANEL_ROWS,
                                   s->panel_sums);
    }
}

static void multiply_tiles(const struct operand *o, uint64_t first_panel, uint64_t panels, float factor,
                           const struct scratch *s, const struct sinq_output *output) {
    const struct sinq_product *const p = o->product;
    struct sinq_int8_part unpacked = find_part(o, first_panel, 0, p->weight->cols);
    unpacked.line_stride = (size_t)(p->weight->sizes.column_blocks * unpacked.bits * SINQ_LINE_BYTES);
    for (uint64_t i = 0; i < panels; i++) {
        unpack_panel(o, first_panel + i, s->lines + i * s->line_stride, s->scales + i * s->aux_stride,
                     s->zeros + i * s->aux_stride);
    }
    if (unpacked.bits != 8) {
        unpacked.lines = s->lines;
        unpacked.line_stride = s->line_stride;
    }
    for (uint64_t tile = 0; tile < p->tiles; tile += TILES_AT_ONCE) {
        const uint64_t end = sinq_min_u64(tile + TILES_AT_ONCE, p->tiles);
        memset(s->sums, 0, panels * s->panel_sums * sizeof *s->sums);
        for (uint64_t i = 0; i < panels; i += 2) {
            for (uint64_t first = 0; first < p->weight->cols; first += TILED_COLUMNS) {
                multiply_block(o, &unpacked, s, i, panels - i > 1 ? 2 : 1, first, tile, end);
            }
        }
        sinq_write_rows(p, output, s->sums, s->panel_sums, factor, first_panel, panels, (uint32_t)(tile * p->width),
                        (uint32_t)sinq_min_u64(end * p->width, p->tokens));
    }
}

/* Up to PACKED_PANELS panels of each place. */
static void multiply_token(const struct operand *o, uint64_t first_panel, uint64_t panels, uint64_t apart, float factor,
                           const struct scratch *s, const struct sinq_output *output) {
    const struct sinq_product *const p = o->product;
    const uint64_t cols = p->weight->cols, places = apart == 0 ? 1 : 2;
    const struct sinq_byte_level_scratch level_scratch = {{s->scale_ranges[0], s->scale_ranges[1]}, s->zero_ranges[0]};
    for (uint64_t i = 0; i < places; i++) sinq_prefetch_rows(output, first_panel + i * apart, panels);
    memset(s->sums, 0, panels * places * SINQ_PANEL_ROWS * sizeof *s->sums);
    for (uint64_t first = 0; first < cols; first += PACKED_COLUMNS) {
        const uint64_t some = sinq_min_u64(PACKED_COLUMNS, cols - first);
        if (o->level_bytes != NULL) {
            sinq_multiply_byte_levels(p, o->prepared, first_panel, panels, apart, first, some, &level_scratch, s->sums);
        } else {
            multiply_packed(o, first_panel, panels, apart, first, some, s, s->sums);
        }
    }
    for (uint64_t i = 0; i < places; i++) {
        sinq_write_rows(p, output, s->sums + i * SINQ_PANEL_ROWS, places * SINQ_PANEL_ROWS, factor,
                        first_panel + i * apart, panels, 0, 1);
    }
}

/* The first half's panels and the second's by turns, then what is left of an odd number. */
static void multiply_halves(const struct operand *o, uint64_t first_panel, uint64_t panels, float factor,
                            const struct scratch *s, const struct sinq_output *output) {
    const uint64_t half = panels / 2;
    for (uint64_t i = 0; i < half; i += PACKED_PANELS) {
        multiply_token(o, first_panel + i, sinq_min_u64(PACKED_PANELS, half - i), half, factor, s, output);
    }
    for (uint64_t i = 2 * half; i < panels; i += PACKED_PANELS) {
        multiply_token(o, first_panel + i, sinq_min_u64(PACKED_PANELS, panels - i), 0, factor, s, output);
    }
}

void sinq_multiply_int8(const struct sinq_product *p, const void *prepared, uint64_t first_panel, uint64_t panels,
                        void *scratch, const struct sinq_output *output) {
    struct integer_levels levels;
    struct scratch s;
    const bool has_levels = p->weight->matrix.levels == SINQ_LEVELS_F32;
    uint8_t bytes[SINQ_LEVEL_COUNT];
    const bool has_bytes = p->weight->matrix.levels == SINQ_LEVELS_BYTES;
    const struct operand operand = {p, prepared, has_levels ? &levels : NULL, has_bytes ? bytes : NULL};
    if (has_bytes) sinq_load_level_bytes(p->weight, bytes);
    (void)divide_scratch(p, scratch, &s);
    if (has_levels) find_integer_levels(p->weight, &levels);
    const float factor = p->weight->matrix.factor * (has_levels ? levels.step : 1.0f);
    if (p->tiles * p->width == 1 && sinq_is_read_packed(&p->weight->matrix)) {
        multiply_halves(&operand, first_panel, panels, factor, &s, output);
        return;
    }
    for (uint64_t i = 0; i < panels; i += SINQ_PANELS_AT_ONCE) {
        multiply_tiles(&operand, first_panel + i, sinq_min_u64(SINQ_PANELS_AT_ONCE, panels - i), factor, &s, output);
    }
}
