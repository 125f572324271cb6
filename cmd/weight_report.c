#include "weight_report.h"

#include <math.h>
#include <stdio.h>

#include "describe.h"
#include "json.h"
#include "quantity.h"
#include "report.h"
#include "table.h"
#include "terminal.h"

static bool has_quantized(const struct sinq_source *model) {
    for (size_t i = 0; i < sinq_source_tensor_count(model); i++)
        if (sinq_source_tensor(model, i)->dtype == SINQ_DUAL_SCALE) return true;
    return false;
}

double sinq_gated_error(const struct sinq_source *model, const struct sinq_weight_report *report) {
    return has_quantized(model) ? report->quantized_relative_error : report->relative_error;
}

static const char *describe_type(char *buffer, const struct sinq_source *model, size_t index) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(model, index);
    struct sinq_matrix_info info;
    struct sinq_error ignored;
    if (tensor->dtype == SINQ_DUAL_SCALE && sinq_source_matrix_info(model, index, 0, &info, &ignored) == SINQ_OK)
        return sinq_describe_storage(buffer, &info);
    snprintf(buffer, SINQ_DESCRIPTION_SIZE, "%s", sinq_dtype_name(tensor->dtype));
    return buffer;
}

static void add_row(struct sinq_table *table, const struct sinq_weight_comparison *comparison,
                    const struct sinq_weight_error *error) {
    char text[SINQ_DESCRIPTION_SIZE], percent[SINQ_QUANTITY_SIZE];
    sinq_table_add(table, sinq_source_tensor(comparison->model, error->tensor)->name);
    sinq_table_add(table, describe_type(text, comparison->model, error->tensor));
    sinq_table_add(table, sinq_format_percent(percent, error->relative_error));
    sinq_table_print_cell(table, "%.2f", error->snr_db);
    sinq_table_print_cell(table, "%.6f", error->cosine);
    sinq_table_print_cell(table, "%.4g", error->max_error);
}

void sinq_report_weights(const struct sinq_weight_comparison *comparison) {
    static const struct sinq_column columns[] = {
        {"tensor", SINQ_FLEXIBLE}, {"type", SINQ_LEFT},    {"error", SINQ_RIGHT},
        {"SNR dB", SINQ_RIGHT},    {"cosine", SINQ_RIGHT}, {"largest", SINQ_RIGHT},
    };
    const struct sinq_weight_report *const report = comparison->report;
    struct sinq_table table = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    size_t different = 0, listed = 0;
    for (size_t i = 0; i < report->count; i++) different += report->errors[i].max_error != 0.0;
    for (size_t i = 0; i < comparison->top; i++) {
        if (report->errors[i].max_error == 0.0) continue;
        add_row(&table, comparison, &report->errors[i]);
        listed++;
    }
    if (listed > 0) {
        sinq_table_write(&table, stdout, sinq_has_color(stdout), sinq_terminal_width(stdout));
        if (listed < different) printf("(%zu more)\n", different - listed);
        putchar('\n');
    }
    sinq_table_free(&table);
    char percent[SINQ_QUANTITY_SIZE];
    sinq_print_heading("%s, compared with %s", sinq_source_path(comparison->model),
                       sinq_source_path(comparison->reference));
    sinq_print_fact("tensors", "%zu compared, %zu of them equal", report->count, report->count - different);
    if (report->missing > 0)
        sinq_print_fact("one side only", "%zu, the first is %s", report->missing,
                        report->first_missing != NULL ? report->first_missing : "unnamed");
    if (has_quantized(comparison->model))
        sinq_print_fact("error", "%s of the quantized weights' norm (%.2f dB)",
                        sinq_format_percent(percent, report->quantized_relative_error),
                        -20.0 * log10(report->quantized_relative_error));
    sinq_print_fact(has_quantized(comparison->model) ? "" : "error", "%s of all weights' norm",
                    sinq_format_percent(percent, report->relative_error));
    sinq_print_fact("largest", "%.4g", report->max_error);
}

static void write_error(struct sinq_json_writer *json, const struct sinq_weight_comparison *comparison,
                        const struct sinq_weight_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(comparison->model, error->tensor);
    sinq_write_open_inline(json, NULL, '{');
    sinq_write_text(json, "name", tensor->name);
    sinq_write_text(json, "dtype", sinq_dtype_name(tensor->dtype));
    sinq_write_count(json, "values", error->values);
    sinq_write_real(json, "relative_error", error->relative_error);
    sinq_write_real(json, "snr_db", error->snr_db);
    sinq_write_real(json, "cosine", error->cosine);
    sinq_write_real(json, "max_error", error->max_error);
    sinq_write_real(json, "reference_norm", error->reference_norm);
    sinq_write_real(json, "error_norm", error->error_norm);
    sinq_write_close(json, '}');
}

void sinq_write_weight_report(struct sinq_json_writer *json, const struct sinq_weight_comparison *comparison) {
    const struct sinq_weight_report *const report = comparison->report;
    sinq_write_open(json, "weights", '{');
    sinq_write_count(json, "tensors_compared", report->count);
    sinq_write_count(json, "tensors_missing", report->missing);
    sinq_write_text(json, "first_missing", report->missing > 0 ? report->first_missing : NULL);
    sinq_write_real(json, "relative_error", report->relative_error);
    if (has_quantized(comparison->model))
        sinq_write_real(json, "quantized_relative_error", report->quantized_relative_error);
    else
        sinq_write_null(json, "quantized_relative_error");
    sinq_write_real(json, "max_error", report->max_error);
    sinq_write_real(json, "allowed_error", comparison->max_error >= 0.0 ? comparison->max_error : NAN);
    sinq_write_open(json, "tensors", '[');
    for (size_t i = 0; i < comparison->top; i++) write_error(json, comparison, &report->errors[i]);
    sinq_write_close(json, ']');
    sinq_write_close(json, '}');
}
