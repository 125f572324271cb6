/* attention_stream.c: few queries: keys and values are read as they lie in the cache. */
#include <string.h>

#include "kernels/attention_ways.h"

void sinq_stream_load_queries(const struct sinq_attention_pass *pass) {
    for (uint32_t q = 0; q < pass->count; q++) {
        float *const to = pass->queries + q * pass->key_lanes;
        memcpy(to, sinq_attention_query(pass, q), pass->key_dim * sizeof *to);
        memset(to + pass->key_dim, 0, (pass->key_lanes - pass->key_dim) * sizeof *to);
    }
}

/* Where the next block's keys begin, or, after the last block's, the bytes that are read already. */
static const uint8_t *find_next_keys(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block,
                                     const uint8_t *read) {
    const uint64_t next = block->first + block->count;
    return next < pass->end ? sinq_attention_row(pass, pass->job->layout->key_offset, pass->key_dim, next) : read;
}

void sinq_stream_score(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const uint8_t *const bytes = sinq_attention_row(pass, layout->key_offset, pass->key_dim, block->first);
    const uint8_t *const next = layout->shape.shared
                                    ? find_next_keys(pass, block, bytes)
                                    : sinq_attention_row(pass, layout->value_offset, pass->value_dim, block->first);
    const struct sinq_stored_rows keys = {
        .bytes = bytes,
        .row_bytes = pass->key_dim * sinq_kv_value_bytes(layout->type),
        .count = block->count,
        .dim = pass->key_dim,
        .apart = next - bytes,
    };
    pass->kernels->score_rows[layout->type](&keys, pass->queries, pass->key_lanes, pass->count, pass->scores);
}

void sinq_stream_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const bool shared = layout->shape.shared;
    const size_t row_dim = shared ? pass->key_dim : pass->value_dim;
    const uint8_t *const bytes =
        sinq_attention_row(pass, shared ? layout->key_offset : layout->value_offset, row_dim, block->first);
    const struct sinq_stored_rows values = {
        .bytes = bytes,
        .row_bytes = row_dim * sinq_kv_value_bytes(layout->type),
        .count = block->count,
        .dim = pass->value_dim,
        .apart = shared ? 0 : find_next_keys(pass, block, bytes) - bytes,
    };
    pass->kernels->add_rows[layout->type](&values, pass->scores, pass->count, pass->sums, pass->values);
}
