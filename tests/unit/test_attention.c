/*
 * Attention over every kind of cache, at every instruction set, against direct sums in f64.
 *
 * Bounds. The reference takes keys and values as they are stored. A score's error, d, is that of an f32 sum of key_dim terms:
 * (16 + sqrt key_dim) * 2^-23 of its terms' magnitudes. Shares are then off by a factor of e^2d at most, and the sum over n
 * positions by (32 + sqrt n) * 2^-23 of its terms' magnitudes. What storage itself rounds is checked value by value.
 */
#include <math.h>

#include "cpu_levels.h"
#include "guarded.h"
#include "kernels/attention.h"
#include "memory_source.h"

#define MOST_DIM 256u /* of values */

struct attention_case {
    const char *name;
    uint32_t kv_heads, sharing, key_dim, value_dim;
    bool shared;
    uint32_t capacity, stored, tokens, window; /* tokens: the last of the `stored` positions */
    float cap;
    bool has_sinks;
    float spread; /* of queries: how far scores lie apart */
    bool has_parts;
};

static const struct attention_case cases[] = {
    {"one token, long", 2, 1, 64, 64, false, 1536, 1500, 1, 0, 0, false, 1, true},
    {"one token, 16k positions", 1, 4, 16, 16, false, 16384, 16384, 1, 0, 0, false, 3, true},
    {"four tokens, 16k positions, not a multiple of parts", 1, 4, 8, 8, false, 16400, 16100, 4, 0, 0, true, 3, true},
    {"one token, window of 5000 in a ring of 5003", 1, 2, 8, 8, false, 5003, 7000, 1, 5000, 0, true, 2, true},
    {"one token, head of 128", 2, 1, 128, 128, false, 256, 200, 1, 0, 0, false, 1, false},
    {"two queries share a key", 2, 2, 96, 96, false, 256, 130, 1, 0, 0, false, 1, false},
    {"three queries", 1, 3, 80, 80, false, 256, 129, 1, 0, 0, false, 1, false},
    {"four queries", 1, 4, 256, 256, false, 80, 65, 1, 0, 0, false, 1, false},
    {"five queries", 1, 5, 112, 112, false, 256, 255, 1, 0, 5, false, 1, false},
    {"six queries of two tokens", 2, 3, 40, 40, false, 256, 256, 2, 0, 0, true, 1, false},
    {"eight queries", 1, 8, 64, 64, false, 256, 240, 1, 0, 0, true, 1, false},
    {"eight tokens, window in a ring", 2, 1, 24, 24, false, 108, 1000, 8, 100, 0, false, 1, false},
    {"sixteen queries share a key", 1, 16, 64, 64, false, 256, 130, 1, 0, 0, false, 1, false},
    {"prompt, grouped queries", 2, 4, 64, 64, false, 2048, 2000, 13, 0, 0, false, 2, true},
    {"prompt of several passes", 1, 4, 32, 32, false, 256, 250, 80, 0, 0, true, 2, false},
    {"window", 1, 2, 32, 32, false, 1024, 1000, 17, 100, 0, false, 1, false},
    {"window in a ring", 2, 2, 48, 48, false, 160, 1000, 33, 100, 0, false, 1, false},
    {"ring that just fits", 1, 1, 16, 16, false, 96, 1000, 33, 64, 0, false, 1, false},
    {"capped", 1, 3, 40, 24, false, 512, 300, 20, 0, 5, false, 9, false},
    {"sinks", 2, 2, 64, 64, false, 256, 200, 9, 128, 0, true, 1, false},
    {"sinks and nothing else much", 1, 1, 16, 16, false, 64, 1, 1, 0, 0, true, 1, false},
    {"shared keys and values", 1, 16, 72, 64, true, 1024, 700, 5, 0, 0, false, 1, true},
    {"shared keys and values, one token", 1, 5, 72, 64, true, 1024, 700, 1, 0, 0, false, 1, true},
    {"odd sizes", 3, 1, 7, 5, false, 33, 33, 33, 0, 0, false, 3, false},
    {"odd sizes, one token", 3, 2, 23, 21, false, 33, 33, 1, 0, 0, false, 3, false},
    {"one position", 1, 1, 1, 1, false, 1, 1, 1, 0, 0, false, 1, false},
    {"far apart scores", 1, 2, 64, 64, false, 1024, 1000, 3, 0, 0, false, 300, true},
};

static const struct {
    enum sinq_kv_type type;
    const char *name;
} types[] = {{SINQ_KV_F32, "f32"}, {SINQ_KV_F16, "f16"}, {SINQ_KV_I8, "int8"}};

struct setup {
    const struct attention_case *c;
    const char *type_name, *level;
    struct sinq_cache_layout layout;
    struct guarded cache;
    struct sinq_attention_job job;
    float *queries, sinks[64];
    float *keys, *values;                /* [position][kv_head][dim], as they were before storing */
    double *stored_keys, *stored_values; /* likewise, as the cache holds them */
};

/* What the cache holds of one value, by the documentation of kv_cache.h. */
static double read_stored(const struct setup *s, uint64_t offset, uint64_t scale_offset, uint64_t entry, uint32_t dim,
                          uint32_t i) {
    const uint8_t *const section = s->cache.bytes + offset;
    uint16_t half;
    float value;
    switch (s->layout.type) {
    case SINQ_KV_F32:
        memcpy(&value, section + 4 * (entry * dim + i), 4);
        return (double)value;
    case SINQ_KV_F16:
        memcpy(&half, section + 2 * (entry * dim + i), 2);
        return (double)sinq_half_to_float(half);
    default:
        memcpy(&value, s->cache.bytes + scale_offset + 4 * entry, 4);
        return (double)value * (double)(int8_t)section[entry * dim + i];
    }
}

static uint64_t find_entry(const struct setup *s, uint32_t head, uint64_t position) {
    const uint64_t place = position % s->c->capacity, first = place - place % 256;
    const uint64_t positions = s->c->capacity - first < 256 ? s->c->capacity - first : 256;
    return first * s->c->kv_heads + head * positions + place % 256;
}

static double read_key(const struct setup *s, uint32_t head, uint64_t position, uint32_t i) {
    const uint64_t entry = find_entry(s, head, position);
    return read_stored(s, s->layout.key_offset, s->layout.key_scale_offset, entry, s->c->key_dim, i);
}

static double read_value(const struct setup *s, uint32_t head, uint64_t position, uint32_t i) {
    if (s->c->shared) return read_key(s, head, position, i);
    const uint64_t entry = find_entry(s, head, position);
    return read_stored(s, s->layout.value_offset, s->layout.value_scale_offset, entry, s->c->value_dim, i);
}

/* f16: half a unit of 11 bits, or of the smallest number; int8: half a step. */
static void check_rounding(const struct setup *s, const float *before, double largest, uint32_t i, double stored) {
    double bound = 0;
    if (s->layout.type == SINQ_KV_F16) bound = fmax(0x1p-11 * fabs((double)before[i]), 0x1p-25);
    if (s->layout.type == SINQ_KV_I8) bound = largest / 254.0 * 1.0001;
    check_often(fabs(stored - (double)before[i]) <= bound, "%s, %s, %s: stored %.9g for %.9g (bound %.3g)", s->level,
                s->type_name, s->c->name, stored, (double)before[i], bound);
}

static uint64_t first_position(const struct setup *s, uint64_t position) {
    return s->c->window != 0 && position >= s->c->window ? position + 1 - s->c->window : 0;
}

static double find_largest(const float *values, uint32_t count) {
    double largest = 0;
    for (uint32_t i = 0; i < count; i++) largest = fmax(largest, fabs((double)values[i]));
    return largest;
}

/* Compares what the cache holds with what was stored, and keeps it. */
static void check_storage(const struct setup *s) {
    const struct attention_case *const c = s->c;
    for (uint64_t p = c->stored > c->capacity ? c->stored - c->capacity : 0; p < c->stored; p++) {
        for (uint32_t h = 0; h < c->kv_heads; h++) {
            const float *const key = s->keys + (p * c->kv_heads + h) * c->key_dim;
            const float *const value = s->values + (p * c->kv_heads + h) * c->value_dim;
            double *const stored_key = s->stored_keys + (p * c->kv_heads + h) * c->key_dim;
            double *const stored_value = s->stored_values + (p * c->kv_heads + h) * c->value_dim;
            const double largest_key = find_largest(key, c->key_dim), largest_value = find_largest(value, c->value_dim);
            for (uint32_t i = 0; i < c->key_dim; i++) {
                stored_key[i] = read_key(s, h, p, i);
                check_rounding(s, key, largest_key, i, stored_key[i]);
            }
            for (uint32_t i = 0; i < c->value_dim; i++) {
                stored_value[i] = read_value(s, h, p, i);
                if (!c->shared) check_rounding(s, value, largest_value, i, stored_value[i]);
            }
        }
    }
}

static void store_all(struct setup *s) {
    const struct attention_case *const c = s->c;
    for (uint64_t p = 0; p < c->stored; p++) {
        for (uint32_t h = 0; h < c->kv_heads; h++) {
            float *const key = s->keys + (p * c->kv_heads + h) * c->key_dim;
            float *const value = s->values + (p * c->kv_heads + h) * c->value_dim;
            for (uint32_t i = 0; i < c->key_dim; i++) key[i] = random_value() * (i % 5 == 0 ? 3.0f : 1.0f);
            for (uint32_t i = 0; i < c->value_dim; i++) value[i] = random_value() + 0.1f;
            if (p % 97 == 5) memset(key, 0, c->key_dim * sizeof *key);
            sinq_store_key_value(&s->layout, s->cache.bytes, h, p, key, c->shared ? NULL : value);
        }
    }
}

/* Direct softmax of one head of one token; compares every value of it. */
static void check_head(const struct setup *s, uint32_t token, uint32_t head, const float *out) {
    const struct attention_case *const c = s->c;
    static double shares[16384];
    const uint64_t position = s->job.position + token, first = first_position(s, position);
    const float *const query = s->job.queries + token * s->job.query_stride + (size_t)head * c->key_dim;
    const uint32_t kv_head = head / c->sharing;
    double largest = c->has_sinks ? (double)s->sinks[head] : -INFINITY, total = 0, delta = 0;
    for (uint64_t p = first; p <= position; p++) {
        const double *const key = s->stored_keys + (p * c->kv_heads + kv_head) * c->key_dim;
        double dot = 0, magnitude = 0;
        for (uint32_t i = 0; i < c->key_dim; i++) {
            const double term = (double)query[i] * key[i];
            dot += term;
            magnitude += fabs(term);
        }
        const double score = dot * (double)s->job.scale;
        const double cap = (double)c->cap;
        shares[p - first] = cap == 0 ? score : cap * tanh(score / cap);
        largest = fmax(largest, shares[p - first]);
        delta =
            fmax(delta, (16.0 + sqrt((double)c->key_dim)) * 0x1p-23 * magnitude * (double)s->job.scale + 0x1p-21 * cap);
    }
    if (c->has_sinks) total = exp((double)s->sinks[head] - largest);
    for (uint64_t p = first; p <= position; p++) total += shares[p - first] = exp(shares[p - first] - largest);
    const double factor = expm1(2 * delta) + (32.0 + sqrt((double)(position - first + 1))) * 0x1p-23;
    double sums[MOST_DIM] = {0}, magnitudes[MOST_DIM] = {0};
    for (uint64_t p = first; p <= position; p++) {
        const double *const values = s->stored_values + (p * c->kv_heads + kv_head) * c->value_dim;
        const double share = shares[p - first] / total;
        for (uint32_t i = 0; i < c->value_dim; i++) {
            sums[i] += share * values[i];
            magnitudes[i] += fabs(share * values[i]);
        }
    }
    for (uint32_t i = 0; i < c->value_dim; i++) {
        const double sum = sums[i], magnitude = magnitudes[i];
        check_often(fabs(sum - (double)out[i]) <= factor * magnitude + 1e-30,
                    "%s, %s, %s: token %u head %u value %u is %.9g, expected %.9g (off %.3g, bound %.3g)", s->level,
                    s->type_name, c->name, token, head, i, (double)out[i], sum, fabs(sum - (double)out[i]),
                    factor * magnitude);
    }
}

static void attend_whole(const struct attention_case *c, const struct sinq_attention_job *job) {
    struct guarded scratch = make_guarded(sinq_attention_scratch(job));
    const uint32_t part = c->tokens / 3; /* as threads would: any split */
    for (uint32_t h = 0; h < c->kv_heads; h++) {
        sinq_attend(job, h, part, c->tokens - part, scratch.bytes);
        if (part > 0) sinq_attend(job, h, 0, part, scratch.bytes);
    }
    release_guarded(scratch, "scratch");
}

static void attend_in_parts(const struct attention_case *c, const struct sinq_attention_job *job) {
    struct guarded scratch = make_guarded(sinq_attention_scratch(job));
    struct guarded left = make_guarded(sinq_attention_parts_bytes(job, c->tokens));
    const uint32_t parts = sinq_attention_parts(job, c->tokens);
    for (uint32_t p = parts; p-- > 0;) {
        for (uint32_t h = 0; h < c->kv_heads; h++) sinq_attend_part(job, h, c->tokens, p, left.bytes, scratch.bytes);
    }
    for (uint32_t h = 0; h < c->kv_heads; h++) sinq_join_parts(job, h, c->tokens, left.bytes);
    release_guarded(scratch, "scratch");
    release_guarded(left, "parts");
}

static void check_attention(const struct setup *s,
                            void (*attend)(const struct attention_case *, const struct sinq_attention_job *)) {
    const struct attention_case *const c = s->c;
    struct sinq_attention_job job = s->job;
    const uint32_t heads = job.heads;
    struct guarded out = make_guarded(c->tokens * job.out_stride * sizeof(float));
    job.out = (float *)(void *)out.bytes;
    attend(c, &job);
    const uint32_t checked = c->stored <= 4096 ? heads : 1; /* direct sums take long */
    for (uint32_t t = 0; t < c->tokens; t++) {
        for (uint32_t i = 0; i < checked; i++) {
            const uint32_t h = checked < heads ? (7 * t + 3) % heads : i;
            check_head(s, t, h, job.out + t * job.out_stride + (size_t)h * c->value_dim);
        }
        const uint8_t *const behind = (const uint8_t *)(job.out + t * job.out_stride + (size_t)heads * c->value_dim);
        for (size_t i = 0; i < 3 * sizeof(float); i++) ck_assert_uint_eq(behind[i], GUARD);
    }
    release_guarded(out, "output");
}

static void run_case(const struct attention_case *c, size_t type, const char *level) {
    struct setup s = {.c = c, .type_name = types[type].name, .level = level};
    const struct sinq_cache_shape shape = {c->kv_heads, c->key_dim, c->value_dim, c->shared, c->window};
    ck_assert(sinq_cache_measure(shape, types[type].type, c->capacity, &s.layout));
    s.cache = make_guarded(s.layout.bytes);
    const uint32_t heads = c->kv_heads * c->sharing;
    const size_t stride = (size_t)heads * c->key_dim + 1;
    s.keys = malloc((size_t)c->stored * c->kv_heads * c->key_dim * sizeof(float));
    s.values = malloc((size_t)c->stored * c->kv_heads * c->value_dim * sizeof(float));
    s.queries = malloc(c->tokens * stride * sizeof(float));
    s.stored_keys = malloc((size_t)c->stored * c->kv_heads * c->key_dim * sizeof(double));
    s.stored_values = malloc((size_t)c->stored * c->kv_heads * c->value_dim * sizeof(double));
    ck_assert(s.keys != NULL && s.values != NULL && s.queries != NULL);
    ck_assert(s.stored_keys != NULL && s.stored_values != NULL);
    for (size_t i = 0; i < c->tokens * stride; i++) s.queries[i] = random_value() * c->spread;
    for (int i = 0; i < 64; i++) s.sinks[i] = random_value() * 3.0f;
    s.job = (struct sinq_attention_job){
        .layout = &s.layout,
        .cache = s.cache.bytes,
        .queries = s.queries,
        .query_stride = stride,
        .out_stride = (size_t)heads * c->value_dim + 3,
        .heads = heads,
        .window = c->window,
        .scale = 1.0f / sqrtf((float)c->key_dim),
        .cap = c->cap,
        .sinks = c->has_sinks ? s.sinks : NULL,
        .position = c->stored - c->tokens,
    };
    store_all(&s);
    check_storage(&s);
    check_attention(&s, attend_whole);
    const bool has_parts = sinq_attention_parts(&s.job, c->tokens) > 1;
    ck_assert_msg(has_parts == c->has_parts, "%s: positions %s split", c->name, has_parts ? "are" : "are not");
    if (has_parts) check_attention(&s, attend_in_parts);
    release_guarded(s.cache, "cache");
    free(s.keys);
    free(s.values);
    free(s.stored_keys);
    free(s.stored_values);
    free(s.queries);
}

START_TEST(attention_equals_direct_sums) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t type = 0; type < 3; type++) {
            for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const bool takes_long = cases[i].stored > 1000 && types[type].type != SINQ_KV_F16;
                if (!IS_SANITIZED || !takes_long) run_case(&cases[i], type, cpu_level_names[level]);
            }
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

enum { FEW_HEADS = 1, MANY_HEADS = 40 }; /* that are streamed, and that share packed values */

static void check_nan(size_t type, uint32_t heads, const char *level) {
    struct sinq_cache_layout layout;
    const struct sinq_cache_shape shape = {1, 16, 16, false, 0};
    ck_assert(sinq_cache_measure(shape, types[type].type, 8, &layout));
    uint8_t *const cache = aligned_alloc(64, layout.bytes);
    float key[16] = {0}, value[16] = {0}, queries[MANY_HEADS * 16] = {0}, out[MANY_HEADS * 16];
    for (uint64_t p = 0; p < 3; p++) {
        value[3] = p == 1 ? NAN : 1.0f;
        sinq_store_key_value(&layout, cache, 0, p, key, value);
    }
    const struct sinq_attention_job job = {
        .layout = &layout, .cache = cache, .queries = queries, .out = out, .heads = heads, .scale = 1, .position = 2};
    void *const scratch = aligned_alloc(64, (sinq_attention_scratch(&job) + 63) / 64 * 64);
    sinq_attend(&job, 0, 0, 1, scratch);
    for (uint32_t h = 0; h < heads; h++) {
        ck_assert_msg(isnan(out[h * 16 + 3]), "%s, %s: NaN is lost by head %u of %u", level, types[type].name, h,
                      heads);
    }
    free(scratch);
    free(cache);
}

/* A value that is not finite is not hidden by the types that cannot hold it. */
START_TEST(what_is_not_finite_shows) {
    for (size_t level = 0; level < CPU_LEVEL_NAMES; level++) {
        if (!select_cpu_level(level)) continue;
        for (size_t type = 0; type < 3; type++) {
            check_nan(type, FEW_HEADS, cpu_level_names[level]);
            check_nan(type, MANY_HEADS, cpu_level_names[level]);
        }
    }
    sinq_select_cpu(NULL, NULL);
}
END_TEST

UNIT_MAIN("attention", attention_equals_direct_sums, what_is_not_finite_shows)
