/* recipe_report.c: what `sinq quantize --dry-run` prints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "fold.h"
#include "json.h"
#include "memory.h"
#include "quantity.h"
#include "quantize.h"
#include "report.h"
#include "table.h"
#include "terminal.h"

static const struct sinq_column columns[] = {
    {"tensor", SINQ_FLEXIBLE}, {"", SINQ_RIGHT},      {"shape", SINQ_LEFT},   {"becomes", SINQ_LEFT},
    {"before", SINQ_RIGHT},    {"after", SINQ_RIGHT}, {"bits/w", SINQ_RIGHT}, {"why", SINQ_LEFT},
};

static const char *describe_action(char *buffer, const struct sinq_tensor *tensor,
                                   const struct sinq_recipe_entry *entry) {
    if (entry->type != NULL) {
        snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%s", entry->type);
        return buffer;
    }
    if (entry->action == SINQ_QUANTIZE)
        return sinq_describe_coding(buffer, entry->method, (unsigned)entry->bits, entry->group_size, entry->scale_type);
    snprintf(buffer, SINQ_DESCRIPTION_SIZE, entry->action == SINQ_DROP ? "dropped" : "%s, kept",
             sinq_dtype_name(entry->bytes_after > entry->bytes_before ? SINQ_F32 : tensor->dtype));
    return buffer;
}

/* Everything about a tensor but its name: tensors of the same text fold into one line. */
static char *describe_trait(const struct sinq_tensor *tensor, const struct sinq_recipe_entry *entry) {
    char action[SINQ_DESCRIPTION_SIZE], shape[SINQ_DESCRIPTION_SIZE];
    return sinq_format("%s %s %s %s %llu", describe_action(action, tensor, entry), sinq_describe_shape(shape, tensor),
                       sinq_dtype_name(tensor->dtype), entry->reason, (unsigned long long)entry->bytes_after);
}

static void add_row(struct sinq_table *table, const struct sinq_quantize_result *result, const struct sinq_fold *fold) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(result->source, fold->members[0]);
    const struct sinq_recipe_entry *const entry = sinq_recipe_entry(result->recipe, fold->members[0]);
    char text[SINQ_DESCRIPTION_SIZE], bytes[SINQ_QUANTITY_SIZE];
    sinq_table_add(table, fold->name);
    if (fold->count > 1)
        sinq_table_print_cell(table, "x%zu", fold->count);
    else
        sinq_table_add(table, "");
    sinq_table_add(table, sinq_describe_shape(text, tensor));
    sinq_table_add(table, describe_action(text, tensor, entry));
    sinq_table_add(table, sinq_format_bytes(bytes, entry->bytes_before * fold->count));
    sinq_table_add(table, sinq_format_bytes(bytes, entry->bytes_after * fold->count));
    const uint64_t values = sinq_count_values(tensor);
    if (entry->action == SINQ_QUANTIZE && values > 0)
        sinq_table_print_cell(table, "%.3f", 8.0 * (double)entry->bytes_after / (double)values);
    else
        sinq_table_add(table, "");
    sinq_table_add(table, entry->reason);
}

static void report_tensors(const struct sinq_quantize_result *result, bool all) {
    const size_t count = sinq_source_tensor_count(result->source);
    const char **const names = sinq_allocate(count, sizeof *names);
    char **const traits = sinq_allocate(count, sizeof *traits);
    for (size_t i = 0; i < count; i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(result->source, i);
        names[i] = tensor->name;
        /* With its own index as its trait no tensor is like another. */
        traits[i] = all ? sinq_format("%zu", i) : describe_trait(tensor, sinq_recipe_entry(result->recipe, i));
    }
    struct sinq_fold_list list = sinq_fold_names(names, (const char *const *)traits, count);
    struct sinq_table table = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (size_t i = 0; i < list.count; i++) add_row(&table, result, &list.folds[i]);
    sinq_table_write(&table, stdout, sinq_has_color(stdout), sinq_terminal_width(stdout));
    sinq_table_free(&table);
    sinq_free_folds(&list);
    for (size_t i = 0; i < count; i++) free(traits[i]);
    free(traits);
    free(names);
}

/* Of --absorb: how many layers' column scales go elsewhere, and, each once, why others' do not. */
static void report_absorption(const struct sinq_recipe *recipe, size_t count) {
    static const char carried[] = "column scale in the ", stays[] = "column scale not absorbed: ";
    size_t folded = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sinq_recipe_entry *const entry = sinq_recipe_entry(recipe, i);
        if (entry->action == SINQ_QUANTIZE && strstr(entry->reason, carried) != NULL) folded++;
        if (entry->action == SINQ_QUANTIZE && strstr(entry->reason, stays) != NULL) left++;
    }
    if (folded + left == 0) return;
    sinq_print_fact("absorbed", "column scales of %zu of %zu tensors", folded, folded + left);
    for (size_t i = 0; i < count; i++) {
        const char *const reason = sinq_recipe_entry(recipe, i)->reason;
        bool is_known = strstr(reason, stays) == NULL;
        for (size_t k = 0; k < i && !is_known; k++)
            is_known = strcmp(sinq_recipe_entry(recipe, k)->reason, reason) == 0;
        if (!is_known) sinq_print_fact("", "%s", reason);
    }
}

void sinq_report_recipe(const struct sinq_quantize_result *result, bool all) {
    const struct sinq_recipe_summary summary = sinq_recipe_summary(result->recipe);
    char text[2][SINQ_QUANTITY_SIZE];
    report_tensors(result, all);
    putchar('\n');
    sinq_print_heading("%s -> %s (dry run: nothing is written)", result->input, result->output);
    sinq_print_fact("tensors", "%zu quantized (%s weights), %zu kept%s", summary.quantized,
                    sinq_format_count(text[0], summary.weights_quantized), summary.kept,
                    summary.dropped > 0 ? ", block scales dropped" : "");
    sinq_print_fact("size", "%s -> %s, %.2f times smaller", sinq_format_bytes(text[0], summary.bytes_before),
                    sinq_format_bytes(text[1], summary.bytes_after),
                    (double)summary.bytes_before / (double)(summary.bytes_after > 0 ? summary.bytes_after : 1));
    if (summary.quantized > 0)
        sinq_print_fact("bits/weight", "%.3f in linear layers, %.3f overall", summary.linear_bits_per_weight,
                        summary.overall_bits_per_weight);
    else
        sinq_print_fact("bits/weight", "%.3f overall", summary.overall_bits_per_weight);
    if (summary.predicted_kl > 0)
        sinq_print_fact("prediction", "KL divergence %.4f, by %s: for comparing recipes", summary.predicted_kl,
                        summary.is_measured ? "measured sensitivities" : "kind and place of tensors");
    sinq_print_fact("memory", "%s at most", sinq_format_bytes(text[0], summary.peak_memory));
    const struct sinq_recipe *const folding = result->folding != NULL ? result->folding : result->recipe;
    const struct sinq_source *const folded = result->folding != NULL ? result->original : result->source;
    report_absorption(folding, sinq_source_tensor_count(folded));
}

static void report_tensor_json(struct sinq_json_writer *json, const struct sinq_quantize_result *result, size_t index) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(result->source, index);
    const struct sinq_tensor *const origin = sinq_source_origin(result->source, index);
    const struct sinq_recipe_entry *const entry = sinq_recipe_entry(result->recipe, index);
    static const char *const actions[] = {[SINQ_KEEP] = "keep", [SINQ_QUANTIZE] = "quantize", [SINQ_DROP] = "drop"};
    sinq_write_open_inline(json, NULL, '{');
    sinq_write_text(json, "name", tensor->name);
    if (origin != tensor) sinq_write_text(json, "made_of", origin->name);
    sinq_write_text(json, "dtype", sinq_dtype_name(origin->dtype));
    sinq_write_open(json, "shape", '[');
    for (uint32_t i = 0; i < tensor->rank; i++) sinq_write_count(json, NULL, tensor->shape[i]);
    sinq_write_close(json, ']');
    sinq_write_text(json, "action", actions[entry->action]);
    sinq_write_text(json, "reason", entry->reason);
    sinq_write_flag(json, "linear", entry->is_linear);
    if (entry->type != NULL) {
        sinq_write_text(json, "type", entry->type);
    } else if (entry->action == SINQ_QUANTIZE) {
        sinq_write_text(json, "method", sinq_method_name(entry->method));
        sinq_write_count(json, "bits", (uint64_t)entry->bits);
        sinq_write_count(json, "group_size", entry->group_size);
        sinq_write_text(json, "scale_type", sinq_aux_type_name(entry->scale_type));
        sinq_write_flag(json, "transposed", entry->transposed);
    }
    sinq_write_count(json, "bytes_before", entry->bytes_before);
    sinq_write_count(json, "bytes_after", entry->bytes_after);
    sinq_write_close(json, '}');
}

void sinq_report_recipe_json(const struct sinq_quantize_result *result) {
    const struct sinq_recipe_summary summary = sinq_recipe_summary(result->recipe);
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.recipe/1");
    sinq_write_text(&json, "input", result->input);
    sinq_write_text(&json, "output", result->output);
    sinq_write_coding(&json, &summary);
    sinq_write_count(&json, "tensors_quantized", summary.quantized);
    sinq_write_count(&json, "tensors_kept", summary.kept);
    sinq_write_count(&json, "tensors_dropped", summary.dropped);
    sinq_write_count(&json, "weights_quantized", summary.weights_quantized);
    sinq_write_count(&json, "bytes_before", summary.bytes_before);
    sinq_write_count(&json, "bytes_after", summary.bytes_after);
    sinq_write_real(&json, "linear_bits_per_weight", summary.linear_bits_per_weight);
    sinq_write_real(&json, "overall_bits_per_weight", summary.overall_bits_per_weight);
    sinq_write_real(&json, "predicted_kl", summary.predicted_kl);
    sinq_write_flag(&json, "sensitivities_measured", summary.is_measured);
    sinq_write_count(&json, "peak_memory", summary.peak_memory);
    sinq_write_open(&json, "tensors", '[');
    for (size_t i = 0; i < sinq_source_tensor_count(result->source); i++) report_tensor_json(&json, result, i);
    sinq_write_close(&json, ']');
    sinq_write_close(&json, '}');
}
