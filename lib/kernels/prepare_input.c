#include <math.h>
#include <string.h>

#include "kernels/product.h"

/* One token's place in its tile. */
struct place {
    uint64_t tile;
    uint32_t lane;
};

static struct place find_place(const struct sinq_product *p, uint32_t token) {
    return (struct place){token / p->width, token % p->width};
}

/* ---- f32 ---- */

static void put_f32(const struct sinq_product *p, const float *x, struct place place, void *prepared) {
    float *const to = sinq_tile_f32(p, prepared, place.tile, 0) + place.lane;
    const uint64_t cols = p->weight->cols;
    if (p->width == 1) {
        memcpy(to, x, cols * sizeof *to);
        return;
    }
    for (uint64_t k = 0; k < cols; k++) to[k * p->width] = x[k];
}

/* Tokens [first, end): whole tiles at once (the last one with what there is of it), others one by one. */
static void prepare_f32(const struct sinq_product *p, const float *x, size_t stride, uint32_t first, uint32_t end,
                        void *prepared) {
    for (uint32_t t = first; t < end;) {
        const struct place place = find_place(p, t);
        const uint32_t there = (uint32_t)sinq_min_u64(p->width, p->tokens - t);
        if (place.lane == 0 && p->width > 1 && t + there <= end) {
            p->kernels->pack_tile(x + t * stride, stride, there, (size_t)p->weight->cols, p->width,
                                  sinq_tile_f32(p, prepared, place.tile, 0));
            t += there;
        } else {
            put_f32(p, x + t * stride, place, prepared);
            t++;
        }
    }
}

/* ---- int8 ---- */

/* Column scales [first, first + count); 1 where there are none. */
static void load_columns(const struct sinq_product *p, uint64_t first, uint64_t count, float *columns) {
    const struct sinq_weight *const w = p->weight;
    if (w->matrix.has_column_scale) {
        p->kernels->widen_f16(w->bytes + w->sizes.column_scale_offset + 2 * first, (size_t)count, columns);
    } else {
        for (uint64_t i = 0; i < count; i++) columns[i] = 1.0f;
    }
}

static void put_codes(const struct sinq_product *p, const int8_t *codes, uint64_t first, uint64_t quads,
                      struct place place, void *prepared) {
    int8_t *const to = sinq_tile_int8(p, prepared, place.tile, first) + 4 * place.lane;
    if (p->width == 1) {
        memcpy(to, codes, (size_t)(4 * quads));
        return;
    }
    for (uint64_t q = 0; q < quads; q++) memcpy(to + 4 * q * p->width, codes + 4 * q, 4);
}

/* What the sums of a token's groups begin with: codes of `columns` columns, of which those beyond the last are 0. */
static void put_starts(const struct sinq_product *p, const int8_t *codes, uint64_t columns, uint64_t group,
                       struct place place, void *prepared) {
    for (uint64_t first = 0; first < columns; first += p->group, group++) {
        const uint64_t end = sinq_min_u64(first + p->group, columns);
        int32_t sum = 0;
        for (uint64_t k = first; k < end; k++) sum += codes[k];
        sinq_tile_starts(p, prepared, place.tile, group)[place.lane] =
            -(int32_t)lrintf(p->weight->matrix.zero_low * (float)sum);
    }
}

/* Scale by scale, so that column scales are widened once for all tokens. Tokens beyond the last are zero. */
static void prepare_int8(const struct sinq_product *p, const float *x, size_t stride, uint32_t first, uint32_t end,
                         void *prepared) {
    const uint64_t columns_each = p->shared * p->group;
    for (uint64_t g = 0; g < p->groups; g += p->shared) {
        const uint64_t column = g * p->group, count = sinq_min_u64(columns_each, p->weight->cols - column);
        const uint64_t quads = sinq_min_u64(columns_each, p->padded - column) / 4;
        float columns[128];
        load_columns(p, column, count, columns);
        for (uint32_t t = first; t < end; t++) {
            const struct place place = find_place(p, t);
            int8_t codes[128];
            float scale = 0.0f, sum = 0.0f;
            if (t < p->tokens) {
                const float *const from = x + t * stride + column;
                sinq_prefetch_lines((const uint8_t *)(from + columns_each), (size_t)columns_each * sizeof *from);
                p->kernels->quantize_group(from, columns, (size_t)count, codes, &scale, &sum);
                memset(codes + count, 0, (size_t)(4 * quads - count));
            } else {
                memset(codes, 0, sizeof codes);
            }
            put_codes(p, codes, column, quads, place, prepared);
            sinq_tile_scales(p, prepared, place.tile, g)[place.lane] = scale;
            if (p->has_starts) {
                put_starts(p, codes, count, g, place, prepared);
            } else {
                sinq_tile_sums(p, prepared, place.tile, g)[place.lane] = sum;
            }
        }
    }
    /* A block may end in a group without columns. */
    const int8_t none[SINQ_BLOCK_COLUMNS] = {0};
    const uint64_t filled = sinq_round_up(p->groups, p->shared) * p->group;
    for (uint32_t t = first; t < end && filled < p->padded; t++) {
        put_codes(p, none, filled, (p->padded - filled) / 4, find_place(p, t), prepared);
    }
}

void sinq_prepare_input(const struct sinq_weight *weight, const float *x, size_t stride, uint32_t tokens,
                        uint32_t first, uint32_t count, bool exact, void *prepared) {
    const struct sinq_product p = sinq_plan_product(weight, tokens, exact);
    const uint32_t end = first + count, places = p.tiles * p.width;
    if (p.kind == SINQ_PRODUCT_INT8) {
        /* Whoever has the last token also fills the places behind it. */
        prepare_int8(&p, x, stride, first, end == tokens ? places : end, prepared);
        return;
    }
    prepare_f32(&p, x, stride, first, end, prepared);
    if (end != tokens) return;
    for (uint32_t t = tokens; t < places; t++) {
        const struct place place = find_place(&p, t);
        float *const to = sinq_tile_f32(&p, prepared, place.tile, 0) + place.lane;
        for (uint64_t k = 0; k < weight->cols; k++) to[k * p.width] = 0.0f;
    }
}
