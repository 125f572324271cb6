#include "model/panel_shares.h"

#include "base/checked.h"

/* A share is so much of what is left of its lane: guided self-scheduling (Polychronopoulos and Kuck, 1987) of two workers. */
#define SHARES_OF_REST 2u

size_t sinq_most_shares(const struct sinq_panel_run *runs, size_t run_count) {
    size_t panels = 0;
    for (size_t i = 0; i < run_count; i++) panels += runs[i].panels;
    return panels;
}

static uint64_t count_bytes(const struct sinq_panel_run *runs, size_t run_count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < run_count; i++) bytes += runs[i].panels * runs[i].bytes;
    return bytes;
}

/* Panels of the next share, where `bytes` are left of the lane and `left` panels of the run. */
static uint32_t choose_count(const struct sinq_panel_run *run, uint64_t bytes, uint32_t left,
                             const struct sinq_share_limits *limits) {
    const uint64_t wanted = sinq_max_u64(limits->least_bytes, sinq_min_u64(limits->most_bytes, bytes / SHARES_OF_REST));
    const uint64_t panels = sinq_max_u64(1, sinq_min_u64(wanted, bytes) / sinq_max_u64(1, run->bytes));
    const uint64_t whole = sinq_max_u64(1, panels / limits->quantum) * limits->quantum;
    return (uint32_t)sinq_min_u64(left, whole);
}

/* Where a lane ends, of `bytes` in all. */
static uint64_t find_lane_end(uint64_t bytes, const struct sinq_share_limits *limits, uint32_t lane) {
    return lane + 1 < limits->lanes ? bytes / limits->lanes * (lane + 1) : bytes;
}

size_t sinq_cut_panels(const struct sinq_panel_run *runs, size_t run_count, const struct sinq_share_limits *limits,
                       struct sinq_panel_share *shares, struct sinq_lane *lanes) {
    const uint64_t bytes = count_bytes(runs, run_count);
    uint64_t done = 0;
    uint32_t lane = 0, count = 0, begin = 0;
    for (size_t i = 0; i < run_count; i++) {
        for (uint32_t first = 0; first < runs[i].panels;) {
            /* Where the next panels are more than half beyond the lane's end, they are of the next lane. */
            const uint64_t half = limits->quantum * runs[i].bytes / 2;
            for (; lane + 1 < limits->lanes && done + half >= find_lane_end(bytes, limits, lane); begin = count) {
                lanes[lane++] = (struct sinq_lane){begin, count - begin};
            }
            const uint64_t end = find_lane_end(bytes, limits, lane);
            const uint32_t some = choose_count(&runs[i], end - sinq_min_u64(done, end), runs[i].panels - first, limits);
            shares[count++] = (struct sinq_panel_share){(uint32_t)i, first, some};
            first += some;
            done += some * runs[i].bytes;
        }
    }
    for (; lane < limits->lanes; begin = count) lanes[lane++] = (struct sinq_lane){begin, count - begin};
    return count;
}
