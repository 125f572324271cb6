/* Products of levels of bytes and one token's int8 activations: codes and scales are looked at once, as they are stored. */
#include "kernels/byte_levels.h"
#include "kernels/product.h"

void sinq_load_level_bytes(const struct sinq_weight *weight, uint8_t bytes[SINQ_LEVEL_COUNT]) {
    const uint8_t *const table = weight->bytes + weight->sizes.levels_offset;
    for (unsigned i = 0; i < SINQ_LEVEL_COUNT; i++) bytes[i] = table[i] & SINQ_MOST_LEVEL_BYTE;
}

/* One product's scales, panel by panel. */
struct scales {
    const struct sinq_byte_level_kernels *kernels;
    const struct sinq_product *product;
    const struct sinq_byte_level_scratch *scratch;
    const float *x_scales;
    uint64_t groups;
    size_t panel_bytes; /* of entries */
    struct sinq_stored_aux stored;
};

static void expand_ranges(const struct scales *s) {
    s->product->kernels->widen_f16(s->stored.ranges, (size_t)(2 * s->groups), s->scratch->ranges);
    s->kernels->fold_ranges((size_t)s->groups, s->x_scales, s->scratch->ranges);
}

/* As kernels want them, a byte an entry. */
static const uint8_t *spread_panel(const struct scales *s) {
    const uint8_t *const entries = s->stored.entries;
    sinq_prefetch_lines(entries + SINQ_ENTRIES_AHEAD, s->panel_bytes);
    if (!s->stored.is_packed) return entries;
    const size_t quads = (size_t)sinq_divide_up(s->groups, 4);
    s->kernels->spread_scales(entries, quads, s->scratch->scales);
    return s->scratch->scales;
}

/* To the panel `panel`, whose ranges may be those of the one before. */
static void step_scales(struct scales *s, uint64_t panel) {
    const uint64_t row_groups = s->product->weight->sizes.groups;
    s->stored.entries += s->panel_bytes;
    if (panel * SINQ_PANEL_ROWS % SINQ_SCALE_BLOCK_ROWS != 0) return;
    s->stored.ranges += 4 * row_groups;
    expand_ranges(s);
}

void sinq_multiply_byte_levels(const struct sinq_product *p, const void *prepared, uint64_t first_panel,
                               uint64_t panels, uint64_t first, uint64_t columns,
                               const struct sinq_byte_level_scratch *scratch, float *sums) {
    const struct sinq_weight *const w = p->weight;
    const uint64_t group = first / p->group, groups = sinq_divide_up(columns, p->group);
    const float *const x_sums = sinq_tile_sums(p, prepared, 0, group);
    struct scales scales = {.kernels = sinq_get_byte_level_kernels(),
                            .product = p,
                            .scratch = scratch,
                            .x_scales = sinq_tile_scales(p, prepared, 0, group),
                            .groups = groups,
                            .panel_bytes = (size_t)sinq_measure_entries(w->matrix.scale_type, w->sizes.groups),
                            .stored = sinq_find_scales(w, first_panel, group)};
    uint8_t levels[SINQ_LEVEL_COUNT];
    struct sinq_level_tables tables;
    sinq_load_level_bytes(w, levels);
    scales.kernels->place_levels[w->matrix.bits](levels, &tables);
    for (uint64_t g = 0; g < groups; g++) scratch->centres[g] = w->matrix.zero_low * x_sums[g];
    struct sinq_byte_level_part part = {
        .lines = w->bytes + sinq_block_offset(&w->matrix, &w->sizes, first_panel, first / SINQ_BLOCK_COLUMNS),
        .tables = &tables,
        .x = sinq_tile_int8(p, prepared, 0, first),
        .blocks = (size_t)sinq_divide_up(columns, SINQ_BLOCK_COLUMNS),
        .groups = (size_t)groups,
        .group_blocks = (size_t)(p->group / SINQ_BLOCK_COLUMNS),
        .ranges = scratch->ranges,
        .centres = scratch->centres,
    };
    sinq_prefetch_ranges(w, scales.stored.ranges, panels);
    expand_ranges(&scales);
    for (uint64_t i = 0;;) {
        part.scales = spread_panel(&scales);
        scales.kernels->multiply[w->matrix.bits](&part, sums + i * SINQ_PANEL_ROWS);
        if (++i == panels) break;
        part.lines += w->sizes.column_blocks * w->matrix.bits * SINQ_LINE_BYTES;
        step_scales(&scales, first_panel + i);
    }
}
