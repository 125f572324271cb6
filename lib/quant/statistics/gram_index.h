/* gram_index.h: which matrix of a file of statistics (sinq.h) is of which tensor of a model. */
#ifndef SINQ_QUANT_GRAM_INDEX_H
#define SINQ_QUANT_GRAM_INDEX_H

#include "sinq.h"

/* Where a tensor's matrix is, or those of a stack of experts. */
struct sinq_gram_place {
    int64_t tensor; /* of statistics, or -1 */
    uint64_t first; /* matrix of it */
    bool is_stack;  /* the stack's next one has the next matrix */
};

struct sinq_gram_index {
    const struct sinq_source *statistics;
    struct sinq_gram_place *of_tensor; /* of each tensor of the model */
    float *values;                     /* of the matrix that was read last */
    struct sinq_gram_place held;       /* which that is */
};

/* SINQ_FAILED where the statistics are of another model. sinq_free_gram_index in any case. */
int sinq_open_gram_index(const struct sinq_source *source, const struct sinq_source *statistics,
                         struct sinq_gram_index *index, struct sinq_error *error);
void sinq_free_gram_index(struct sinq_gram_index *index);
/* E[x x^T] of the inputs of the tensor's matrix, `cols` of them, until the next call; NULL where there is none. */
int sinq_read_gram(struct sinq_gram_index *index, size_t tensor, uint64_t matrix, uint64_t cols, const float **gram,
                   struct sinq_error *error);

#endif
