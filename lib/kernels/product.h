/*
 * product.h: how one product y = W x is carried out: what its prepared input and its scratch look like. For the files behind
 * matmul.h alone.
 *
 * The input lies in tiles of `width` tokens, so that the inner loops read it in one stream; missing tokens of the last tile are
 * zero.
 *   dots   few tokens, dense rows: [token][columns], width 1
 *   f32    [tile][column][width]
 *   int8   [tile][quad of columns][width][4] codes, then [tile][`shared` groups][width] scales, then [tile][group][width] sums of
 *          codes, or starts
 */
#ifndef SINQ_KERNELS_PRODUCT_H
#define SINQ_KERNELS_PRODUCT_H

#include "base/checked.h"
#include "kernels/compute.h"
#include "kernels/matmul.h"
#include "kernels/read_ahead.h"

enum sinq_product_kind { SINQ_PRODUCT_DOTS, SINQ_PRODUCT_F32, SINQ_PRODUCT_INT8 };

struct sinq_product {
    const struct sinq_weight *weight;
    const struct sinq_compute_kernels *kernels;
    enum sinq_product_kind kind;
    uint32_t tokens, width, tiles;
    uint64_t padded;        /* columns in whole blocks of 32 */
    uint64_t group, groups; /* int8: columns of a group, and how many groups have columns */
    /*
     * Of levels of bytes in tiles, groups of less than 64 columns: sums begin with the centre's share, starts, which lie in place of
     * sums of codes, and groups share an activation scale.
     */
    bool has_starts;
    uint64_t shared, scales; /* groups that share a scale, 1, 2 or 4, and how many scales a token has */
    uint64_t scale_offset, sum_offset, bytes; /* of the prepared input */
};

struct sinq_product sinq_plan_product(const struct sinq_weight *weight, uint32_t tokens, bool exact);

/* Where tile `tile` of the prepared input begins, at column `column`. */
static inline float *sinq_tile_f32(const struct sinq_product *p, const void *prepared, uint64_t tile, uint64_t column) {
    return (float *)(uintptr_t)prepared + (tile * p->padded + column) * p->width;
}
static inline int8_t *sinq_tile_int8(const struct sinq_product *p, const void *prepared, uint64_t tile,
                                     uint64_t column) {
    return (int8_t *)(uintptr_t)prepared + (tile * p->padded + column) * p->width;
}
static inline float *sinq_tile_scales(const struct sinq_product *p, const void *prepared, uint64_t tile,
                                      uint64_t group) {
    return (float *)((uintptr_t)prepared + p->scale_offset) + (tile * p->scales + group / p->shared) * p->width;
}
static inline float *sinq_tile_sums(const struct sinq_product *p, const void *prepared, uint64_t tile, uint64_t group) {
    return (float *)((uintptr_t)prepared + p->sum_offset) + (tile * p->groups + group) * p->width;
}
static inline int32_t *sinq_tile_starts(const struct sinq_product *p, const void *prepared, uint64_t tile,
                                        uint64_t group) {
    return (int32_t *)((uintptr_t)prepared + p->sum_offset) + (tile * p->groups + group) * p->width;
}

size_t sinq_f32_scratch(const struct sinq_product *product);
size_t sinq_int8_scratch(const struct sinq_product *product);

/* Panels that are multiplied at once: a tile of the input is read once for all of them. */
#define SINQ_PANELS_AT_ONCE 4u

/* Where products go: y[t * stride + r] (= or +=) the product + bias[r]. */
struct sinq_output {
    const float *bias; /* or NULL */
    bool accumulate;
    float *y;
    size_t stride;
};

/* Rows of `panels` panels for tokens [first, end): sums[panel][token - first][16] (panels panel_sums floats apart) * factor. */
void sinq_write_rows(const struct sinq_product *product, const struct sinq_output *output, const float *sums,
                     size_t panel_sums, float factor, uint64_t first_panel, uint64_t panels, uint32_t first,
                     uint32_t end);

/* Some panels times the input. */
void sinq_multiply_f32(const struct sinq_product *product, const void *prepared, uint64_t first_panel, uint64_t panels,
                       void *scratch, const struct sinq_output *output);
void sinq_multiply_int8(const struct sinq_product *product, const void *prepared, uint64_t first_panel, uint64_t panels,
                        void *scratch, const struct sinq_output *output);

/*
 * Levels of bytes that one token looks at once: their scales are entries with a sign, and they have one zero point. Their scratch is
 * of the columns that one token passes at once, and of the blocks of rows of the panels it passes.
 */
struct sinq_byte_level_scratch {
    float *ranges[2], *centres; /* of two places: [block of rows][group][2]; [group] */
};

static inline bool sinq_has_byte_level_product(const struct sinq_dual_scale *matrix) {
    return matrix->levels == SINQ_LEVELS_BYTES && matrix->scale_signed && matrix->zero_type == SINQ_AUX_NONE &&
           matrix->group_size != 0;
}

/*
 * Columns [first, first + columns) of some panels, times one token: sums[panel][place][16] +=, but for the matrix' factor. Two places
 * are `apart` panels from each other; 0: there is but one.
 */
void sinq_multiply_byte_levels(const struct sinq_product *product, const void *prepared, uint64_t first_panel,
                               uint64_t panels, uint64_t apart, uint64_t first, uint64_t columns,
                               const struct sinq_byte_level_scratch *scratch, float *sums);

/* Whether one token's product looks at codes, scales and zero points as they are stored: not scales of i8, minima and rare forms. */
static inline bool sinq_is_read_packed(const struct sinq_dual_scale *matrix) {
    if (matrix->levels == SINQ_LEVELS_BYTES) return sinq_has_byte_level_product(matrix);
    return matrix->scale_type != SINQ_AUX_I8 && matrix->zero_type != SINQ_AUX_I8 && !matrix->has_minima;
}

/* Calls for the first token's rows of some panels, which are written soon: what is stored before they are there holds up what follows. */
static inline void sinq_prefetch_rows(const struct sinq_output *output, uint64_t first_panel, uint64_t panels) {
    const float *const y = output->y + first_panel * SINQ_PANEL_ROWS;
    for (uint64_t i = 0; i < panels; i++) __builtin_prefetch(y + i * SINQ_PANEL_ROWS, 1, 3);
}

/* Calls for the ranges of the blocks of rows after those at `ranges` (struct sinq_stored_aux; or NULL): of as many panels, and some beyond. */
static inline void sinq_prefetch_ranges(const struct sinq_weight *weight, const uint8_t *ranges, uint64_t panels) {
    const size_t block = (size_t)(4 * weight->sizes.groups);
    const uint64_t blocks = sinq_divide_up(panels * SINQ_PANEL_ROWS, SINQ_SCALE_BLOCK_ROWS);
    if (ranges != NULL) sinq_prefetch_lines(ranges + block, (size_t)(blocks + SINQ_RANGES_AHEAD) * block);
}

/*
 * f16 ranges (struct sinq_stored_aux) of the blocks of rows of panels [panel, panel + panels): their first `groups` groups to
 * ranges[block][group][2]. Returns how many blocks these are.
 */
uint64_t sinq_widen_ranges(const struct sinq_product *product, const uint8_t *stored, uint64_t panel, uint64_t panels,
                           uint64_t groups, float *ranges);

/* The 16 levels, 127 at most. */
void sinq_load_level_bytes(const struct sinq_weight *weight, uint8_t bytes[SINQ_LEVEL_COUNT]);

/* How the scales (or zero points) of groups [first, ...) of a panel are stored. */
struct sinq_stored_aux sinq_find_scales(const struct sinq_weight *weight, uint64_t panel, uint64_t first);
struct sinq_stored_aux sinq_find_zeros(const struct sinq_weight *weight, uint64_t panel, uint64_t first);

#endif
