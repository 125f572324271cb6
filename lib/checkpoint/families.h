/*
 * families.h: the tensor names of each model family, as Hugging Face checkpoints spell them.
 *
 * A new family is one table in families.c and one line in its list. A pattern names a module, without what wraps the text
 * model ("model.", "language_model.", "transformer.", ...) and without ".weight" or ".bias"; {L} stands for a layer's
 * number and {E} for an expert's. All tables are constant: thread safe.
 */
#ifndef SINQ_CHECKPOINT_FAMILIES_H
#define SINQ_CHECKPOINT_FAMILIES_H

#include "checkpoint/roles.h"

enum sinq_pattern_flags {
    SINQ_PATTERN_TRANSPOSED = 1, /* stored [in, out] */
    SINQ_PATTERN_STACK = 2,      /* all experts of a layer in one 3-D tensor; with and without ".weight" */
    SINQ_PATTERN_RAW = 4,        /* a parameter or buffer of its own: the whole name, no ".weight" behind it */
    SINQ_PATTERN_SHARED = 8      /* of a shared expert */
};

struct sinq_name_pattern {
    const char *module; /* NULL ends a table */
    enum sinq_role role;
    unsigned flags;
};

#define SINQ_FAMILY_TABLES 8

struct sinq_family {
    const char *model_types;                                    /* as config.json says, separated by single spaces */
    const struct sinq_name_pattern *tables[SINQ_FAMILY_TABLES]; /* in this order; NULL ends them */
};

/* The family of a model_type, or NULL where it is unknown or NULL. */
const struct sinq_family *sinq_find_family(const char *model_type);

struct sinq_pattern_match {
    const struct sinq_name_pattern *pattern; /* NULL: none fits */
    int layer, expert;                       /* -1 where the pattern has no such number */
};

/*
 * The first pattern of the family that all `size` bytes of `name` fit and that has any of `flags` (0: that has no
 * SINQ_PATTERN_RAW).
 */
struct sinq_pattern_match sinq_match_family(const struct sinq_family *family, const char *name, size_t size,
                                            unsigned flags);

#endif
