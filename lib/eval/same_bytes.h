/* same_bytes.h: whether two tensors are stored as the same bytes. */
#ifndef SINQ_EVAL_SAME_BYTES_H
#define SINQ_EVAL_SAME_BYTES_H

#include "sinq.h"

int sinq_is_same_bytes(const struct sinq_source *a, size_t tensor_a, const struct sinq_source *b, size_t tensor_b,
                       bool *same, struct sinq_error *error);

#endif
