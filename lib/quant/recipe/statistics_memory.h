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

/*
 * What a stream of sensitivities.h has: so many windows of so many tokens, where there are `subjects` and the calibration text has `count` tokens in windows of
 * `window`. All streams together have at most three times the text's tokens, but for one window each.
 */
uint32_t sinq_find_stream_window(uint32_t window);
uint64_t sinq_count_stream_windows(size_t subjects, uint64_t count, uint32_t window);

#endif
