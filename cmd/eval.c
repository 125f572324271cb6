/* eval.c: `sinq eval`. */
#include "eval.h"

#include <stdio.h>

#include "command.h"
#include "formats.h"
#include "progress.h"
#include "terminal.h"
#include "weight_report.h"

/* ---- what is compared ---- */

/* Sources opened for one evaluation. With --as, the model is `trial`, and its reference the model that was named. */
struct sources {
    struct sinq_source *named, *reference, *trial;
    struct sinq_recipe *recipe;
};

static int open_trial(const struct sinq_eval_arguments *arguments, struct sources *sources, struct sinq_error *error) {
    struct sinq_quantize_options wanted = sinq_default_quantize_options();
    wanted.is_trial = true;
    wanted.threads = arguments->common.threads;
    int status = sinq_parse_quantize_setting(arguments->as, &wanted, error);
    if (status == SINQ_OK) status = sinq_make_recipe(sources->named, &wanted, &sources->recipe, error);
    if (status == SINQ_OK) status = sinq_open_trial(sources->named, sources->recipe, &sources->trial, error);
    return status;
}

static int open_sources(const struct sinq_eval_arguments *arguments, const char *path, struct sources *sources,
                        struct sinq_eval_result *result, struct sinq_error *error) {
    int status = sinq_open_checkpoint(path, &sources->named, error);
    if (status == SINQ_OK && arguments->reference != NULL)
        status = sinq_open_checkpoint(arguments->reference, &sources->reference, error);
    if (status == SINQ_OK && arguments->as != NULL) status = open_trial(arguments, sources, error);
    result->model = sources->trial != NULL ? sources->trial : sources->named;
    result->reference = sources->trial != NULL ? sources->named : sources->reference;
    return status;
}

static void close_sources(struct sources *sources) {
    sinq_source_close(sources->trial);
    sinq_recipe_free(sources->recipe);
    sinq_source_close(sources->reference);
    sinq_source_close(sources->named);
}

/* ---- measuring and reporting ---- */

static int compare_weights(struct sinq_eval_result *result, struct sinq_error *error) {
    struct sinq_meter meter;
    sinq_meter_start(&meter, &result->arguments->common, sinq_source_path(result->model));
    const int status = sinq_compare_weights(result->model, result->reference, result->arguments->common.threads,
                                            sinq_meter_report, &meter, &result->weights, error);
    sinq_meter_stop(&meter);
    return status;
}

static struct sinq_weight_comparison describe_weights(const struct sinq_eval_result *result) {
    const unsigned top = result->arguments->top;
    return (struct sinq_weight_comparison){
        .model = result->model,
        .reference = result->reference,
        .report = &result->weights,
        .max_error = result->arguments->max_error,
        .top = top > 0 && top < result->weights.count ? top : result->weights.count,
    };
}

static void report(const struct sinq_eval_result *result) {
    if (result->arguments->weights) {
        const struct sinq_weight_comparison comparison = describe_weights(result);
        sinq_report_weights(&comparison);
    }
    if (result->arguments->weights && result->arguments->text != NULL) putchar('\n');
    if (result->arguments->text != NULL) sinq_report_text(result);
}

static void write_thresholds(struct sinq_json_writer *json, const struct sinq_eval_result *result) {
    sinq_write_open(json, "thresholds", '[');
    for (unsigned i = 0; i < result->threshold_count; i++) {
        const struct sinq_threshold *const threshold = &result->thresholds[i];
        sinq_write_open_inline(json, NULL, '{');
        sinq_write_text(json, "option", threshold->option);
        sinq_write_real(json, "found", threshold->found);
        sinq_write_real(json, "allowed", threshold->allowed);
        sinq_write_flag(json, "met", sinq_is_met(threshold));
        sinq_write_close(json, '}');
    }
    sinq_write_close(json, ']');
}

static void report_json(const struct sinq_eval_result *result, int status) {
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.eval/1");
    sinq_write_text(&json, "model", sinq_source_path(result->model));
    sinq_write_text(&json, "reference", result->reference != NULL ? sinq_source_path(result->reference) : NULL);
    sinq_write_text(&json, "as", result->arguments->as);
    sinq_write_count(&json, "status", (uint64_t)status);
    write_thresholds(&json, result);
    if (result->arguments->weights) {
        const struct sinq_weight_comparison comparison = describe_weights(result);
        sinq_write_weight_report(&json, &comparison);
    }
    if (result->arguments->text != NULL) sinq_write_text_report(&json, result);
    sinq_write_close(&json, '}');
}

/* SINQ_CHECK_FAILED where a threshold is not met. */
static int report_all(struct sinq_eval_result *result) {
    int status = SINQ_OK;
    sinq_collect_thresholds(result);
    for (unsigned i = 0; i < result->threshold_count; i++)
        if (!sinq_is_met(&result->thresholds[i])) status = SINQ_CHECK_FAILED;
    if (result->arguments->common.json)
        report_json(result, status);
    else if (!result->arguments->common.quiet)
        report(result);
    fflush(stdout);
    sinq_report_unmet(result);
    return status;
}

static int run_eval(const struct sinq_command *command, int argc, char **argv) {
    struct sinq_eval_arguments arguments = sinq_default_eval_arguments;
    struct sinq_error error = {.status = 0};
    struct sources sources = {.named = NULL};
    struct sinq_eval_result result = {.arguments = &arguments};
    int first;
    const int code = sinq_begin_command(command, argc, argv, &arguments, &first);
    if (code != SINQ_CONTINUE) return code;
    if (argc == first) return sinq_report_usage(command, "which MODEL?");
    if (argc - first > 1) return sinq_report_usage(command, "one MODEL at a time, found '%s' besides", argv[first + 1]);
    if (sinq_check_eval_arguments(&arguments, &error) != SINQ_OK)
        return sinq_report_usage(command, "%s", error.message);
    int status = open_sources(&arguments, argv[first], &sources, &result, &error);
    if (status == SINQ_OK && arguments.weights) status = compare_weights(&result, &error);
    if (status == SINQ_OK && arguments.text != NULL) status = sinq_evaluate_text_file(&result, &error);
    if (status == SINQ_OK)
        status = report_all(&result);
    else
        sinq_report_error(status == SINQ_INTERRUPTED ? "interrupted" : error.message);
    sinq_weight_report_free(&result.weights);
    close_sources(&sources);
    return sinq_exit_code(status);
}

static const struct sinq_example examples[] = {
    {"sinq eval model --text book.txt", "Measures the perplexity of a text, in windows of 2048 tokens."},
    {"sinq eval small --reference model --text book.txt.gz --window 512",
     "Measures how much a model lost: perplexity, KL divergence, how often the best token is the same."},
    {"sinq eval small --reference model --text book.txt --max-ppl-increase 2% --min-same-top 90% -q",
     "Prints nothing, and exits with 3 if too much was lost."},
    {"sinq eval model --as bits:3 --text book.txt",
     "Measures what quantizing to 3 bits would cost, without writing a model."},
    {"sinq eval small --reference model --weights --top 10", "Compares weights and lists the ten worst tensors."},
    {"sinq eval small --reference model --weights --max-error 12% -q",
     "Prints nothing, and exits with 3 if the error is larger than 12 %."},
    {NULL, NULL},
};

const struct sinq_command sinq_eval_command = {
    .name = "eval",
    .summary = "measure perplexity, and how far a model is from its reference",
    .operands = "MODEL",
    .about =
        "Runs MODEL over a text and reports its perplexity; with a reference also how far its predictions are from the "
        "reference's: KL divergence with percentiles, how often the likeliest token is the same, and the increase of "
        "perplexity with the standard error of the paired difference. Errors are standard errors of the mean over "
        "predictions.\n"
        "With --weights, compares weights with those of a reference. Tensors are compared by name, whatever they "
        "are stored as.",
    .examples = examples,
    .options = sinq_eval_option_table,
    .run = run_eval,
};
