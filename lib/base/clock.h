/* clock.h: seconds of a clock that only runs forward. */
#ifndef SINQ_BASE_CLOCK_H
#define SINQ_BASE_CLOCK_H

#include <time.h>

static inline double sinq_read_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
