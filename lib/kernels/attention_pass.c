#include "kernels/attention_pass.h"

#include "base/checked.h"

/* With more queries, packing keys and values pays. */
#define MOST_STREAMED 16u

void sinq_attention_measure(const struct sinq_attention_job *job, struct sinq_attention_pass *pass) {
    *pass = (struct sinq_attention_pass){.job = job, .kernels = sinq_get_compute_kernels()};
    pass->key_dim = job->layout->shape.key_dim;
    pass->value_dim = job->layout->shape.value_dim;
    pass->key_lanes = sinq_round_to_lanes(pass->key_dim);
    pass->values = sinq_round_to_lanes(pass->value_dim);
    pass->sharing = job->heads / job->layout->shape.kv_heads;
}

static uint32_t token_of(const struct sinq_attention_pass *pass, uint32_t query) {
    return (pass->first_query + query) / pass->sharing;
}

size_t sinq_attention_head(const struct sinq_attention_pass *pass, uint32_t query) {
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
    return pass->job->queries + token_of(pass, query) * pass->job->query_stride +
           sinq_attention_head(pass, query) * pass->key_dim;
}

void sinq_attention_seen(const struct sinq_attention_pass *pass, uint32_t first, uint32_t count,
                         const struct sinq_attention_block *block, size_t *from, size_t *end) {
    const uint64_t lowest = first_visible(pass->job, position_of(pass, first));
    const uint64_t last = position_of(pass, first + count - 1);
    *from = lowest <= block->first ? 0 : (size_t)sinq_min_u64(lowest - block->first, block->count);
    *end = last < block->first ? 0 : (size_t)sinq_min_u64(last - block->first + 1, block->count);
    if (*from > *end) *from = *end;
}

void sinq_attention_seen_by_tile(const struct sinq_attention_pass *pass, uint32_t tile,
                                 const struct sinq_attention_block *block, size_t *from, size_t *end) {
    const uint32_t first = tile * pass->width, count = (uint32_t)sinq_min_u64(pass->width, pass->count - first);
    sinq_attention_seen(pass, first, count, block, from, end);
}

float *sinq_attention_out(const struct sinq_attention_pass *pass, uint32_t query) {
    return pass->job->out + token_of(pass, query) * pass->job->out_stride +
           sinq_attention_head(pass, query) * pass->value_dim;
}

void sinq_attention_choose(struct sinq_attention_pass *pass, uint32_t kv_head, uint32_t first, uint32_t count) {
    pass->kv_head = kv_head;
    pass->first_query = first;
    pass->count = count;
    pass->is_streamed = count <= MOST_STREAMED;
    pass->begin = first_visible(pass->job, position_of(pass, 0));
    pass->end = position_of(pass, count - 1) + 1;
}
