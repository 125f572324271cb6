/* cpu_products.c: products with weights, and attention, which a team shares out. */
#include "base/checked.h"
#include "kernels/attention.h"
#include "kernels/matmul.h"
#include "kernels/rowwise.h"
#include "model/cpu_queue.h"

#define TOKENS_PER_ITEM    8u
#define ITEMS_OF_ATTENTION 64u /* about so many, where there are tokens enough */

static uint64_t count_panels(const struct sinq_weight *weight) { return sinq_divide_up(weight->rows, SINQ_PANEL_ROWS); }

/* ---- y = W x + b ---- */

struct sinq_cpu_needs sinq_cpu_linear_needs(const struct sinq_cpu_step *step) {
    const struct sinq_weight *const weight = sinq_cpu_weight(step, step->operation->linear.weight);
    return (struct sinq_cpu_needs){sinq_prepared_bytes(weight, step->rows, step->exact),
                                   sinq_multiply_scratch(weight, step->rows, step->exact)};
}

void sinq_cpu_linear(const struct sinq_cpu_step *step, struct sinq_worker *worker) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_weight *const weight = sinq_cpu_weight(step, op->linear.weight);
    const float *const bias = sinq_cpu_vector(step, op->linear.bias);
    const float *const in = sinq_cpu_row(step, op->linear.in, 0);
    float *const out = sinq_cpu_row(step, op->linear.out, 0);
    const uint64_t blocks = sinq_divide_up(step->rows, TOKENS_PER_ITEM);
    for (uint64_t i; (i = sinq_next_item(worker)) < blocks;) {
        const uint32_t first = (uint32_t)i * TOKENS_PER_ITEM;
        const uint32_t count = (uint32_t)sinq_min_u64(TOKENS_PER_ITEM, step->rows - first);
        sinq_prepare_input(weight, in, sinq_cpu_stride(step, op->linear.in), step->rows, first, count, step->exact,
                           step->shared);
    }
    sinq_meet(worker);
    const uint64_t panels = count_panels(weight), size = sinq_cpu_panels_per_item(panels, worker->size);
    for (uint64_t i; (i = sinq_next_item(worker)) * size < panels;) {
        sinq_multiply_panels(weight, step->shared, step->rows, i * size, sinq_min_u64(size, panels - i * size), bias,
                             op->linear.accumulate, step->exact, out, sinq_cpu_stride(step, op->linear.out),
                             sinq_cpu_scratch(step, worker));
    }
    sinq_meet(worker);
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

void sinq_cpu_head_linear(const struct sinq_cpu_step *step, struct sinq_worker *worker) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_weight *const weight = sinq_cpu_weight(step, op->head_linear.weight);
    float *const matrix = sinq_cpu_scratch(step, worker);
    for (uint64_t h; (h = sinq_next_item(worker)) < op->head_linear.heads;) {
        const uint64_t first = op->head_linear.first_row + h * op->head_linear.row_stride;
        sinq_weight_decode(weight, first, op->head_linear.rows, matrix);
        multiply_head(step, (uint32_t)h, matrix, (uint32_t)weight->cols);
    }
    sinq_meet(worker);
}

/* ---- attention ---- */

static struct sinq_attention_job describe_attention(const struct sinq_cpu_step *step) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_cache *const cache = &step->frame->caches[op->attention.cache];
    return (struct sinq_attention_job){
        .layout = &cache->layout,
        .cache = cache->buffer->data,
        .queries = sinq_cpu_row(step, op->attention.queries, 0),
        .out = sinq_cpu_row(step, op->attention.out, 0),
        .query_stride = sinq_cpu_stride(step, op->attention.queries),
        .out_stride = sinq_cpu_stride(step, op->attention.out),
        .heads = op->attention.heads,
        .window = op->attention.window,
        .scale = op->attention.scale,
        .cap = op->attention.cap,
        .sinks = sinq_cpu_vector(step, op->attention.sinks),
        .position = step->frame->position,
    };
}

struct sinq_cpu_needs sinq_cpu_attention_needs(const struct sinq_cpu_step *step) {
    const struct sinq_attention_job job = describe_attention(step);
    return (struct sinq_cpu_needs){sinq_attention_parts_bytes(&job, step->rows), sinq_attention_scratch(&job)};
}

/* Few tokens: threads share out parts of each head's positions, then join them. */
static void attend_in_parts(const struct sinq_cpu_step *step, const struct sinq_attention_job *job, uint32_t parts,
                            struct sinq_worker *worker) {
    const uint32_t kv_heads = job->layout->shape.kv_heads;
    for (uint64_t i; (i = sinq_next_item(worker)) < (uint64_t)kv_heads * parts;) {
        sinq_attend_part(job, (uint32_t)(i / parts), step->rows, (uint32_t)(i % parts), step->shared,
                         sinq_cpu_scratch(step, worker));
    }
    sinq_meet(worker);
    for (uint64_t i; (i = sinq_next_item(worker)) < kv_heads;) {
        sinq_join_parts(job, (uint32_t)i, step->rows, step->shared);
    }
    sinq_meet(worker);
}

/* Tokens of an item: many, since they share packed keys and values, but so few that there are items enough. */
static uint32_t attended_together(const struct sinq_attention_job *job, uint32_t rows) {
    const uint32_t kv_heads = job->layout->shape.kv_heads;
    const uint64_t most = sinq_attention_tokens(job), equal = (uint64_t)rows * kv_heads / ITEMS_OF_ATTENTION;
    return (uint32_t)sinq_min_u64(most, sinq_max_u64(TOKENS_PER_ITEM, equal));
}

void sinq_cpu_attention(const struct sinq_cpu_step *step, struct sinq_worker *worker) {
    const struct sinq_attention_job job = describe_attention(step);
    const uint32_t kv_heads = job.layout->shape.kv_heads, parts = sinq_attention_parts(&job, step->rows);
    if (parts > 1) {
        attend_in_parts(step, &job, parts, worker);
        return;
    }
    const uint32_t size = attended_together(&job, step->rows);
    const uint64_t items = kv_heads * sinq_divide_up(step->rows, size);
    for (uint64_t i; (i = sinq_next_item(worker)) < items;) {
        const uint64_t at = items - 1 - i; /* later tokens see more: they come first */
        const uint32_t first = (uint32_t)(at / kv_heads) * size;
        sinq_attend(&job, (uint32_t)(at % kv_heads), first, (uint32_t)sinq_min_u64(size, step->rows - first),
                    sinq_cpu_scratch(step, worker));
    }
    sinq_meet(worker);
}
