/* The choice within a budget: against all combinations, and what it promises. */
#include "quant/recipe/allocation.h"

#include <math.h>
#include <string.h>

#include "unit.h"

static uint64_t random_state;

static uint64_t draw(uint64_t below) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 33) % below;
}

static void make_items(struct sinq_allocation_item *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        items[i] = (struct sinq_allocation_item){.count = 1 + draw(5)};
        const double scale = 1 + (double)draw(50);
        for (size_t k = 0; k < items[i].count; k++) {
            const uint64_t bits = 1 + draw(8);
            items[i].choices[k] =
                (struct sinq_allocation_choice){.bytes = 100 * bits + draw(30), .cost = scale * pow(.25, (double)bits)};
        }
    }
}

static void sum_up(const struct sinq_allocation_item *items, size_t count, uint64_t *bytes, double *cost) {
    *bytes = 0;
    *cost = 0;
    for (size_t i = 0; i < count; i++) {
        *bytes += items[i].choices[items[i].chosen].bytes;
        *cost += items[i].choices[items[i].chosen].cost;
    }
}

/* The least cost of all combinations within the budget. */
static double find_least_cost(const struct sinq_allocation_item *items, size_t count, uint64_t budget) {
    struct sinq_allocation_item tried[4];
    double least = INFINITY;
    memcpy(tried, items, count * sizeof *items);
    for (size_t i = 0; i < count; i++) tried[i].chosen = 0;
    for (;;) {
        uint64_t bytes;
        double cost;
        sum_up(tried, count, &bytes, &cost);
        if (bytes <= budget && cost < least) least = cost;
        size_t i = 0;
        while (i < count && ++tried[i].chosen == tried[i].count) tried[i++].chosen = 0;
        if (i == count) return least;
    }
}

/* A greedy choice misses the best by less than its largest single step, and is best where it uses the budget up. */
START_TEST(choices_are_within_the_budget_and_near_the_best) {
    struct sinq_error error;
    size_t best = 0, cases = 0;
    random_state = 5;
    for (unsigned round = 0; round < 400; round++) {
        struct sinq_allocation_item items[4];
        const size_t count = 1 + draw(4);
        make_items(items, count);
        const uint64_t budget = 100 + draw(3000);
        uint64_t smallest, bytes;
        bool fits;
        double cost, largest_step = 0;
        ck_assert_int_eq(sinq_allocate_bytes(items, count, budget, &smallest, &fits, &error), SINQ_OK);
        const double least = find_least_cost(items, count, budget);
        ck_assert_int_eq(fits, isfinite(least));
        ck_assert_int_eq(fits, smallest <= budget);
        if (!fits) continue;
        sum_up(items, count, &bytes, &cost);
        ck_assert_uint_le(bytes, budget);
        for (size_t i = 0; i < count; i++) largest_step = fmax(largest_step, items[i].choices[items[i].chosen].cost);
        ck_assert_double_le(cost, least + largest_step);
        best += cost <= least * (1 + 1e-12);
        cases++;
    }
    ck_assert_uint_ge(cases, 200);
    ck_assert_uint_ge(best * 10, cases * 7);
}
END_TEST

START_TEST(a_larger_budget_never_costs_more) {
    struct sinq_error error;
    struct sinq_allocation_item items[40];
    double before = INFINITY;
    random_state = 9;
    make_items(items, 40);
    for (uint64_t budget = 0; budget < 40000; budget += 500) {
        uint64_t smallest, bytes;
        bool fits;
        double cost;
        ck_assert_int_eq(sinq_allocate_bytes(items, 40, budget, &smallest, &fits, &error), SINQ_OK);
        if (!fits) continue;
        sum_up(items, 40, &bytes, &cost);
        ck_assert_double_le(cost, before * 1.02); /* the last steps, which fill up what is left, may differ */
        before = cost;
    }
    ck_assert(isfinite(before));
}
END_TEST

START_TEST(hostile_items_are_answered) {
    static const struct {
        const char *name;
        struct sinq_allocation_item item;
        uint64_t budget;
        bool fits;
        size_t chosen;
    } cases[] = {
        {"one choice that fits", {.choices = {{10, 1}}, .count = 1}, 10, true, 0},
        {"one that does not", {.choices = {{10, 1}}, .count = 1}, 9, false, 0},
        {"equal bytes: the cheaper", {.choices = {{10, 2}, {10, 1}}, .count = 2}, 10, true, 1},
        {"more bytes that cost more are never taken", {.choices = {{10, 1}, {20, 2}}, .count = 2}, 100, true, 0},
        {"a choice above the hull is passed by", {.choices = {{10, 10}, {20, 9}, {30, 0}}, .count = 3}, 100, true, 2},
        {"no cost at all", {.choices = {{20, 0}, {10, 0}}, .count = 2}, 100, true, 1},
        {"all bytes there are", {.choices = {{1, 2}, {UINT64_MAX, 1}}, .count = 2}, UINT64_MAX, true, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_allocation_item item = cases[i].item;
        struct sinq_error error;
        uint64_t smallest;
        bool fits;
        ck_assert_int_eq(sinq_allocate_bytes(&item, 1, cases[i].budget, &smallest, &fits, &error), SINQ_OK);
        ck_assert_msg(fits == cases[i].fits, "%s", cases[i].name);
        ck_assert_msg(!fits || item.chosen == cases[i].chosen, "%s: choice %zu", cases[i].name, item.chosen);
    }
    uint64_t smallest;
    bool fits;
    struct sinq_error error;
    ck_assert_int_eq(sinq_allocate_bytes(NULL, 0, 0, &smallest, &fits, &error), SINQ_OK);
    ck_assert(fits && smallest == 0);
}
END_TEST

UNIT_MAIN("allocation", choices_are_within_the_budget_and_near_the_best, a_larger_budget_never_costs_more,
          hostile_items_are_answered)
