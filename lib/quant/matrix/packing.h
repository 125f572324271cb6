/*
 * packing.h: quantizing one matrix into our own layout in steps, so that a caller's threads can do other work beside it.
 *
 * Calling sequence: begin; each unit once, from any thread; settle, which may ask for all units again; finish. The units must
 * stay until settle has returned SINQ_OK with *again false; finish needs only the blob and may run in any thread.
 * sinq_quantize_packed (matrix.h) is all of it at once.
 */
#ifndef SINQ_QUANT_PACKING_H
#define SINQ_QUANT_PACKING_H

#include "quant/matrix/matrix.h"

struct sinq_packing;

/* Whether the matrix is rounded already, with feedback of errors: then its units are nothing to do. */
bool sinq_packing_is_calibrated(const struct sinq_packing *packing);

/* `wished` has the scale and zero types to begin with. Units and blob stay the caller's. */
int sinq_packing_begin(const struct sinq_unit_matrix *units, const struct sinq_matrix_method *method,
                       const struct sinq_dual_scale *wished, struct sinq_blob *blob, struct sinq_packing **packing,
                       struct sinq_error *error);
void sinq_packing_run_unit(struct sinq_packing *packing, uint64_t unit, unsigned worker);
/* After all units. *again: they did not do with the wished types, all have to be run once more. */
int sinq_packing_settle(struct sinq_packing *packing, bool *again, struct sinq_error *error);
/* Zero points, header and checksum; *description is that of the blob, with the types used. */
void sinq_packing_finish(struct sinq_packing *packing, struct sinq_dual_scale *description,
                         struct sinq_matrix_outcome *outcome);
void sinq_packing_free(struct sinq_packing *packing);

#endif
