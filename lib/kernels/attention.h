/*
 * attention.h: storing keys and values, and attention that streams over them (online softmax, no score matrix).
 */
#ifndef SINQ_KERNELS_ATTENTION_H
#define SINQ_KERNELS_ATTENTION_H

#include "tensor/kv_cache.h"

/* Writes one head's key and value (NULL where shared) of one position. int8: scale = max|x| / 127, codes rounded to nearest even. */
void sinq_store_key_value(const struct sinq_cache_layout *layout, uint8_t *cache, uint32_t kv_head, uint64_t position,
                          const float *key, const float *value);

struct sinq_attention_job {
    const struct sinq_cache_layout *layout;
    const uint8_t *cache;
    const float *queries; /* [tokens][heads][key_dim], rows query_stride apart */
    float *out;           /* [tokens][heads][value_dim], rows out_stride apart */
    size_t query_stride, out_stride;
    uint32_t heads, window; /* window 0: all positions */
    float scale, cap;       /* cap 0: none */
    const float *sinks;     /* of `heads`, or NULL */
    uint64_t position;      /* of token 0; all positions up to each token's own are stored */
};

/* Bytes of scratch for one call, to be aligned to 64. */
size_t sinq_attention_scratch(const struct sinq_attention_job *job);

/* The heads / kv_heads query heads that share `kv_head`, for tokens [first, first + count). Any threads, any split. */
void sinq_attend(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t first, uint32_t count, void *scratch);

/* Tokens of a call that share each key and value once it is unpacked: 1 or more. */
uint32_t sinq_attention_tokens(const struct sinq_attention_job *job);

/*
 * Few tokens after many positions: positions fall into parts at places that the job alone decides, so that threads share a head's.
 *
 * Calling sequence: sinq_attend_part() for every kv_head and part, any threads; then sinq_join_parts() for every kv_head.
 */
uint32_t sinq_attention_parts(const struct sinq_attention_job *job, uint32_t tokens); /* 1: call sinq_attend() */
/* Bytes of what all parts leave, to be aligned to 64. */
size_t sinq_attention_parts_bytes(const struct sinq_attention_job *job, uint32_t tokens);
void sinq_attend_part(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t tokens, uint32_t part,
                      void *parts, void *scratch);
void sinq_join_parts(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t tokens, const void *parts);

#endif
