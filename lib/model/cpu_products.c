/* cpu_products.c: a stage of products: inputs are prepared, then workers take shares of panels. */
#include "base/checked.h"
#include "kernels/matmul.h"
#include "model/cpu_operations.h"

/* A worker in a stage. */
struct work {
    const struct sinq_cpu_program *program;
    const struct sinq_cpu_stage *stage;
    const struct sinq_cpu_hand *hand;
    uint8_t *prepared; /* inputs: its own or shared */
    bool is_ready;     /* stages whose inputs are its own: they are there */
    uint32_t own_slot; /* it has a row of its own in place of that slot's, or SINQ_NO_VIEW */
    float *own_row;
};

/* A step as the worker sees it. */
static struct sinq_cpu_step see(const struct work *work, uint32_t step) {
    struct sinq_cpu_step seen = work->program->steps[step];
    seen.own_slot = work->own_slot;
    seen.own_row = work->own_row;
    return seen;
}

/* The weight of a step, or of the expert of the row's choice `place`; the number of its first one is added to `number`. */
static uint32_t find_number(const struct sinq_cpu_step *seen, uint32_t first, uint32_t place) {
    if (seen->operation->kind == SINQ_OP_LINEAR || first == SINQ_NO_WEIGHT) return first;
    return first + sinq_cpu_chosen_expert(seen, 0, place);
}

/* Prepares rows [first, first + count) of an input. */
static void prepare(const struct work *work, uint32_t input, uint32_t first, uint32_t count) {
    const struct sinq_cpu_input *const wanted = &work->program->inputs[work->stage->first_input + input];
    const struct sinq_cpu_step seen = see(work, wanted->step);
    const struct sinq_operation *const op = seen.operation;
    const struct sinq_weight *const weight =
        sinq_cpu_weight(&seen, find_number(&seen, sinq_main_weight(op), wanted->place));
    const struct sinq_view view = op->kind == SINQ_OP_LINEAR ? op->linear.in : op->expert_linear.in;
    const bool has_runs = op->kind == SINQ_OP_EXPERT_LINEAR && op->expert_linear.per_choice;
    const float *const in = sinq_cpu_row(&seen, view, 0) + (has_runs ? wanted->place * (size_t)weight->cols : 0);
    sinq_prepare_input(weight, in, sinq_cpu_stride(&seen, view), seen.rows, first, count, seen.exact,
                       work->prepared + wanted->offset);
}

/* Panels [first, first + count) of a factor. */
static void multiply(const struct work *work, const struct sinq_cpu_factor *factor, uint32_t first, uint32_t count) {
    const struct sinq_cpu_step seen = see(work, factor->step);
    const struct sinq_operation *const op = seen.operation;
    const bool is_plain = op->kind == SINQ_OP_LINEAR;
    const struct sinq_weight *const weight =
        sinq_cpu_weight(&seen, find_number(&seen, sinq_main_weight(op), factor->place));
    const uint32_t first_bias = is_plain ? op->linear.bias : op->expert_linear.first_bias;
    const struct sinq_view view = is_plain ? op->linear.out : op->expert_linear.out;
    sinq_multiply_panels(
        weight, work->prepared + work->program->inputs[factor->input].offset, seen.rows, factor->first_panel + first,
        count, sinq_cpu_vector(&seen, find_number(&seen, first_bias, factor->place)), is_plain && op->linear.accumulate,
        seen.exact, sinq_cpu_row(&seen, view, 0) + factor->place * (size_t)weight->rows, sinq_cpu_stride(&seen, view),
        work->hand->scratch);
}

/* What follows the products, on the rows of panels [first, first + count). */
static void finish(const struct work *work, uint32_t first, uint32_t count) {
    const struct sinq_cpu_stage *const stage = work->stage;
    const struct sinq_cpu_step *const step = &work->program->steps[stage->finish];
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

/* ---- one row ---- */

/* The last step that leads in: whoever has the first item does it where it belongs, others on a row of their own. */
static void make_own_row(struct work *work, bool is_first) {
    if (!work->stage->has_own_row) return;
    struct sinq_cpu_step step = work->program->steps[work->stage->main - 1];
    const struct sinq_operation *const op = step.operation;
    if (!is_first) {
        work->own_slot = op->kind == SINQ_OP_NORM ? op->norm.out.slot : op->route.choices.slot;
        work->own_row = (float *)(void *)(work->hand->scratch + work->stage->multiply_bytes);
        step.own_slot = work->own_slot;
        step.own_row = work->own_row;
    }
    sinq_cpu_run_rows(&step, 1, 0, 1);
}

/*
 * With its first item a worker makes what it needs: as long as it holds one, no one changes what that is made of. Who gets to the
 * stage's first item later only makes the row where it belongs.
 */
static void make_inputs(struct work *work, bool is_first) {
    if (!work->stage->is_own || (work->is_ready && !is_first)) return;
    make_own_row(work, is_first);
    if (work->is_ready) return;
    work->is_ready = true;
    for (uint32_t i = 0; i < work->stage->inputs; i++) prepare(work, i, 0, 1);
}

/* Many inputs: workers share them out, and meet. */
static void share_inputs(struct work *work) {
    struct sinq_worker *const worker = work->hand->worker;
    bool has_row = false;
    for (uint64_t i; sinq_take_item(worker, work->stage->inputs, &i);) {
        if (!has_row) make_own_row(work, i == 0);
        has_row = true;
        prepare(work, (uint32_t)i, 0, 1);
    }
    sinq_meet(worker, work->stage->inputs);
    work->own_slot = SINQ_NO_VIEW; /* the row is where it belongs */
}

/* ---- several rows ---- */

static void share_rows(const struct work *work) {
    const struct sinq_cpu_stage *const stage = work->stage;
    struct sinq_worker *const worker = work->hand->worker;
    const uint32_t size = sinq_cpu_item_rows(stage->rows, worker->size);
    const uint64_t items = sinq_divide_up(stage->rows, size);
    for (uint64_t i; sinq_take_item(worker, items, &i);) {
        const uint32_t first = (uint32_t)i * size, count = (uint32_t)sinq_min_u64(size, stage->rows - first);
        sinq_cpu_run_rows(&work->program->steps[stage->first], stage->lead, first, count);
        for (uint32_t k = 0; k < stage->inputs; k++) prepare(work, k, first, count);
    }
    sinq_meet(worker, items);
}

/* ---- panels ---- */

static void share_panels(struct work *work) {
    const struct sinq_cpu_stage *const stage = work->stage;
    const struct sinq_cpu_factor *const factors = &work->program->factors[stage->first_factor];
    const struct sinq_lane *const lanes = &work->program->lanes[stage->first_lane];
    for (uint64_t i; sinq_take_item_of_lanes(work->hand->worker, lanes, stage->lanes, &i);) {
        const struct sinq_panel_share *const share = &work->program->shares[stage->first_share + i];
        const uint32_t begin = stage->is_parallel ? 0 : share->run;
        const uint32_t end = stage->is_parallel ? stage->factors : begin + 1;
        make_inputs(work, i == 0);
        for (uint32_t f = begin; f < end; f++) multiply(work, &factors[f], share->first, share->count);
        if (stage->finish != SINQ_NO_STEP) finish(work, share->first, share->count);
    }
    sinq_meet(work->hand->worker, stage->shares);
}

void sinq_cpu_products(const struct sinq_cpu_program *program, const struct sinq_cpu_stage *stage,
                       const struct sinq_cpu_hand *hand) {
    struct work work = {.program = program,
                        .stage = stage,
                        .hand = hand,
                        .prepared =
                            stage->is_own ? hand->scratch + stage->multiply_bytes + stage->own_bytes : hand->shared,
                        .own_slot = SINQ_NO_VIEW};
    if (stage->rows > 1) {
        share_rows(&work);
    } else {
        sinq_cpu_run_solo(&program->steps[stage->first], stage->lead - stage->has_own_row, hand);
        if (!stage->is_own) share_inputs(&work);
    }
    share_panels(&work);
}
