/* test_panel_shares.c: every panel is handed out once, large shares first and small ones last, for any number of workers. */
#include "model/panel_shares.h"
#include "unit.h"

#define KIB 1024u

static const struct {
    const char *name;
    struct sinq_panel_run runs[4];
    size_t run_count;
} cases[] = {
    {"one panel", {{1, 20 * KIB}}, 1},
    {"fewer panels than workers", {{3, 20 * KIB}}, 1},
    {"queries, keys and values of a large model", {{256, 21 * KIB}, {64, 21 * KIB}, {64, 21 * KIB}}, 3},
    {"a large model's gates and ups together", {{608, 42 * KIB}}, 1},
    {"small panels", {{48, 3 * KIB}, {16, 3 * KIB}, {16, 3 * KIB}}, 3},
    {"panels larger than the largest share", {{40, 900 * KIB}}, 1},
    {"a head of many rows", {{9497, 40 * KIB}}, 1},
    {"matrices of different widths", {{100, 40 * KIB}, {7, 5 * KIB}, {0, 20 * KIB}, {33, 80 * KIB}}, 4},
    {"no bytes", {{10, 0}}, 1},
};

static void check_case(size_t index, unsigned workers, uint32_t quantum) {
    const struct sinq_share_limits limits = {workers, 24 * KIB, 512 * KIB, quantum};
    const struct sinq_panel_run *const runs = cases[index].runs;
    struct sinq_panel_share *const shares = calloc(sinq_most_shares(runs, cases[index].run_count) + 1, sizeof *shares);
    const size_t count = sinq_cut_panels(runs, cases[index].run_count, &limits, shares);
    uint32_t run = 0, next = 0;
    for (size_t i = 0; i < count; i++) {
        while (next == runs[run].panels) {
            run++;
            next = 0;
        }
        const struct sinq_panel_share *const share = &shares[i];
        check_often(share->run == run && share->first == next && share->count > 0,
                    "%s, %u workers: share %zu is [%u, + %u) of run %u, expected from %u of run %u", cases[index].name,
                    workers, i, share->first, share->count, share->run, next, run);
        next += share->count;
        check_often(next <= runs[run].panels, "%s: beyond the run's end", cases[index].name);
        check_often(share->count % quantum == 0 || next == runs[run].panels, "%s: share %zu breaks a quantum",
                    cases[index].name, i);
        check_often(share->count <= quantum || share->count * runs[run].bytes <= 512 * KIB,
                    "%s: share %zu is too large", cases[index].name, i);
    }
    while (run < cases[index].run_count && next == runs[run].panels) {
        run++;
        next = 0;
    }
    ck_assert_msg(run == cases[index].run_count, "%s, %u workers: panels are left", cases[index].name, workers);
    free(shares);
}

START_TEST(every_panel_is_in_one_share) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned workers = 1; workers <= 70; workers++) {
            check_case(i, workers, 1);
            check_case(i, workers, 4);
        }
    }
}
END_TEST

START_TEST(shares_become_smaller) {
    const struct sinq_panel_run runs[] = {{608, 42 * KIB}};
    const struct sinq_share_limits limits = {2, 24 * KIB, 512 * KIB, 1};
    struct sinq_panel_share shares[608];
    const size_t count = sinq_cut_panels(runs, 1, &limits, shares);
    ck_assert_uint_eq(shares[0].count, 512 / 42);
    for (size_t i = 1; i < count; i++) ck_assert_uint_le(shares[i].count, shares[i - 1].count);
    ck_assert_uint_eq(shares[count - 1].count, 1);
    ck_assert_uint_lt(count, 100); /* of 608 panels */
}
END_TEST

UNIT_MAIN("panel shares", every_panel_is_in_one_share, shares_become_smaller)
