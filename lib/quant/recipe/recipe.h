/*
 * recipe.h: a recipe from the inside, for the job that runs it. The public half is in sinq.h.
 *
 * A recipe is immutable once made and may be shared by threads. It borrows its source, which must outlive it.
 */
#ifndef SINQ_QUANT_RECIPE_H
#define SINQ_QUANT_RECIPE_H

#include "base/text.h"
#include "quant/recipe/rule.h"
#include "sinq.h"
#include "tensor/dual_scale.h"

struct sinq_recipe {
    const struct sinq_source *source;
    struct sinq_recipe_entry *entries; /* one a tensor of the source, in its order */
    size_t count;
    struct sinq_recipe_summary summary;
    double kurtosis_gate; /* 0 is off */
    bool replace_nonfinite;
    bool weighs_columns; /* of GGUF */
    enum sinq_effort effort;
    bool tiling_2d;                       /* of a trial, or in the reference's layout */
    const struct sinq_source *statistics; /* NULL: none */
    bool scales_inputs;                   /* they choose column scales: input_scales.h */
    bool is_calibrated;                   /* with those, or with ones that are still to be made */
    double *sensitivities;                /* of each tensor, measured; 0: not known; or NULL: none is */
    bool repacks;                         /* what is quantized keeps its codes, in another layout */
    unsigned threads;                     /* at least 1 */
    struct sinq_rule_set *rules;          /* owns reasons that quote a rule */
    bool absorbs;
    struct sinq_absorb_plan
        *absorb; /* whose scales are not found yet, and which owns reasons too; NULL: not asked for */
};

/*
 * How the matrix of an entry to be quantized is stored: `rows` out features and `cols` in features, that is after turning a
 * transposed tensor. Scales are of the entry's type; zeros follow them: f16, or u8 with one range for the matrix where they
 * are integers and a range per block where they are not. What only the data can tell (factor, ranges) and the place in a
 * stack are left 0.
 */
void sinq_describe_matrix(const struct sinq_recipe_entry *entry, uint64_t rows, uint64_t cols,
                          struct sinq_dual_scale *matrix);

/* Whether statistics are of use to a method. */
bool sinq_can_calibrate(const struct sinq_recipe *recipe, enum sinq_method method);

/* Bytes of a tensor as an entry to be quantized has it. SINQ_FAILED where they are more than the layout can hold. */
int sinq_measure_entry(const struct sinq_recipe *recipe, const struct sinq_tensor *tensor,
                       const struct sinq_recipe_entry *entry, uint64_t *bytes, struct sinq_error *error);

/* Fills bytes_after of an entry to be quantized and raises the recipe's peak memory. */
int sinq_settle_entry(struct sinq_recipe *recipe, const struct sinq_tensor *tensor, struct sinq_recipe_entry *entry,
                      struct sinq_error *error);
/* Raises the peak memory for a layer in the reference's layout, or from it. */
void sinq_settle_layer(struct sinq_recipe *recipe, const struct sinq_tensor *tensor,
                       const struct sinq_recipe_entry *entry);

/* Fills counts, bytes and bits of the summary from the entries. */
void sinq_sum_up_recipe(struct sinq_recipe *recipe);

/*
 * Adds the recipe as text that is the same for the same decisions: whatever changes the output's bytes is in it, and nothing
 * else (no threads, no reasons). For fingerprints.
 */
void sinq_recipe_text(const struct sinq_recipe *recipe, struct sinq_text *text);

#endif
