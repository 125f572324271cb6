/* attention_tiles.c: many queries: keys become panels and values f32, which all tiles of queries go through. */
#include <string.h>

#include "base/checked.h"
#include "kernels/attention_ways.h"

#define POSITIONS SINQ_ATTENTION_POSITIONS

void sinq_tiles_load_queries(const struct sinq_attention_pass *pass) {
    float *const rows = pass->keys; /* there is none yet */
    for (uint32_t first = 0; first < pass->count; first += pass->width) {
        const uint32_t count = (uint32_t)sinq_min_u64(pass->width, pass->count - first);
        for (uint32_t i = 0; i < count; i++) {
            memcpy(rows + i * pass->key_lanes, sinq_attention_query(pass, first + i), pass->key_dim * sizeof *rows);
        }
        pass->kernels->pack_tile(rows, pass->key_lanes, count, pass->key_dim, pass->width,
                                 pass->queries + first * pass->key_dim);
    }
}

/* Sixteens of positions become panels; places beyond the last position repeat it. */
void sinq_tiles_load_keys(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    for (size_t p = 0; p < sinq_round_to_lanes(block->count); p += 16) {
        const uint8_t *rows[16];
        for (size_t i = 0; i < 16; i++) {
            const uint64_t position = block->first + (p + i < block->count ? p + i : block->count - 1);
            rows[i] = sinq_attention_row(pass, layout->key_offset, pass->key_dim, position);
        }
        float *const panel = pass->keys + p * pass->key_lanes;
        switch (layout->type) {
        case SINQ_KV_F32:
            pass->kernels->pack_f32(rows, pass->key_dim, panel);
            break;
        case SINQ_KV_F16:
            pass->kernels->pack_f16(rows, pass->key_dim, panel);
            break;
        default:
            pass->kernels->pack_i8(rows, pass->key_dim, panel);
            break;
        }
    }
}

void sinq_tiles_score(const struct sinq_attention_pass *pass, uint32_t tile, const struct sinq_attention_block *block) {
    size_t from, end;
    sinq_attention_seen_by_tile(pass, tile, block, &from, &end);
    const float *const queries = pass->queries + (size_t)tile * pass->width * pass->key_dim;
    float *const scores = pass->scores + (size_t)tile * pass->width * POSITIONS;
    memset(scores, 0, pass->width * POSITIONS * sizeof(float));
    for (size_t p = from / 16 * 16; p < end; p += 16) {
        pass->kernels->multiply_f32(pass->keys + p * pass->key_lanes, 16, queries, pass->key_dim, pass->width,
                                    scores + p, POSITIONS);
    }
}

static void load_values(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const bool shared = layout->shape.shared;
    const size_t row_dim = shared ? pass->key_dim : pass->value_dim;
    const uint64_t section = shared ? layout->key_offset : layout->value_offset;
    for (size_t p = 0; p < block->count; p++) {
        const uint8_t *const row = sinq_attention_row(pass, section, row_dim, block->first + p);
        float *const out = pass->block_values + p * pass->values;
        switch (layout->type) {
        case SINQ_KV_F32:
            memcpy(out, row, pass->value_dim * sizeof(float));
            break;
        case SINQ_KV_F16:
            pass->kernels->widen_f16(row, pass->value_dim, out);
            break;
        default:
            pass->kernels->widen_i8(row, pass->value_dim, 1.0f, out); /* shares have the scale in them */
            break;
        }
    }
}

void sinq_tiles_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    load_values(pass, block);
    for (uint32_t tile = 0; tile < pass->tiles; tile++) {
        size_t from, end;
        sinq_attention_seen_by_tile(pass, tile, block, &from, &end);
        if (from == end) continue;
        const size_t begin = (size_t)tile * pass->width;
        for (size_t v = 0; v < pass->values; v += 16) {
            pass->kernels->multiply_shares(pass->block_values + from * pass->values + v, pass->values,
                                           pass->scores + begin * POSITIONS + from, end - from, pass->width,
                                           pass->sums + begin * pass->values + v, pass->values);
        }
    }
}
