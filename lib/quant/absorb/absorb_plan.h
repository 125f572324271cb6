/*
 * absorb_plan.h: which tensors of a checkpoint carry whose column scales.
 *
 * Calling sequence
 *   sinq_plan_absorption()          from headers alone: groups of the graph, found in the source
 *   sinq_find_absorbed_scales()     (absorb_scales.h) reads the weights: t of each group
 *   sinq_fold_source()              (folded_source.h) the source as it is with t folded in
 * A plan belongs to one thread until its scales are found; then it is immutable.
 */
#ifndef SINQ_QUANT_ABSORB_PLAN_H
#define SINQ_QUANT_ABSORB_PLAN_H

#include "quant/absorb/absorb_groups.h"
#include "sinq.h"

#define SINQ_NO_GROUP UINT32_MAX

/* A weight of the graph as a matrix, or a vector, of a tensor. */
struct sinq_absorb_site {
    bool is_there;
    size_t tensor;
    uint64_t item; /* a matrix of a stack, or a row of a stack of vectors */
};

/* What becomes of one matrix (or vector): columns are divided by t of one group, rows multiplied by t of another. */
struct sinq_absorb_item {
    uint32_t reads, writes; /* groups, or SINQ_NO_GROUP */
};

struct sinq_absorb_tensor {
    bool is_wanted; /* the graph asks for it; others have no items */
    bool is_folded, is_vector, is_norm, is_transposed;
    float plus;           /* of a norm that is stored as w and used as 1 + w */
    size_t first_item;    /* of its items */
    uint32_t read_group;  /* one that it reads, folded or not; SINQ_NO_GROUP: none */
    const char *obstacle; /* why it keeps its column scales; NULL where it does not, or has none */
};

struct sinq_absorb_plan {
    struct sinq_absorb_groups groups;
    struct sinq_absorb_site *sites;     /* one a weight of the graph */
    struct sinq_absorb_tensor *tensors; /* one a tensor of the source */
    struct sinq_absorb_item *items;
    float **scales; /* one a group: t, or NULL where it is not folded */
    char **reasons; /* texts that entries of a recipe point to, each once */
    size_t reason_count;
};

/*
 * `entries` (one a tensor) say what is quantized: a group is folded where any of its readers is. A family that cannot run, a
 * tensor that is missing or of the wrong shape: SINQ_FAILED. Allocates t of every folded group, all 1.
 */
int sinq_plan_absorption(const struct sinq_source *source, const struct sinq_recipe_entry *entries,
                         struct sinq_absorb_plan **plan, struct sinq_error *error);
void sinq_absorb_plan_free(struct sinq_absorb_plan *plan);

/*
 * Tells entries what the plan means for them: folded readers round without column scales of their own, kept tensors that change
 * may take more bytes, and reasons say who carries a reader's scales or why nobody can.
 */
int sinq_apply_absorption(const struct sinq_source *source, struct sinq_absorb_plan *plan,
                          struct sinq_recipe_entry *entries, struct sinq_error *error);

/* The same rounding without a column scale of its own: what folded readers get. */
enum sinq_method sinq_drop_column_scale(enum sinq_method method);

/* Where the layer is that carries a folded group's scales. */
static inline const struct sinq_absorb_site *sinq_absorb_producer(const struct sinq_absorb_plan *plan, uint32_t group) {
    return &plan->sites[plan->groups.groups[group].producer];
}

#endif
