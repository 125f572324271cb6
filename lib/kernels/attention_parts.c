/*
 * attention_parts.c: attention over positions in parts, each with a largest score, a sum of exponentials and sums of its own; the
 * parts' are joined afterwards as the blocks of one pass are.
 */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "kernels/attention_run.h"

/* Positions of a part, at least, and parts, at most. */
#define PART_POSITIONS 512u
#define MOST_PARTS     16u

/* What a part leaves of all queries: sums[query][values], largest[query], total[query]. */
struct part {
    float *sums, *largest, *total;
};

static uint64_t part_length(const struct sinq_attention_pass *pass) {
    const uint64_t equal = sinq_divide_up(pass->end - pass->begin, MOST_PARTS);
    return sinq_max_u64(PART_POSITIONS, sinq_round_up(equal, SINQ_ATTENTION_POSITIONS));
}

static uint32_t count_parts(const struct sinq_attention_pass *pass) {
    return (uint32_t)sinq_divide_up(pass->end - pass->begin, part_length(pass));
}

static bool fits_pass(const struct sinq_attention_pass *pass, uint32_t tokens) {
    return tokens <= SINQ_ATTENTION_QUERIES / pass->sharing;
}

static void describe_pass(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t tokens,
                          struct sinq_attention_pass *pass) {
    sinq_attention_measure(job, pass);
    sinq_attention_choose(pass, kv_head, 0, tokens * pass->sharing);
}

uint32_t sinq_attention_parts(const struct sinq_attention_job *job, uint32_t tokens) {
    struct sinq_attention_pass pass;
    sinq_attention_measure(job, &pass);
    if (!fits_pass(&pass, tokens)) return 1;
    sinq_attention_choose(&pass, 0, 0, tokens * pass.sharing);
    return count_parts(&pass);
}

static size_t floats_of_part(const struct sinq_attention_pass *pass) {
    return pass->count * pass->values + 2 * sinq_round_to_lanes(pass->count);
}

size_t sinq_attention_parts_bytes(const struct sinq_attention_job *job, uint32_t tokens) {
    if (sinq_attention_parts(job, tokens) == 1) return 0;
    struct sinq_attention_pass pass;
    describe_pass(job, 0, tokens, &pass);
    return (size_t)job->layout->shape.kv_heads * count_parts(&pass) * floats_of_part(&pass) * sizeof(float);
}

static struct part find_part(const struct sinq_attention_pass *pass, uint32_t number, const void *parts) {
    const size_t index = (size_t)pass->kv_head * count_parts(pass) + number;
    float *const sums = (float *)(uintptr_t)parts + index * floats_of_part(pass);
    float *const largest = sums + pass->count * pass->values;
    return (struct part){sums, largest, largest + sinq_round_to_lanes(pass->count)};
}

void sinq_attend_part(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t tokens, uint32_t part,
                      void *parts, void *scratch) {
    struct sinq_attention_pass pass;
    describe_pass(job, kv_head, tokens, &pass);
    const struct part to = find_part(&pass, part, parts);
    const uint64_t length = part_length(&pass);
    pass.begin += part * length;
    pass.end = sinq_min_u64(pass.end, pass.begin + length);
    sinq_attention_run(&pass, part == 0, scratch);
    memcpy(to.sums, pass.sums, pass.count * pass.values * sizeof(float));
    memcpy(to.largest, pass.largest, pass.count * sizeof(float));
    memcpy(to.total, pass.total, pass.count * sizeof(float));
}

static void join_query(const struct sinq_attention_pass *pass, uint32_t query, uint32_t count, const void *parts) {
    float *const out = sinq_attention_out(pass, query);
    float largest = -INFINITY, total = 0.0f, shares[MOST_PARTS];
    for (uint32_t p = 0; p < count; p++) largest = fmaxf(largest, find_part(pass, p, parts).largest[query]);
    for (uint32_t p = 0; p < count; p++) {
        const struct part part = find_part(pass, p, parts);
        shares[p] = expf(part.largest[query] - largest);
        total += shares[p] * part.total[query];
    }
    memset(out, 0, pass->value_dim * sizeof *out);
    for (uint32_t p = 0; p < count; p++) {
        const float *const sums = find_part(pass, p, parts).sums + query * pass->values;
        pass->kernels->add_row(sums, shares[p] / total, (uint32_t)pass->value_dim, out);
    }
}

void sinq_join_parts(const struct sinq_attention_job *job, uint32_t kv_head, uint32_t tokens, const void *parts) {
    struct sinq_attention_pass pass;
    describe_pass(job, kv_head, tokens, &pass);
    const uint32_t count = count_parts(&pass);
    for (uint32_t q = 0; q < pass.count; q++) join_query(&pass, q, count, parts);
}
