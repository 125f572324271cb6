/*
 * kv_cache.h: how one layer's keys and values lie in memory: one run of bytes with four sections, each on 64 bytes.
 *
 *   keys          [block][kv_heads][256][key_dim]    f32, f16, or int8 codes
 *   key scales    [block][kv_heads][256]             f32, int8 only: a key is codes * scale
 *   values        [block][kv_heads][256][value_dim]  absent where `shared`: they are the first value_dim of the keys
 *   value scales  [block][kv_heads][256]             likewise
 *
 * Position p lies at p modulo capacity; the last block has as many positions as are left. So a cache fills from each section's beginning
 * on, and what is not used yet lies together, whatever the size of a page. (A device's memory has [kv_heads][capacity]: lib/cuda.)
 */
#ifndef SINQ_TENSOR_KV_CACHE_H
#define SINQ_TENSOR_KV_CACHE_H

#include "sinq.h"

struct sinq_cache_shape {
    uint32_t kv_heads, key_dim, value_dim;
    bool shared;     /* values are the first value_dim values of the keys (latent attention) */
    uint32_t window; /* positions that are ever looked at; 0: all */
};

struct sinq_cache_layout {
    struct sinq_cache_shape shape;
    enum sinq_kv_type type;
    uint32_t capacity;
    uint64_t key_offset, key_scale_offset, value_offset, value_scale_offset, bytes;
};

#define SINQ_CACHE_BLOCK 256u

/* Bytes of one stored value. */
static inline uint32_t sinq_kv_value_bytes(enum sinq_kv_type type) {
    return type == SINQ_KV_F32 ? 4 : type == SINQ_KV_F16 ? 2 : 1;
}

/* The number of a position's vector in a section. */
static inline uint64_t sinq_cache_entry(const struct sinq_cache_layout *layout, uint32_t kv_head, uint64_t position) {
    const uint64_t place = position % layout->capacity, first = place / SINQ_CACHE_BLOCK * SINQ_CACHE_BLOCK;
    const uint64_t left = layout->capacity - first, positions = left < SINQ_CACHE_BLOCK ? left : SINQ_CACHE_BLOCK;
    return first * layout->shape.kv_heads + kv_head * positions + (place - first);
}

/* How many of a head's vectors lie one behind the other from a position's on. */
static inline uint64_t sinq_cache_run(const struct sinq_cache_layout *layout, uint64_t position) {
    const uint64_t place = position % layout->capacity, left = layout->capacity - place;
    const uint64_t in_block = SINQ_CACHE_BLOCK - place % SINQ_CACHE_BLOCK;
    return left < in_block ? left : in_block;
}

/* False where a size overflows. */
bool sinq_cache_measure(struct sinq_cache_shape shape, enum sinq_kv_type type, uint32_t capacity,
                        struct sinq_cache_layout *layout);

#endif
