/* recipe_text.c: a recipe as text, for fingerprints. */
#include <inttypes.h>
#include <string.h>

#include "checkpoint/source.h"
#include "quant/recipe/recipe.h"

void sinq_recipe_text(const struct sinq_recipe *recipe, struct sinq_text *text) {
    uint64_t gate; /* as bits: the decimal point depends on the locale */
    memcpy(&gate, &recipe->kurtosis_gate, sizeof gate);
    sinq_text_print(text, "recipe 1 gate %016" PRIx64 " nonfinite %s\n", gate,
                    recipe->replace_nonfinite ? "zero" : "error");
    if (recipe->weighs_columns) sinq_text_add(text, "importance 1\n");
    if (recipe->effort != SINQ_EFFORT_DEFAULT) sinq_text_print(text, "effort %d\n", (int)recipe->effort);
    if (recipe->absorbs) sinq_text_add(text, "absorb 1\n");
    if (recipe->summary.format == SINQ_FORMAT_REFERENCE) {
        sinq_text_print(text, "reference tiling %s\n", recipe->tiling_2d ? "2d" : "1d");
    }
    for (size_t i = 0; recipe->statistics != NULL && i < recipe->statistics->shard_count; i++) {
        sinq_text_add(text, "statistics ");
        for (unsigned b = 0; b < 16; b++) sinq_text_print(text, "%02x", recipe->statistics->shards[i].header_hash[b]);
        sinq_text_add(text, "\n");
    }
    if (recipe->scales_inputs) sinq_text_add(text, "asinq 1\n");
    if (recipe->repacks) sinq_text_add(text, "repack 1\n");
    for (size_t i = 0; i < recipe->count; i++) {
        const struct sinq_recipe_entry *const entry = &recipe->entries[i];
        sinq_text_add_json(text, sinq_source_tensor(recipe->source, i)->name);
        if (entry->type != NULL) {
            sinq_text_print(text, " type %s\n", entry->type);
        } else if (entry->action == SINQ_QUANTIZE) {
            sinq_text_print(text, " quantize bits %d group %" PRIu32 " method %s scale %s%s\n", entry->bits,
                            entry->group_size, sinq_method_name(entry->method), sinq_aux_type_name(entry->scale_type),
                            entry->transposed ? " transposed" : "");
        } else {
            sinq_text_add(text, entry->action == SINQ_DROP ? " drop\n" : " keep\n");
        }
    }
}
