/* plan_report.h: what running a model takes: as a report (`run --plan`), in a line, and whether it fits. */
#ifndef SINQ_CMD_PLAN_REPORT_H
#define SINQ_CMD_PLAN_REPORT_H

#include "sinq.h"

struct sinq_plan_report {
    const char *model, *family;
    const char *kv_type;
    struct sinq_plan plan;
    uint64_t memory;    /* --memory; 0 where not given */
    uint64_t available; /* what the machine has to give; 0: unknown */
    bool has_device;    /* --gpu-memory */
    struct sinq_device_plan device;
};

/* Whether all of it, mapped weights included, fits in --memory. True where that is not given. */
bool sinq_plan_fits(const struct sinq_plan_report *report);

void sinq_report_plan(const struct sinq_plan_report *report);
void sinq_report_plan_json(const struct sinq_plan_report *report);

/* "weights 6.74 MB mapped, keys and values 6.29 MB (f16, context 2048), scratch 3.1 MB: 16.1 MB". Freed by free(). */
char *sinq_describe_plan(const struct sinq_plan_report *report);

/*
 * What has to be allocated, so all but mapped weights, against what the machine has to give. SINQ_FAILED with the way out where
 * it is more.
 */
int sinq_check_memory(const struct sinq_plan_report *report, struct sinq_error *error);

#endif
