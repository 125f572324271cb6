#include "plan_report.h"

#include <stdio.h>

#include "device_report.h"
#include "memory.h"
#include "quantity.h"
#include "report.h"

bool sinq_plan_fits(const struct sinq_plan_report *report) {
    return report->memory == 0 || report->plan.total_bytes <= report->memory;
}

static uint64_t count_mapped(const struct sinq_plan *plan) { return plan->weight_bytes - plan->owned_bytes; }

/* "6.74 MB mapped", "6.74 MB", or both. */
static void describe_weights(const struct sinq_plan *plan, char *buffer, size_t size) {
    char mapped[SINQ_QUANTITY_SIZE], owned[SINQ_QUANTITY_SIZE];
    sinq_format_bytes(mapped, count_mapped(plan));
    sinq_format_bytes(owned, plan->owned_bytes);
    if (plan->owned_bytes == 0) {
        snprintf(buffer, size, "%s mapped", mapped);
    } else if (count_mapped(plan) == 0) {
        snprintf(buffer, size, "%s rebuilt", owned);
    } else {
        snprintf(buffer, size, "%s mapped and %s rebuilt", mapped, owned);
    }
}

void sinq_report_plan(const struct sinq_plan_report *report) {
    const struct sinq_plan *const plan = &report->plan;
    char bytes[SINQ_QUANTITY_SIZE], limit[SINQ_QUANTITY_SIZE], weights[2 * SINQ_QUANTITY_SIZE + 32];
    describe_weights(plan, weights, sizeof weights);
    sinq_print_heading("%s", report->model);
    sinq_print_fact("family", "%s", report->family != NULL ? report->family : "unknown");
    sinq_print_fact("weights", "%s: %s", sinq_format_bytes(bytes, plan->weight_bytes), weights);
    sinq_print_fact("KV cache", "%s: %s, %llu positions", sinq_format_bytes(bytes, plan->kv_bytes), report->kv_type,
                    (unsigned long long)plan->context);
    sinq_print_fact("scratch", "%s: batches of %u tokens", sinq_format_bytes(bytes, plan->scratch_bytes),
                    (unsigned)plan->batch);
    sinq_print_fact("total", "%s", sinq_format_bytes(bytes, plan->total_bytes));
    if (report->memory > 0)
        sinq_print_fact("memory", "%s: %s", sinq_format_bytes(limit, report->memory),
                        sinq_plan_fits(report) ? "it fits" : "it does not fit");
    else if (report->available > 0)
        sinq_print_fact("available", "%s on this machine", sinq_format_bytes(limit, report->available));
    if (report->has_device) sinq_report_device_plan(&report->device);
}

void sinq_report_plan_json(const struct sinq_plan_report *report) {
    const struct sinq_plan *const plan = &report->plan;
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.plan/1");
    sinq_write_text(&json, "model", report->model);
    sinq_write_text(&json, "family", report->family);
    sinq_write_count(&json, "context", plan->context);
    sinq_write_count(&json, "batch", plan->batch);
    sinq_write_text(&json, "kv_type", report->kv_type);
    sinq_write_count(&json, "weight_bytes", plan->weight_bytes);
    sinq_write_count(&json, "owned_weight_bytes", plan->owned_bytes);
    sinq_write_count(&json, "kv_bytes", plan->kv_bytes);
    sinq_write_count(&json, "scratch_bytes", plan->scratch_bytes);
    sinq_write_count(&json, "total_bytes", plan->total_bytes);
    if (report->memory > 0) {
        sinq_write_count(&json, "memory_bytes", report->memory);
        sinq_write_flag(&json, "fits", sinq_plan_fits(report));
    } else {
        sinq_write_null(&json, "memory_bytes");
        sinq_write_null(&json, "fits");
    }
    sinq_write_count(&json, "available_bytes", report->available);
    if (report->has_device) sinq_write_device_plan(&json, &report->device);
    sinq_write_close(&json, '}');
}

char *sinq_describe_plan(const struct sinq_plan_report *report) {
    const struct sinq_plan *const plan = &report->plan;
    char kv[SINQ_QUANTITY_SIZE], scratch[SINQ_QUANTITY_SIZE], total[SINQ_QUANTITY_SIZE];
    char weights[2 * SINQ_QUANTITY_SIZE + 32];
    describe_weights(plan, weights, sizeof weights);
    return sinq_format("weights %s, keys and values %s (%s, context %llu), scratch %s: %s", weights,
                       sinq_format_bytes(kv, plan->kv_bytes), report->kv_type, (unsigned long long)plan->context,
                       sinq_format_bytes(scratch, plan->scratch_bytes), sinq_format_bytes(total, plan->total_bytes));
}

int sinq_check_memory(const struct sinq_plan_report *report, struct sinq_error *error) {
    const struct sinq_plan *const plan = &report->plan;
    char needed[SINQ_QUANTITY_SIZE], kv[SINQ_QUANTITY_SIZE], available[SINQ_QUANTITY_SIZE];
    const uint64_t allocated = plan->total_bytes - count_mapped(plan);
    if (report->available == 0 || allocated <= report->available) return SINQ_OK;
    snprintf(error->message, sizeof error->message,
             "%.500s: running it needs %s of memory, %s of them keys and values for a context of %llu, and %s are "
             "available: a smaller --ctx-size%s takes less",
             report->model, sinq_format_bytes(needed, allocated), sinq_format_bytes(kv, plan->kv_bytes),
             (unsigned long long)plan->context, sinq_format_bytes(available, report->available),
             plan->owned_bytes > 0 ? ", or a model quantized by sinq, which is mapped," : "");
    error->status = SINQ_FAILED;
    return SINQ_FAILED;
}
