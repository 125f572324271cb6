#include "kernels/attention.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/attention_pass.h"

#define POSITIONS SINQ_ATTENTION_POSITIONS
/* With more of them, packing keys and values pays. */
#define MOST_STREAMED 8u

/* ---- memory ---- */

/* The pass's arrays in `scratch`; returns how many floats they take. */
static size_t place_arrays(struct sinq_attention_pass *pass, float *scratch) {
    const size_t places = SINQ_ATTENTION_QUERIES + SINQ_MOST_TILE;
    struct {
        float **array;
        size_t count;
    } const arrays[] = {
        {&pass->queries, places * pass->key_lanes},     {&pass->sums, places * pass->values},
        {&pass->largest, sinq_round_to_lanes(places)},  {&pass->total, sinq_round_to_lanes(places)},
        {&pass->keys, POSITIONS * pass->key_lanes},     {&pass->block_values, POSITIONS * pass->values},
        {&pass->key_scales, POSITIONS},                 {&pass->value_scales, POSITIONS},
        {&pass->scores, places * POSITIONS},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].array = scratch == NULL ? NULL : scratch + at;
        at += arrays[i].count;
    }
    return at;
}

void sinq_attention_measure(const struct sinq_attention_job *job, struct sinq_attention_pass *pass) {
    *pass = (struct sinq_attention_pass){.job = job, .kernels = sinq_get_compute_kernels()};
    pass->key_dim = job->layout->shape.key_dim;
    pass->value_dim = job->layout->shape.value_dim;
    pass->key_lanes = sinq_round_to_lanes(pass->key_dim);
    pass->values = sinq_round_to_lanes(pass->value_dim);
    pass->sharing = job->heads / job->layout->shape.kv_heads;
}

size_t sinq_attention_scratch(const struct sinq_attention_job *job) {
    struct sinq_attention_pass pass;
    sinq_attention_measure(job, &pass);
    return place_arrays(&pass, NULL) * sizeof(float);
}

uint32_t sinq_attention_tokens(const struct sinq_attention_job *job) {
    const uint32_t sharing = job->heads / job->layout->shape.kv_heads;
    return sharing < SINQ_ATTENTION_QUERIES ? SINQ_ATTENTION_QUERIES / sharing : 1;
}

/* ---- who sees what ---- */

static uint32_t token_of(const struct sinq_attention_pass *pass, uint32_t query) {
    return (pass->first_query + query) / pass->sharing;
}

static size_t head_of(const struct sinq_attention_pass *pass, uint32_t query) {
    return (size_t)pass->kv_head * pass->sharing + (pass->first_query + query) % pass->sharing;
}

static uint64_t position_of(const struct sinq_attention_pass *pass, uint32_t query) {
    return pass->job->position + token_of(pass, query);
}

static uint64_t first_visible(const struct sinq_attention_job *job, uint64_t position) {
    const uint64_t stored = position >= job->layout->capacity ? position + 1 - job->layout->capacity : 0;
    const uint64_t windowed = job->window != 0 && position >= job->window ? position + 1 - job->window : 0;
    return sinq_max_u64(stored, windowed);
}

const float *sinq_attention_query(const struct sinq_attention_pass *pass, uint32_t query) {
    return pass->job->queries + token_of(pass, query) * pass->job->query_stride + head_of(pass, query) * pass->key_dim;
}

/* Positions [lowest, last] as far as they are in the block. */
static void clip_to_block(const struct sinq_attention_block *block, uint64_t lowest, uint64_t last, size_t *from,
                          size_t *end) {
    *from = lowest <= block->first ? 0 : (size_t)sinq_min_u64(lowest - block->first, block->count);
    *end = last < block->first ? 0 : (size_t)sinq_min_u64(last - block->first + 1, block->count);
    if (*from > *end) *from = *end;
}

void sinq_attention_visible(const struct sinq_attention_pass *pass, uint32_t tile,
                            const struct sinq_attention_block *block, size_t *from, size_t *end) {
    const uint32_t begin = tile * pass->width, last = (uint32_t)sinq_min_u64(begin + pass->width, pass->count) - 1;
    clip_to_block(block, first_visible(pass->job, position_of(pass, begin)), position_of(pass, last), from, end);
}

/* ---- a pass: some queries over all positions that they see, or a part of them ---- */

static void load_queries(const struct sinq_attention_pass *pass, bool has_sinks) {
    memset(pass->sums, 0, (size_t)pass->tiles * pass->width * pass->values * sizeof(float));
    for (uint32_t q = 0; q < pass->count; q++) {
        const float sink = has_sinks ? pass->job->sinks[head_of(pass, q)] : -INFINITY; /* that has no share */
        pass->largest[q] = sink != -INFINITY ? sink : -FLT_MAX;
        pass->total[q] = sink != -INFINITY ? 1.0f : 0.0f;
    }
    if (pass->is_streamed) {
        sinq_stream_load(pass);
    } else {
        sinq_tiles_load(pass);
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
        const uint64_t last = position_of(pass, q);
        clip_to_block(block, first_visible(pass->job, last), last, &step.first, &step.end);
        pass->kernels->update_softmax(&step, pass->scores + q * POSITIONS, pass->sums + q * pass->values);
    }
}

static void attend_block(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    if (pass->job->layout->type == SINQ_KV_I8) load_scales(pass, block);
    if (pass->is_streamed) {
        sinq_stream_score(pass, block);
    } else {
        sinq_tiles_score(pass, block);
    }
    for (uint32_t tile = 0; tile < pass->tiles; tile++) {
        size_t from, end;
        sinq_attention_visible(pass, tile, block, &from, &end);
        if (from < end) share_out(pass, tile, block);
    }
    if (pass->is_streamed) {
        sinq_stream_add(pass, block);
    } else {
        sinq_tiles_add(pass, block);
    }
}

void sinq_attention_run(struct sinq_attention_pass *pass, bool has_sinks, void *scratch) {
    place_arrays(pass, scratch);
    const uint32_t widest = pass->is_streamed ? pass->count : pass->kernels->f32_tile;
    pass->tiles = (pass->count - 1) / widest + 1;
    pass->width = (pass->count - 1) / pass->tiles + 1;
    load_queries(pass, has_sinks && pass->job->sinks != NULL);
    const uint32_t capacity = pass->job->layout->capacity;
    for (uint64_t first = pass->begin; first < pass->end;) {
        const uint64_t together = capacity - first % capacity; /* a ring starts again */
        const struct sinq_attention_block block = {
            first, (size_t)sinq_min_u64(POSITIONS, sinq_min_u64(pass->end - first, together))};
        attend_block(pass, &block);
        first += block.count;
    }
}

float *sinq_attention_out(const struct sinq_attention_pass *pass, uint32_t query) {
    return pass->job->out + token_of(pass, query) * pass->job->out_stride + head_of(pass, query) * pass->value_dim;
}

static void write_results(const struct sinq_attention_pass *pass) {
    for (uint32_t q = 0; q < pass->count; q++) {
        float *const out = sinq_attention_out(pass, q);
        const float inverse = 1.0f / pass->total[q];
        for (size_t i = 0; i < pass->value_dim; i++) out[i] = pass->sums[q * pass->values + i] * inverse;
    }
}

void sinq_attention_choose(struct sinq_attention_pass *pass, uint32_t kv_head, uint32_t first, uint32_t count) {
    pass->kv_head = kv_head;
    pass->first_query = first;
    pass->count = count;
    pass->is_streamed = count <= MOST_STREAMED;
    pass->begin = first_visible(pass->job, position_of(pass, 0));
    pass->end = position_of(pass, count - 1) + 1;
}

void sinq_attend(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t first, uint32_t count,
                 void *scratch) {
    struct sinq_attention_pass pass;
    sinq_attention_measure(job, &pass);
    const uint32_t end = (first + count) * pass.sharing;
    for (uint32_t query = first * pass.sharing; query < end; query += pass.count) {
        sinq_attention_choose(&pass, kv_head, query, (uint32_t)sinq_min_u64(SINQ_ATTENTION_QUERIES, end - query));
        sinq_attention_run(&pass, true, scratch);
        write_results(&pass);
    }
}
