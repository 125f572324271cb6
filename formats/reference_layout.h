/* reference_layout.h: what the reference implementation's directories hold besides tensors, for their layout (layout.h). */
#ifndef SINQ_FORMATS_REFERENCE_LAYOUT_H
#define SINQ_FORMATS_REFERENCE_LAYOUT_H

#include "layout.h"

struct sinq_reference_layout_facts {
    const char *compute_dtype; /* static: "bfloat16" */
};

/* The type that config.json says the model computes in; bfloat16 where it says none of the three that the reference knows. */
const char *sinq_find_compute_dtype(const char *config);

#endif
