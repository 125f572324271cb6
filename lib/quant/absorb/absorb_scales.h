/*
 * absorb_scales.h: the column scales that readers of the same values share.
 *
 * Each reader that is quantized is normalized by itself (sinkhorn.h) in runs of 256 columns, the most that share anything in a
 * block of GGUF; the mean square of its column scales over all readers, weighted by their rows, is that of the stacked matrix to
 * within what matters. So one matrix is in memory at a time, and each is read once, however many experts there are.
 *
 * How large the values are that a column is multiplied with is known from the weights alone: a norm's weights, or the rows of
 * the producing layer (each times the sizes of its own inputs). With both, t is the same for a model and for any other that computes
 * the same by scaling channels up here and down there.
 */
#ifndef SINQ_QUANT_ABSORB_SCALES_H
#define SINQ_QUANT_ABSORB_SCALES_H

#include "quant/absorb/absorb_plan.h"

struct sinq_absorb_options {
    const struct sinq_recipe_entry *entries; /* as the plan was made with */
    unsigned threads;
    bool replace_nonfinite; /* such weights count as zero; else they are SINQ_FAILED */
};

/* The same for any number of threads and on every machine. SINQ_INTERRUPTED where `progress` (or NULL) asks to stop. */
int sinq_find_absorbed_scales(const struct sinq_source *source, struct sinq_absorb_plan *plan,
                              const struct sinq_absorb_options *options, sinq_progress_fn *progress, void *user,
                              struct sinq_error *error);

/*
 * Moves t of groups behind a norm to the nearest with which the norm's new weights are bf16 numbers: so that they lose nothing
 * in any type they are stored in. Part of sinq_find_absorbed_scales.
 */
int sinq_settle_norm_scales(const struct sinq_source *source, struct sinq_absorb_plan *plan, struct sinq_error *error);

#endif
