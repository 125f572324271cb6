/* work.c: how many bytes a pass through a model's graph reads and how much it multiplies, worked out operation by operation. */
#include <math.h>

#include "base/checked.h"
#include "model/model.h"
#include "tensor/kv_cache.h"

struct pass {
    const struct sinq_model *model;
    const struct sinq_session_options *options;
    uint64_t position;
    uint32_t count, rows;
    struct sinq_work work;
};

/* `share` of a weight's rows, read once and multiplied by `times` rows of input. */
static void add_product(struct pass *pass, uint32_t weight, double share, double times) {
    const struct sinq_weight_facts facts = pass->model->weights[weight];
    const struct sinq_want *const want = &pass->model->graph->wants[weight];
    const double operations = 2.0 * (double)want->rows * (double)want->cols * share * times;
    const bool is_int8 = facts.is_quantized && !pass->options->exact;
    pass->work.weight_bytes += (double)facts.bytes * share;
    *(is_int8 ? &pass->work.int8_operations : &pass->work.f32_operations) += operations;
}

/* Chosen at random, `tokens` tokens hit experts * (1 - (1 - chosen / experts)^tokens) of them on average. */
static void add_expert_product(struct pass *pass, const struct sinq_operation *op, double tokens) {
    const uint32_t first = op->expert_linear.first_weight;
    const double experts = op->expert_linear.experts, chosen = op->expert_linear.chosen;
    const double hit = experts * (1.0 - pow(1.0 - chosen / experts, tokens));
    const struct sinq_work before = pass->work;
    add_product(pass, first, 1.0, tokens * chosen);
    pass->work.weight_bytes = before.weight_bytes + (double)pass->model->weights[first].bytes * hit;
}

/* Positions that the token at `position` sees. */
static double count_seen(uint64_t position, uint32_t window) {
    const double seen = (double)position + 1.0;
    return window != 0 && seen > window ? window : seen;
}

static void add_attention(struct pass *pass, const struct sinq_operation *op) {
    const struct sinq_cache_shape shape = pass->model->graph->caches[op->attention.cache];
    const double element = sinq_kv_value_bytes(pass->options->kv_type);
    const double scale = pass->options->kv_type == SINQ_KV_I8 ? 4 : 0;
    double entry = shape.key_dim * element + scale;
    if (!shape.shared) entry += shape.value_dim * element + scale;
    const uint32_t window = op->attention.window;
    const double ahead = pass->count - 1; /* what the first token sees, and the others */
    pass->work.kv_bytes += entry * shape.kv_heads * (count_seen(pass->position, window) + ahead);
    for (uint32_t i = 0; i < pass->count; i++) {
        pass->work.attention_operations += 2.0 * op->attention.heads * ((double)shape.key_dim + shape.value_dim) *
                                           count_seen(pass->position + i, window);
    }
}

static void add_vector(struct pass *pass, uint32_t weight) {
    if (weight != SINQ_NO_WEIGHT) pass->work.other_bytes += (double)pass->model->weights[weight].bytes;
}

static void add_operation(struct pass *pass, const struct sinq_operation *op) {
    const double times = op->for_logits ? pass->rows : pass->count;
    const struct sinq_want *const wants = pass->model->graph->wants;
    if (times == 0) return;
    switch (op->kind) {
    case SINQ_OP_EMBED:
        pass->work.other_bytes +=
            times * (double)pass->model->weights[op->embed.weight].bytes / (double)wants[op->embed.weight].rows;
        break;
    case SINQ_OP_NORM:
        add_vector(pass, op->norm.weight);
        break;
    case SINQ_OP_LINEAR:
        add_product(pass, op->linear.weight, 1.0, times);
        add_vector(pass, op->linear.bias);
        break;
    case SINQ_OP_HEAD_LINEAR:
        add_product(pass, op->head_linear.weight,
                    (double)op->head_linear.heads * op->head_linear.rows / (double)wants[op->head_linear.weight].rows,
                    times);
        break;
    case SINQ_OP_EXPERT_LINEAR:
        add_expert_product(pass, op, times);
        break;
    case SINQ_OP_ATTENTION:
        add_attention(pass, op);
        break;
    default:
        break;
    }
}

struct sinq_work sinq_count_work(const struct sinq_model *model, const struct sinq_session_options *options,
                                 uint64_t position, uint32_t count, uint32_t rows) {
    struct pass pass = {.model = model, .options = options, .position = position, .count = count, .rows = rows};
    for (uint32_t i = 0; count > 0 && i < model->graph->operation_count; i++) {
        add_operation(&pass, &model->graph->operations[i]);
    }
    return pass.work;
}
