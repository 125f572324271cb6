/* trial.h: a trial (sinq_open_trial) from the inside. */
#ifndef SINQ_QUANT_TRIAL_H
#define SINQ_QUANT_TRIAL_H

#include "sinq.h"

/*
 * Matrices of `width` columns are from now on rounded with E[x x^T] of what they read, gram[width][width], where their method can; NULL:
 * without. No one may be reading.
 */
void sinq_set_trial_gram(struct sinq_source *trial, const float *gram, uint64_t width);

#endif
