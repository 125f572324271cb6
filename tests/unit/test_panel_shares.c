/* test_panel_shares.c: every panel is handed out once, in lanes of equal bytes, large shares first and small ones last. */
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

/* Shares lie in lanes one after the other, and no lane is more than a quantum of panels beyond an equal part (rounded down). */
static void check_lanes(size_t index, const struct sinq_share_limits *limits, const struct sinq_panel_share *shares,
                        size_t count, const struct sinq_lane *lanes) {
    const struct sinq_panel_run *const runs = cases[index].runs;
    uint64_t bytes = 0, most = 0;
    for (size_t i = 0; i < cases[index].run_count; i++) {
        bytes += runs[i].panels * runs[i].bytes;
        if (runs[i].bytes * limits->quantum > most) most = runs[i].bytes * limits->quantum;
    }
    uint32_t next = 0;
    for (unsigned l = 0; l < limits->lanes; l++) {
        uint64_t here = 0;
        check_often(lanes[l].first == next, "%s: lane %u of %u begins with share %u, expected %u", cases[index].name, l,
                    limits->lanes, lanes[l].first, next);
        next += lanes[l].count;
        check_often(next <= count, "%s: lane %u of %u is beyond the end", cases[index].name, l, limits->lanes);
        for (uint32_t i = lanes[l].first; i < next; i++) here += shares[i].count * runs[shares[i].run].bytes;
        check_often(here <= bytes / limits->lanes + most + limits->lanes, "%s: lane %u of %u has %llu bytes of %llu",
                    cases[index].name, l, limits->lanes, (unsigned long long)here, (unsigned long long)bytes);
    }
    check_often(next == count, "%s: %u of %zu shares are in lanes", cases[index].name, next, count);
}

static void check_case(size_t index, unsigned lane_count, uint32_t quantum) {
    const struct sinq_share_limits limits = {lane_count, 24 * KIB, 512 * KIB, quantum};
    const struct sinq_panel_run *const runs = cases[index].runs;
    struct sinq_panel_share *const shares = calloc(sinq_most_shares(runs, cases[index].run_count) + 1, sizeof *shares);
    struct sinq_lane lanes[70];
    const size_t count = sinq_cut_panels(runs, cases[index].run_count, &limits, shares, lanes);
    uint32_t run = 0, next = 0;
    for (size_t i = 0; i < count; i++) {
        while (next == runs[run].panels) {
            run++;
            next = 0;
        }
        const struct sinq_panel_share *const share = &shares[i];
        check_often(share->run == run && share->first == next && share->count > 0,
                    "%s, %u lanes: share %zu is [%u, + %u) of run %u, expected from %u of run %u", cases[index].name,
                    lane_count, i, share->first, share->count, share->run, next, run);
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
    ck_assert_msg(run == cases[index].run_count, "%s, %u lanes: panels are left", cases[index].name, lane_count);
    check_lanes(index, &limits, shares, count, lanes);
    free(shares);
}

START_TEST(every_panel_is_in_one_share) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned lanes = 1; lanes <= 70; lanes++) {
            check_case(i, lanes, 1);
            check_case(i, lanes, 4);
        }
    }
}
END_TEST

START_TEST(shares_of_a_lane_become_smaller) {
    const struct sinq_panel_run runs[] = {{608, 42 * KIB}};
    const struct sinq_share_limits limits = {2, 24 * KIB, 2048 * KIB, 1};
    struct sinq_panel_share shares[608];
    struct sinq_lane lanes[2];
    const size_t count = sinq_cut_panels(runs, 1, &limits, shares, lanes);
    for (unsigned l = 0; l < 2; l++) {
        const struct sinq_panel_share *const own = shares + lanes[l].first;
        ck_assert_uint_eq(own[0].first, 304 * l);
        ck_assert_uint_eq(own[0].count, 2048 / 42);
        for (size_t i = 1; i < lanes[l].count; i++) ck_assert_uint_le(own[i].count, own[i - 1].count);
        ck_assert_uint_eq(own[lanes[l].count - 1].count, 1);
    }
    ck_assert_uint_lt(count, 40); /* of 608 panels */
}
END_TEST

UNIT_MAIN("panel shares", every_panel_is_in_one_share, shares_of_a_lane_become_smaller)
