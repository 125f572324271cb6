/* Products of levels of bytes and one token's int8 activations: codes and scales are looked at once, as they are stored. */
#include "kernels/byte_levels.h"
#include "kernels/product.h"

void sinq_load_level_bytes(const struct sinq_weight *weight, uint8_t bytes[SINQ_LEVEL_COUNT]) {
    const uint8_t *const table = weight->bytes + weight->sizes.levels_offset;
    for (unsigned i = 0; i < SINQ_LEVEL_COUNT; i++) bytes[i] = table[i] & SINQ_MOST_LEVEL_BYTE;
}

/* What scales of all places share. */
struct scales {
    const struct sinq_byte_level_kernels *kernels;
    const struct sinq_product *product;
    const float *x_scales;
    uint64_t group, groups, panels;
};

/* Of the blocks of rows of panels from `panel` on, as kernels want them. */
static void expand_ranges(const struct scales *s, const uint8_t *stored, uint64_t panel, float *ranges) {
    const uint64_t blocks = sinq_widen_ranges(s->product, stored, panel, s->panels, s->groups, ranges);
    for (uint64_t i = 0; i < blocks; i++) {
        s->kernels->fold_ranges((size_t)s->groups, s->x_scales, ranges + i * 2 * s->groups);
    }
}

/* Of one place, from `panel` on. */
static struct sinq_packed_aux find_scales(const struct scales *s, uint64_t panel, float *ranges) {
    const struct sinq_weight *const w = s->product->weight;
    const struct sinq_packed_aux aux = {
        .scales = sinq_find_scales(w, panel, s->group),
        .scale_ranges = ranges,
        .scale_bytes = (size_t)sinq_measure_entries(w->matrix.scale_type, w->sizes.groups),
        .scale_floats = (size_t)(2 * s->groups),
        .left = (unsigned)(SINQ_BLOCK_PANELS - panel % SINQ_BLOCK_PANELS),
    };
    sinq_prefetch_ranges(w, aux.scales.ranges, s->panels);
    expand_ranges(s, aux.scales.ranges, panel, ranges);
    return aux;
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
                                  .group = group,
                                  .groups = groups,
                                  .panels = panels};
    uint8_t levels[SINQ_LEVEL_COUNT];
    struct sinq_level_tables tables;
    sinq_load_level_bytes(w, levels);
    scales.kernels->place_levels[w->matrix.bits](levels, &tables);
    for (uint64_t g = 0; g < groups; g++) scratch->centres[g] = w->matrix.zero_low * x_sums[g];
    const size_t panel_bytes = (size_t)(w->sizes.column_blocks * w->matrix.bits * SINQ_LINE_BYTES);
    const struct sinq_byte_level_part part = {
        .lines = w->bytes + sinq_block_offset(&w->matrix, &w->sizes, first_panel, first / SINQ_BLOCK_COLUMNS),
        .line_stride = (size_t)apart * panel_bytes,
        .panel_bytes = panel_bytes,
        .tables = &tables,
        .x = sinq_tile_int8(p, prepared, 0, first),
        .blocks = (size_t)sinq_divide_up(columns, SINQ_BLOCK_COLUMNS),
        .groups = (size_t)groups,
        .group_blocks = (size_t)(p->group / SINQ_BLOCK_COLUMNS),
        .centres = scratch->centres,
    };
    struct sinq_packed_aux aux[2];
    for (unsigned i = 0; i < places; i++) aux[i] = find_scales(&scales, first_panel + i * apart, scratch->ranges[i]);
    scales.kernels->multiply[w->matrix.bits](&part, aux, places, (size_t)panels, sums);
}
