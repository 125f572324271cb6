/* reference_sidecar.h: the text beside the index in which the reference implementation says how layers are quantized. */
#ifndef SINQ_FORMATS_REFERENCE_SIDECAR_H
#define SINQ_FORMATS_REFERENCE_SIDECAR_H

#include "base/hash.h"
#include "base/input.h"
#include "base/name_index.h"
#include "tensor/reference_matrix.h"

#define SINQ_REFERENCE_SIDECAR "model.safetensors.index.json.meta.json"

/* What it says of one layer; numbers are as they stand there. */
struct sinq_reference_meta {
    bool is_there;
    uint64_t rows, cols, bits, axis;
    const struct sinq_reference_packing *packing; /* NULL: codes are not packed */
    enum sinq_method method;
    bool is_float_view;
    bool has_exponents; /* see struct sinq_reference_matrix */
    int factor_exponent, shift;
};

/*
 * Fills metas[i] of each layer that `layers` knows by that number; what is said of others is checked and passed over. *hash is of
 * the text.
 */
int sinq_read_reference_sidecar(const struct sinq_input *input, const struct sinq_name_index *layers,
                                struct sinq_reference_meta *metas, struct sinq_hash *hash, struct sinq_error *error);

#endif
