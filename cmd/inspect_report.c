/* inspect_report.c: what `sinq inspect` prints for people. */
#include <stdio.h>
#include <string.h>

#include "describe.h"
#include "inspect.h"
#include "quantity.h"
#include "report.h"
#include "table.h"
#include "terminal.h"

static const char *describe_kind(char *buffer, enum sinq_dtype dtype, const struct sinq_matrix_info *info) {
    if (dtype == SINQ_DUAL_SCALE) return sinq_describe_storage(buffer, info);
    snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%s", sinq_dtype_name(dtype));
    return buffer;
}

static int find_widest_kind(const struct sinq_inspection *inspection) {
    size_t widest = 0;
    for (size_t i = 0; i < inspection->kind_count; i++) {
        char text[SINQ_DESCRIPTION_SIZE];
        const size_t length = strlen(describe_kind(text, inspection->kinds[i].dtype, &inspection->kinds[i].info));
        if (length > widest) widest = length;
    }
    return (int)widest;
}

static void report_kinds(const struct sinq_inspection *inspection) {
    const int widest = find_widest_kind(inspection);
    for (size_t i = 0; i < inspection->kind_count; i++) {
        const struct sinq_storage_kind *const kind = &inspection->kinds[i];
        char text[SINQ_DESCRIPTION_SIZE], count[SINQ_QUANTITY_SIZE], bytes[SINQ_QUANTITY_SIZE],
            share[SINQ_QUANTITY_SIZE];
        const double part = inspection->parameters > 0 ? (double)kind->values / (double)inspection->parameters : 0.0;
        sinq_print_fact(i == 0 ? "stored as" : "", "%-*s %7s weights in %llu tensor%s (%s), %s", widest,
                        describe_kind(text, kind->dtype, &kind->info), sinq_format_count(count, kind->values),
                        (unsigned long long)kind->tensors, kind->tensors == 1 ? "" : "s",
                        sinq_format_percent(share, part), sinq_format_bytes(bytes, kind->bytes));
    }
}

static void report_shards(const struct sinq_source *source) {
    for (size_t i = 0; i < sinq_source_shard_count(source); i++) {
        char bytes[SINQ_QUANTITY_SIZE];
        sinq_print_fact(i == 0 ? "files" : "", "%s, %s", sinq_source_shard_path(source, i),
                        sinq_format_bytes(bytes, sinq_source_shard_bytes(source, i)));
    }
}

static void report_quantization(const struct sinq_inspection *inspection) {
    if (inspection->quantized_values > 0) {
        if (inspection->linear_bits_per_weight > 0.0)
            sinq_print_fact("bits/weight", "%.3f in quantized linear layers, %.3f overall",
                            inspection->linear_bits_per_weight, inspection->overall_bits_per_weight);
        else
            sinq_print_fact("bits/weight", "%.3f overall", inspection->overall_bits_per_weight);
        return;
    }
    sinq_print_fact("bits/weight", "%.3f", inspection->overall_bits_per_weight);
    if (inspection->foreign_method != NULL)
        sinq_print_fact("quantized", "by others: %s", inspection->foreign_method);
    else
        sinq_print_fact("quantized", "no");
}

static void report_verification(const struct sinq_inspect_result *result) {
    const struct sinq_verify_summary *const verified = result->verified;
    if (verified == NULL) return;
    if (result->verify_error != NULL) {
        sinq_print_fact("verified", "BAD: %llu of %llu checksums differ, %llu tensors hold values that are not finite",
                        (unsigned long long)verified->bad_checksums, (unsigned long long)verified->checksums,
                        (unsigned long long)verified->nonfinite_tensors);
    } else if (verified->checksums == 0) {
        sinq_print_fact("verified", "all values of %llu tensors are finite; there are no checksums",
                        (unsigned long long)verified->tensors);
    } else {
        sinq_print_fact("verified", "%llu tensors good: %llu checksums, all values finite",
                        (unsigned long long)verified->tensors, (unsigned long long)verified->checksums);
    }
}

static void report_summary(const struct sinq_inspect_result *result) {
    const struct sinq_source *const source = result->source;
    const struct sinq_inspection *const inspection = result->inspection;
    const char *const family = sinq_source_model_type(source);
    const size_t shards = sinq_source_shard_count(source), tensors = sinq_source_tensor_count(source);
    char text[SINQ_QUANTITY_SIZE];
    sinq_print_heading("%s", sinq_source_path(source));
    sinq_print_fact("format", "%s", sinq_source_format(source));
    sinq_print_fact("family", "%s", family != NULL ? family : "unknown");
    sinq_print_fact("parameters", "%s in %zu tensor%s", sinq_format_count(text, inspection->parameters), tensors,
                    tensors == 1 ? "" : "s");
    sinq_print_fact("size", "%s in %zu file%s", sinq_format_bytes(text, inspection->file_bytes), shards,
                    shards == 1 ? "" : "s");
    report_quantization(inspection);
    report_kinds(inspection);
    if (result->arguments->common.verbose) report_shards(source);
    report_verification(result);
    if (result->arguments->plot[0] != NULL) sinq_print_fact("picture", "%s", result->arguments->plot[1]);
}

/* ---- tables ------------------------------------------------------------------------------------------------ */

static void write_table(struct sinq_table *table) {
    putchar('\n');
    sinq_table_write(table, stdout, sinq_has_color(stdout), sinq_terminal_width(stdout));
    sinq_table_free(table);
}

static void report_tensors(const struct sinq_inspect_result *result) {
    static const struct sinq_column columns[] = {
        {"tensor", SINQ_FLEXIBLE}, {"shape", SINQ_LEFT},   {"type", SINQ_LEFT},
        {"size", SINQ_RIGHT},      {"bits/w", SINQ_RIGHT}, {"file", SINQ_RIGHT},
    };
    const bool has_files = sinq_source_shard_count(result->source) > 1;
    struct sinq_table table = {.columns = columns, .column_count = has_files ? 6 : 5};
    for (size_t i = 0; i < sinq_source_tensor_count(result->source); i++) {
        if (!result->selected[i]) continue;
        const struct sinq_tensor *const tensor = sinq_source_tensor(result->source, i);
        struct sinq_matrix_info info = {.bits = 0};
        struct sinq_error ignored;
        char text[SINQ_DESCRIPTION_SIZE], bytes[SINQ_QUANTITY_SIZE];
        if (tensor->dtype == SINQ_DUAL_SCALE) sinq_source_matrix_info(result->source, i, 0, &info, &ignored);
        sinq_table_add(&table, tensor->name);
        sinq_table_add(&table, sinq_describe_shape(text, tensor));
        sinq_table_add(&table, describe_kind(text, tensor->dtype, &info));
        sinq_table_add(&table, sinq_format_bytes(bytes, tensor->bytes));
        const uint64_t values = sinq_count_values(tensor);
        sinq_table_print_cell(&table, "%.3g", values > 0 ? 8.0 * (double)tensor->bytes / (double)values : 0.0);
        if (has_files) sinq_table_print_cell(&table, "%u", (unsigned)tensor->shard + 1);
    }
    write_table(&table);
}

/* What is no matrix has none. */
static void add_imbalance(struct sinq_table *table, double imbalance) {
    if (imbalance > 0.0) {
        sinq_table_print_cell(table, "%.3f", imbalance);
    } else {
        sinq_table_add(table, "");
    }
}

static void report_stats(const struct sinq_inspect_result *result) {
    static const struct sinq_column columns[] = {
        {"tensor", SINQ_FLEXIBLE}, {"min", SINQ_RIGHT},          {"max", SINQ_RIGHT},
        {"std", SINQ_RIGHT},       {"kurtosis", SINQ_RIGHT},     {"imbalance", SINQ_RIGHT},
        {"after", SINQ_RIGHT},     {"beyond 6 std", SINQ_RIGHT}, {"not finite", SINQ_RIGHT},
    };
    bool has_nonfinite = false;
    const struct sinq_measurements *const measurements = result->measurements;
    const size_t count = sinq_source_tensor_count(result->source);
    for (size_t i = 0; i < count; i++)
        has_nonfinite = has_nonfinite || (measurements->measured[i] && measurements->stats[i].nonfinite > 0);
    struct sinq_table table = {.columns = columns, .column_count = has_nonfinite ? 9 : 8};
    for (size_t i = 0; i < count; i++) {
        if (!measurements->measured[i]) continue;
        const struct sinq_tensor_stats *const stats = &measurements->stats[i];
        char share[SINQ_QUANTITY_SIZE];
        sinq_table_add(&table, sinq_source_tensor(result->source, i)->name);
        sinq_table_print_cell(&table, "%.4g", stats->minimum);
        sinq_table_print_cell(&table, "%.4g", stats->maximum);
        sinq_table_print_cell(&table, "%.4g", stats->deviation);
        sinq_table_print_cell(&table, "%.3g", stats->kurtosis);
        add_imbalance(&table, stats->imbalance_before);
        add_imbalance(&table, stats->imbalance_after);
        sinq_table_add(&table, sinq_format_percent(share, stats->outlier_share));
        if (has_nonfinite) sinq_table_print_cell(&table, "%llu", (unsigned long long)stats->nonfinite);
    }
    write_table(&table);
}

void sinq_report_inspection(const struct sinq_inspect_result *result) {
    report_summary(result);
    if (result->arguments->tensors) report_tensors(result);
    if (result->measurements != NULL) report_stats(result);
}
