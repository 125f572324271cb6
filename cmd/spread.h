/* spread.h: what several measurements of one thing say. */
#ifndef SINQ_CMD_SPREAD_H
#define SINQ_CMD_SPREAD_H

#include <stddef.h>

struct sinq_spread {
    double median, least, most; /* all 0 where there are no values */
};

/* The values stay as they are. The median of an even number is the mean of the two in the middle. */
struct sinq_spread sinq_find_spread(const double *values, size_t count);

#endif
