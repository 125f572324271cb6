/* cpu_attention.c: attention, and a matrix's own rows for each head (latent attention), which a team shares out. */
#include "kernels/attention.h"

#include "base/checked.h"
#include "kernels/rowwise.h"
#include "model/cpu_operations.h"

#define TOKENS_PER_ITEM    8u
#define ITEMS_OF_ATTENTION 64u /* about so many, where there are tokens enough */

/* Of one sequence, whose tokens are as many rows apart as there are sequences. */
static struct sinq_attention_job describe_attention(const struct sinq_cpu_step *step, uint32_t sequence) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_cache *const cache = &step->frame->caches[op->attention.cache];
    const size_t sequences = step->frame->sequences;
    return (struct sinq_attention_job){
        .layout = &cache->layout,
        .cache = cache->buffer->data + sequence * cache->layout.bytes,
        .queries = sinq_cpu_row(step, op->attention.queries, sequence),
        .out = sinq_cpu_row(step, op->attention.out, sequence),
        .query_stride = sequences * sinq_cpu_stride(step, op->attention.queries),
        .out_stride = sequences * sinq_cpu_stride(step, op->attention.out),
        .heads = op->attention.heads,
        .window = op->attention.window,
        .scale = op->attention.scale,
        .cap = op->attention.cap,
        .sinks = sinq_cpu_vector(step, op->attention.sinks),
        .position = step->frame->position,
    };
}

struct sinq_cpu_needs sinq_cpu_attention_needs(const struct sinq_cpu_step *step) {
    const struct sinq_attention_job job = describe_attention(step, 0);
    const size_t shared = step->frame->sequences > 1 ? 0 : sinq_attention_parts_bytes(&job, step->rows);
    return (struct sinq_cpu_needs){shared, sinq_attention_scratch(&job)};
}

/* Norms, ropes and stores of one token: of the cache's head and the query heads that share it. */
static void lead_in_head(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                         const struct sinq_attention_job *job, uint32_t kv_head) {
    const struct sinq_view queries = program->steps[stage->main].operation->attention.queries;
    const uint32_t sharing = job->heads / job->layout->shape.kv_heads;
    for (uint32_t i = stage->first; i < stage->main; i++) {
        const struct sinq_cpu_step *const step = &program->steps[i];
        const struct sinq_operation *const op = step->operation;
        const struct sinq_view in = op->kind == SINQ_OP_NORM   ? op->norm.in
                                    : op->kind == SINQ_OP_ROPE ? op->rope.in
                                                               : op->store.keys;
        const uint32_t heads = in.slot == queries.slot && in.offset == queries.offset ? sharing : 1;
        sinq_cpu_heads_of(op->kind)(step, 0, kv_head * heads, heads);
    }
}

/* Few tokens: threads share out parts of each head's positions, then join them. */
static void attend_in_parts(const struct sinq_cpu_step *step, const struct sinq_attention_job *job, uint32_t parts,
                            const struct sinq_cpu_hand *hand) {
    const uint32_t kv_heads = job->layout->shape.kv_heads;
    for (uint64_t i; sinq_take_item(hand->worker, (uint64_t)kv_heads * parts, &i);) {
        sinq_attend_part(job, (uint32_t)(i / parts), step->rows, (uint32_t)(i % parts), hand->shared, hand->scratch);
    }
    sinq_meet(hand->worker, (uint64_t)kv_heads * parts);
    for (uint64_t i; sinq_take_item(hand->worker, kv_heads, &i);) {
        sinq_join_parts(job, (uint32_t)i, step->rows, hand->shared);
    }
    sinq_meet(hand->worker, kv_heads);
}

/* Tokens of an item: many, since they share packed keys and values, but so few that there are items enough. */
static uint32_t attended_together(const struct sinq_attention_job *job, uint32_t rows) {
    const uint32_t kv_heads = job->layout->shape.kv_heads;
    const uint64_t most = sinq_attention_tokens(job), equal = (uint64_t)rows * kv_heads / ITEMS_OF_ATTENTION;
    return (uint32_t)sinq_min_u64(most, sinq_max_u64(TOKENS_PER_ITEM, equal));
}

static void attend_whole(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                         const struct sinq_attention_job *job, const struct sinq_cpu_hand *hand) {
    const uint32_t rows = stage->rows, kv_heads = job->layout->shape.kv_heads, size = attended_together(job, rows);
    const uint64_t items = kv_heads * sinq_divide_up(rows, size);
    for (uint64_t i; sinq_take_item(hand->worker, items, &i);) {
        const uint64_t at = items - 1 - i; /* later tokens see more: they come first */
        const uint32_t first = (uint32_t)(at / kv_heads) * size, kv_head = (uint32_t)(at % kv_heads);
        if (stage->by_head) lead_in_head(program, stage, job, kv_head);
        sinq_attend(job, kv_head, first, (uint32_t)sinq_min_u64(size, rows - first), hand->scratch);
    }
    sinq_meet(hand->worker, items);
}

/* Sequences are many: none is worth parts. */
static void attend_sequences(const struct sinq_cpu_step *step, const struct sinq_cpu_hand *hand) {
    const uint32_t sequences = step->frame->sequences, tokens = step->rows / sequences;
    const uint32_t kv_heads = step->frame->caches[step->operation->attention.cache].layout.shape.kv_heads;
    const uint64_t items = (uint64_t)sequences * kv_heads;
    for (uint64_t i; sinq_take_item(hand->worker, items, &i);) {
        const struct sinq_attention_job job = describe_attention(step, (uint32_t)(i / kv_heads));
        sinq_attend(&job, (uint32_t)(i % kv_heads), 0, tokens, hand->scratch);
    }
    sinq_meet(hand->worker, items);
}

void sinq_cpu_attention(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                        const struct sinq_cpu_hand *hand) {
    const struct sinq_cpu_step *const step = &program->steps[stage->main];
    if (step->frame->sequences > 1) {
        attend_sequences(step, hand);
        return;
    }
    const struct sinq_attention_job job = describe_attention(step, 0);
    const uint32_t parts = sinq_attention_parts(&job, step->rows);
    if (parts == 1) {
        attend_whole(program, stage, &job, hand);
        return;
    }
    const uint32_t leads = stage->by_head ? job.layout->shape.kv_heads : 0;
    for (uint64_t i; sinq_take_item(hand->worker, leads, &i);) lead_in_head(program, stage, &job, (uint32_t)i);
    sinq_meet(hand->worker, leads);
    attend_in_parts(step, &job, parts, hand);
}

/* ---- a matrix's own rows for each head ---- */

struct sinq_cpu_needs sinq_cpu_head_linear_needs(const struct sinq_cpu_step *step) {
    const struct sinq_weight *const weight = sinq_cpu_weight(step, step->operation->head_linear.weight);
    return (struct sinq_cpu_needs){0, step->operation->head_linear.rows * (size_t)weight->cols * sizeof(float)};
}

/* Sixteen running sums, which compilers turn into vectors. */
static float dot_rows(const float *a, const float *b, size_t count) {
    float sums[16] = {0};
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        for (size_t l = 0; l < 16; l++) sums[l] += a[i + l] * b[i + l];
    }
    float sum = 0;
    for (; i < count; i++) sum += a[i] * b[i];
    for (size_t l = 0; l < 16; l++) sum += sums[l];
    return sum;
}

static void multiply_head(const struct sinq_cpu_step *step, uint32_t head, const float *matrix, uint32_t cols) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t rows = op->head_linear.rows;
    for (uint32_t t = 0; t < step->rows; t++) {
        const float *const in = sinq_cpu_row(step, op->head_linear.in, t) + (size_t)head * op->head_linear.in_stride;
        float *const out = sinq_cpu_row(step, op->head_linear.out, t) + (size_t)head * op->head_linear.out_stride;
        if (!op->head_linear.transposed) {
            for (uint32_t r = 0; r < rows; r++) out[r] = dot_rows(matrix + (size_t)r * cols, in, cols);
            continue;
        }
        for (uint32_t k = 0; k < cols; k++) out[k] = 0;
        for (uint32_t r = 0; r < rows; r++) sinq_add_row(matrix + (size_t)r * cols, in[r], cols, out);
    }
}

void sinq_cpu_head_linear(const struct sinq_cpu_step *step, const struct sinq_cpu_hand *hand) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_weight *const weight = sinq_cpu_weight(step, op->head_linear.weight);
    float *const matrix = (float *)(void *)hand->scratch;
    for (uint64_t h; sinq_take_item(hand->worker, op->head_linear.heads, &h);) {
        const uint64_t first = op->head_linear.first_row + h * op->head_linear.row_stride;
        sinq_weight_decode(weight, first, op->head_linear.rows, matrix);
        multiply_head(step, (uint32_t)h, matrix, (uint32_t)weight->cols);
    }
    sinq_meet(hand->worker, op->head_linear.heads);
}
