/* Products of levels of bytes and one token's int8 activations: codes and scales are looked at once, as they are stored. */
#include "kernels/byte_levels.h"
#include "kernels/product.h"

void sinq_load_level_bytes(const struct sinq_weight *weight, uint8_t bytes[SINQ_LEVEL_COUNT]) {
    const uint8_t *const table = weight->bytes + weight->sizes.levels_offset;
    for (unsigned i = 0; i < SINQ_LEVEL_COUNT; i++) bytes[i] = table[i] & SINQ_MOST_LEVEL_BYTE;
}

/* What scales of all panels share. */
struct scales {
    const struct sinq_byte_level_kernels *kernels;
    const struct sinq_product *product;
    const float *x_scales;
    uint64_t groups;
    size_t panel_bytes; /* of entries */
};

/* Panels one behind the other: where the scales of one are, and where they are made ready. */
struct walk {
    const struct scales *all;
    struct sinq_stored_aux stored;
    float *ranges;
    uint8_t *bytes;
};

static void expand_ranges(const struct walk *walk) {
    const struct scales *const s = walk->all;
    s->product->kernels->widen_f16(walk->stored.ranges, (size_t)(2 * s->groups), walk->ranges);
    s->kernels->fold_ranges((size_t)s->groups, s->x_scales, walk->ranges);
}

static struct walk begin_walk(const struct scales *s, uint64_t panel, uint64_t panels, uint64_t group, float *ranges,
                              uint8_t *bytes) {
    const struct sinq_weight *const w = s->product->weight;
    const struct walk walk = {s, sinq_find_scales(w, panel, group), ranges, bytes};
    sinq_prefetch_ranges(w, walk.stored.ranges, panels);
    expand_ranges(&walk);
    return walk;
}

/* As kernels want them, a byte an entry. */
static const uint8_t *spread_panel(const struct walk *walk) {
    const uint8_t *const entries = walk->stored.entries;
    sinq_prefetch_lines(entries + SINQ_ENTRIES_AHEAD, walk->all->panel_bytes);
    if (!walk->stored.is_packed) return entries;
    walk->all->kernels->spread_scales(entries, (size_t)sinq_divide_up(walk->all->groups, 4), walk->bytes);
    return walk->bytes;
}

/* To the panel `panel`, whose ranges may be those of the one before. */
static void step_walk(struct walk *walk, uint64_t panel) {
    walk->stored.entries += walk->all->panel_bytes;
    if (panel * SINQ_PANEL_ROWS % SINQ_SCALE_BLOCK_ROWS != 0) return;
    walk->stored.ranges += 4 * walk->all->product->weight->sizes.groups;
    expand_ranges(walk);
}

void sinq_multiply_byte_levels(const struct sinq_product *p, const void *prepared, uint64_t first_panel,
                               uint64_t panels, uint64_t apart, uint64_t first, uint64_t columns,
                               const struct sinq_byte_level_scratch *scratch, float *sums) {
    const struct sinq_weight *const w = p->weight;
    const uint64_t group = first / p->group, groups = sinq_divide_up(columns, p->group);
    const float *const x_sums = sinq_tile_sums(p, prepared, 0, group);
    const unsigned places = apart == 0 ? 1 : 2;
    const struct scales scales = {.kernels = sinq_get_byte_level_kernels(),
                                  .product = p,
                                  .x_scales = sinq_tile_scales(p, prepared, 0, group),
                                  .groups = groups,
                                  .panel_bytes = (size_t)sinq_measure_entries(w->matrix.scale_type, w->sizes.groups)};
    uint8_t levels[SINQ_LEVEL_COUNT];
    struct sinq_level_tables tables;
    sinq_load_level_bytes(w, levels);
    scales.kernels->place_levels[w->matrix.bits](levels, &tables);
    for (uint64_t g = 0; g < groups; g++) scratch->centres[g] = w->matrix.zero_low * x_sums[g];
    const uint64_t panel_bytes = w->sizes.column_blocks * w->matrix.bits * SINQ_LINE_BYTES;
    struct sinq_byte_level_part part = {
        .lines = w->bytes + sinq_block_offset(&w->matrix, &w->sizes, first_panel, first / SINQ_BLOCK_COLUMNS),
        .line_stride = (size_t)(apart * panel_bytes),
        .tables = &tables,
        .x = sinq_tile_int8(p, prepared, 0, first),
        .blocks = (size_t)sinq_divide_up(columns, SINQ_BLOCK_COLUMNS),
        .groups = (size_t)groups,
        .group_blocks = (size_t)(p->group / SINQ_BLOCK_COLUMNS),
        .ranges = {scratch->ranges[0], scratch->ranges[1]},
        .centres = scratch->centres,
    };
    struct walk walks[2];
    for (unsigned i = 0; i < places; i++) {
        walks[i] = begin_walk(&scales, first_panel + i * apart, panels, group, scratch->ranges[i], scratch->scales[i]);
    }
    for (uint64_t k = 0;;) {
        for (unsigned i = 0; i < places; i++) part.scales[i] = spread_panel(&walks[i]);
        scales.kernels->multiply[w->matrix.bits](&part, places, sums + k * places * SINQ_PANEL_ROWS);
        if (++k == panels) break;
        part.lines += panel_bytes;
        for (unsigned i = 0; i < places; i++) step_walk(&walks[i], first_panel + i * apart + k);
    }
}
