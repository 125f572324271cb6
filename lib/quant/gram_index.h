/* gram_index.h: which matrix of a file of statistics (sinq.h) is of which tensor of a model. */
#ifndef SINQ_QUANT_GRAM_INDEX_H
#define SINQ_QUANT_GRAM_INDEX_H

#include "sinq.h"

struct sinq_gram_index {
    const struct sinq_source *statistics;
    int64_t *of_tensor; /* of each tensor of the model: one of statistics, or -1 */
    float *values;      /* of the matrix that was read last */
    int64_t held;       /* which that is, or -1 */
};

/* SINQ_FAILED where the statistics are of another model. sinq_free_gram_index in any case. */
int sinq_open_gram_index(const struct sinq_source *source, const struct sinq_source *statistics,
                         struct sinq_gram_index *index, struct sinq_error *error);
void sinq_free_gram_index(struct sinq_gram_index *index);
/* E[x x^T] of the tensor's inputs, `cols` of them, until the next call; NULL where there is none. */
int sinq_read_gram(struct sinq_gram_index *index, size_t tensor, uint64_t cols, const float **gram,
                   struct sinq_error *error);

#endif
