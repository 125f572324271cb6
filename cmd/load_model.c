#include "load_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_report.h"

static void report_device(const struct sinq_model *model) {
    const struct sinq_model_facts facts = sinq_model_facts(model);
    const struct sinq_device_plan *const plan = sinq_model_device_plan(model);
    fprintf(stderr, "runs on %s%s%s%s", facts.device, facts.no_device[0] == '\0' ? "" : " (", facts.no_device,
            facts.no_device[0] == '\0' ? "" : ")");
    if (plan != NULL) {
        char *const line = sinq_describe_device_plan(plan);
        fprintf(stderr, ": %s", line);
        free(line);
    }
    fputc('\n', stderr);
    sinq_report_upload(model);
}

int sinq_load_model_as_asked(const struct sinq_source *source, struct sinq_device_options device,
                             const struct sinq_common_options *common, struct sinq_model **model,
                             struct sinq_error *error) {
    const char *const usual = getenv("SINQ_DEVICE");
    if (device.device == NULL) device.device = usual != NULL ? usual : "auto";
    const int status = sinq_load_model_on_device(source, &device, model, error);
    if (status == SINQ_OK && common->verbose && strcmp(device.device, "cpu") != 0) report_device(*model);
    return status;
}
