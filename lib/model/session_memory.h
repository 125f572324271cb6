/* session_memory.h: what a session needs besides weights, worked out before anything is allocated. */
#ifndef SINQ_MODEL_SESSION_MEMORY_H
#define SINQ_MODEL_SESSION_MEMORY_H

#include "model/backend.h"

#define SINQ_DEFAULT_CONTEXT 8192u
#define SINQ_DEFAULT_BATCH   512u
#define SINQ_MAX_BATCH       4096u

struct sinq_session_memory {
    uint32_t context, batch;  /* positions */
    uint32_t sequences, rows; /* of a batch: one a sequence and position */
    uint32_t logits_rows;     /* rows of slots that are for logits */
    uint64_t kv_bytes, slot_bytes;
};

/* Options with their defaults filled in, checked against the configuration. */
int sinq_measure_session(const struct sinq_graph *graph, const struct sinq_session_options *options,
                         struct sinq_session_memory *memory, struct sinq_error *error);

/* Positions of one sequence's cache: all, or what a window and a batch can reach. False where its size overflows. */
bool sinq_measure_cache(const struct sinq_graph *graph, uint32_t cache, enum sinq_kv_type type,
                        const struct sinq_session_memory *memory, struct sinq_cache_layout *layout);

/* Bytes of one slot. */
uint64_t sinq_slot_bytes(const struct sinq_graph *graph, uint32_t slot, const struct sinq_session_memory *memory);

#endif
