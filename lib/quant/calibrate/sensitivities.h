/*
 * sensitivities.h: how much a model's predictions suffer from errors in each of its matrices, measured on some tokens.
 *
 * The model runs layer by layer, once as it is, and beside that in a stream for each matrix met so far: in the layer of that matrix it is
 * replaced by itself quantized (byte levels, 3 bits, groups of 32, with statistics of its inputs as in earnest), all layers
 * behind it are exact. At the end the head tells each stream's divergence from the exact one. Divided by the error that damage.h expects
 * of that form, that is the matrix's sensitivity. One layer's weights are in use at a time; in memory are the streams' slots between
 * two layers.
 *
 * Calling sequence: open; run for each layer (and what comes before them) in order; finish; get; close in any case. Not thread safe.
 */
#ifndef SINQ_QUANT_SENSITIVITIES_H
#define SINQ_QUANT_SENSITIVITIES_H

#include "model/model.h"

struct sinq_sensitivities;

/* E[x x^T] of what a want's matrix reads, as [width][width], until the next call; NULL: there is none. */
struct sinq_gram_giver {
    int (*give)(void *user, uint32_t want, const float **gram, uint64_t *width, struct sinq_error *error);
    void *user;
};

struct sinq_sensitivities_options {
    const int32_t *tokens; /* borrowed; windows are taken from all over them */
    uint64_t count;
    uint32_t window; /* of those tokens: a stream's are no longer */
    unsigned threads;
    struct sinq_gram_giver grams;
    /* Called after each window of each stream in each layer, with its tokens; not SINQ_OK stops the work. */
    int (*report)(void *user, uint64_t tokens, struct sinq_error *error);
    void *user;
};

int sinq_open_sensitivities(const struct sinq_source *source, const struct sinq_model *model,
                            const struct sinq_sensitivities_options *options, struct sinq_sensitivities **opened,
                            struct sinq_error *error);
/* Operations [first, end) of the graph: one part (placement.h). */
int sinq_run_sensitivities(struct sinq_sensitivities *s, uint32_t first, uint32_t end, struct sinq_error *error);
/* Runs the head. */
int sinq_finish_sensitivities(struct sinq_sensitivities *s, struct sinq_error *error);
/* Then: nats for each unit of relative squared error, of each subject (sensitive_weights.h); 0 where it is not known. */
const double *sinq_get_sensitivities(const struct sinq_sensitivities *s, size_t *count);
/* Tokens that will be reported: each stream's, in each layer that it goes through, and in the head. */
uint64_t sinq_count_stream_passes(const struct sinq_sensitivities *s);
void sinq_close_sensitivities(struct sinq_sensitivities *s);

#endif
