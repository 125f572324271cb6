/* plan.c: what running a model would take, and what of it a device would hold: from headers alone. */
#include <stdlib.h>

#include "base/error.h"
#include "model/device_plan.h"
#include "model/outline.h"

/* ---- the CPU ---- */

static int plan_graph(const struct sinq_outline *outline, const struct sinq_session_options *options,
                      struct sinq_plan *plan, struct sinq_error *error) {
    struct sinq_session_memory memory;
    const int status = sinq_measure_session(outline->graph, options, &memory, error);
    if (status != SINQ_OK) return status;
    const struct sinq_queue_options queue = {.exact = options->exact,
                                             .threads =
                                                 options->threads != 0 ? options->threads : sinq_count_processors(),
                                             .batch = memory.rows,
                                             .sequences = memory.sequences};
    *plan = (struct sinq_plan){.weight_bytes = outline->size.weight_bytes,
                               .owned_bytes = outline->size.owned_bytes,
                               .kv_bytes = memory.kv_bytes,
                               .scratch_bytes = memory.slot_bytes + sinq_cpu_queue_bytes(outline->graph, &queue),
                               .context = memory.context,
                               .batch = memory.batch};
    plan->total_bytes = plan->weight_bytes + plan->kv_bytes + plan->scratch_bytes;
    return SINQ_OK;
}

int sinq_plan_session(const struct sinq_source *source, const struct sinq_session_options *options,
                      struct sinq_plan *plan, struct sinq_error *error) {
    struct sinq_outline outline;
    int status = sinq_outline_model(source, &outline, error);
    if (status == SINQ_OK) status = plan_graph(&outline, options, plan, error);
    sinq_free_outline(&outline);
    return status;
}

/* ---- a device ---- */

static int plan_outline(const struct sinq_source *source, const struct sinq_outline *outline,
                        const struct sinq_device_options *options, struct sinq_device_plan *plan,
                        struct sinq_error *error) {
    static const struct sinq_session_options usual = {.context = 0};
    struct sinq_cut cut;
    uint64_t *const bytes = calloc(outline->graph->want_count + 1, sizeof *bytes);
    if (bytes == NULL) return sinq_fail_memory(error, "sizes of weights", outline->graph->want_count * sizeof *bytes);
    int status = sinq_measure_wants(source, outline->graph, outline->names, bytes, error);
    if (status == SINQ_OK) {
        status = sinq_choose_cut(outline->graph, bytes, options->session == NULL ? &usual : options->session,
                                 options->memory_limit, 0, &cut, plan, error);
    }
    free(bytes);
    return status;
}

int sinq_plan_device(const struct sinq_source *source, const struct sinq_device_options *options,
                     struct sinq_device_plan *plan, struct sinq_error *error) {
    struct sinq_outline outline;
    int status = sinq_outline_model(source, &outline, error);
    if (status == SINQ_OK) status = plan_outline(source, &outline, options, plan, error);
    sinq_free_outline(&outline);
    return status;
}
