/*
 * session_parts.h: a session of one sequence whose operations are run piece by piece, for whoever wants to see what is between them.
 * Positions always begin at 0, and the caches hold what was run last.
 *
 * Calling sequence: sinq_session_begin_window; sinq_session_run_operations over runs of the graph's operations, in order; behind the
 * last of the body sinq_session_logits, if they are wanted. Slots may be read and written between them: what a later piece reads must be
 * what the earlier ones left for that window.
 */
#ifndef SINQ_MODEL_SESSION_PARTS_H
#define SINQ_MODEL_SESSION_PARTS_H

#include "model/model.h"

/* Tokens at positions 0 .. count - 1, no more than a batch. They must be within the vocabulary. */
int sinq_session_begin_window(struct sinq_session *session, const int32_t *tokens, uint32_t count,
                              struct sinq_error *error);
/* Operations [first, end) of the graph's body; those of the head are passed over. */
int sinq_session_run_operations(struct sinq_session *session, uint32_t first, uint32_t end, struct sinq_error *error);
/* All of a slot's rows of the window. */
int sinq_session_read_slot(struct sinq_session *session, uint32_t slot, float *values, struct sinq_error *error);
int sinq_session_write_slot(struct sinq_session *session, uint32_t slot, const float *values, struct sinq_error *error);
/*
 * Runs the head's operations before `end` on rows [first, + *count) of the window, as many as the head's slots have room for, and reads
 * what they leave in `slot`.
 */
int sinq_session_read_head_slot(struct sinq_session *session, uint32_t end, uint32_t slot, uint32_t first,
                                float *values, uint32_t *count, struct sinq_error *error);

/*
 * Of the batch fed last, row `row`, as sinq_session_logits counts: the best token, where the backend finds it without a copy of all
 * logits (wants_best); else *best is -1, and `logits` are filled in.
 */
int sinq_session_read_row(struct sinq_session *session, uint32_t row, bool wants_best, int32_t *best, float *logits,
                          struct sinq_error *error);

/*
 * Weights `numbers`, which the model must have, become `weights`, whose bytes must outlive their use here; NULL: the model's own again.
 * Of a model on the CPU alone.
 */
int sinq_session_replace_weights(struct sinq_session *session, const uint32_t *numbers, size_t count,
                                 const struct sinq_weight *weights, struct sinq_error *error);

#endif
