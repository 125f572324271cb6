#include "kernels/attention_run.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/attention_ways.h"

#define POSITIONS SINQ_ATTENTION_POSITIONS

/* ---- memory ---- */

/* The pass's arrays in `scratch`; returns how many floats they take. */
static size_t place_arrays(struct sinq_attention_pass *pass, float *scratch) {
    const size_t places = SINQ_ATTENTION_QUERIES + SINQ_MOST_TILE;
    struct {
        float **array;
        size_t count;
    } const arrays[] = {
        {&pass->queries, places * pass->key_lanes},
        {&pass->sums, places * pass->values},
        {&pass->largest, sinq_round_to_lanes(places)},
        {&pass->total, sinq_round_to_lanes(places)},
        {&pass->keys, POSITIONS * pass->key_lanes},
        {&pass->block_values, POSITIONS * pass->values},
        {&pass->key_scales, POSITIONS},
        {&pass->value_scales, POSITIONS},
        {&pass->scores, places * POSITIONS},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].array = scratch == NULL ? NULL : scratch + at;
        at += arrays[i].count;
    }
    return at;
}

size_t sinq_attention_scratch(const struct sinq_attention_job *job) {
    struct sinq_attention_pass pass;
    sinq_attention_measure(job, &pass);
    return place_arrays(&pass, NULL) * sizeof(float);
}

/* ---- blocks of positions ---- */

static void load_queries(const struct sinq_attention_pass *pass, bool has_sinks) {
    memset(pass->sums, 0, (size_t)pass->tiles * pass->width * pass->values * sizeof(float));
    for (uint32_t q = 0; q < pass->count; q++) {
        const float sink =
            has_sinks ? pass->job->sinks[sinq_attention_head(pass, q)] : -INFINITY; /* that has no share */
        pass->largest[q] = sink != -INFINITY ? sink : -FLT_MAX;
        pass->total[q] = sink != -INFINITY ? 1.0f : 0.0f;
    }
    if (pass->is_streamed) {
        sinq_stream_load_queries(pass);
    } else {
        sinq_tiles_load_queries(pass);
    }
}

static void load_scales(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const uint8_t *const keys = pass->job->cache + layout->key_scale_offset;
    const uint8_t *const values = layout->shape.shared ? keys : pass->job->cache + layout->value_scale_offset;
    for (size_t p = 0; p < sinq_round_to_lanes(block->count); p++) {
        const uint64_t position = block->first + (p < block->count ? p : block->count - 1);
        const size_t at = sinq_attention_entry(pass, position) * sizeof(float);
        memcpy(&pass->key_scales[p], keys + at, sizeof(float));
        memcpy(&pass->value_scales[p], values + at, sizeof(float));
    }
}

/* Scores of a tile's queries become shares. */
static void share_out(const struct sinq_attention_pass *pass, uint32_t tile, const struct sinq_attention_block *block) {
    const bool has_scales = pass->job->layout->type == SINQ_KV_I8;
    const uint32_t begin = tile * pass->width, end = (uint32_t)sinq_min_u64(begin + pass->width, pass->count);
    for (uint32_t q = begin; q < end; q++) {
        struct sinq_softmax_step step = {
            .positions = sinq_round_to_lanes(block->count),
            .key_scales = has_scales ? pass->key_scales : NULL,
            .value_scales = has_scales ? pass->value_scales : NULL,
            .scale = pass->job->scale,
            .cap = pass->job->cap,
            .largest = pass->largest + q,
            .total = pass->total + q,
            .values = pass->values,
        };
        sinq_attention_seen(pass, q, 1, block, &step.first, &step.end);
        pass->kernels->update_softmax(&step, pass->scores + q * POSITIONS, pass->sums + q * pass->values);
    }
}

/* A tile's scores become shares while they are in the first cache. */
static void attend_tiles(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    sinq_tiles_load_keys(pass, block);
    for (uint32_t tile = 0; tile < pass->tiles; tile++) {
        size_t from, end;
        sinq_attention_seen_by_tile(pass, tile, block, &from, &end);
        if (from == end) continue;
        sinq_tiles_score(pass, tile, block);
        share_out(pass, tile, block);
    }
    sinq_tiles_add(pass, block);
}

static void attend_block(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    if (pass->job->layout->type == SINQ_KV_I8) load_scales(pass, block);
    if (!pass->is_streamed) {
        attend_tiles(pass, block);
        return;
    }
    sinq_stream_score(pass, block);
    share_out(pass, 0, block);
    sinq_stream_add(pass, block);
}

void sinq_attention_run(struct sinq_attention_pass *pass, bool has_sinks, void *scratch) {
    place_arrays(pass, scratch);
    const uint32_t widest = pass->is_streamed ? pass->count : pass->kernels->f32_tile;
    pass->tiles = (pass->count - 1) / widest + 1;
    pass->width = (pass->count - 1) / pass->tiles + 1;
    load_queries(pass, has_sinks && pass->job->sinks != NULL);
    for (uint64_t first = pass->begin; first < pass->end;) {
        const uint64_t together = sinq_cache_run(pass->job->layout, first);
        const struct sinq_attention_block block = {
            first, (size_t)sinq_min_u64(POSITIONS, sinq_min_u64(pass->end - first, together))};
        attend_block(pass, &block);
        first += block.count;
    }
}
