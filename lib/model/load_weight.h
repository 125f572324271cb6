/* load_weight.h: from a want and a checkpoint's tensor to a weight that kernels read, in place where that is possible. */
#ifndef SINQ_MODEL_LOAD_WEIGHT_H
#define SINQ_MODEL_LOAD_WEIGHT_H

#include "base/name_index.h"
#include "checkpoint/source.h"
#include "model/graph.h"
#include "tensor/weight.h"

struct sinq_weight_loader {
    const struct sinq_source *source;
    const struct sinq_name_index *names; /* tensor_names.h */
    struct sinq_stack_place place;       /* of the last expert that was loaded */
    /* Memory of weights that are not used in place, a malloc'ed list of malloc'ed blocks; the caller's once loading is over. */
    void **owned;
    size_t owned_count, owned_capacity;
    uint64_t owned_bytes;
};

/* *is_there is false where an optional weight is missing. A missing or unfit tensor is SINQ_FAILED with its name. */
int sinq_load_weight(struct sinq_weight_loader *loader, const struct sinq_want *want, struct sinq_weight *weight,
                     bool *is_there, struct sinq_error *error);

/* What loading would take: bytes as kernels read them, and how many of them would have to be rebuilt in memory. Reads headers only. */
int sinq_measure_weight(const struct sinq_weight_loader *loader, const struct sinq_want *want, uint64_t *bytes,
                        uint64_t *owned, struct sinq_error *error);

#endif
