/* cpu_stages.c: carries out a program: what leads in, then what the team shares out. */
#include "base/checked.h"
#include "base/clock.h"
#include "model/cpu_operations.h"

/* Rows of an item: whole tiles of prepared input, of which each instruction set's width is a divisor. */
#define ROWS_PER_ITEM 12u

static void run_rows(const struct sinq_cpu_step *steps, uint32_t count, uint32_t first_row, uint32_t rows) {
    for (uint32_t i = 0; i < count; i++) sinq_cpu_rows_of(steps[i].operation->kind)(&steps[i], first_row, rows);
}

/* The first worker alone; all wait. */
static void run_solo(const struct sinq_cpu_step *steps, uint32_t count, const struct sinq_cpu_hand *hand) {
    if (count == 0) return;
    if (hand->worker->index == 0) run_rows(steps, count, 0, 1);
    sinq_meet(hand->worker);
}

static uint32_t choose_item_rows(uint32_t rows, const struct sinq_cpu_hand *hand) {
    const uint32_t share = rows / (hand->worker->size * 4);
    return share == 0 ? 1 : share < ROWS_PER_ITEM ? share : ROWS_PER_ITEM;
}

static void lead_in(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                    const struct sinq_cpu_hand *hand) {
    const struct sinq_cpu_step *const steps = &p->steps[stage->first];
    if (stage->rows == 1) {
        run_solo(steps, stage->lead, hand);
        return;
    }
    const uint32_t size = choose_item_rows(stage->rows, hand);
    for (uint64_t i; stage->lead > 0 && (i = sinq_next_item(hand->worker)) * size < stage->rows;) {
        const uint32_t first = (uint32_t)i * size;
        run_rows(steps, stage->lead, first, (uint32_t)sinq_min_u64(size, stage->rows - first));
    }
    if (stage->lead > 0) sinq_meet(hand->worker);
}

/* ---- products ---- */

/* The last step that leads in, on a row of the worker's own; the first worker's is the slot's. */
static struct sinq_cpu_own_row make_own_row(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                                            const struct sinq_cpu_hand *hand) {
    struct sinq_cpu_own_row own = {SINQ_NO_VIEW, NULL};
    if (!stage->has_own_row) return own;
    struct sinq_cpu_step step = p->steps[stage->main - 1];
    if (hand->worker->index != 0) {
        const struct sinq_operation *const op = step.operation;
        own.slot = op->kind == SINQ_OP_NORM ? op->norm.out.slot : op->route.choices.slot;
        own.row = (float *)(void *)(hand->scratch + stage->multiply_bytes);
        step.own_slot = own.slot;
        step.own_row = own.row;
    }
    run_rows(&step, 1, 0, 1);
    return own;
}

static void run_products_of_row(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                                const struct sinq_cpu_hand *hand) {
    uint8_t *const prepared = stage->is_own ? hand->scratch + stage->multiply_bytes + stage->own_bytes : hand->shared;
    run_solo(&p->steps[stage->first], stage->lead - stage->has_own_row, hand);
    const struct sinq_cpu_own_row own = make_own_row(p, stage, hand);
    if (stage->is_own) {
        for (uint32_t i = 0; i < stage->inputs; i++) sinq_cpu_prepare_rows(p, stage, i, &own, 0, 1, prepared);
    } else {
        for (uint64_t i; (i = sinq_next_item(hand->worker)) < stage->inputs;) {
            sinq_cpu_prepare_rows(p, stage, (uint32_t)i, &own, 0, 1, prepared);
        }
        sinq_meet(hand->worker);
    }
    sinq_cpu_multiply_shares(p, stage, &own, prepared, hand);
}

static void run_products_of_rows(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                                 const struct sinq_cpu_hand *hand) {
    const struct sinq_cpu_own_row none = {SINQ_NO_VIEW, NULL};
    const uint32_t size = choose_item_rows(stage->rows, hand);
    for (uint64_t i; (i = sinq_next_item(hand->worker)) * size < stage->rows;) {
        const uint32_t first = (uint32_t)i * size, count = (uint32_t)sinq_min_u64(size, stage->rows - first);
        run_rows(&p->steps[stage->first], stage->lead, first, count);
        for (uint32_t k = 0; k < stage->inputs; k++) {
            sinq_cpu_prepare_rows(p, stage, k, &none, first, count, hand->shared);
        }
    }
    sinq_meet(hand->worker);
    sinq_cpu_multiply_shares(p, stage, &none, hand->shared, hand);
}

/* ---- all ---- */

static void run_stage(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                      const struct sinq_cpu_hand *hand) {
    if (stage->kind == SINQ_STAGE_PRODUCTS) {
        if (stage->rows == 1) {
            run_products_of_row(p, stage, hand);
        } else {
            run_products_of_rows(p, stage, hand);
        }
        return;
    }
    if (!stage->by_head) lead_in(p, stage, hand);
    const struct sinq_cpu_step *const main = &p->steps[stage->main];
    if (stage->kind == SINQ_STAGE_ATTENTION) sinq_cpu_attention(p, stage, hand);
    if (stage->kind == SINQ_STAGE_HEADS) sinq_cpu_head_linear(main, hand);
    if (stage->kind == SINQ_STAGE_EXPERTS) sinq_cpu_expert_linear(main, hand);
}

/* Adds the time since *since to the operation that the stage is about, and moves *since on. */
static void note_time(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage, double *since) {
    const struct sinq_cpu_step *const step = &p->steps[stage->kind == SINQ_STAGE_ROWS ? stage->first : stage->main];
    const struct sinq_profile *const profile = step->frame->profile;
    const double now = sinq_read_clock();
    profile->seconds[step->operation - profile->operations] += now - *since;
    *since = now;
}

void sinq_cpu_run(const struct sinq_cpu_program *program, const struct sinq_cpu_hand *hand) {
    const bool is_profiled =
        hand->worker->index == 0 && program->step_count > 0 && program->steps[0].frame->profile != NULL;
    double since = is_profiled ? sinq_read_clock() : 0;
    for (uint32_t i = 0; i < program->stage_count; i++) {
        const struct sinq_cpu_stage *const stage = &program->stages[i];
        run_stage(program, stage, hand);
        if (stage->kind != SINQ_STAGE_ROWS && i + 1 < program->stage_count) sinq_meet(hand->worker);
        if (is_profiled) note_time(program, stage, &since);
    }
}
