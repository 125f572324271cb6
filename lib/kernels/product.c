#include <math.h>

#include "kernels/product.h"

/*
 * Columns that share an activation scale where a group is the whole row, as many as make a group elsewhere; and at least so many
 * where smaller groups share one.
 */
#define SCALE_COLUMNS 64u
/* Up to so many tokens, dense rows are multiplied as they lie. */
#define MOST_DOT_TOKENS 3u

/* A centre beyond this, which no quantizer writes, would leave no room in 32 bits for its share. */
#define MOST_CENTRE 0x1p16f

/* Of int8, where tiles and their width are known. */
static void plan_groups(struct sinq_product *p) {
    const struct sinq_dual_scale *const matrix = &p->weight->matrix;
    p->group = matrix->group_size == 0 ? SCALE_COLUMNS : matrix->group_size;
    p->groups = sinq_divide_up(p->weight->cols, p->group);
    p->has_starts = matrix->levels == SINQ_LEVELS_BYTES && p->group < SCALE_COLUMNS &&
                    fabsf(matrix->zero_low) <= MOST_CENTRE && (p->tiles * p->width > 1 || !sinq_is_read_packed(matrix));
    p->shared = p->has_starts ? SCALE_COLUMNS / p->group : 1;
    p->scales = sinq_divide_up(p->groups, p->shared);
}

struct sinq_product sinq_plan_product(const struct sinq_weight *weight, uint32_t tokens, bool exact) {
    struct sinq_product p = {.weight = weight, .tokens = tokens, .kernels = sinq_get_compute_kernels()};
    const bool is_coded = weight->dtype == SINQ_DUAL_SCALE;
    uint32_t widest = p.kernels->f32_tile;
    p.padded = sinq_round_up(weight->cols, SINQ_BLOCK_COLUMNS);
    p.kind = SINQ_PRODUCT_F32;
    if (is_coded && !exact) {
        p.kind = SINQ_PRODUCT_INT8;
        widest = weight->matrix.levels == SINQ_LEVELS_F32 ? p.kernels->levels_tile : p.kernels->int8_tile;
    } else if (!is_coded && tokens <= MOST_DOT_TOKENS) {
        p.kind = SINQ_PRODUCT_DOTS;
        widest = 1;
    }
    /* Tiles of even width: 13 tokens are 7 and 6, not 12 and 1. */
    p.tiles = tokens == 0 ? 0 : (tokens - 1) / widest + 1;
    p.width = tokens == 0 ? 1 : (tokens - 1) / p.tiles + 1;
    if (p.kind == SINQ_PRODUCT_INT8) plan_groups(&p);
    const uint64_t places = (uint64_t)p.tiles * p.width;
    p.scale_offset = sinq_round_up(places * p.padded * (p.kind == SINQ_PRODUCT_INT8 ? 1 : sizeof(float)), 64);
    p.sum_offset = p.scale_offset + sinq_round_up(places * p.scales * sizeof(float), 64);
    p.bytes = p.sum_offset + sinq_round_up(places * p.groups * sizeof(float), 64);
    return p;
}

size_t sinq_prepared_bytes(const struct sinq_weight *weight, uint32_t tokens, bool exact) {
    return (size_t)sinq_plan_product(weight, tokens, exact).bytes;
}

/* Where one kind of entries lies in a blob. */
struct aux_place {
    enum sinq_aux_type type;
    uint64_t offset, range_offset;
    bool has_ranges, is_signed;
};

/* Where the entries of a group of a panel begin: those of 6 bits, where its quad does. */
static const uint8_t *find_entries(const struct sinq_weight *weight, uint64_t panel, uint64_t group,
                                   struct aux_place place) {
    const uint8_t *const section = weight->bytes + place.offset;
    const uint64_t panel_bytes = sinq_measure_entries(place.type, weight->sizes.groups);
    if (place.type == SINQ_AUX_NONE) return NULL;
    if (place.type == SINQ_AUX_U6) return section + panel * panel_bytes + group / 4 * SINQ_ENTRY_QUAD_BYTES;
    return section + panel * panel_bytes + group * sinq_measure_entries(place.type, 1);
}

static struct sinq_stored_aux find_aux(const struct sinq_weight *weight, uint64_t panel, uint64_t first,
                                       struct aux_place place) {
    const struct sinq_dual_scale_sizes *const sizes = &weight->sizes;
    const uint64_t range = panel * SINQ_PANEL_ROWS / SINQ_SCALE_BLOCK_ROWS * sizes->groups + first;
    const uint8_t *const ranges = weight->bytes + place.range_offset;
    struct sinq_stored_aux aux = {
        .entries = find_entries(weight, panel, first, place),
        .ranges = place.has_ranges ? ranges + 4 * range : NULL,
        .low = weight->matrix.zero_low,
        .step = weight->matrix.zero_step,
        .is_half = place.type == SINQ_AUX_F16,
        .is_packed = place.type == SINQ_AUX_U6,
        .skip = place.type == SINQ_AUX_U6 ? (unsigned)(first % 4) : 0,
        .sign = place.is_signed ? sinq_most_entry(place.type, true) + 1 : 0,
    };
    if (place.type == SINQ_AUX_I8) {
        aux.supers = (const float *)(const void *)ranges + panel * sizes->supers * SINQ_PANEL_ROWS;
        aux.first = (size_t)first;
        aux.super_shift = (unsigned)__builtin_ctz(SINQ_SUPER_COLUMNS / weight->matrix.group_size);
    }
    return aux;
}

struct sinq_stored_aux sinq_find_scales(const struct sinq_weight *weight, uint64_t panel, uint64_t first) {
    const struct sinq_dual_scale_sizes *const s = &weight->sizes;
    const enum sinq_aux_type type = weight->matrix.scale_type;
    return find_aux(weight, panel, first,
                    (struct aux_place){type, s->scale_offset, s->scale_range_offset,
                                       type == SINQ_AUX_U8 || type == SINQ_AUX_U6, weight->matrix.scale_signed});
}

struct sinq_stored_aux sinq_find_zeros(const struct sinq_weight *weight, uint64_t panel, uint64_t first) {
    const struct sinq_dual_scale_sizes *const s = &weight->sizes;
    return find_aux(weight, panel, first,
                    (struct aux_place){weight->matrix.zero_type, s->zero_offset, s->zero_range_offset,
                                       weight->matrix.zero_per_block, false});
}

uint64_t sinq_widen_ranges(const struct sinq_product *p, const uint8_t *stored, uint64_t panel, uint64_t panels,
                           uint64_t groups, float *ranges) {
    const uint64_t blocks = (panel + panels - 1) / SINQ_BLOCK_PANELS - panel / SINQ_BLOCK_PANELS + 1;
    const size_t block_bytes = (size_t)(4 * p->weight->sizes.groups), floats = (size_t)(2 * groups);
    for (uint64_t i = 0; i < blocks; i++) {
        p->kernels->widen_f16(stored + i * block_bytes, floats, ranges + i * floats);
    }
    return blocks;
}

/* Tokens ahead whose rows are called for before they are written. */
#define TOKENS_AHEAD 8u

/* Token by token, so that rows of neighbouring panels are written together. */
void sinq_write_rows(const struct sinq_product *p, const struct sinq_output *output, const float *sums,
                     size_t panel_sums, float factor, uint64_t first_panel, uint64_t panels, uint32_t first,
                     uint32_t end) {
    for (uint32_t t = first; t < end; t++) {
        for (uint64_t i = 0; i < panels; i++) {
            const uint64_t row = (first_panel + i) * SINQ_PANEL_ROWS;
            float *const y = output->y + t * output->stride + row;
            if (t + TOKENS_AHEAD < p->tokens) __builtin_prefetch(y + TOKENS_AHEAD * output->stride, 1);
            p->kernels->write_sums(sums + i * panel_sums + (t - first) * SINQ_PANEL_ROWS, factor,
                                   output->bias == NULL ? NULL : output->bias + row, output->accumulate,
                                   (unsigned)sinq_min_u64(SINQ_PANEL_ROWS, p->weight->rows - row), y);
        }
    }
}
