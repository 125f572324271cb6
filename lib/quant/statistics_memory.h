/* statistics_memory.h: how much memory collecting statistics (sinq_collect_statistics) takes, known from a model's headers. No state. */
#ifndef SINQ_QUANT_STATISTICS_MEMORY_H
#define SINQ_QUANT_STATISTICS_MEMORY_H

#include "sinq.h"

/* The session that a model is run in: whole windows, in f32. */
struct sinq_session_options sinq_describe_calibration(uint32_t window, unsigned threads);

/*
 * An upper bound: a layer's weights as they are mapped, those that are rebuilt, the session, activations of all tokens between two
 * layers, a layer's matrices, and one window of one input.
 */
int sinq_estimate_statistics_memory(const struct sinq_source *source, uint64_t tokens, unsigned threads,
                                    uint64_t *bytes, struct sinq_error *error);

#endif
