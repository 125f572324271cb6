/* attention_pass.h: a pass: some queries, all of one head of the cache, over the positions that they see; who sees what. */
#ifndef SINQ_KERNELS_ATTENTION_PASS_H
#define SINQ_KERNELS_ATTENTION_PASS_H

#include "kernels/compute.h"

/* Queries (token and head) of a pass, at most. */
#define SINQ_ATTENTION_QUERIES 128u

/* One pass's memory, all f32. Queries lie in tiles of `width`: [tile][key_dim][width], or one by one for streaming. */
struct sinq_attention_pass {
    const struct sinq_attention_job *job;
    const struct sinq_compute_kernels *kernels;
    uint32_t kv_head, sharing;   /* query heads that share the cache's head */
    uint32_t first_query, count; /* query i is token (first_query + i) / sharing, head (first_query + i) % sharing */
    uint64_t begin, end;         /* positions that are looked at, as far as each query sees them */
    bool is_streamed;
    uint32_t width, tiles;
    size_t key_dim, value_dim, key_lanes, values; /* the dims rounded up to 16 */
    float *queries, *sums, *largest, *total;      /* sums[query][values] */
    float *scores;                                /* [query][SINQ_ATTENTION_POSITIONS] */
    float *key_scales, *value_scales;             /* [position] of the block, int8 only */
    float *keys, *block_values;                   /* [16 positions][key_dim][16]; [position][values] */
};

/* A block of positions, one behind the other in the cache. */
struct sinq_attention_block {
    uint64_t first;
    size_t count;
};

static inline size_t sinq_attention_entry(const struct sinq_attention_pass *pass, uint64_t position) {
    return (size_t)sinq_cache_entry(pass->job->layout, pass->kv_head, position);
}

static inline size_t sinq_round_to_lanes(size_t count) { return (count + 15) / 16 * 16; }

/* The head's row of one position in a section of the cache. */
static inline const uint8_t *sinq_attention_row(const struct sinq_attention_pass *pass, uint64_t section, size_t dim,
                                                uint64_t position) {
    const size_t row_bytes = dim * sinq_kv_value_bytes(pass->job->layout->type);
    return pass->job->cache + section + sinq_attention_entry(pass, position) * row_bytes;
}

void sinq_attention_measure(const struct sinq_attention_job *job, struct sinq_attention_pass *pass);
/* Queries [first, first + count) and the positions that they see. */
void sinq_attention_choose(struct sinq_attention_pass *pass, uint32_t kv_head, uint32_t first, uint32_t count);

/* Which of a block's positions any of some queries, or of a tile's, sees: [*from, *end), empty where there are none. */
void sinq_attention_seen(const struct sinq_attention_pass *pass, uint32_t first, uint32_t count,
                         const struct sinq_attention_block *block, size_t *from, size_t *end);
void sinq_attention_seen_by_tile(const struct sinq_attention_pass *pass, uint32_t tile,
                                 const struct sinq_attention_block *block, size_t *from, size_t *end);

/* A query's head, its values, and where its results go. */
size_t sinq_attention_head(const struct sinq_attention_pass *pass, uint32_t query);
const float *sinq_attention_query(const struct sinq_attention_pass *pass, uint32_t query);
float *sinq_attention_out(const struct sinq_attention_pass *pass, uint32_t query);

#endif
