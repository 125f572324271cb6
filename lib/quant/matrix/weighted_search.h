/*
 * weighted_search.h: scales and real-valued zero points of 32 groups, a lane each, for the least weighted squared error. Lanes never meet.
 * Plain C that a compiler makes vectors of: IEEE operations in a fixed order, so the same bits everywhere.
 */
#ifndef SINQ_QUANT_WEIGHTED_SEARCH_H
#define SINQ_QUANT_WEIGHTED_SEARCH_H

#include <stddef.h>

#define SINQ_SEARCH_ROWS 32u

struct sinq_search_group {
    const float *values;  /* [count][32] */
    const float *weights; /* [count], one for all rows */
    size_t count;
    unsigned bits;
};
struct sinq_search_line {
    float scale[SINQ_SEARCH_ROWS], zero[SINQ_SEARCH_ROWS];
};

void sinq_search_weighted(const struct sinq_search_group *group, struct sinq_search_line *line);
/* line->scale: the best for the zero points in `zero`, which take the place of line->zero. */
void sinq_refit_weighted(const struct sinq_search_group *group, const float *zero, struct sinq_search_line *line);
#endif
