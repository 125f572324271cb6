/*
 * test_team.c: teams hand out every item once a round, and no worker is ahead of a meeting: also where there are more workers
 * than processors, and where some are late, with an item or without. The thread sanitizer looks at the same.
 */
#define _GNU_SOURCE
#include "base/parallel.h"

#include <sched.h>
#include <time.h>

#include "unit.h"

enum { ROUNDS = 200, ITEMS = 37 };

/* Lanes of the same items: one after the other, one of none, and a single item that is left to others where there are few workers. */
enum { LANES = 4 };
static const struct sinq_lane lanes[LANES] = {{0, 11}, {11, 0}, {11, 25}, {36, 1}};

struct rounds {
    unsigned taken[ROUNDS][ITEMS];   /* how often */
    unsigned long long sums[ROUNDS]; /* of the round before, as whoever has the next one's item sees them */
    unsigned size;
    unsigned late_ns; /* how long some dawdle, with and without an item */
};

static void dawdle(unsigned nanoseconds) {
    const struct timespec time = {.tv_nsec = nanoseconds};
    if (nanoseconds > 0) nanosleep(&time, NULL);
}

/* Rounds with lanes and without follow each other, in twos and threes of either. */
static bool take_item(struct sinq_worker *worker, unsigned round, uint64_t *item) {
    if (round % 5 < 2) return sinq_take_item(worker, ITEMS, item);
    return sinq_take_item_of_lanes(worker, lanes, LANES, item);
}

/* Each item is written by one worker; in the next round all of them are there. */
static void run_rounds(void *context, struct sinq_worker *worker) {
    struct rounds *const rounds = context;
    if (worker->index == 0) rounds->size = worker->size;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t i;
        if (round % 10 == worker->index) dawdle(rounds->late_ns);
        while (take_item(worker, round, &i)) {
            rounds->taken[round][i]++;
            if (round % 10 == 5 && i == round % ITEMS) dawdle(rounds->late_ns);
        }
        sinq_meet(worker, ITEMS);
        while (sinq_take_item(worker, 1, &i)) {
            for (unsigned k = 0; k < ITEMS; k++) rounds->sums[round] += rounds->taken[round][k];
        }
        sinq_meet(worker, 1);
        while (sinq_take_item(worker, 0, &i)) rounds->sums[round]++; /* a round without items is none */
        sinq_meet(worker, 0);
    }
}

static void check_rounds(unsigned threads, unsigned late_ns) {
    struct rounds *const rounds = calloc(1, sizeof *rounds);
    rounds->late_ns = late_ns;
    sinq_run_team(threads, run_rounds, rounds);
    ck_assert_uint_le(rounds->size, threads);
    ck_assert_uint_ge(rounds->size, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        ck_assert_uint_eq(rounds->sums[round], ITEMS);
        for (unsigned i = 0; i < ITEMS; i++) {
            check_often(rounds->taken[round][i] == 1, "%u threads, round %u: item %u was taken %u times", threads,
                        round, i, rounds->taken[round][i]);
        }
    }
    free(rounds);
}

START_TEST(every_item_is_taken_once_a_round) {
    static const unsigned threads[] = {1, 2, 3, 7, 16};
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) check_rounds(threads[i], 0);
}
END_TEST

START_TEST(workers_that_are_late_are_waited_for) {
    static const unsigned delays[] = {5000, 50000, 500000}; /* within the spinning, about its end, beyond */
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) check_rounds(3, delays[i]);
}
END_TEST

/* As worker 0: its own 11, then all others in order. */
static void take_from_the_first(void *context, struct sinq_worker *worker) {
    unsigned *const count = context;
    for (uint64_t i; sinq_take_item_of_lanes(worker, lanes, LANES, &i); ++*count) {
        ck_assert_uint_eq(i, *count);
    }
    sinq_meet(worker, ITEMS);
}

/* As worker 2 of a team: its own 25, then the last one, then the first lane's. */
static void take_from_the_middle(void *context, struct sinq_worker *worker) {
    unsigned *const count = context;
    worker->index = 2;
    for (uint64_t i; sinq_take_item_of_lanes(worker, lanes, LANES, &i); ++*count) {
        ck_assert_uint_eq(i, *count < 26 ? *count + 11 : *count - 26);
    }
    sinq_meet(worker, ITEMS);
}

START_TEST(a_worker_takes_its_own_lane_first) {
    unsigned count = 0;
    sinq_run_team(1, take_from_the_first, &count);
    ck_assert_uint_eq(count, ITEMS);
    count = 0;
    sinq_run_team(1, take_from_the_middle, &count);
    ck_assert_uint_eq(count, ITEMS);
}
END_TEST

/* Spinning to the end of a time slice at each meeting would take seconds. */
START_TEST(many_workers_on_one_processor_do_not_wait_for_time_slices) {
    cpu_set_t all, one;
    struct timespec start, end;
    ck_assert_int_eq(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++) {
        if (CPU_ISSET(cpu, &all)) CPU_SET(cpu, &one);
    }
    ck_assert_int_eq(sched_setaffinity(0, sizeof one, &one), 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    check_rounds(8, 0);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    ck_assert_int_eq(sched_setaffinity(0, sizeof all, &all), 0);
    const double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    ck_assert_msg(seconds < 1.0, "%d meetings of 8 workers took %g s of one processor", 2 * ROUNDS, seconds);
}
END_TEST

UNIT_MAIN("team", every_item_is_taken_once_a_round, a_worker_takes_its_own_lane_first,
          workers_that_are_late_are_waited_for, many_workers_on_one_processor_do_not_wait_for_time_slices)
