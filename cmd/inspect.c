/* inspect.c: `sinq inspect`. */
#include "inspect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "formats.h"
#include "json.h"
#include "memory.h"
#include "pattern.h"
#include "plot.h"
#include "progress.h"
#include "terminal.h"

#define PLACE(member) .offset = offsetof(struct sinq_inspect_arguments, member)

static const struct sinq_option options[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "What is shown besides a summary"},
    {.name = "tensors", .kind = SINQ_OPTION_FLAG, PLACE(tensors), .help = "a table of the tensors: shape, type, size"},
    {.name = "stats",
     .kind = SINQ_OPTION_FLAG,
     PLACE(stats),
     .help = "statistics of each tensor's values: smallest, largest, standard deviation, kurtosis (3 for a "
             "Gaussian), imbalance before and after normalization, share beyond 6 deviations"},
    {.name = "match",
     .kind = SINQ_OPTION_TEXT,
     .argument = "REGEX",
     PLACE(match),
     .help = "only tensors whose name REGEX (Perl's syntax) is found in, for --tensors and --stats"},
    {.name = "verify",
     .kind = SINQ_OPTION_FLAG,
     PLACE(verify),
     .help = "check every checksum, and that all values are finite; exit with 3 if something is bad"},

    {.kind = SINQ_OPTION_HEADING, .help = "A picture"},
    {.name = "plot",
     .kind = SINQ_OPTION_PAIR,
     .argument = "NAME FILE",
     PLACE(plot),
     .help = "draw the tensor NAME into FILE, a PNG"},
    {.name = "plot-kind",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "KIND",
     .choices = "values scales error",
     PLACE(plot_kind),
     .help = "values, scales (of a quantized tensor), or error (default: error with --reference, else values)"},
    {.name = "reference",
     .kind = SINQ_OPTION_TEXT,
     .argument = "REF",
     .completion = SINQ_COMPLETE_FILES,
     PLACE(reference),
     .help = "the model whose values are the right ones, for the error"},
    {.name = "force", .letter = 'f', .kind = SINQ_OPTION_FLAG, PLACE(force), .help = "replace an existing FILE"},
    SINQ_COMMON_OPTIONS,
};

/* ---- statistics -------------------------------------------------------------------------------------------- */

static int measure_tensors(const struct sinq_inspect_arguments *arguments, const struct sinq_source *source,
                           const bool *selected, struct sinq_measurements *measurements, struct sinq_error *error) {
    struct sinq_progress progress = {.activity = "measuring", .items = sinq_source_tensor_count(source)};
    struct sinq_meter meter;
    int status = SINQ_OK;
    for (size_t i = 0; i < progress.items; i++)
        if (selected[i]) progress.bytes_total += sinq_source_tensor(source, i)->bytes;
    sinq_meter_start(&meter, &arguments->common, sinq_source_path(source));
    for (size_t i = 0; i < progress.items && status == SINQ_OK; i++) {
        if (!selected[i]) continue;
        progress.name = sinq_source_tensor(source, i)->name;
        progress.item = i;
        if (sinq_meter_report(&meter, &progress) != 0) {
            status = SINQ_INTERRUPTED;
            break;
        }
        status = sinq_measure_tensor(source, i, arguments->common.threads, &measurements->stats[i], error);
        measurements->measured[i] = status == SINQ_OK;
        progress.bytes += sinq_source_tensor(source, i)->bytes;
    }
    sinq_meter_stop(&meter);
    return status;
}

/* ---- verifying --------------------------------------------------------------------------------------------- */

static int verify_source(const struct sinq_inspect_arguments *arguments, const struct sinq_source *source,
                         struct sinq_verify_summary *summary, struct sinq_error *error) {
    struct sinq_meter meter;
    sinq_meter_start(&meter, &arguments->common, sinq_source_path(source));
    const int status = sinq_verify(source, arguments->common.threads, sinq_meter_report, &meter, summary, error);
    sinq_meter_stop(&meter);
    return status;
}

/* ---- the picture ------------------------------------------------------------------------------------------- */

static int draw_plot(const struct sinq_inspect_arguments *arguments, const struct sinq_source *source,
                     struct sinq_error *error) {
    struct sinq_source *reference = NULL;
    struct sinq_plot plot = {.source = source, .file = arguments->plot[1], .force = arguments->force};
    const char *const kind = arguments->plot_kind != NULL   ? arguments->plot_kind
                             : arguments->reference != NULL ? "error"
                                                            : "values";
    plot.kind = strcmp(kind, "scales") == 0  ? SINQ_PLOT_SCALES
                : strcmp(kind, "error") == 0 ? SINQ_PLOT_ERROR
                                             : SINQ_PLOT_VALUES;
    const int64_t tensor = sinq_source_find(source, arguments->plot[0]);
    if (tensor < 0) {
        snprintf(error->message, sizeof error->message, "%.400s: no tensor is named '%.400s' (--tensors lists them)",
                 sinq_source_path(source), arguments->plot[0]);
        return error->status = SINQ_FAILED;
    }
    plot.tensor = (size_t)tensor;
    int status = SINQ_OK;
    if (plot.kind == SINQ_PLOT_ERROR) status = sinq_open_checkpoint(arguments->reference, &reference, error);
    plot.reference = reference;
    if (status == SINQ_OK) status = sinq_plot_tensor(&plot, error);
    sinq_source_close(reference);
    return status;
}

/* ---- one model --------------------------------------------------------------------------------------------- */

static void select_tensors(const struct sinq_source *source, const struct sinq_pattern *pattern, bool *selected) {
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++)
        selected[i] = sinq_matches(pattern, sinq_source_tensor(source, i)->name);
}

static void report_result(const struct sinq_inspect_result *result, size_t *reported) {
    if (result->arguments->common.json) {
        sinq_report_inspection_json(result);
    } else if (!result->arguments->common.quiet) {
        if ((*reported)++ > 0) putchar('\n');
        sinq_report_inspection(result);
    }
    fflush(stdout);
}

/* Reports what was found; a failed check is reported too, and returned. *reported counts the reports so far. */
static int inspect_source(const struct sinq_inspect_arguments *arguments, const struct sinq_source *source,
                          const struct sinq_pattern *pattern, size_t *reported, struct sinq_error *error) {
    const size_t count = sinq_source_tensor_count(source);
    struct sinq_inspection inspection = {.kinds = NULL};
    struct sinq_verify_summary verified = {.tensors = 0};
    struct sinq_measurements measurements = {.measured = sinq_allocate(count, sizeof *measurements.measured),
                                             .stats = sinq_allocate(count, sizeof *measurements.stats)};
    bool *const selected = sinq_allocate(count, sizeof *selected);
    struct sinq_inspect_result result = {
        .arguments = arguments, .source = source, .inspection = &inspection, .selected = selected};
    int check = SINQ_OK;
    select_tensors(source, pattern, selected);
    int status = sinq_inspect_source(source, &inspection, error);
    if (status == SINQ_OK && arguments->stats) {
        status = measure_tensors(arguments, source, selected, &measurements, error);
        result.measurements = &measurements;
    }
    if (status == SINQ_OK && arguments->verify) {
        check = verify_source(arguments, source, &verified, error);
        if (check != SINQ_CHECK_FAILED) status = check;
        result.verified = &verified;
        result.verify_error = check == SINQ_CHECK_FAILED ? error->message : NULL;
    }
    if (status == SINQ_OK && arguments->plot[0] != NULL) {
        struct sinq_error plot_error = {.status = 0};
        status = draw_plot(arguments, source, &plot_error);
        if (status != SINQ_OK) *error = plot_error;
    }
    if (status == SINQ_OK) report_result(&result, reported);
    sinq_free_inspection(&inspection);
    free(measurements.measured);
    free(measurements.stats);
    free(selected);
    return status != SINQ_OK ? status : check;
}

static void report_failure(const struct sinq_inspect_arguments *arguments, const char *model, int status,
                           const char *message) {
    if (status == SINQ_INTERRUPTED) message = "interrupted";
    fflush(stdout);
    sinq_report_error(message);
    if (!arguments->common.json || status == SINQ_CHECK_FAILED) return;
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.inspect/1");
    sinq_write_text(&json, "model", model);
    sinq_write_count(&json, "status", (uint64_t)status);
    sinq_write_text(&json, "error", message);
    sinq_write_close(&json, '}');
}

static int inspect_models(const struct sinq_inspect_arguments *arguments, const struct sinq_pattern *pattern, int count,
                          char **models) {
    size_t reported = 0;
    int code = SINQ_OK;
    for (int i = 0; i < count; i++) {
        struct sinq_error error = {.status = 0};
        struct sinq_source *source = NULL;
        int status = sinq_open_checkpoint(models[i], &source, &error);
        if (status == SINQ_OK) status = inspect_source(arguments, source, pattern, &reported, &error);
        sinq_source_close(source);
        if (code == SINQ_OK) code = status;
        if (status != SINQ_OK) report_failure(arguments, models[i], status, error.message);
        if (status == SINQ_INTERRUPTED) break;
    }
    return sinq_exit_code(code);
}

/* Combinations that cannot be; 0 where all is well. */
static int check_arguments(const struct sinq_command *command, const struct sinq_inspect_arguments *arguments,
                           int models) {
    if (models == 0) return sinq_report_usage(command, "which MODEL?");
    const bool has_plot = arguments->plot[0] != NULL;
    if (has_plot && models > 1) return sinq_report_usage(command, "--plot draws one MODEL, found %d", models);
    if (!has_plot && arguments->plot_kind != NULL) return sinq_report_usage(command, "--plot-kind needs --plot");
    if (!has_plot && arguments->reference != NULL) return sinq_report_usage(command, "--reference needs --plot");
    if (arguments->plot_kind == NULL) return SINQ_OK;
    const bool is_error = strcmp(arguments->plot_kind, "error") == 0;
    if (is_error && arguments->reference == NULL)
        return sinq_report_usage(command, "--plot-kind error needs --reference REF");
    if (!is_error && arguments->reference != NULL)
        return sinq_report_usage(command, "--reference goes with --plot-kind error");
    return SINQ_OK;
}

static int run_inspect(const struct sinq_command *command, int argc, char **argv) {
    struct sinq_inspect_arguments arguments = {.tensors = false};
    struct sinq_pattern *pattern = NULL;
    struct sinq_error error;
    int first;
    int code = sinq_begin_command(command, argc, argv, &arguments, &first);
    if (code != SINQ_CONTINUE) return code;
    code = check_arguments(command, &arguments, argc - first);
    if (code != SINQ_OK) return code;
    if (arguments.match != NULL && sinq_compile_pattern(arguments.match, &pattern, &error) != SINQ_OK)
        return sinq_report_usage(command, "--match: %s", error.message);
    code = inspect_models(&arguments, pattern, argc - first, argv + first);
    sinq_free_pattern(pattern);
    return code;
}

static const struct sinq_example examples[] = {
    {"sinq inspect models/Qwen3-8B", "Says what a model is, how large, and how it is quantized."},
    {"sinq inspect --verify --stats MODEL", "Looks for what is wrong in a model."},
    {"sinq inspect small --plot model.layers.0.mlp.down_proj.weight error.png --reference model",
     "Draws what quantization changed in one matrix."},
    {NULL, NULL},
};

const struct sinq_command sinq_inspect_command = {
    .name = "inspect",
    .summary = "say what a model is, how it is quantized, and whether it is whole",
    .operands = "MODEL...",
    .about = "Prints what each MODEL is: its format and family, how many parameters and bytes it has, and how it is "
             "quantized. Without --stats, --verify and --plot only headers are read.",
    .examples = examples,
    .options = options,
    .run = run_inspect,
};
