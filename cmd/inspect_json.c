/* inspect_json.c: what `sinq inspect --json` prints. */
#include "inspect.h"
#include "json.h"

static void write_kinds(struct sinq_json_writer *json, const struct sinq_inspection *inspection) {
    sinq_write_open(json, "stored_as", '[');
    for (size_t i = 0; i < inspection->kind_count; i++) {
        const struct sinq_storage_kind *const kind = &inspection->kinds[i];
        sinq_write_open_inline(json, NULL, '{');
        sinq_write_text(json, "dtype", sinq_dtype_name(kind->dtype));
        if (kind->info.block_type != NULL) {
            sinq_write_text(json, "block_type", kind->info.block_type);
        } else if (kind->dtype == SINQ_DUAL_SCALE) {
            sinq_write_text(json, "method", sinq_method_name(kind->info.method));
            sinq_write_count(json, "bits", kind->info.bits);
            sinq_write_count(json, "group_size", kind->info.group_size);
            sinq_write_text(json, "scale_type", sinq_aux_type_name(kind->info.scale_type));
        }
        sinq_write_count(json, "tensors", kind->tensors);
        sinq_write_count(json, "weights", kind->values);
        sinq_write_count(json, "bytes", kind->bytes);
        sinq_write_close(json, '}');
    }
    sinq_write_close(json, ']');
}

static void write_files(struct sinq_json_writer *json, const struct sinq_source *source) {
    sinq_write_open(json, "files", '[');
    for (size_t i = 0; i < sinq_source_shard_count(source); i++) {
        sinq_write_open_inline(json, NULL, '{');
        sinq_write_text(json, "path", sinq_source_shard_path(source, i));
        sinq_write_count(json, "bytes", sinq_source_shard_bytes(source, i));
        sinq_write_close(json, '}');
    }
    sinq_write_close(json, ']');
    sinq_write_open(json, "sidecars", '[');
    for (size_t i = 0; i < sinq_source_sidecar_count(source); i++)
        sinq_write_text(json, NULL, sinq_source_sidecar_name(source, i));
    sinq_write_close(json, ']');
}

static void write_coding(struct sinq_json_writer *json, const struct sinq_source *source, size_t index) {
    struct sinq_matrix_info info;
    struct sinq_error ignored;
    if (sinq_source_matrix_info(source, index, 0, &info, &ignored) != SINQ_OK) return;
    if (info.block_type != NULL) {
        sinq_write_text(json, "block_type", info.block_type);
        return;
    }
    sinq_write_text(json, "method", sinq_method_name(info.method));
    sinq_write_count(json, "bits", info.bits);
    sinq_write_count(json, "group_size", info.group_size);
    sinq_write_text(json, "scale_type", sinq_aux_type_name(info.scale_type));
    sinq_write_text(json, "zero_type", sinq_aux_type_name(info.zero_type));
    sinq_write_flag(json, "zero_per_block", info.zero_per_block);
    sinq_write_flag(json, "has_levels", info.has_levels);
    sinq_write_flag(json, "has_byte_levels", info.has_byte_levels);
    sinq_write_flag(json, "scale_signed", info.scale_signed);
    sinq_write_flag(json, "has_column_scale", info.has_column_scale);
    sinq_write_flag(json, "transposed", info.transposed);
}

static void write_stats(struct sinq_json_writer *json, const struct sinq_tensor_stats *stats) {
    sinq_write_open(json, "stats", '{');
    sinq_write_count(json, "values", stats->values);
    sinq_write_count(json, "nonfinite", stats->nonfinite);
    sinq_write_real(json, "minimum", stats->minimum);
    sinq_write_real(json, "maximum", stats->maximum);
    sinq_write_real(json, "mean", stats->mean);
    sinq_write_real(json, "deviation", stats->deviation);
    sinq_write_real(json, "kurtosis", stats->kurtosis);
    sinq_write_real(json, "outlier_share", stats->outlier_share);
    sinq_write_real(json, "imbalance_before", stats->imbalance_before);
    sinq_write_real(json, "imbalance_after", stats->imbalance_after);
    sinq_write_close(json, '}');
}

static void write_tensor(struct sinq_json_writer *json, const struct sinq_inspect_result *result, size_t index) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(result->source, index);
    sinq_write_open_inline(json, NULL, '{');
    sinq_write_text(json, "name", tensor->name);
    sinq_write_text(json, "dtype", sinq_dtype_name(tensor->dtype));
    sinq_write_open(json, "shape", '[');
    for (uint32_t k = 0; k < tensor->rank; k++) sinq_write_count(json, NULL, tensor->shape[k]);
    sinq_write_close(json, ']');
    sinq_write_count(json, "bytes", tensor->bytes);
    sinq_write_count(json, "file", tensor->shard);
    sinq_write_count(json, "offset", tensor->offset);
    if (tensor->dtype == SINQ_DUAL_SCALE) write_coding(json, result->source, index);
    if (tensor->is_block_scale) sinq_write_flag(json, "is_block_scale", true);
    if (result->measurements != NULL && result->measurements->measured[index])
        write_stats(json, &result->measurements->stats[index]);
    sinq_write_close(json, '}');
}

static void write_verification(struct sinq_json_writer *json, const struct sinq_inspect_result *result) {
    if (result->verified == NULL) return;
    sinq_write_open(json, "verified", '{');
    sinq_write_flag(json, "good", result->verify_error == NULL);
    sinq_write_count(json, "tensors", result->verified->tensors);
    sinq_write_count(json, "checksums", result->verified->checksums);
    sinq_write_count(json, "bad_checksums", result->verified->bad_checksums);
    sinq_write_count(json, "nonfinite_tensors", result->verified->nonfinite_tensors);
    sinq_write_text(json, "error", result->verify_error);
    sinq_write_close(json, '}');
}

void sinq_report_inspection_json(const struct sinq_inspect_result *result) {
    const struct sinq_source *const source = result->source;
    const struct sinq_inspection *const inspection = result->inspection;
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.inspect/1");
    sinq_write_text(&json, "model", sinq_source_path(source));
    sinq_write_count(&json, "status", result->verify_error == NULL ? SINQ_OK : SINQ_CHECK_FAILED);
    sinq_write_text(&json, "format", sinq_source_format(source));
    sinq_write_text(&json, "family", sinq_source_model_type(source));
    sinq_write_count(&json, "parameters", inspection->parameters);
    sinq_write_count(&json, "tensor_count", sinq_source_tensor_count(source));
    sinq_write_count(&json, "tensor_bytes", inspection->tensor_bytes);
    sinq_write_count(&json, "file_bytes", inspection->file_bytes);
    sinq_write_flag(&json, "quantized", inspection->quantized_values > 0);
    sinq_write_text(&json, "foreign_method", inspection->foreign_method);
    sinq_write_count(&json, "weights_quantized", inspection->quantized_values);
    if (inspection->linear_bits_per_weight > 0.0)
        sinq_write_real(&json, "linear_bits_per_weight", inspection->linear_bits_per_weight);
    else
        sinq_write_null(&json, "linear_bits_per_weight");
    sinq_write_real(&json, "overall_bits_per_weight", inspection->overall_bits_per_weight);
    write_kinds(&json, inspection);
    write_files(&json, source);
    write_verification(&json, result);
    if (result->arguments->tensors || result->measurements != NULL) {
        sinq_write_open(&json, "tensors", '[');
        for (size_t i = 0; i < sinq_source_tensor_count(source); i++)
            if (result->selected[i]) write_tensor(&json, result, i);
        sinq_write_close(&json, ']');
    }
    sinq_write_close(&json, '}');
}
