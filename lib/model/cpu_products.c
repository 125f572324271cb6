/* cpu_products.c: a stage of products: inputs are prepared, then workers take shares of panels. */
#include "base/checked.h"
#include "kernels/matmul.h"
#include "model/cpu_operations.h"

/* A step as this worker sees it: with its own row, if it has one. */
static struct sinq_cpu_step see(const struct sinq_cpu_step *step, const struct sinq_cpu_own_row *own) {
    struct sinq_cpu_step seen = *step;
    seen.own_slot = own->slot;
    seen.own_row = own->row;
    return seen;
}

/* The weight of a step, or of the expert of the row's choice `place`; the number of its first one is added to `number`. */
static uint32_t find_number(const struct sinq_cpu_step *seen, uint32_t first, uint32_t place) {
    if (seen->operation->kind == SINQ_OP_LINEAR || first == SINQ_NO_WEIGHT) return first;
    return first + sinq_cpu_chosen_expert(seen, 0, place);
}

void sinq_cpu_prepare_rows(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage, uint32_t input,
                           const struct sinq_cpu_own_row *own, uint32_t first, uint32_t count, uint8_t *prepared) {
    const struct sinq_cpu_input *const wanted = &program->inputs[stage->first_input + input];
    const struct sinq_cpu_step seen = see(&program->steps[wanted->step], own);
    const struct sinq_operation *const op = seen.operation;
    const struct sinq_weight *const weight =
        sinq_cpu_weight(&seen, find_number(&seen, sinq_cpu_main_weight(op), wanted->place));
    const struct sinq_view view = op->kind == SINQ_OP_LINEAR ? op->linear.in : op->expert_linear.in;
    const bool has_runs = op->kind == SINQ_OP_EXPERT_LINEAR && op->expert_linear.per_choice;
    const float *const in = sinq_cpu_row(&seen, view, 0) + (has_runs ? wanted->place * (size_t)weight->cols : 0);
    sinq_prepare_input(weight, in, sinq_cpu_stride(&seen, view), seen.rows, first, count, seen.exact,
                       prepared + wanted->offset);
}

/* Panels [first, first + count) of a factor. */
static void multiply(const struct sinq_cpu_program *program, const struct sinq_cpu_factor *factor,
                     const struct sinq_cpu_own_row *own, const uint8_t *prepared, uint32_t first, uint32_t count,
                     void *scratch) {
    const struct sinq_cpu_step seen = see(&program->steps[factor->step], own);
    const struct sinq_operation *const op = seen.operation;
    const bool is_plain = op->kind == SINQ_OP_LINEAR;
    const struct sinq_weight *const weight =
        sinq_cpu_weight(&seen, find_number(&seen, sinq_cpu_main_weight(op), factor->place));
    const uint32_t first_bias = is_plain ? op->linear.bias : op->expert_linear.first_bias;
    const struct sinq_view view = is_plain ? op->linear.out : op->expert_linear.out;
    sinq_multiply_panels(
        weight, prepared + program->inputs[factor->input].offset, seen.rows, factor->first_panel + first, count,
        sinq_cpu_vector(&seen, find_number(&seen, first_bias, factor->place)), is_plain && op->linear.accumulate,
        seen.exact, sinq_cpu_row(&seen, view, 0) + factor->place * (size_t)weight->rows, sinq_cpu_stride(&seen, view),
        scratch);
}

/* What follows the products, on the rows of panels [first, first + count). */
static void finish(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage, uint32_t first,
                   uint32_t count) {
    const struct sinq_cpu_step *const step = &program->steps[stage->finish];
    const bool is_activation = step->operation->kind == SINQ_OP_ACTIVATE;
    const uint32_t width = is_activation ? step->operation->activate.width : step->operation->combine.width;
    const uint32_t from = first * stage->panel_values;
    const uint32_t values = (uint32_t)sinq_min_u64(count * stage->panel_values, width - from);
    for (uint32_t row = 0; row < step->rows; row++) {
        if (is_activation) {
            sinq_cpu_activate_values(step, row, from, values);
        } else {
            sinq_cpu_combine_values(step, row, from, values);
        }
    }
}

void sinq_cpu_multiply_shares(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                              const struct sinq_cpu_own_row *own, const uint8_t *prepared,
                              const struct sinq_cpu_hand *hand) {
    const struct sinq_cpu_factor *const factors = &program->factors[stage->first_factor];
    for (uint64_t i; (i = sinq_next_item(hand->worker)) < stage->shares;) {
        const struct sinq_panel_share *const share = &program->shares[stage->first_share + i];
        const uint32_t begin = stage->is_parallel ? 0 : share->run,
                       end = stage->is_parallel ? stage->factors : begin + 1;
        for (uint32_t f = begin; f < end; f++) {
            multiply(program, &factors[f], own, prepared, share->first, share->count, hand->scratch);
        }
        if (stage->finish != SINQ_NO_STEP) finish(program, stage, share->first, share->count);
    }
}
