/* text_report.c: how well models predict a text, for people and as JSON (docs/eval-json.md). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "eval.h"
#include "quantity.h"
#include "report.h"

#define MEASURE_SIZE 96

typedef unsigned long long number;

static const char *name_score(const struct sinq_eval_arguments *arguments) {
    return arguments->score != NULL ? arguments->score : "all";
}

static const char *name_kv(const struct sinq_eval_arguments *arguments) {
    return arguments->kv != NULL ? arguments->kv : "f16";
}

/* ---- for people ---- */

/* "28.498 ± 0.451": three digits of the error, and as many decimals of the value; the value alone where the error says nothing. */
static const char *format_measure(char *buffer, double value, double error) {
    if (!isfinite(value) || !(error > 0.0) || !isfinite(error)) {
        snprintf(buffer, MEASURE_SIZE, "%.6g", value);
        return buffer;
    }
    const double wanted = 2.0 - floor(log10(error));
    const int decimals = wanted < 0.0 ? 0 : wanted > 15.0 ? 15 : (int)wanted;
    snprintf(buffer, MEASURE_SIZE, "%.*f ± %.*f", decimals, value, decimals, error);
    return buffer;
}

/* With four decimals, for two perplexities differ by much less than either's error. */
static const char *format_perplexity(char *buffer, double value, double error) {
    if (!(value < 1e9) || !isfinite(error)) return format_measure(buffer, value, error);
    snprintf(buffer, MEASURE_SIZE, "%.4f ± %.4f", value, error);
    return buffer;
}

static void print_text(const struct sinq_eval_result *result) {
    const struct sinq_text_report *const r = &result->text;
    const bool is_shrunk = result->arguments->window == 0 && r->window == r->tokens;
    sinq_print_fact("text", "%llu tokens, %llu window%s of %llu%s", (number)r->tokens, (number)r->windows,
                    r->windows == 1 ? "" : "s", (number)r->window, is_shrunk ? ", the whole text" : "");
    if (r->stride != r->window) sinq_print_fact("", "one every %llu tokens", (number)r->stride);
    sinq_print_fact("scored", "%llu predictions%s%s", (number)r->scored,
                    strcmp(name_score(result->arguments), "all") == 0 ? "" : ", in the second half of windows",
                    result->arguments->bos ? ", windows begin with BOS" : "");
    sinq_print_fact("computed with", "%s activations, %s keys and values", result->arguments->exact ? "f32" : "default",
                    name_kv(result->arguments));
}

static void print_comparison(const struct sinq_text_report *r) {
    char value[MEASURE_SIZE], nll[MEASURE_SIZE];
    sinq_print_fact("reference", "%s (%s nats a token)",
                    format_perplexity(value, r->reference_perplexity, r->reference_perplexity_error),
                    format_measure(nll, r->reference_nll, r->reference_nll_error));
    sinq_print_fact("increase", "%s %% (ln of the ratio: %s)",
                    format_measure(value, 100.0 * (r->ratio - 1.0), 100.0 * r->ratio_error),
                    format_measure(nll, r->log_ratio, r->log_ratio_error));
    sinq_print_fact("KL divergence", "%s nats, median %.4g, largest %.4g", format_measure(value, r->kl, r->kl_error),
                    r->kl_median, r->kl_max);
    sinq_print_fact("", "90 %%: %.4g, 95 %%: %.4g, 99 %%: %.4g, 99.9 %%: %.4g", r->kl_90, r->kl_95, r->kl_99,
                    r->kl_999);
    sinq_print_fact("same best", "%s %% of predictions",
                    format_measure(value, 100.0 * r->same_top, 100.0 * r->same_top_error));
    sinq_print_fact("probability", "of the text's tokens: changed by %.4g %% (RMS)", 100.0 * r->rms_probability_change);
}

void sinq_report_text(const struct sinq_eval_result *result) {
    const struct sinq_text_report *const r = &result->text;
    char value[MEASURE_SIZE], nll[MEASURE_SIZE], seconds[SINQ_QUANTITY_SIZE];
    if (result->arguments->as != NULL)
        sinq_print_heading("%s as %s, compared with itself on %s", sinq_source_path(result->model),
                           result->arguments->as, result->arguments->text);
    else if (result->reference != NULL)
        sinq_print_heading("%s, compared with %s on %s", sinq_source_path(result->model),
                           sinq_source_path(result->reference), result->arguments->text);
    else
        sinq_print_heading("%s on %s", sinq_source_path(result->model), result->arguments->text);
    print_text(result);
    sinq_print_fact("perplexity", "%s (%s nats a token)", format_perplexity(value, r->perplexity, r->perplexity_error),
                    format_measure(nll, r->nll, r->nll_error));
    if (r->has_reference) print_comparison(r);
    sinq_print_fact("time", "%s, %.0f tokens/s", sinq_format_seconds(seconds, r->seconds),
                    r->seconds > 0.0 ? (double)(r->windows * r->window) / r->seconds : 0.0);
    if (result->has_device) sinq_print_fact("device", "%s at most", sinq_format_bytes(value, result->device.peak));
}

/* ---- JSON ---- */

static void write_comparison(struct sinq_json_writer *json, const struct sinq_text_report *r) {
    const struct {
        const char *key;
        double value;
    } fields[] = {
        {"reference_nll", r->reference_nll},
        {"reference_nll_error", r->reference_nll_error},
        {"reference_perplexity", r->reference_perplexity},
        {"reference_perplexity_error", r->reference_perplexity_error},
        {"log_ratio", r->log_ratio},
        {"log_ratio_error", r->log_ratio_error},
        {"ratio", r->ratio},
        {"ratio_error", r->ratio_error},
        {"kl", r->kl},
        {"kl_error", r->kl_error},
        {"kl_median", r->kl_median},
        {"kl_90", r->kl_90},
        {"kl_95", r->kl_95},
        {"kl_99", r->kl_99},
        {"kl_99_9", r->kl_999},
        {"kl_max", r->kl_max},
        {"same_top", r->same_top},
        {"same_top_error", r->same_top_error},
        {"rms_probability_change", r->rms_probability_change},
    };
    if (!r->has_reference) {
        sinq_write_null(json, "comparison");
        return;
    }
    sinq_write_open(json, "comparison", '{');
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) sinq_write_real(json, fields[i].key, fields[i].value);
    sinq_write_close(json, '}');
}

void sinq_write_text_report(struct sinq_json_writer *json, const struct sinq_eval_result *result) {
    const struct sinq_eval_arguments *const arguments = result->arguments;
    const struct sinq_text_report *const r = &result->text;
    sinq_write_open(json, "text", '{');
    sinq_write_text(json, "file", arguments->text);
    sinq_write_count(json, "tokens", r->tokens);
    sinq_write_count(json, "windows", r->windows);
    sinq_write_count(json, "window", r->window);
    sinq_write_count(json, "stride", r->stride);
    sinq_write_text(json, "score", name_score(arguments));
    sinq_write_count(json, "scored", r->scored);
    sinq_write_flag(json, "bos", arguments->bos);
    sinq_write_flag(json, "exact", arguments->exact);
    sinq_write_text(json, "kv", name_kv(arguments));
    sinq_write_real(json, "nll", r->nll);
    sinq_write_real(json, "nll_error", r->nll_error);
    sinq_write_real(json, "perplexity", r->perplexity);
    sinq_write_real(json, "perplexity_error", r->perplexity_error);
    write_comparison(json, r);
    sinq_write_real(json, "seconds", r->seconds);
    if (result->has_device) sinq_write_count(json, "device_peak_bytes", result->device.peak);
    sinq_write_close(json, '}');
}
