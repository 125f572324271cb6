/*
 * cpu_experts.c: products with experts. A choice is one token's for one expert. Choices are sorted by expert, so that each
 * expert's weights are read once a batch.
 */
#include <string.h>

#include "base/checked.h"
#include "kernels/matmul.h"
#include "model/cpu_operations.h"
#include "model/routing.h"

/* How the shared scratch is divided. */
struct plan {
    uint32_t choices;      /* of all tokens */
    uint32_t *order;       /* choices sorted by expert: token * chosen + place */
    uint32_t *first;       /* of each active expert's choices in `order`; one more than there are active ones */
    uint32_t *experts;     /* the active ones */
    uint32_t *active;      /* how many */
    float *inputs;         /* gathered [choices][cols] */
    float *outputs;        /* [choices][rows] */
    uint8_t *prepared;     /* of the expert whose choices begin at `first`: from first * prepared_bytes on */
    size_t prepared_bytes; /* room for one choice, however many an expert has */
};

static const struct sinq_weight *expert_weight(const struct sinq_cpu_step *step, uint32_t expert) {
    return sinq_cpu_weight(step, step->operation->expert_linear.first_weight + expert);
}

/* Experts may be stored in different forms: the most that one choice takes with any. Several take up to twice as much each. */
static size_t most_prepared(const struct sinq_cpu_step *step) {
    size_t most = 0;
    for (uint32_t e = 0; e < step->operation->expert_linear.experts; e++) {
        const size_t bytes = sinq_prepared_bytes(expert_weight(step, e), 1, step->exact);
        if (bytes > most) most = bytes;
    }
    return 2 * (size_t)sinq_round_up(most, 64);
}

/* The next `bytes` of the memory at `base`; NULL where it is not there yet and only measured. */
static void *take(uint8_t *base, size_t *used, size_t bytes) {
    void *const taken = base == NULL ? NULL : base + *used;
    *used += (size_t)sinq_round_up(bytes, 64);
    return taken;
}

/* Divides the memory at `base`, which may be NULL; returns how much it takes. */
static size_t divide(const struct sinq_cpu_step *step, uint8_t *base, struct plan *plan) {
    const struct sinq_weight *const weight = expert_weight(step, 0);
    const size_t choices = (size_t)step->rows * step->operation->expert_linear.chosen;
    size_t used = 0;
    plan->choices = (uint32_t)choices;
    plan->prepared_bytes = most_prepared(step);
    plan->order = take(base, &used, choices * sizeof *plan->order);
    plan->first = take(base, &used, (choices + 1) * sizeof *plan->first);
    plan->experts = take(base, &used, choices * sizeof *plan->experts);
    plan->active = take(base, &used, sizeof *plan->active);
    plan->inputs = take(base, &used, choices * (size_t)weight->cols * sizeof(float));
    plan->outputs = take(base, &used, choices * (size_t)weight->rows * sizeof(float));
    plan->prepared = take(base, &used, choices * plan->prepared_bytes);
    return used;
}

struct sinq_cpu_needs sinq_cpu_expert_linear_needs(const struct sinq_cpu_step *step) {
    struct plan plan;
    struct sinq_cpu_needs needs = {divide(step, NULL, &plan), 0};
    for (uint32_t e = 0; e < step->operation->expert_linear.experts; e++) {
        const size_t scratch = sinq_multiply_scratch(expert_weight(step, e), step->rows, step->exact);
        if (scratch > needs.scratch) needs.scratch = scratch;
    }
    return needs;
}

/* The numbers of experts are f32 and exact; anything else would be a fault of ours. */
uint32_t sinq_cpu_chosen_expert(const struct sinq_cpu_step *step, uint32_t row, uint32_t place) {
    return (uint32_t)sinq_cpu_row(step, step->operation->expert_linear.choices, row)[place];
}

static uint32_t chosen_expert(const struct sinq_cpu_step *step, uint32_t choice) {
    const uint32_t chosen = step->operation->expert_linear.chosen;
    return sinq_cpu_chosen_expert(step, choice / chosen, choice % chosen);
}

/* Sorts by counting; equal experts stay in the order of their tokens. */
static void sort_choices(const struct sinq_cpu_step *step, struct plan *plan) {
    uint32_t counts[SINQ_MAX_EXPERTS + 1] = {0};
    const uint32_t experts = step->operation->expert_linear.experts;
    uint32_t active = 0, sum = 0;
    for (uint32_t i = 0; i < plan->choices; i++) counts[chosen_expert(step, i)]++;
    for (uint32_t e = 0; e < experts; e++) {
        const uint32_t count = counts[e];
        counts[e] = sum;
        if (count == 0) continue;
        plan->experts[active] = e;
        plan->first[active++] = sum;
        sum += count;
    }
    plan->first[active] = sum;
    *plan->active = active;
    for (uint32_t i = 0; i < plan->choices; i++) plan->order[counts[chosen_expert(step, i)]++] = i;
}

/* Gathers the inputs of one active expert and prepares them. */
static void prepare_expert(const struct sinq_cpu_step *step, const struct plan *plan, uint32_t index) {
    const struct sinq_operation *const op = step->operation;
    const struct sinq_weight *const weight = expert_weight(step, plan->experts[index]);
    const size_t cols = (size_t)weight->cols;
    const uint32_t first = plan->first[index], count = plan->first[index + 1] - first;
    for (uint32_t i = first; i < first + count; i++) {
        const uint32_t token = plan->order[i] / op->expert_linear.chosen;
        const uint32_t place = plan->order[i] % op->expert_linear.chosen;
        const float *const in = sinq_cpu_row(step, op->expert_linear.in, token);
        memcpy(plan->inputs + i * cols, op->expert_linear.per_choice ? in + place * cols : in, cols * sizeof *in);
    }
    sinq_prepare_input(weight, plan->inputs + first * cols, cols, count, 0, count, step->exact,
                       plan->prepared + first * plan->prepared_bytes);
}

static void multiply_expert(const struct sinq_cpu_step *step, const struct plan *plan, uint32_t index,
                            uint64_t first_panel, uint64_t panels, void *scratch) {
    const struct sinq_operation *const op = step->operation;
    const uint32_t expert = plan->experts[index], first = plan->first[index];
    const struct sinq_weight *const weight = expert_weight(step, expert);
    const float *const bias = op->expert_linear.first_bias == SINQ_NO_WEIGHT
                                  ? NULL
                                  : sinq_cpu_vector(step, op->expert_linear.first_bias + expert);
    sinq_multiply_panels(weight, plan->prepared + first * plan->prepared_bytes, plan->first[index + 1] - first,
                         first_panel, panels, bias, false, step->exact, plan->outputs + first * (size_t)weight->rows,
                         (size_t)weight->rows, scratch);
}

/* Panels that one item takes, so that each worker finds several, also where few experts are active. */
static uint64_t choose_share(uint64_t panels, uint64_t most, unsigned workers) {
    const uint64_t equal = panels * most / ((uint64_t)workers * 8);
    return sinq_max_u64(1, sinq_min_u64(equal, sinq_divide_up(panels, 4)));
}

static void scatter_outputs(const struct sinq_cpu_step *step, const struct plan *plan, uint32_t i) {
    const struct sinq_operation *const op = step->operation;
    const size_t rows = (size_t)expert_weight(step, 0)->rows;
    const uint32_t token = plan->order[i] / op->expert_linear.chosen, place = plan->order[i] % op->expert_linear.chosen;
    memcpy(sinq_cpu_row(step, op->expert_linear.out, token) + place * rows, plan->outputs + i * rows,
           rows * sizeof(float));
}

/* Numbers of items do not depend on how many experts are active: workers that are late need not know it. */
void sinq_cpu_expert_linear(const struct sinq_cpu_step *step, const struct sinq_cpu_hand *hand) {
    struct sinq_worker *const worker = hand->worker;
    struct plan plan;
    uint64_t i;
    (void)divide(step, hand->shared, &plan);
    const uint64_t most = sinq_min_u64(plan.choices, step->operation->expert_linear.experts);
    const uint64_t panels = sinq_divide_up(expert_weight(step, 0)->rows, SINQ_PANEL_ROWS);
    const uint64_t size = choose_share(panels, most, worker->size), shares = sinq_divide_up(panels, size);
    if (sinq_take_item(worker, 1, &i)) sort_choices(step, &plan);
    sinq_meet(worker, 1);
    while (sinq_take_item(worker, most, &i)) {
        if (i < *plan.active) prepare_expert(step, &plan, (uint32_t)i);
    }
    sinq_meet(worker, most);
    while (sinq_take_item(worker, most * shares, &i)) {
        const uint64_t expert = i / shares, first = i % shares * size;
        if (expert >= *plan.active) continue;
        multiply_expert(step, &plan, (uint32_t)expert, first, sinq_min_u64(size, panels - first), hand->scratch);
    }
    sinq_meet(worker, most * shares);
    while (sinq_take_item(worker, plan.choices, &i)) scatter_outputs(step, &plan, (uint32_t)i);
    sinq_meet(worker, plan.choices);
}
