#include "kernels/attention.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "tensor/dtype.h"

/* ---- storing ---- */

static void store_f16(const float *values, uint32_t count, uint8_t *to) {
    for (uint32_t i = 0; i < count; i++) {
        const uint16_t half = sinq_float_to_half(values[i]);
        memcpy(to + sizeof half * i, &half, sizeof half);
    }
}

/* What is not finite must show: such a vector's scale is NaN. What is below 2^-100 counts as zero. */
static void store_int8(const float *values, uint32_t count, uint8_t *codes, uint8_t *scale_at) {
    float largest = 0.0f;
    bool is_finite = true;
    for (uint32_t i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(values[i]));
        is_finite = is_finite && isfinite(values[i]);
    }
    const bool is_zero = !is_finite || largest < 0x1p-100f;
    const float scale = !is_finite ? NAN
                        : is_zero  ? 0.0f
                                   : largest / 127.0f,
                inverse = is_zero ? 0.0f : 127.0f / largest;
    for (uint32_t i = 0; i < count; i++) codes[i] = is_zero ? 0 : (uint8_t)(int8_t)lrintf(values[i] * inverse);
    memcpy(scale_at, &scale, sizeof scale);
}

static void store_vector(enum sinq_kv_type type, const float *values, uint32_t count, uint64_t entry, uint8_t *section,
                         uint8_t *scales) {
    switch (type) {
    case SINQ_KV_F32:
        memcpy(section + entry * count * sizeof(float), values, count * sizeof(float));
        break;
    case SINQ_KV_F16:
        store_f16(values, count, section + entry * count * sizeof(uint16_t));
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

/* ---- reading ---- */

/* The first `count` values of entry `entry`, whose vectors are `dim` long. */
static void load_vector(enum sinq_kv_type type, const uint8_t *section, const uint8_t *scales, uint64_t entry,
                        uint32_t dim, uint32_t count, float *out) {
    switch (type) {
    case SINQ_KV_F32:
        memcpy(out, section + entry * dim * sizeof(float), count * sizeof(float));
        break;
    case SINQ_KV_F16:
        sinq_convert_to_float(SINQ_F16, section + entry * dim * sizeof(uint16_t), count, out);
        break;
    default: {
        float scale;
        memcpy(&scale, scales + entry * sizeof scale, sizeof scale);
        for (uint32_t i = 0; i < count; i++) out[i] = scale * (float)(int8_t)section[entry * dim + i];
        break;
    }
    }
}

static void load_key(const struct sinq_attention_job *job, uint32_t kv_head, uint64_t position, float *out) {
    const struct sinq_cache_layout *const layout = job->layout;
    const uint64_t entry = (uint64_t)kv_head * layout->capacity + position % layout->capacity;
    load_vector(layout->type, job->cache + layout->key_offset, job->cache + layout->key_scale_offset, entry,
                layout->shape.key_dim, layout->shape.key_dim, out);
}

static void load_value(const struct sinq_attention_job *job, uint32_t kv_head, uint64_t position, float *out) {
    const struct sinq_cache_layout *const layout = job->layout;
    const bool shared = layout->shape.shared;
    const uint64_t entry = (uint64_t)kv_head * layout->capacity + position % layout->capacity;
    load_vector(layout->type, job->cache + (shared ? layout->key_offset : layout->value_offset),
                job->cache + (shared ? layout->key_scale_offset : layout->value_scale_offset), entry,
                shared ? layout->shape.key_dim : layout->shape.value_dim, layout->shape.value_dim, out);
}

/* ---- attending ---- */

size_t sinq_attention_scratch(const struct sinq_attention_job *job) {
    const struct sinq_cache_shape *const shape = &job->layout->shape;
    return (size_t)sinq_round_up(((uint64_t)shape->key_dim + shape->value_dim) * sizeof(float), 64);
}

static uint64_t first_visible(const struct sinq_attention_job *job, uint64_t position) {
    const uint64_t stored = position + 1 > job->layout->capacity ? position + 1 - job->layout->capacity : 0;
    const uint64_t windowed = job->window != 0 && position + 1 > job->window ? position + 1 - job->window : 0;
    return stored > windowed ? stored : windowed;
}

static float score_key(const struct sinq_attention_job *job, const float *query, const float *key) {
    float sum = 0.0f;
    for (uint32_t i = 0; i < job->layout->shape.key_dim; i++) sum += query[i] * key[i];
    const float score = sum * job->scale;
    return job->cap == 0.0f ? score : job->cap * tanhf(score / job->cap);
}

/* One head of one token: out = sum of exp(score - largest) * value, divided by the sum of exp(score - largest). */
static void attend_head(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t head, uint32_t token,
                        float *key, float *value) {
    const uint32_t key_dim = job->layout->shape.key_dim, value_dim = job->layout->shape.value_dim;
    const float *const query = job->queries + token * job->query_stride + (size_t)head * key_dim;
    float *const out = job->out + token * job->out_stride + (size_t)head * value_dim;
    float largest = job->sinks == NULL ? -INFINITY : job->sinks[head], total = job->sinks == NULL ? 0.0f : 1.0f;
    memset(out, 0, value_dim * sizeof *out);
    for (uint64_t p = first_visible(job, job->position + token); p <= job->position + token; p++) {
        load_key(job, kv_head, p, key);
        load_value(job, kv_head, p, value);
        const float score = score_key(job, query, key);
        const float next = fmaxf(largest, score), shrink = expf(largest - next), share = expf(score - next);
        for (uint32_t i = 0; i < value_dim; i++) out[i] = out[i] * shrink + share * value[i];
        total = total * shrink + share;
        largest = next;
    }
    for (uint32_t i = 0; i < value_dim; i++) out[i] /= total;
}

void sinq_attend(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t first, uint32_t count,
                 void *scratch) {
    const uint32_t sharing = job->heads / job->layout->shape.kv_heads;
    float *const key = scratch, *const value = key + job->layout->shape.key_dim;
    for (uint32_t token = first; token < first + count; token++) {
        for (uint32_t h = 0; h < sharing; h++) attend_head(job, kv_head, kv_head * sharing + h, token, key, value);
    }
}
