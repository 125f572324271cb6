/* quantize_budget.c: --size and --fit: what tensors may take together. */
#include <stdio.h>
#include <string.h>

#include "quantity.h"
#include "quantize.h"

static int refuse(struct sinq_error *error, int status, const char *message) {
    snprintf(error->message, sizeof error->message, "%s", message);
    return error->status = status;
}

/* A device's driver, activations, keys and values: what a plan counts beside the weights. Where weights stay does not matter here. */
static int measure_rest(const struct sinq_quantize_arguments *arguments, const struct sinq_source *source,
                        uint64_t *bytes, struct sinq_error *error) {
    const struct sinq_session_options session = {
        .context = arguments->context,
        .batch = 256, /* larger ones are for what room is left */
        .kv_type = sinq_read_kv_type(arguments->kv),
    };
    const struct sinq_device_options device = {.memory_limit = UINT64_MAX / 2, .session = &session};
    struct sinq_device_plan plan;
    const int status = sinq_plan_device(source, &device, &plan, error);
    if (status == SINQ_OK)
        *bytes = plan.reserve_bytes + plan.workspace_bytes + plan.device_kv_bytes + plan.cpu_kv_bytes;
    return status;
}

int sinq_settle_budget(const struct sinq_quantize_arguments *arguments, const struct sinq_source *source,
                       struct sinq_quantize_options *options, struct sinq_error *error) {
    if (arguments->fit == 0 && (arguments->context != 0 || arguments->kv != NULL)) {
        return refuse(error, SINQ_USAGE, "--ctx-size and --kv go with --fit");
    }
    if (arguments->size != 0 && arguments->fit != 0) {
        return refuse(error, SINQ_USAGE, "--size and --fit: either of them says how large the result may be");
    }
    options->budget_bytes = arguments->size;
    if (arguments->fit == 0) return SINQ_OK;
    uint64_t rest = 0;
    const int status = measure_rest(arguments, source, &rest, error);
    if (status != SINQ_OK) return status;
    if (rest >= arguments->fit) {
        char text[SINQ_QUANTITY_SIZE], message[sizeof error->message];
        snprintf(message, sizeof message, "--fit: the driver, activations, keys and values alone take %s",
                 sinq_format_bytes(text, rest));
        return refuse(error, SINQ_FAILED, message);
    }
    options->budget_bytes = arguments->fit - rest;
    return SINQ_OK;
}
