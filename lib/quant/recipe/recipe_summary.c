/* recipe_summary.c: a recipe in a few numbers. */
#include "checkpoint/source.h"
#include "quant/recipe/recipe.h"

static double divide_bits(uint64_t bytes, uint64_t weights) {
    return weights > 0 ? (double)bytes * 8.0 / (double)weights : 0.0;
}

void sinq_sum_up_recipe(struct sinq_recipe *recipe) {
    struct sinq_recipe_summary *const summary = &recipe->summary;
    uint64_t parameters = 0, linear_weights = 0, linear_bytes = 0;
    for (size_t i = 0; i < recipe->count; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(recipe->source, i);
        const struct sinq_recipe_entry *const entry = &recipe->entries[i];
        const uint64_t elements = sinq_count_values(tensor);
        summary->bytes_before += entry->bytes_before;
        summary->bytes_after += entry->bytes_after;
        summary->kept += entry->action == SINQ_KEEP;
        summary->dropped += entry->action == SINQ_DROP;
        summary->quantized += entry->action == SINQ_QUANTIZE;
        parameters += tensor->is_block_scale ? 0 : elements;
        if (entry->action != SINQ_QUANTIZE) continue;
        summary->weights_quantized += elements;
        linear_weights += entry->is_linear ? elements : 0;
        linear_bytes += entry->is_linear ? entry->bytes_after : 0;
    }
    summary->linear_bits_per_weight = divide_bits(linear_bytes, linear_weights);
    summary->overall_bits_per_weight = divide_bits(summary->bytes_after, parameters);
}
