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

void sinq_stream_score(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const struct sinq_stored_rows keys = {
        .bytes = sinq_attention_row(pass, layout->key_offset, pass->key_dim, block->first),
        .row_bytes = pass->key_dim * sinq_kv_value_bytes(layout->type),
        .count = block->count,
        .dim = pass->key_dim,
    };
    pass->kernels->score_rows[layout->type](&keys, pass->queries, pass->key_lanes, pass->count, pass->scores);
}

void sinq_stream_add(const struct sinq_attention_pass *pass, const struct sinq_attention_block *block) {
    const struct sinq_cache_layout *const layout = pass->job->layout;
    const bool shared = layout->shape.shared;
    const size_t row_dim = shared ? pass->key_dim : pass->value_dim;
    const struct sinq_stored_rows values = {
        .bytes = sinq_attention_row(pass, shared ? layout->key_offset : layout->value_offset, row_dim, block->first),
        .row_bytes = row_dim * sinq_kv_value_bytes(layout->type),
        .count = block->count,
        .dim = pass->value_dim,
    };
    pass->kernels->add_rows[layout->type](&values, pass->scores, pass->count, pass->sums, pass->values);
}
