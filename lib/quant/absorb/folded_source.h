/*
 * folded_source.h: a checkpoint as it is with the column scales of a plan folded in.
 *
 * It has the tensors of its origin, in the same order: matrices and biases that are changed are F32 here, computed in f64 from
 * what is stored and rounded once; norms keep their type. All else is passed through. Thread safe, as its origin is.
 */
#ifndef SINQ_QUANT_FOLDED_SOURCE_H
#define SINQ_QUANT_FOLDED_SOURCE_H

#include "quant/absorb/absorb_plan.h"

/* The type a changed tensor has in the folded source. */
enum sinq_dtype sinq_folded_dtype(const struct sinq_absorb_plan *plan, const struct sinq_source *source, size_t tensor);

/* Takes over the plan where it succeeds; the origin must outlive it. Close with sinq_source_close. */
int sinq_fold_source(const struct sinq_source *origin, struct sinq_absorb_plan *plan, struct sinq_source **folded,
                     struct sinq_error *error);

#endif
