/* plot.h: a tensor as a picture. */
#ifndef SINQ_CMD_PLOT_H
#define SINQ_CMD_PLOT_H

#include <stdbool.h>

#include "sinq.h"

enum sinq_plot_kind {
    SINQ_PLOT_VALUES,
    SINQ_PLOT_SCALES, /* of a quantized tensor, logarithmic */
    SINQ_PLOT_ERROR   /* what the model's values differ by from the reference's */
};

struct sinq_plot {
    enum sinq_plot_kind kind;
    const struct sinq_source *source;
    const struct sinq_source *reference; /* for SINQ_PLOT_ERROR, else NULL */
    size_t tensor;                       /* in source */
    const char *file;
    bool force;
};

/* Draws it into plot->file. Memory: a few rows, and the picture. */
int sinq_plot_tensor(const struct sinq_plot *plot, struct sinq_error *error);

#endif
