/*
 * sensitive_weights.h: the matrices of a model whose sensitivity to errors is measured (sensitivities.h), from its graph alone. A subject is
 * all that is quantized as one: the parts of a fused tensor, a stack of experts; or experts that are tensors of their own, in one layer.
 */
#ifndef SINQ_QUANT_SENSITIVE_WEIGHTS_H
#define SINQ_QUANT_SENSITIVE_WEIGHTS_H

#include "model/graph.h"

#define SINQ_SENSITIVITY_SUFFIX ".sensitivity"

struct sinq_sensitive_use {
    size_t subject;
    uint32_t want, part; /* where it is read; a tied embedding is read in two parts (placement.h) */
};

struct sinq_sensitive_weights {
    char (*names)[180]; /* of each subject: its first weight's, and SINQ_SENSITIVITY_SUFFIX */
    size_t count;
    struct sinq_sensitive_use *uses; /* in the order of operations, each once a part */
    size_t use_count, use_capacity;
};

/* `parts` as sinq_find_parts has them. sinq_free_sensitive_weights in any case. */
int sinq_find_sensitive_weights(const struct sinq_graph *graph, const uint32_t *parts,
                                struct sinq_sensitive_weights *weights, struct sinq_error *error);
void sinq_free_sensitive_weights(struct sinq_sensitive_weights *weights);

#endif
