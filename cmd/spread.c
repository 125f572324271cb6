#include "spread.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct sinq_spread sinq_find_spread(const double *values, size_t count) {
    if (count == 0) return (struct sinq_spread){0};
    double *const sorted = sinq_allocate(count, sizeof *sorted);
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare);
    const struct sinq_spread spread = {
        .median = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2, .least = sorted[0], .most = sorted[count - 1]};
    free(sorted);
    return spread;
}
