/*
 * panel_shares.h: how the panels of one or several matrices are cut into shares, which workers take one by one. Each worker has a lane of
 * about as many bytes, so that it reads one long stream; its shares are large at first and small at the end, so that others can take what
 * a worker that is late has left, and all are done at about the same time.
 */
#ifndef SINQ_MODEL_PANEL_SHARES_H
#define SINQ_MODEL_PANEL_SHARES_H

#include <stddef.h>
#include <stdint.h>

#include "base/parallel.h"

/* Panels that lie one behind the other, all of one size. */
struct sinq_panel_run {
    uint32_t panels;
    uint64_t bytes; /* of one */
};

struct sinq_panel_share {
    uint32_t run, first, count; /* panels [first, first + count) of a run */
};

struct sinq_share_limits {
    unsigned lanes;                   /* at least 1 */
    uint64_t least_bytes, most_bytes; /* of a share */
    uint32_t quantum;                 /* shares are multiples of it where a run has as many panels left */
};

/* Most shares that sinq_cut_panels() can make. */
size_t sinq_most_shares(const struct sinq_panel_run *runs, size_t run_count);

/* Every panel is in one share, and every share in one of the lanes, in order. Returns how many shares there are. */
size_t sinq_cut_panels(const struct sinq_panel_run *runs, size_t run_count, const struct sinq_share_limits *limits,
                       struct sinq_panel_share *shares, struct sinq_lane *lanes);

#endif
