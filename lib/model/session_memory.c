#include "model/session_memory.h"

#include "base/checked.h"
#include "base/error.h"

#define LOGITS_BYTES ((uint64_t)32 << 20) /* of one block of logits, but at least a row */

uint64_t sinq_slot_bytes(const struct sinq_graph *graph, uint32_t slot, const struct sinq_session_memory *memory) {
    const uint64_t rows = graph->slot_for_logits[slot] ? memory->logits_rows : memory->rows;
    return rows * graph->slot_widths[slot] * sizeof(float);
}

bool sinq_measure_cache(const struct sinq_graph *graph, uint32_t cache, enum sinq_kv_type type,
                        const struct sinq_session_memory *memory, struct sinq_cache_layout *layout) {
    const struct sinq_cache_shape shape = graph->caches[cache];
    uint64_t capacity = memory->context;
    if (shape.window != 0) capacity = sinq_min_u64(capacity, (uint64_t)shape.window + memory->batch);
    return sinq_cache_measure(shape, type, (uint32_t)capacity, layout);
}

static int fail_size(const struct sinq_session_memory *memory, struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "a context of %u positions takes more memory than can be addressed",
                     memory->context);
}

int sinq_measure_session(const struct sinq_graph *graph, const struct sinq_session_options *options,
                         struct sinq_session_memory *memory, struct sinq_error *error) {
    const uint64_t most = graph->config->context;
    const uint64_t context = options->context != 0 ? options->context : sinq_min_u64(most, SINQ_DEFAULT_CONTEXT);
    if (context > most) {
        return sinq_fail(error, SINQ_USAGE, "a context of %llu positions is more than the model's %llu",
                         (unsigned long long)context, (unsigned long long)most);
    }
    const uint64_t batch = options->batch != 0 ? options->batch : SINQ_DEFAULT_BATCH;
    const uint32_t sequences = options->sequences != 0 ? options->sequences : 1;
    if (sequences > SINQ_MAX_BATCH) {
        return sinq_fail(error, SINQ_USAGE, "%u sequences side by side, expected %u at most", sequences,
                         SINQ_MAX_BATCH);
    }
    *memory = (struct sinq_session_memory){
        .context = (uint32_t)context,
        .batch = (uint32_t)sinq_min_u64(sinq_min_u64(batch, SINQ_MAX_BATCH / sequences), context),
        .sequences = sequences};
    memory->rows = memory->batch * sequences;
    const uint64_t row = (uint64_t)graph->slot_widths[graph->logits_slot] * sizeof(float);
    memory->logits_rows = (uint32_t)sinq_max_u64(1, sinq_min_u64(memory->rows, LOGITS_BYTES / row));
    for (uint32_t i = 0; i < graph->cache_count; i++) {
        struct sinq_cache_layout layout;
        if (!sinq_measure_cache(graph, i, options->kv_type, memory, &layout) ||
            !sinq_add_u64(memory->kv_bytes, sinq_multiply_saturating(layout.bytes, sequences), &memory->kv_bytes)) {
            return fail_size(memory, error);
        }
    }
    for (uint32_t i = 0; i < graph->slot_count; i++) memory->slot_bytes += sinq_slot_bytes(graph, i, memory);
    return memory->kv_bytes < SIZE_MAX / 2 ? SINQ_OK : fail_size(memory, error);
}
