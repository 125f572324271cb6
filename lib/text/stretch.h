/* stretch.h: merging the symbols of one stretch, and writing the ids that are left. */
#ifndef SINQ_TEXT_STRETCH_H
#define SINQ_TEXT_STRETCH_H

#include "text/bpe.h"

/* Merges the stretch in hand, appends its ids to the output, and empties it. */
int sinq_merge_stretch(struct sinq_bpe_work *work, struct sinq_error *error);
/* Makes room for another symbol. */
int sinq_grow_stretch(struct sinq_bpe_work *work, struct sinq_error *error);
void sinq_free_stretch(struct sinq_bpe_work *work);

#endif
