/*
 * reference_recipe.h: what becomes of a tensor in the reference implementation's layout, and of a source whose codes go from our layout
 * to that one or back as they are. The other half of recipe.c's decisions.
 */
#ifndef SINQ_QUANT_REFERENCE_RECIPE_H
#define SINQ_QUANT_REFERENCE_RECIPE_H

#include "checkpoint/roles.h"
#include "sinq.h"
#include "tensor/reference_matrix.h"

/*
 * Whether a source is repacked: it is quantized, in our layout or the reference's, and becomes the other one. SINQ_USAGE where
 * options then ask for anything but that.
 */
int sinq_check_repacking(const struct sinq_source *source, const struct sinq_quantize_options *options, bool *repacks,
                         struct sinq_error *error);

/* What becomes of a tensor of such a source. `scale_type` is the option's. */
int sinq_decide_repacked(const struct sinq_source *source, size_t tensor, const struct sinq_tensor_role *role,
                         enum sinq_format format, int scale_type, struct sinq_recipe_entry *entry,
                         struct sinq_error *error);

/*
 * Of the reference's layout: fits an entry that is to be quantized to what it can hold (groups are halved until they divide the row, as
 * the reference halves them), and measures it. SINQ_FAILED with the reason where that cannot be.
 */
int sinq_fit_reference(const struct sinq_source *source, size_t tensor, const struct sinq_tensor_role *role,
                       bool is_tiled, struct sinq_recipe_entry *entry, struct sinq_error *error);

/* The layer of such an entry. */
struct sinq_reference_matrix sinq_describe_reference_layer(const struct sinq_tensor *tensor,
                                                           const struct sinq_recipe_entry *entry, bool is_tiled);

/*
 * Memory beside its stored bytes that a layer takes in hand: codes a byte each, scales and zeros as floats, a panel of rows for each
 * thread, and their errors.
 */
uint64_t sinq_measure_plain_memory(const struct sinq_tensor *tensor, const struct sinq_recipe_entry *entry,
                                   unsigned threads);

#endif
