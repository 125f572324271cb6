/* cpu_stages.c: carries out a program: what leads in, then what the team shares out. */
#include "base/checked.h"
#include "base/clock.h"
#include "model/cpu_operations.h"

static void lead_in(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                    const struct sinq_cpu_hand *hand) {
    const struct sinq_cpu_step *const steps = &p->steps[stage->first];
    if (stage->rows == 1) {
        sinq_cpu_run_solo(steps, stage->lead, hand);
        return;
    }
    const uint32_t size = sinq_cpu_item_rows(stage->rows, hand->worker->size);
    const uint64_t items = stage->lead == 0 ? 0 : sinq_divide_up(stage->rows, size);
    for (uint64_t i; sinq_take_item(hand->worker, items, &i);) {
        const uint32_t first = (uint32_t)i * size;
        sinq_cpu_run_rows(steps, stage->lead, first, (uint32_t)sinq_min_u64(size, stage->rows - first));
    }
    sinq_meet(hand->worker, items);
}

static void run_stage(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage,
                      const struct sinq_cpu_hand *hand) {
    if (stage->kind == SINQ_STAGE_PRODUCTS) {
        sinq_cpu_products(p, stage, hand);
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
        run_stage(program, &program->stages[i], hand);
        if (is_profiled) note_time(program, &program->stages[i], &since);
    }
}
