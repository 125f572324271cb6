#include "kernels/attention.h"

#include "base/checked.h"
#include "kernels/attention_run.h"

uint32_t sinq_attention_tokens(const struct sinq_attention_job *job) {
    const uint32_t sharing = job->heads / job->layout->shape.kv_heads;
    return sharing < SINQ_ATTENTION_QUERIES ? SINQ_ATTENTION_QUERIES / sharing : 1;
}

static void write_results(const struct sinq_attention_pass *pass) {
    for (uint32_t q = 0; q < pass->count; q++) {
        float *const out = sinq_attention_out(pass, q);
        const float inverse = 1.0f / pass->total[q];
        for (size_t i = 0; i < pass->value_dim; i++) out[i] = pass->sums[q * pass->values + i] * inverse;
    }
}

void sinq_attend(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t first, uint32_t count,
                 void *scratch) {
    struct sinq_attention_pass pass;
    sinq_attention_measure(job, &pass);
    const uint32_t end = (first + count) * pass.sharing;
    for (uint32_t query = first * pass.sharing; query < end; query += pass.count) {
        sinq_attention_choose(&pass, kv_head, query, (uint32_t)sinq_min_u64(SINQ_ATTENTION_QUERIES, end - query));
        sinq_attention_run(&pass, true, scratch);
        write_results(&pass);
    }
}
