/*
 * kv_cache.h: how one layer's keys and values lie in memory: one run of bytes with four sections, each on 64 bytes.
 *
 *   keys          [kv_heads][capacity][key_dim]      f32, f16, or int8 codes
 *   key scales    [kv_heads][capacity]               f32, int8 only: a key is codes * scale
 *   values        [kv_heads][capacity][value_dim]    absent where `shared`: they are the first value_dim of the keys
 *   value scales  [kv_heads][capacity]               likewise
 *
 * Position p lies at p modulo capacity.
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

/* False where a size overflows. */
bool sinq_cache_measure(struct sinq_cache_shape shape, enum sinq_kv_type type, uint32_t capacity,
                        struct sinq_cache_layout *layout);

#endif
