/*
 * budget.h: bits, group size and scale type of each tensor, chosen so that all tensors together take no more than so many bytes and the
 * damage predicted (damage.h) is least. Also what is predicted of recipes without a budget.
 */
#ifndef SINQ_QUANT_BUDGET_H
#define SINQ_QUANT_BUDGET_H

#include "quant/recipe/recipe.h"
#include "quant/recipe/settings.h"

/* Whether the options ask for one. */
bool sinq_has_budget(const struct sinq_quantize_options *options);
/* SINQ_USAGE for a budget that is not a number, is given twice, or goes with options that leave nothing to choose. */
int sinq_check_budget(const struct sinq_quantize_options *options, struct sinq_error *error);

/*
 * Rewrites the entries that are quantized, and those of the embeddings and the head, but for those that are settled: `is_settled` has one
 * flag a tensor. `base` is what the options mean; what they leave open is chosen. SINQ_FAILED, with the smallest size, where the budget
 * is too small.
 */
int sinq_spend_budget(struct sinq_recipe *recipe, const struct sinq_quantize_options *options,
                      const struct sinq_settings *base, const bool *is_settled, struct sinq_error *error);

/*
 * The same for linear layers alone, which together take no more than base->bits and a quarter of a bit a weight, everything
 * counted. Where no choice is as small as that (rows of few columns, which are padded) entries stay as they are.
 */
int sinq_spend_on_linear(struct sinq_recipe *recipe, const struct sinq_settings *base, const bool *is_settled,
                         struct sinq_error *error);

/* Nats a token by damage.h, over all entries that have codes of ours. Fails for want of memory only. */
int sinq_predict_damage(const struct sinq_recipe *recipe, double *kl, struct sinq_error *error);

#endif
