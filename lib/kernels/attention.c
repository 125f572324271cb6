#include "kernels/attention.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/compute.h"

#define POSITIONS SINQ_ATTENTION_POSITIONS
/* Queries (token and head) that share a pass over keys and values. */
#define MOST_QUERIES 48u

/* ---- storing ---- */

/* What is not finite must show: such a vector's scale is NaN. What is below 2^-100 counts as zero. */
static void store_int8(const float *values, uint32_t count, uint8_t *codes, uint8_t *scale_at) {
    const struct sinq_compute_kernels *const kernels = sinq_get_compute_kernels();
    const float largest = kernels->find_largest(values, count);
    const bool is_finite = largest < INFINITY, is_zero = !is_finite || largest < 0x1p-100f;
    const float scale = !is_finite ? NAN : is_zero ? 0.0f : largest / 127.0f;
    if (is_zero) {
        memset(codes, 0, count);
    } else {
        kernels->narrow_i8(values, count, 127.0f / largest, codes);
    }
    memcpy(scale_at, &scale, sizeof scale);
}

static void store_vector(enum sinq_kv_type type, const float *values, uint32_t count, uint64_t entry, uint8_t *section,
                         uint8_t *scales) {
    switch (type) {
    case SINQ_KV_F32:
        memcpy(section + entry * count * sizeof(float), values, count * sizeof(float));
        break;
    case SINQ_KV_F16:
        sinq_get_compute_kernels()->narrow_f16(values, count, section + entry * count * sizeof(uint16_t));
        break;
    default:
        store_int8(values, count, section + entry * count, scales + entry * sizeof(float));
        break;
    }
}

void sinq_store_key_value(const struct sinq_cache_layout *layout, uint8_t *cache, uint32_t kv_head, uint64_t position,
                          const float *key, const float *value) {
    const uint64_t entry = (uint64_t)kv_head * layout->capacity + position % layout->capacity;
    store_vector(layout->type, key, layout->shape.key_dim, entry, cache + layout->key_offset,
                 cache + layout->key_scale_offset);
    if (layout->shape.shared) return;
    store_vector(layout->type, value, layout->shape.value_dim, entry, cache + layout->value_offset,
                 cache + layout->value_scale_offset);
}

/* ---- a pass: some queries over all positions that they see ---- */

/* One pass's memory, all f32. Queries lie in tiles of `width`: [tile][key_dim][width]. */
struct pass {
    const struct sinq_attention_job *job;
    const struct sinq_compute_kernels *kernels;
    uint32_t kv_head, sharing;   /* query heads that share the cache's head */
    uint32_t first_query, count; /* query i is token (first_query + i) / sharing, head (first_query + i) % sharing */
    uint32_t width, tiles;
    size_t key_dim, value_dim, values;       /* values: value_dim, rounded up to 16 */
    float *queries, *sums, *largest, *total; /* sums[query][values] */
    float *keys, *block_values;              /* [16 positions][key_dim][16]; [position][values] */
    float *key_scales, *scores;              /* [position]; [query of a tile][position] */
};

static size_t round_to_lanes(size_t count) { return (count + 15) / 16 * 16; }

/* The pass's arrays in `scratch`; returns how many floats they take. */
static size_t place_arrays(struct pass *pass, float *scratch) {
    const size_t key_lanes = round_to_lanes(pass->key_dim), places = MOST_QUERIES + SINQ_MOST_TILE;
    struct {
        float **array;
        size_t count;
    } const arrays[] = {
        {&pass->queries, places * key_lanes},     {&pass->sums, places * pass->values},
        {&pass->largest, round_to_lanes(places)}, {&pass->total, round_to_lanes(places)},
        {&pass->keys, POSITIONS * key_lanes},     {&pass->block_values, POSITIONS * pass->values},
        {&pass->key_scales, POSITIONS},           {&pass->scores, SINQ_MOST_TILE * POSITIONS},
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++) {
        *arrays[i].array = scratch == NULL ? NULL : scratch + at;
        at += arrays[i].count;
    }
    return at;
}

static void measure_pass(const struct sinq_attention_job *job, struct pass *pass) {
    *pass = (struct pass){.job = job, .kernels = sinq_get_compute_kernels()};
    pass->key_dim = job->layout->shape.key_dim;
    pass->value_dim = job->layout->shape.value_dim;
    pass->values = round_to_lanes(pass->value_dim);
    pass->sharing = job->heads / job->layout->shape.kv_heads;
}

size_t sinq_attention_scratch(const struct sinq_attention_job *job) {
    struct pass pass;
    measure_pass(job, &pass);
    return place_arrays(&pass, NULL) * sizeof(float);
}

static uint32_t token_of(const struct pass *pass, uint32_t query) {
    return (pass->first_query + query) / pass->sharing;
}

static uint64_t position_of(const struct pass *pass, uint32_t query) {
    return pass->job->position + token_of(pass, query);
}

static uint64_t first_visible(const struct sinq_attention_job *job, uint64_t position) {
    const uint64_t stored = position >= job->layout->capacity ? position + 1 - job->layout->capacity : 0;
    const uint64_t windowed = job->window != 0 && position >= job->window ? position + 1 - job->window : 0;
    return sinq_max_u64(stored, windowed);
}

static size_t head_of(const struct pass *pass, uint32_t query) {
    return (size_t)pass->kv_head * pass->sharing + (pass->first_query + query) % pass->sharing;
}

static void load_queries(const struct pass *pass) {
    memset(pass->queries, 0, (size_t)pass->tiles * pass->width * pass->key_dim * sizeof(float));
    memset(pass->sums, 0, (size_t)pass->tiles * pass->width * pass->values * sizeof(float));
    for (uint32_t q = 0; q < pass->count; q++) {
        const size_t head = head_of(pass, q);
        const float *const from =
            pass->job->queries + token_of(pass, q) * pass->job->query_stride + head * pass->key_dim;
        float *const to = pass->queries + q / pass->width * pass->width * pass->key_dim + q % pass->width;
        for (size_t i = 0; i < pass->key_dim; i++) to[i * pass->width] = from[i];
        const float sink = pass->job->sinks == NULL ? -INFINITY : pass->job->sinks[head];
        const bool has_sink = sink != -INFINITY; /* that has no share */
        pass->largest[q] = has_sink ? sink : -FLT_MAX;
        pass->total[q] = has_sink ? 1.0f : 0.0f;
    }
}

/* ---- keys and values of a block ---- */

static size_t element_size(enum sinq_kv_type type) { return type == SINQ_KV_F32 ? 4 : type == SINQ_KV_F16 ? 2 : 1; }

static uint64_t entry_of(const struct pass *pass, uint64_t position) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    return (uint64_t)pass->kv_head * layout->capacity + position % layout->capacity;
}

static float load_scale(const uint8_t *scales, uint64_t entry) {
    float scale;
    memcpy(&scale, scales + entry * sizeof scale, sizeof scale);
    return scale;
}

/* Sixteens of positions become panels; places beyond `count` repeat the last position. */
static void load_keys(const struct pass *pass, uint64_t first, size_t count) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const size_t row_bytes = pass->key_dim * element_size(layout->type);
    for (size_t p = 0; p < round_to_lanes(count); p += 16) {
        const uint8_t *rows[16];
        for (size_t i = 0; i < 16; i++) {
            const uint64_t entry = entry_of(pass, first + (p + i < count ? p + i : count - 1));
            rows[i] = pass->job->cache + layout->key_offset + entry * row_bytes;
            if (layout->type == SINQ_KV_I8) {
                pass->key_scales[p + i] = load_scale(pass->job->cache + layout->key_scale_offset, entry);
            }
        }
        float *const panel = pass->keys + p * round_to_lanes(pass->key_dim);
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

static void load_values(const struct pass *pass, uint64_t first, size_t count) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const bool shared = layout->shape.shared;
    const size_t row_bytes = (shared ? pass->key_dim : pass->value_dim) * element_size(layout->type);
    const uint8_t *const section = pass->job->cache + (shared ? layout->key_offset : layout->value_offset);
    const uint8_t *const scales = pass->job->cache + (shared ? layout->key_scale_offset : layout->value_scale_offset);
    for (size_t p = 0; p < count; p++) {
        const uint64_t entry = entry_of(pass, first + p);
        const uint8_t *const row = section + entry * row_bytes;
        float *const out = pass->block_values + p * pass->values;
        switch (layout->type) {
        case SINQ_KV_F32:
            memcpy(out, row, pass->value_dim * sizeof(float));
            break;
        case SINQ_KV_F16:
            pass->kernels->widen_f16(row, pass->value_dim, out);
            break;
        default:
            pass->kernels->widen_i8(row, pass->value_dim, load_scale(scales, entry), out);
            break;
        }
        for (size_t i = pass->value_dim; i < pass->values; i++) out[i] = 0.0f;
    }
}

/* ---- scores, shares and sums ---- */

/* Which of the block's positions a query sees: [*from, *end). */
static void find_visible(const struct pass *pass, uint32_t query, uint64_t first, size_t count, size_t *from,
                         size_t *end) {
    const uint64_t last = position_of(pass, query), lowest = first_visible(pass->job, last);
    *from = lowest <= first ? 0 : (size_t)sinq_min_u64(lowest - first, count);
    *end = last < first ? 0 : (size_t)sinq_min_u64(last - first + 1, count);
    if (*from > *end) *from = *end;
}

static void score_tile(const struct pass *pass, uint32_t tile, size_t count) {
    const float *const queries = pass->queries + (size_t)tile * pass->width * pass->key_dim;
    memset(pass->scores, 0, pass->width * POSITIONS * sizeof(float));
    for (size_t p = 0; p < count; p += 16) {
        pass->kernels->multiply_f32(pass->keys + p * round_to_lanes(pass->key_dim), 16, queries, pass->key_dim,
                                    pass->width, pass->scores + p, POSITIONS);
    }
}

static void attend_tile(const struct pass *pass, uint32_t tile, uint64_t first, size_t count) {
    const uint32_t begin = tile * pass->width, end = (uint32_t)sinq_min_u64(begin + pass->width, pass->count);
    if (position_of(pass, end - 1) < first) return;
    if (first_visible(pass->job, position_of(pass, begin)) >= first + count) return;
    score_tile(pass, tile, count);
    for (uint32_t q = begin; q < end; q++) {
        struct sinq_softmax_step step = {
            .positions = round_to_lanes(count),
            .key_scales = pass->job->layout->type == SINQ_KV_I8 ? pass->key_scales : NULL,
            .scale = pass->job->scale,
            .cap = pass->job->cap,
            .largest = pass->largest + q,
            .total = pass->total + q,
            .values = pass->values,
        };
        find_visible(pass, q, first, count, &step.first, &step.end);
        pass->kernels->update_softmax(&step, pass->scores + (q - begin) * POSITIONS, pass->sums + q * pass->values);
    }
    for (size_t v = 0; v < pass->values; v += 16) {
        pass->kernels->multiply_shares(pass->block_values + v, pass->values, pass->scores, count, pass->width,
                                       pass->sums + begin * pass->values + v, pass->values);
    }
}

static void write_results(const struct pass *pass) {
    for (uint32_t q = 0; q < pass->count; q++) {
        float *const out =
            pass->job->out + token_of(pass, q) * pass->job->out_stride + head_of(pass, q) * pass->value_dim;
        const float inverse = 1.0f / pass->total[q];
        for (size_t i = 0; i < pass->value_dim; i++) out[i] = pass->sums[q * pass->values + i] * inverse;
    }
}

static void run_pass(struct pass *pass) {
    const uint32_t widest = pass->kernels->f32_tile;
    pass->tiles = (pass->count - 1) / widest + 1;
    pass->width = (pass->count - 1) / pass->tiles + 1;
    load_queries(pass);
    const uint64_t end = position_of(pass, pass->count - 1) + 1;
    for (uint64_t first = first_visible(pass->job, position_of(pass, 0)); first < end; first += POSITIONS) {
        const size_t count = (size_t)sinq_min_u64(POSITIONS, end - first);
        load_keys(pass, first, count);
        load_values(pass, first, count);
        for (uint32_t tile = 0; tile < pass->tiles; tile++) attend_tile(pass, tile, first, count);
    }
    write_results(pass);
}

void sinq_attend(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t first, uint32_t count,
                 void *scratch) {
    struct pass pass;
    measure_pass(job, &pass);
    place_arrays(&pass, scratch);
    pass.kv_head = kv_head;
    const uint32_t end = (first + count) * pass.sharing;
    for (uint32_t query = first * pass.sharing; query < end; query += pass.count) {
        pass.first_query = query;
        pass.count = (uint32_t)sinq_min_u64(MOST_QUERIES, end - query);
        run_pass(&pass);
    }
}
