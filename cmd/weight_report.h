/* weight_report.h: a comparison of weights, on stdout. */
#ifndef SINQ_CMD_WEIGHT_REPORT_H
#define SINQ_CMD_WEIGHT_REPORT_H

#include "sinq.h"

struct sinq_weight_comparison {
    const struct sinq_source *model, *reference;
    const struct sinq_weight_report *report;
    double error;     /* what --max-error looks at: sinq_gated_error */
    double max_error; /* negative where not given */
    bool exceeded;
    size_t top; /* tensors to list */
};

/* The relative error of the quantized weights together, or of all where the model has no quantized ones. */
double sinq_gated_error(const struct sinq_weight_comparison *comparison);

void sinq_report_weights(const struct sinq_weight_comparison *comparison);
void sinq_report_weights_json(const struct sinq_weight_comparison *comparison);

#endif
