#include "cuda/program.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cuda/builder.h"
#include "cuda/describe.h"
#include "model/rope.h"

/* ---- operations by themselves ---- */

static int add_rotation(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_rope *const rope = &step->frame->ropes[step->operation->rotation.rope];
    const double *frequencies;
    const int status = sinq_cuda_find_frequencies(builder->queue, rope, &frequencies, builder->error);
    struct sinq_cuda_action *const action =
        status == SINQ_OK ? sinq_cuda_add_action(builder, SINQ_CUDA_ROTATION, step) : NULL;
    if (action == NULL) return SINQ_FAILED;
    action->rotation.frequencies = frequencies;
    action->rotation.pairs = rope->dims / 2;
    action->rotation.factor = rope->attention_factor;
    action->rotation.out = sinq_cuda_find_rows(step, step->operation->rotation.out);
    return SINQ_OK;
}

static int add_experts(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_cuda_experts *experts;
    const int status = sinq_cuda_find_experts(builder->queue, step, &experts, builder->error);
    if (status == SINQ_OK && sinq_cuda_are_tiled_experts(step, experts->is_dense)) {
        return sinq_cuda_add_tiled_experts(builder, step, experts);
    }
    struct sinq_cuda_action *const action =
        status == SINQ_OK ? sinq_cuda_add_action(builder, SINQ_CUDA_MULTIPLY_EXPERTS, step) : NULL;
    if (action == NULL) return SINQ_FAILED;
    struct sinq_cuda_expert_products *const p = &action->experts.products;
    *p = (struct sinq_cuda_expert_products){.matrices = experts->matrices,
                                            .first = *sinq_cuda_find_matrix(step, op->expert_linear.first_weight),
                                            .biases = experts->biases,
                                            .choices = sinq_cuda_find_rows(step, op->expert_linear.choices),
                                            .in = sinq_cuda_find_rows(step, op->expert_linear.in),
                                            .out = sinq_cuda_find_rows(step, op->expert_linear.out),
                                            .chosen = op->expert_linear.chosen,
                                            .per_choice = op->expert_linear.per_choice};
    action->experts.is_dense = experts->is_dense;
    if (!experts->is_dense) {
        p->input = sinq_cuda_take_input(builder, p->first.cols, (uint64_t)step->rows * op->expert_linear.chosen,
                                        p->first.group_size);
    }
    return SINQ_OK;
}

static int add_plain(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *step) {
    const struct sinq_operation *const op = step->operation;
    static const enum sinq_cuda_action_kind kinds[SINQ_OP_KIND_COUNT] = {
        [SINQ_OP_EMBED] = SINQ_CUDA_EMBED,       [SINQ_OP_NORM] = SINQ_CUDA_NORM,
        [SINQ_OP_ROPE] = SINQ_CUDA_ROPE,         [SINQ_OP_STORE] = SINQ_CUDA_STORE,
        [SINQ_OP_ACTIVATE] = SINQ_CUDA_ACTIVATE, [SINQ_OP_ADD] = SINQ_CUDA_ADD,
        [SINQ_OP_SOFTCAP] = SINQ_CUDA_SOFTCAP,   [SINQ_OP_ROUTE] = SINQ_CUDA_ROUTE,
        [SINQ_OP_COMBINE] = SINQ_CUDA_COMBINE,   [SINQ_OP_HEAD_LINEAR] = SINQ_CUDA_MULTIPLY_HEADS,
    };
    struct sinq_cuda_action *const action = sinq_cuda_add_action(builder, kinds[op->kind], step);
    if (action == NULL) return SINQ_FAILED;
    switch (op->kind) {
    case SINQ_OP_EMBED:
        action->embed.matrix = *sinq_cuda_find_matrix(step, op->embed.weight);
        action->embed.tokens = (const int32_t *)(const void *)step->frame->tokens->data;
        action->embed.out = sinq_cuda_find_rows(step, op->embed.out);
        action->embed.scale = op->embed.scale;
        break;
    case SINQ_OP_NORM:
        action->norm = sinq_cuda_describe_norm(step);
        break;
    case SINQ_OP_ROPE:
        action->rope = sinq_cuda_describe_rope(step);
        break;
    case SINQ_OP_STORE:
        action->store.cache = sinq_cuda_describe_cache(step, op->store.cache);
        action->store.keys = sinq_cuda_find_rows(step, op->store.keys);
        if (!action->store.cache.shared) action->store.values = sinq_cuda_find_rows(step, op->store.values);
        break;
    case SINQ_OP_ACTIVATE:
        action->activation = sinq_cuda_describe_activation(step);
        break;
    case SINQ_OP_ADD:
        action->plain.in = sinq_cuda_find_rows(step, op->add.in);
        action->plain.out = sinq_cuda_find_rows(step, op->add.out);
        action->plain.width = op->add.width;
        break;
    case SINQ_OP_SOFTCAP:
        action->plain.in = sinq_cuda_find_rows(step, op->softcap.in_out);
        action->plain.width = op->softcap.width;
        action->plain.cap = op->softcap.cap;
        break;
    case SINQ_OP_ROUTE:
        action->route = sinq_cuda_describe_route(step);
        break;
    case SINQ_OP_HEAD_LINEAR:
        action->heads = sinq_cuda_describe_heads(step);
        break;
    default:
        action->combine = sinq_cuda_describe_combine(step);
        break;
    }
    return SINQ_OK;
}

/* ---- the whole ---- */

/* Adds what the first of the steps asks for; *taken becomes how many of them it was. */
static int add_steps(struct sinq_cuda_builder *builder, const struct sinq_cuda_step *steps, uint32_t left,
                     uint32_t *taken) {
    builder->used = 0; /* what scratch memory held is lost */
    const uint32_t turn_steps = sinq_cuda_count_turn_steps(steps, left);
    const bool is_attention = steps[0].operation->kind == SINQ_OP_ATTENTION;
    if (is_attention || sinq_cuda_turns_in_attention(steps, turn_steps, left)) {
        const struct sinq_cuda_step *const attention = steps + turn_steps;
        const bool with_product = left > turn_steps + 1 && sinq_cuda_is_quantized_product(attention + 1) &&
                                  sinq_cuda_is_attended_product(attention);
        *taken = turn_steps + 1 + with_product;
        return sinq_cuda_add_attention(builder, steps, turn_steps, with_product);
    }
    *taken = turn_steps;
    if (turn_steps != 0) return sinq_cuda_add_turn(builder, steps, turn_steps);
    *taken = sinq_cuda_count_tiled_steps(steps, left);
    if (*taken != 0) return sinq_cuda_add_tiled(builder, steps, *taken);
    *taken = 1;
    if (left > 1 && sinq_cuda_is_quantized_product(&steps[1])) {
        const uint32_t products = sinq_cuda_count_products(builder, steps + 1, left - 1);
        if (sinq_cuda_makes_input(&steps[0], &steps[1], products)) {
            const struct sinq_cuda_values values = sinq_cuda_describe_values(&steps[0]);
            *taken = 1 + products;
            if (sinq_cuda_are_gated_products(steps + 1, products, left - 1)) {
                *taken = 5;
                return sinq_cuda_add_gated_products(builder, steps + 1, &values);
            }
            return sinq_cuda_add_products(builder, steps + 1, products, &values);
        }
    }
    switch (steps[0].operation->kind) {
    case SINQ_OP_LINEAR: {
        if (!sinq_cuda_is_quantized_product(&steps[0])) return sinq_cuda_add_dense(builder, &steps[0]);
        const struct sinq_cuda_values values = sinq_cuda_describe_values(&steps[0]);
        *taken = sinq_cuda_count_products(builder, steps, left);
        return sinq_cuda_add_products(builder, steps, *taken, &values);
    }
    case SINQ_OP_ROTATION:
        return add_rotation(builder, &steps[0]);
    case SINQ_OP_EXPERT_LINEAR:
        return add_experts(builder, &steps[0]);
    default:
        return add_plain(builder, &steps[0]);
    }
}

int sinq_cuda_compile(struct sinq_queue *queue, const struct sinq_cuda_step *steps, uint32_t count, uint8_t *scratch,
                      struct sinq_cuda_program *program, struct sinq_error *error) {
    struct sinq_cuda_builder builder = {.queue = queue, .program = program, .scratch = scratch, .error = error};
    *program = (struct sinq_cuda_program){.step_count = count, .steps = malloc(count * sizeof *steps)};
    if (program->steps == NULL) return sinq_fail_memory(error, "operations", count * sizeof *steps);
    memcpy(program->steps, steps, count * sizeof *steps);
    int status = SINQ_OK;
    for (uint32_t i = 0, taken = 0; i < count && status == SINQ_OK; i += taken) {
        status = add_steps(&builder, steps + i, count - i, &taken);
    }
    return status;
}

void sinq_cuda_empty_program(struct sinq_cuda_program *program) {
    if (program->graph != NULL) (void)cudaGraphExecDestroy(program->graph);
    free(program->steps);
    free(program->actions);
    *program = (struct sinq_cuda_program){.steps = NULL};
}
