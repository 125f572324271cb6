/* recipe_maker.h: a recipe in the making: what becomes of each tensor, before sizes are looked at. */
#ifndef SINQ_QUANT_RECIPE_MAKER_H
#define SINQ_QUANT_RECIPE_MAKER_H

#include "checkpoint/source.h"
#include "quant/recipe/block_recipe.h"
#include "quant/recipe/recipe.h"
#include "quant/recipe/settings.h"

/* What making a recipe needs beside the recipe. */
struct sinq_recipe_maker {
    struct sinq_recipe *recipe;
    const struct sinq_source *source;
    const char *model_type;
    const struct sinq_quantize_options *options;
    struct sinq_settings base, head, embedding;
    struct sinq_block_settings blocks; /* of GGUF and plain checkpoints: type is NULL for our own layout */
    struct sinq_rule_use *uses;        /* one a rule */
    bool *is_settled;                  /* one a tensor: an option or a rule says what becomes of it */
    bool has_include;
    bool is_tied; /* no lm_head of its own */
};

struct sinq_rule_use {
    struct sinq_settings settings;
    size_t quantized;     /* tensors for which it was the last word */
    int64_t first_unfit;  /* the first that it asks to quantize but that cannot be, or -1 */
    const char *unfit_as; /* why */
};

/* recipe->entries[index], by the tensor's role and the rules that match its name. */
int sinq_decide_tensor(const struct sinq_recipe_maker *maker, size_t index, struct sinq_error *error);

/* Behind all of them: scales of blocks go where their tensor goes; a rule that fits no tensor fails. */
void sinq_follow_block_scales(const struct sinq_recipe_maker *maker);
int sinq_check_rule_uses(const struct sinq_recipe_maker *maker, struct sinq_error *error);

#endif
