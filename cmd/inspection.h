/* inspection.h: what a checkpoint's headers say about it, added up. No weights are read. */
#ifndef SINQ_CMD_INSPECTION_H
#define SINQ_CMD_INSPECTION_H

#include "sinq.h"

/* One way in which tensors are stored: a dtype, or a quantized coding. */
struct sinq_storage_kind {
    enum sinq_dtype dtype;
    struct sinq_matrix_info
        info; /* for SINQ_DUAL_SCALE: GGUF's type, or method, bits, group size and scale type count */
    uint64_t tensors, values, bytes;
};

struct sinq_inspection {
    uint64_t parameters;   /* block scales are none */
    uint64_t tensor_bytes; /* block scales included */
    uint64_t file_bytes;
    struct sinq_storage_kind *kinds; /* most values first */
    size_t kind_count;
    uint64_t quantized_values;
    double linear_bits_per_weight; /* of the quantized linear layers; 0 where there are none */
    double overall_bits_per_weight;
    char *foreign_method; /* quant_method of a checkpoint that others quantized, else NULL */
};

int sinq_inspect_source(const struct sinq_source *source, struct sinq_inspection *inspection, struct sinq_error *error);
void sinq_free_inspection(struct sinq_inspection *inspection);

#endif
