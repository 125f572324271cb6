/* pairing.h: which tensors of two checkpoints belong together. */
#ifndef SINQ_EVAL_PAIRING_H
#define SINQ_EVAL_PAIRING_H

#include "sinq.h"

struct sinq_pairing {
    struct sinq_weight_error *pairs; /* only the indices are set; malloc'ed */
    size_t count;
    size_t missing;            /* tensors without a partner */
    const char *first_missing; /* of the model's order, then the reference's; owned by its source */
};

/*
 * Pairs tensors by name, in the model's order. Block scales are no weights and take no part. An lm_head that one side lacks is
 * not missing where it equals its own side's embeddings byte for byte: the two are tied. Shapes of a pair must agree.
 */
int sinq_pair_tensors(const struct sinq_source *model, const struct sinq_source *reference,
                      struct sinq_pairing *pairing, struct sinq_error *error);

#endif
