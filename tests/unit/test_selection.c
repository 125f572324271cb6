/* test_selection.c: the best tokens, against sorting them all. */
#include <math.h>

#include "model/selection.h"
#include "sinq.h"
#include "unit.h"

#define MAX_VOCABULARY 300

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void make_logits(float *logits, uint32_t count, uint64_t seed) {
    for (uint32_t i = 0; i < count; i++) logits[i] = (float)(next_random(&seed) % 800) / 100.0f - 4.0f;
}

static const float *compared_logits;

static int compare_ids(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    if (compared_logits[x] != compared_logits[y]) return compared_logits[x] > compared_logits[y] ? -1 : 1;
    return x < y ? -1 : x > y;
}

START_TEST(the_best_are_gathered) {
    float logits[MAX_VOCABULARY];
    struct sinq_choice choices[MAX_VOCABULARY];
    uint32_t order[MAX_VOCABULARY];
    for (uint32_t round = 0; round < 400; round++) {
        const uint32_t count = 1 + round % MAX_VOCABULARY, wanted = 1 + round * 7 % count;
        make_logits(logits, count, round);
        for (uint32_t i = 0; i < count; i++) {
            if (round % 3 == 0) logits[i] = floorf(logits[i]); /* many equals */
            order[i] = i;
            choices[i] = (struct sinq_choice){.key = sinq_choice_key(logits[i], i), .weight = 1.0};
            ck_assert(sinq_key_id(choices[i].key) == i && sinq_key_score(choices[i].key) == logits[i]);
        }
        compared_logits = logits;
        qsort(order, count, sizeof order[0], compare_ids);
        ck_assert_uint_eq(sinq_gather_best(choices, count, (double)wanted), wanted);
        bool is_best[MAX_VOCABULARY] = {false};
        for (uint32_t i = 0; i < wanted; i++) is_best[order[i]] = true;
        for (uint32_t i = 0; i < wanted; i++) ck_assert(is_best[sinq_key_id(choices[i].key)]);
    }
    ck_assert_uint_eq(sinq_gather_best(choices, 100, 1e9), 100);
    ck_assert_uint_eq(sinq_gather_best(choices, 0, 1.0), 0);
}
END_TEST

START_TEST(candidates_are_the_best_in_order) {
    float logits[MAX_VOCABULARY];
    uint32_t order[MAX_VOCABULARY];
    struct sinq_candidate best[MAX_VOCABULARY];
    for (uint32_t count = 1; count < MAX_VOCABULARY; count += 13) {
        make_logits(logits, MAX_VOCABULARY, count);
        double sum = 0.0;
        for (uint32_t i = 0; i < MAX_VOCABULARY; i++) {
            order[i] = i;
            sum += exp((double)logits[i]);
        }
        compared_logits = logits;
        qsort(order, MAX_VOCABULARY, sizeof order[0], compare_ids);
        sinq_find_candidates(logits, MAX_VOCABULARY, count, best);
        for (uint32_t i = 0; i < count; i++) {
            ck_assert_int_eq(best[i].id, (int32_t)order[i]);
            ck_assert_double_eq_tol(best[i].logprob, (double)logits[order[i]] - log(sum), 1e-12);
        }
    }
}
END_TEST

START_TEST(candidates_of_what_is_no_number) {
    static const float logits[] = {NAN, 1.0f, NAN, 1.0f, -INFINITY};
    struct sinq_candidate best[5];
    sinq_find_candidates(logits, 5, 5, best);
    ck_assert(best[0].id == 1 && best[1].id == 3 && best[2].id == 0 && best[3].id == 2 && best[4].id == 4);
    ck_assert_double_eq_tol(best[0].logprob, log(0.5), 1e-12);
    ck_assert(best[2].logprob < -1e30);
    sinq_find_candidates(logits, 5, 0, NULL);
}
END_TEST

UNIT_MAIN("selection", the_best_are_gathered, candidates_are_the_best_in_order, candidates_of_what_is_no_number)
