#include "load_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int sinq_load_model_as_asked(const struct sinq_source *source, const char *device,
                             const struct sinq_common_options *common, struct sinq_model **model,
                             struct sinq_error *error) {
    const char *const usual = getenv("SINQ_DEVICE");
    const struct sinq_device_options options = {.device = device != NULL ? device : usual != NULL ? usual : "auto"};
    const int status = sinq_load_model_on_device(source, &options, model, error);
    if (status != SINQ_OK || !common->verbose || strcmp(options.device, "cpu") == 0) return status;
    const struct sinq_model_facts facts = sinq_model_facts(*model);
    fprintf(stderr, "runs on %s%s%s%s\n", facts.device, facts.no_device[0] == '\0' ? "" : " (", facts.no_device,
            facts.no_device[0] == '\0' ? "" : ")");
    return SINQ_OK;
}
