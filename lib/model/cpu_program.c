#include "model/cpu_program.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/matmul.h"
#include "model/cpu_fusion.h"
#include "model/cpu_operations.h"

/* Multiplications a stage, on average, from which on another worker pays: some microseconds of them. */
#define WORK_PER_WORKER 16384.0
/* Values to prepare from which on several inputs of one row are shared out, at the price of a meeting. */
#define MOST_OWN_VALUES 16384u
/* Of a share: less is not worth handing out, more would let one worker hold up others. One token's begin with a wait for memory. */
#define LEAST_SHARE_BYTES      ((uint64_t)24 << 10)
#define MOST_SHARE_BYTES       ((uint64_t)512 << 10)
#define MOST_TOKEN_SHARE_BYTES ((uint64_t)2 << 20)
/* Panels of a share with several tokens: so many that the prepared input is read once for them. */
#define PANELS_AT_ONCE 4u

/* Room for `more` items in an array that is grown. */
static int make_room(void *array, uint32_t *capacity, uint32_t count, uint32_t more, size_t item_bytes,
                     struct sinq_error *error) {
    if (count + more <= *capacity) return SINQ_OK;
    const uint32_t wanted = 2 * (count + more);
    void *items;
    memcpy(&items, array, sizeof items);
    items = realloc(items, wanted * item_bytes);
    if (items == NULL) return sinq_fail_memory(error, "operations", wanted * item_bytes);
    memcpy(array, &items, sizeof items);
    *capacity = wanted;
    return SINQ_OK;
}

static struct sinq_cpu_stage *add_stage(struct sinq_cpu_program *p, struct sinq_error *error) {
    if (make_room(&p->stages, &p->stage_capacity, p->stage_count, 1, sizeof *p->stages, error) != SINQ_OK) return NULL;
    return &p->stages[p->stage_count++];
}

/* ---- products ---- */

static uint32_t count_panels(const struct sinq_weight *weight) {
    return (uint32_t)sinq_divide_up(weight->rows, SINQ_PANEL_ROWS);
}

/* Experts may be stored in different forms: the most that any takes. */
static void measure_product(const struct sinq_cpu_step *step, size_t *prepared, size_t *scratch) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t first = sinq_main_weight(op);
    const uint32_t count = op->kind == SINQ_OP_EXPERT_LINEAR ? op->expert_linear.experts : 1;
    *prepared = *scratch = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct sinq_weight *const weight = sinq_cpu_weight(step, first + i);
        *prepared = sinq_max_u64(*prepared, sinq_prepared_bytes(weight, step->rows, step->exact));
        *scratch = sinq_max_u64(*scratch, sinq_multiply_scratch(weight, step->rows, step->exact));
    }
    *prepared = sinq_round_up(*prepared, 64);
    *scratch = sinq_round_up(*scratch, 64);
}

/* Whether two matrices that read the same row want it prepared alike: nothing of their own is in it. */
static bool prepares_alike(const struct sinq_cpu_step *a, const struct sinq_cpu_step *b) {
    const struct sinq_weight *const x = sinq_cpu_weight(a, sinq_main_weight(a->operation));
    const struct sinq_weight *const y = sinq_cpu_weight(b, sinq_main_weight(b->operation));
    if (a->operation->kind != SINQ_OP_LINEAR) return false;
    if (x->dtype != SINQ_DUAL_SCALE || y->dtype != SINQ_DUAL_SCALE) {
        return x->dtype != SINQ_DUAL_SCALE && y->dtype != SINQ_DUAL_SCALE;
    }
    return !x->matrix.has_column_scale && !y->matrix.has_column_scale && x->matrix.group_size == y->matrix.group_size &&
           x->matrix.levels == y->matrix.levels;
}

/* Inputs and factors of one step of a stage. */
static int add_product(struct sinq_cpu_program *p, struct sinq_cpu_stage *stage, uint32_t number, bool halves,
                       size_t *prepared_bytes, struct sinq_error *error) {
    const struct sinq_cpu_step *const step = &p->steps[number];
    const struct sinq_operation *const op = step->operation;
    const uint32_t places = op->kind == SINQ_OP_EXPERT_LINEAR ? op->expert_linear.chosen : 1;
    const uint32_t panels = count_panels(sinq_cpu_weight(step, sinq_main_weight(op))), parts = halves ? 2 : 1;
    size_t prepared, scratch;
    measure_product(step, &prepared, &scratch);
    stage->multiply_bytes = sinq_max_u64(stage->multiply_bytes, scratch);
    int status = make_room(&p->inputs, &p->input_capacity, p->input_count, places, sizeof *p->inputs, error);
    if (status == SINQ_OK) {
        status =
            make_room(&p->factors, &p->factor_capacity, p->factor_count, parts * places, sizeof *p->factors, error);
    }
    for (uint32_t place = 0; status == SINQ_OK && place < places; place++) {
        const bool is_new = stage->inputs == 0 || !prepares_alike(&p->steps[p->inputs[p->input_count - 1].step], step);
        if (is_new) {
            p->inputs[p->input_count++] = (struct sinq_cpu_input){number, place, *prepared_bytes};
            *prepared_bytes += prepared;
            stage->inputs++;
        }
        for (uint32_t part = 0; part < parts; part++) {
            p->factors[p->factor_count++] =
                (struct sinq_cpu_factor){number, place, p->input_count - 1, part * (panels / parts), panels / parts};
            stage->factors++;
        }
    }
    return status;
}

static uint64_t count_input_values(const struct sinq_cpu_program *p, const struct sinq_cpu_stage *stage) {
    uint64_t values = 0;
    for (uint32_t i = 0; i < stage->inputs; i++) {
        const struct sinq_cpu_step *const step = &p->steps[p->inputs[stage->first_input + i].step];
        values += sinq_cpu_weight(step, sinq_main_weight(step->operation))->cols;
    }
    return values;
}

static size_t own_row_bytes(const struct sinq_cpu_step *step) {
    const struct sinq_view out =
        step->operation->kind == SINQ_OP_NORM ? step->operation->norm.out : step->operation->route.choices;
    return (size_t)sinq_round_up(sinq_cpu_stride(step, out) * sizeof(float), 64);
}

static int plan_products(struct sinq_cpu_program *p, struct sinq_cpu_stage *stage, uint32_t limit,
                         struct sinq_error *error) {
    const struct sinq_cpu_step *const mains = &p->steps[stage->main];
    stage->kind = SINQ_STAGE_PRODUCTS;
    stage->mains = sinq_cpu_count_products(mains, limit - stage->main);
    const struct sinq_cpu_finish finish = sinq_cpu_find_finish(mains, stage->mains, limit - stage->main);
    stage->is_parallel = finish.is_there;
    stage->panel_values = finish.panel_values;
    if (finish.is_there) stage->finish = stage->main + stage->mains;
    stage->has_own_row = sinq_cpu_has_own_row(&p->steps[stage->first], stage->lead, stage->mains, finish.is_there);
    stage->first_input = p->input_count;
    stage->first_factor = p->factor_count;
    size_t prepared = 0;
    for (uint32_t i = 0; i < stage->mains; i++) {
        const int status = add_product(p, stage, stage->main + i, finish.is_there && finish.halves, &prepared, error);
        if (status != SINQ_OK) return status;
    }
    stage->is_own = stage->rows == 1 && (stage->inputs == 1 || count_input_values(p, stage) <= MOST_OWN_VALUES);
    if (stage->has_own_row) stage->own_bytes = own_row_bytes(&p->steps[stage->main - 1]);
    const size_t scratch = stage->multiply_bytes + stage->own_bytes + (stage->is_own ? prepared : 0);
    p->needs.scratch = sinq_max_u64(p->needs.scratch, scratch);
    if (!stage->is_own) p->needs.shared = sinq_max_u64(p->needs.shared, prepared);
    return SINQ_OK;
}

/* ---- stages ---- */

static void add_needs(struct sinq_cpu_needs *most, struct sinq_cpu_needs needs) {
    most->shared = sinq_max_u64(most->shared, needs.shared);
    most->scratch = sinq_max_u64(most->scratch, sinq_round_up(needs.scratch, 64));
}

static int plan_main(struct sinq_cpu_program *p, struct sinq_cpu_stage *stage, uint32_t limit,
                     struct sinq_error *error) {
    const struct sinq_cpu_step *const step = &p->steps[stage->main];
    stage->mains = 1;
    switch (step->operation->kind) {
    case SINQ_OP_ATTENTION:
        stage->kind = SINQ_STAGE_ATTENTION;
        stage->by_head = sinq_cpu_leads_by_head(&p->steps[stage->first], stage->lead);
        return SINQ_OK;
    case SINQ_OP_HEAD_LINEAR:
        stage->kind = SINQ_STAGE_HEADS;
        add_needs(&p->needs, sinq_cpu_head_linear_needs(step));
        return SINQ_OK;
    case SINQ_OP_EXPERT_LINEAR:
        if (step->rows == 1) return plan_products(p, stage, limit, error);
        stage->kind = SINQ_STAGE_EXPERTS;
        add_needs(&p->needs, sinq_cpu_expert_linear_needs(step));
        return SINQ_OK;
    default:
        return plan_products(p, stage, limit, error);
    }
}

/* One stage from step `first` on. */
static int plan_stage(struct sinq_cpu_program *p, uint32_t first, uint32_t *next, struct sinq_error *error) {
    struct sinq_cpu_stage *const stage = add_stage(p, error);
    if (stage == NULL) return SINQ_FAILED;
    const uint32_t lead = sinq_cpu_count_lead(&p->steps[first], p->step_count - first), main = first + lead;
    *stage = (struct sinq_cpu_stage){
        .kind = SINQ_STAGE_ROWS, .rows = p->steps[first].rows, .first = first, .lead = lead, .main = main};
    stage->finish = SINQ_NO_STEP;
    int status = SINQ_OK;
    const bool has_main = main < p->step_count && sinq_cpu_rows_of(p->steps[main].operation->kind) == NULL;
    if (has_main && p->steps[main].rows == stage->rows) status = plan_main(p, stage, p->step_count, error);
    *next = main + stage->mains + (stage->finish != SINQ_NO_STEP);
    return status;
}

/* ---- workers and shares ---- */

/* Multiplications of a step, roughly: what a product does with its weights, all others next to nothing. */
static double estimate_work(const struct sinq_cpu_step *step) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t number = sinq_main_weight(op);
    if (number == SINQ_NO_WEIGHT || op->kind == SINQ_OP_EMBED || op->kind == SINQ_OP_NORM) return 0;
    const struct sinq_weight *const weight = sinq_cpu_weight(step, number);
    const double factor = op->kind == SINQ_OP_EXPERT_LINEAR ? op->expert_linear.chosen : 1;
    return factor * step->rows * (double)weight->rows * (double)weight->cols;
}

/* A worker more costs something at every meeting: it must have enough to do. */
static unsigned choose_workers(const struct sinq_cpu_program *p, unsigned threads) {
    double work = 0;
    for (uint32_t i = 0; i < p->step_count; i++) work += estimate_work(&p->steps[i]);
    const double useful = 1 + work / (WORK_PER_WORKER * (double)(p->stage_count + 1));
    return useful < threads ? (unsigned)useful : threads;
}

static uint64_t panel_bytes(const struct sinq_weight *weight) {
    return weight->size / sinq_max_u64(1, count_panels(weight));
}

static int cut_shares(struct sinq_cpu_program *p, struct sinq_cpu_stage *stage, struct sinq_error *error) {
    const struct sinq_share_limits limits = {.lanes = (unsigned)sinq_min_u64(p->workers, SINQ_MOST_LANES),
                                             .least_bytes = LEAST_SHARE_BYTES,
                                             .most_bytes = stage->rows == 1 ? MOST_TOKEN_SHARE_BYTES : MOST_SHARE_BYTES,
                                             .quantum = stage->rows == 1 ? 1 : PANELS_AT_ONCE};
    const struct sinq_cpu_factor *const factors = &p->factors[stage->first_factor];
    const uint32_t count = stage->is_parallel ? 1 : stage->factors;
    struct sinq_panel_run *const runs = calloc(count, sizeof *runs);
    if (runs == NULL) return sinq_fail_memory(error, "shares", count * sizeof *runs);
    for (uint32_t i = 0; i < stage->factors; i++) {
        const struct sinq_cpu_step *const step = &p->steps[factors[i].step];
        struct sinq_panel_run *const run = &runs[stage->is_parallel ? 0 : i];
        run->panels = factors[i].panels;
        run->bytes += panel_bytes(sinq_cpu_weight(step, sinq_main_weight(step->operation)));
    }
    int status = make_room(&p->shares, &p->share_capacity, p->share_count, (uint32_t)sinq_most_shares(runs, count),
                           sizeof *p->shares, error);
    if (status == SINQ_OK) {
        status = make_room(&p->lanes, &p->lane_capacity, p->lane_count, limits.lanes, sizeof *p->lanes, error);
    }
    if (status == SINQ_OK) {
        stage->first_share = p->share_count;
        stage->first_lane = p->lane_count;
        stage->lanes = limits.lanes;
        stage->shares =
            (uint32_t)sinq_cut_panels(runs, count, &limits, &p->shares[p->share_count], &p->lanes[p->lane_count]);
        p->share_count += stage->shares;
        p->lane_count += stage->lanes;
    }
    free(runs);
    return status;
}

/* ---- the whole ---- */

int sinq_cpu_compile(struct sinq_cpu_program *p, const struct sinq_cpu_step *steps, uint32_t count, unsigned threads,
                     struct sinq_error *error) {
    *p = (struct sinq_cpu_program){.steps = malloc((count + 1) * sizeof *steps), .step_count = count};
    if (p->steps == NULL) return sinq_fail_memory(error, "operations", (count + 1) * sizeof *steps);
    if (count > 0) memcpy(p->steps, steps, count * sizeof *steps);
    int status = SINQ_OK;
    for (uint32_t i = 0; i < count && status == SINQ_OK;) status = plan_stage(p, i, &i, error);
    p->workers = choose_workers(p, threads);
    for (uint32_t i = 0; i < p->stage_count && status == SINQ_OK; i++) {
        if (p->stages[i].kind == SINQ_STAGE_PRODUCTS) status = cut_shares(p, &p->stages[i], error);
    }
    return status;
}

struct sinq_cpu_needs sinq_cpu_find_needs(const struct sinq_cpu_program *p) {
    struct sinq_cpu_needs needs = p->needs;
    for (uint32_t i = 0; i < p->stage_count; i++) {
        if (p->stages[i].kind != SINQ_STAGE_ATTENTION) continue;
        add_needs(&needs, sinq_cpu_attention_needs(&p->steps[p->stages[i].main]));
    }
    return needs;
}

void sinq_cpu_empty_program(struct sinq_cpu_program *p) {
    free(p->steps);
    free(p->stages);
    free(p->inputs);
    free(p->factors);
    free(p->shares);
    free(p->lanes);
    *p = (struct sinq_cpu_program){.steps = NULL};
}
