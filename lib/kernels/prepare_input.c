#include "kernels/product.h"
#include "tensor/dtype.h"

#include <string.h>

/* One token's place in its tile. */
struct place {
    uint64_t tile;
    uint32_t lane;
};

static void put_f32(const struct sinq_product *p, const float *x, struct place place, void *prepared) {
    float *const to = sinq_tile_f32(p, prepared, place.tile, 0) + place.lane;
    const uint64_t cols = p->weight->cols;
    if (p->width == 1) {
        memcpy(to, x, cols * sizeof *to);
        return;
    }
    for (uint64_t k = 0; k < cols; k++) to[k * p->width] = x[k];
}

/* All tokens of a whole tile at once: what is written then lies together. */
static void put_tile_f32(const struct sinq_product *p, const float *x, size_t stride, uint64_t tile, void *prepared) {
    float *to = sinq_tile_f32(p, prepared, tile, 0);
    for (uint64_t k = 0; k < p->weight->cols; k++) {
        for (uint32_t lane = 0; lane < p->width; lane++) *to++ = x[lane * stride + k];
    }
}

/* Column scales [first, first + count); 1 where there are none. */
static void load_columns(const struct sinq_weight *weight, uint64_t first, uint64_t count, float *columns) {
    if (weight->matrix.has_column_scale) {
        sinq_convert_to_float(SINQ_F16, weight->bytes + weight->sizes.column_scale_offset + 2 * first, (size_t)count,
                              columns);
    } else {
        for (uint64_t i = 0; i < count; i++) columns[i] = 1.0f;
    }
}

static void put_codes(const struct sinq_product *p, const int8_t *codes, uint64_t first, uint64_t quads,
                      struct place place, void *prepared) {
    int8_t *const to = sinq_tile_int8(p, prepared, place.tile, first) + 4 * place.lane;
    for (uint64_t q = 0; q < quads; q++) memcpy(to + 4 * q * p->width, codes + 4 * q, 4);
}

/* x NULL: no token, all zero. */
static void put_int8(const struct sinq_product *p, const float *x, struct place place, void *prepared) {
    float columns[128];
    int8_t codes[128];
    for (uint64_t g = 0; g < p->groups; g++) {
        const uint64_t first = g * p->group, count = sinq_min_u64(p->group, p->weight->cols - first);
        const uint64_t quads = sinq_min_u64(p->group, p->padded - first) / 4;
        float scale = 0.0f, sum = 0.0f;
        memset(codes, 0, sizeof codes);
        if (x != NULL) {
            load_columns(p->weight, first, count, columns);
            p->kernels->quantize_group(x + first, columns, (size_t)count, codes, &scale, &sum);
        }
        put_codes(p, codes, first, quads, place, prepared);
        sinq_tile_scales(p, prepared, place.tile, g)[place.lane] = scale;
        sinq_tile_sums(p, prepared, place.tile, g)[place.lane] = sum;
    }
    /* A block may end in a group without columns. */
    const uint64_t end = p->groups * p->group;
    memset(codes, 0, sizeof codes);
    if (end < p->padded) put_codes(p, codes, end, (p->padded - end) / 4, place, prepared);
}

static void clear_place(const struct sinq_product *p, struct place place, void *prepared) {
    if (p->kind == SINQ_PRODUCT_INT8) {
        put_int8(p, NULL, place, prepared);
        return;
    }
    float *const to = sinq_tile_f32(p, prepared, place.tile, 0) + place.lane;
    for (uint64_t k = 0; k < p->weight->cols; k++) to[k * p->width] = 0.0f;
}

void sinq_prepare_input(const struct sinq_weight *weight, const float *x, size_t stride, uint32_t tokens,
                        uint32_t first, uint32_t count, bool exact, void *prepared) {
    const struct sinq_product p = sinq_plan_product(weight, tokens, exact);
    for (uint32_t t = first; t < first + count;) {
        const struct place place = {t / p.width, t % p.width};
        if (p.kind == SINQ_PRODUCT_INT8) {
            put_int8(&p, x + t * stride, place, prepared);
        } else if (place.lane == 0 && p.width > 1 && t + p.width <= first + count) {
            put_tile_f32(&p, x + t * stride, stride, place.tile, prepared);
            t += p.width;
            continue;
        } else {
            put_f32(&p, x + t * stride, place, prepared);
        }
        t++;
    }
    if (first + count != tokens) return;
    /* Whoever has the last token also fills the places behind it. */
    for (uint32_t t = tokens; t < p.tiles * p.width; t++)
        clear_place(&p, (struct place){t / p.width, t % p.width}, prepared);
}
