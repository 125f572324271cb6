#include "model/panel_shares.h"

#include "base/checked.h"

/* What is left is divided by so many shares a worker: guided self-scheduling (Polychronopoulos and Kuck, 1987), and half. */
#define SHARES_PER_WORKER 2u

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

/* Panels of the next share, where `bytes` are left in all and `left` panels in this run. */
static uint32_t choose_count(const struct sinq_panel_run *run, uint64_t bytes, uint32_t left,
                             const struct sinq_share_limits *limits) {
    const uint64_t even = bytes / (SHARES_PER_WORKER * (uint64_t)limits->workers);
    const uint64_t wanted = sinq_max_u64(limits->least_bytes, sinq_min_u64(limits->most_bytes, even));
    const uint64_t panels = sinq_max_u64(1, wanted / sinq_max_u64(1, run->bytes));
    const uint64_t whole = sinq_max_u64(1, panels / limits->quantum) * limits->quantum;
    return (uint32_t)sinq_min_u64(left, whole);
}

size_t sinq_cut_panels(const struct sinq_panel_run *runs, size_t run_count, const struct sinq_share_limits *limits,
                       struct sinq_panel_share *shares) {
    uint64_t bytes = count_bytes(runs, run_count);
    size_t count = 0;
    for (size_t i = 0; i < run_count; i++) {
        for (uint32_t first = 0; first < runs[i].panels;) {
            const uint32_t some = choose_count(&runs[i], bytes, runs[i].panels - first, limits);
            shares[count++] = (struct sinq_panel_share){(uint32_t)i, first, some};
            first += some;
            bytes -= some * runs[i].bytes;
        }
    }
    return count;
}
