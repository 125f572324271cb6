/* quantize_report.c: what `sinq quantize` says when a model is done. */
#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "printable.h"
#include "quantity.h"
#include "quantize.h"
#include "report.h"

static void report_brief(const struct sinq_quantize_result *result, uint64_t before) {
    const struct sinq_quantize_summary *const summary = &result->summary;
    char bytes[2][SINQ_QUANTITY_SIZE], error[SINQ_QUANTITY_SIZE], time[SINQ_QUANTITY_SIZE];
    char *const input = sinq_copy_printable(result->input);
    char *const output = sinq_copy_printable(result->output);
    printf("%s -> %s  %s -> %s, %.2f bits/weight, error %s, %s\n", input, output, sinq_format_bytes(bytes[0], before),
           sinq_format_bytes(bytes[1], summary->bytes_written), summary->linear_bits_per_weight,
           sinq_format_percent(error, summary->relative_error), sinq_format_seconds(time, summary->seconds_total));
    free(output);
    free(input);
}

/* What a user would want to know and most runs do not have. */
static void report_unusual(const struct sinq_quantize_summary *summary) {
    if (summary->tensors_resumed > 0)
        sinq_print_fact("resumed", "%llu tensors were finished by an earlier run",
                        (unsigned long long)summary->tensors_resumed);
    if (summary->nonfinite_replaced > 0)
        sinq_print_fact("non-finite", "%llu weights became zero", (unsigned long long)summary->nonfinite_replaced);
    if (summary->matrices_gated > 0)
        sinq_print_fact("gated", "%llu matrices rounded without normalization, by --kurtosis-gate",
                        (unsigned long long)summary->matrices_gated);
    if (summary->matrices_calibrated > 0)
        sinq_print_fact("calibrated", "%llu matrices rounded with statistics of their inputs",
                        (unsigned long long)summary->matrices_calibrated);
    if (summary->matrices_widened > 0)
        sinq_print_fact("widened", "%llu matrices have wider scales or zero points than the recipe's",
                        (unsigned long long)summary->matrices_widened);
}

static void report_coding(const struct sinq_recipe_summary *recipe) {
    char group[40];
    if (recipe->type != NULL) {
        sinq_print_fact("type", "%s", recipe->type);
        return;
    }
    if (recipe->group_size == SINQ_GROUP_ROW) {
        snprintf(group, sizeof group, "one group a row");
    } else {
        snprintf(group, sizeof group, "groups of %u", (unsigned)recipe->group_size);
    }
    sinq_print_fact("coding", "%s%s, %d bits, %s, %s scales", recipe->is_mixed ? "mixed, most: " : "",
                    sinq_method_name(recipe->method), recipe->bits, group, sinq_aux_type_name(recipe->scale_type));
}

/* Of what is only cast there is nothing to say. */
static void report_weights(const struct sinq_quantize_summary *summary) {
    char text[SINQ_QUANTITY_SIZE];
    if (summary->tensors_quantized == 0) {
        sinq_print_fact("bits/weight", "%.3f overall", summary->overall_bits_per_weight);
        return;
    }
    sinq_print_fact("bits/weight", "%.3f in linear layers, %.3f overall", summary->linear_bits_per_weight,
                    summary->overall_bits_per_weight);
    sinq_print_fact("weight error", "%s of the quantized weights' norm",
                    sinq_format_percent(text, summary->relative_error));
}

void sinq_report_quantized(const struct sinq_quantize_result *result, bool brief) {
    const struct sinq_quantize_summary *const summary = &result->summary;
    const struct sinq_recipe_summary recipe = sinq_recipe_summary(result->recipe);
    const uint64_t before = recipe.bytes_before;
    if (brief) {
        report_brief(result, before);
        return;
    }
    char text[2][SINQ_QUANTITY_SIZE];
    sinq_print_heading("%s -> %s", result->input, result->output);
    report_coding(&recipe);
    sinq_print_fact("tensors", "%llu quantized (%s weights), %llu kept", (unsigned long long)summary->tensors_quantized,
                    sinq_format_count(text[0], summary->weights_quantized), (unsigned long long)summary->tensors_kept);
    sinq_print_fact("size", "%s -> %s, %.2f times smaller", sinq_format_bytes(text[0], before),
                    sinq_format_bytes(text[1], summary->bytes_written),
                    (double)before / (double)(summary->bytes_written > 0 ? summary->bytes_written : 1));
    report_weights(summary);
    sinq_print_fact("time", "%s, of which %s syncing to disk", sinq_format_seconds(text[0], summary->seconds_total),
                    sinq_format_seconds(text[1], summary->seconds_sync));
    report_unusual(summary);
}

void sinq_write_coding(struct sinq_json_writer *json, const struct sinq_recipe_summary *recipe) {
    if (recipe->type != NULL) {
        sinq_write_text(json, "type", recipe->type);
        return;
    }
    sinq_write_text(json, "method", sinq_method_name(recipe->method));
    sinq_write_count(json, "bits", (uint64_t)recipe->bits);
    sinq_write_count(json, "group_size", recipe->group_size);
    sinq_write_text(json, "scale_type", sinq_aux_type_name(recipe->scale_type));
    sinq_write_flag(json, "mixed", recipe->is_mixed);
}

void sinq_report_quantized_json(const struct sinq_quantize_result *result) {
    const struct sinq_quantize_summary *const summary = &result->summary;
    const struct sinq_recipe_summary recipe = sinq_recipe_summary(result->recipe);
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.quantize/1");
    sinq_write_text(&json, "input", result->input);
    sinq_write_text(&json, "output", result->output);
    sinq_write_count(&json, "status", 0);
    sinq_write_coding(&json, &recipe);
    sinq_write_count(&json, "bytes_before", recipe.bytes_before);
    sinq_write_count(&json, "bytes_after", summary->bytes_written);
    sinq_write_real(&json, "linear_bits_per_weight", summary->linear_bits_per_weight);
    sinq_write_real(&json, "overall_bits_per_weight", summary->overall_bits_per_weight);
    sinq_write_real(&json, "relative_error", summary->relative_error);
    sinq_write_count(&json, "tensors_quantized", summary->tensors_quantized);
    sinq_write_count(&json, "tensors_kept", summary->tensors_kept);
    sinq_write_count(&json, "tensors_resumed", summary->tensors_resumed);
    sinq_write_count(&json, "weights_quantized", summary->weights_quantized);
    sinq_write_count(&json, "nonfinite_replaced", summary->nonfinite_replaced);
    sinq_write_count(&json, "matrices_gated", summary->matrices_gated);
    sinq_write_count(&json, "matrices_calibrated", summary->matrices_calibrated);
    sinq_write_count(&json, "matrices_widened", summary->matrices_widened);
    sinq_write_count(&json, "bytes_read", summary->bytes_read);
    sinq_write_real(&json, "seconds_total", summary->seconds_total);
    sinq_write_real(&json, "seconds_sync", summary->seconds_sync);
    sinq_write_text(&json, "fingerprint", summary->fingerprint);
    sinq_write_close(&json, '}');
}
