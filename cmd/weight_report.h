/* weight_report.h: a comparison of weights, on stdout and as JSON. */
#ifndef SINQ_CMD_WEIGHT_REPORT_H
#define SINQ_CMD_WEIGHT_REPORT_H

#include "json.h"
#include "sinq.h"

struct sinq_weight_comparison {
    const struct sinq_source *model, *reference;
    const struct sinq_weight_report *report;
    double max_error; /* negative where not given */
    size_t top;       /* tensors to list */
};

/* What --max-error looks at: the relative error of the quantized weights together, or of all where the model has no quantized ones. */
double sinq_gated_error(const struct sinq_source *model, const struct sinq_weight_report *report);

void sinq_report_weights(const struct sinq_weight_comparison *comparison);
/* A field of a JSON object that is open. */
void sinq_write_weight_report(struct sinq_json_writer *json, const struct sinq_weight_comparison *comparison);

#endif
