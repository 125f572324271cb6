/* grid.h: a matrix of any size reduced to a picture's cells. */
#ifndef SINQ_CMD_GRID_H
#define SINQ_CMD_GRID_H

#include <stddef.h>

#include "plot.h"

struct sinq_grid {
    uint64_t data_rows, data_cols; /* of the matrix */
    size_t rows, cols;             /* of the grid: at most SINQ_GRID_LIMIT */
    float *cells;                  /* owned; NaN where a value is not finite */
    double minimum, maximum;       /* of the finite values themselves */
    uint64_t nonfinite;
    bool is_logarithm; /* cells are decimal logarithms, minimum and maximum are not */
};

#define SINQ_GRID_LIMIT 1024u

/*
 * Fills the grid of what the plot shows. A cell of values or errors is the one furthest from zero, so that a single outlier
 * stays visible; one of scales is the mean of their logarithms.
 */
int sinq_fill_grid(const struct sinq_plot *plot, struct sinq_grid *grid, struct sinq_error *error);
void sinq_free_grid(struct sinq_grid *grid);

/* The cell value below which a share of all finite cells lie; by magnitude if `absolute`. 0 for an empty grid. */
double sinq_grid_quantile(const struct sinq_grid *grid, double share, bool absolute);

#endif
