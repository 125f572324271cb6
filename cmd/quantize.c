/* quantize.c: `sinq quantize`. */
#include "quantize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calibrate.h"
#include "command.h"
#include "command_line.h"
#include "formats.h"
#include "json.h"
#include "memory.h"
#include "output_path.h"
#include "progress.h"
#include "quantity.h"
#include "terminal.h"

/* One call of the command: its arguments, and what became of the models so far. */
struct run {
    const struct sinq_quantize_arguments *arguments;
    size_t model_count, done;
    uint64_t bytes_before, bytes_after;
};

static bool makes_gguf(const struct run *run) { return sinq_read_output_format(run->arguments) == SINQ_FORMAT_GGUF; }

static bool makes_directory(const struct run *run, const struct sinq_source *source) {
    if (sinq_read_output_format(run->arguments) == SINQ_FORMAT_REFERENCE) return true;
    return makes_gguf(run) ? run->arguments->max_shard_bytes != 0 : sinq_source_is_directory(source);
}

/* The output of one model, by -o or by default. */
static char *choose_output(const struct run *run, const char *model, const struct sinq_source *source,
                           const struct sinq_recipe_summary *recipe) {
    const char *const output = run->arguments->output;
    const bool is_directory = makes_directory(run, source);
    const bool is_folder = output != NULL && (run->model_count > 1 || (!is_directory && sinq_is_directory(output)));
    if (output != NULL && !is_folder) return sinq_format("%s", output);
    return sinq_default_output_path(model, sinq_source_is_directory(source), recipe, output);
}

static int write_output(const struct run *run, struct sinq_quantize_result *result, struct sinq_error *error) {
    const struct sinq_quantize_arguments *const arguments = run->arguments;
    const struct sinq_create_options create = {
        .path = result->output,
        .format = sinq_read_output_format(arguments),
        .type = arguments->type,
        .source = result->source,
        .max_shard_bytes = arguments->max_shard_bytes,
        .force = arguments->force,
        .resume = arguments->resume,
    };
    struct sinq_sink *sink = NULL;
    struct sinq_meter meter;
    int status = sinq_create_checkpoint(&create, &sink, error);
    if (status != SINQ_OK) return status;
    sinq_meter_start(&meter, &arguments->common, result->input);
    status = sinq_quantize(result->source, result->recipe, sink, sinq_meter_report, &meter, &result->summary, error);
    sinq_meter_stop(&meter);
    sinq_sink_close(sink);
    return status;
}

static void report_result(struct run *run, const struct sinq_quantize_result *result) {
    const struct sinq_common_options *const common = &run->arguments->common;
    const struct sinq_recipe_summary recipe = sinq_recipe_summary(result->recipe);
    run->bytes_before += recipe.bytes_before;
    run->bytes_after += run->arguments->dry_run ? recipe.bytes_after : result->summary.bytes_written;
    if (run->arguments->dry_run) {
        if (common->json)
            sinq_report_recipe_json(result);
        else if (!common->quiet)
            sinq_report_recipe(result, common->verbose);
    } else if (common->json) {
        sinq_report_quantized_json(result);
    } else if (!common->quiet) {
        sinq_report_quantized(result, run->model_count > 1);
    }
    fflush(stdout);
}

/* Of what has types: the checkpoint that is then encoded. A dry run only plans it: it changes no size. */
static int absorb_first(const struct run *run, const char *model, const struct sinq_source *source,
                        struct sinq_recipe **folding, struct sinq_source **absorbed, struct sinq_error *error) {
    const struct sinq_quantize_arguments *const arguments = run->arguments;
    struct sinq_quantize_options options = sinq_default_quantize_options();
    struct sinq_meter meter;
    options.absorb = true;
    options.method = SINQ_METHOD_SINQ;
    options.allow_requantize = arguments->allow_requantize;
    options.replace_nonfinite = sinq_read_quantize_options(arguments).replace_nonfinite;
    options.threads = arguments->common.threads;
    int status = sinq_make_recipe(source, &options, folding, error);
    if (status != SINQ_OK || arguments->dry_run) return status;
    sinq_meter_start(&meter, &arguments->common, model);
    status = sinq_open_absorbed(source, *folding, sinq_meter_report, &meter, absorbed, error);
    sinq_meter_stop(&meter);
    return status;
}

/* What cannot be calibrated is refused before the model runs. */
static int check_calibration(const struct sinq_source *source, const struct sinq_quantize_options *options,
                             struct sinq_error *error) {
    struct sinq_recipe *plan = NULL;
    const int status = sinq_make_recipe(source, options, &plan, error);
    sinq_recipe_free(plan);
    return status;
}

/* What --stats or --calib gives. A dry run only counts what that will take. */
static int open_statistics(const struct run *run, const char *model, const struct sinq_source *source,
                           struct sinq_quantize_options *options, struct sinq_source **statistics,
                           struct sinq_error *error) {
    const struct sinq_quantize_arguments *const arguments = run->arguments;
    const char *const beside = arguments->output != NULL ? arguments->output : model;
    struct sinq_calibration calibration = {.window = 0};
    int status = SINQ_OK;
    /* What the run that is resumed has saved; of another text it is refused with the output. */
    const bool is_saved =
        arguments->resume && arguments->save_stats != NULL && access(arguments->save_stats, F_OK) == 0;
    if (arguments->stats != NULL || is_saved) {
        status = sinq_open_checkpoint(is_saved ? arguments->save_stats : arguments->stats, statistics, error);
    } else if (arguments->calib.count != 0) {
        status = sinq_read_calibration(arguments, source, &calibration, error);
        options->calibration_tokens = calibration.tokens.count + calibration.own.windows * calibration.window;
        options->calibration_memory = calibration.own.memory;
        if (status == SINQ_OK && !arguments->dry_run) status = check_calibration(source, options, error);
        if (status == SINQ_OK && !arguments->dry_run) {
            status = sinq_calibrate(arguments, model, source, &calibration, beside, statistics, error);
        }
        sinq_free_calibration(&calibration);
    }
    options->statistics = *statistics;
    return status;
}

static void warn_of_uncalibrated(const struct sinq_quantize_summary *summary) {
    char message[700];
    if (summary->matrices_uncalibrated == 0) return;
    snprintf(message, sizeof message,
             "warning: %.400s: rounded without feedback: its statistics do not serve (%llu matrices in all)",
             summary->first_uncalibrated, (unsigned long long)summary->matrices_uncalibrated);
    sinq_report_error(message);
}

/* Quantizes one model, or plans it. *output is the path that was chosen, freed by the caller. */
static int process_model(struct run *run, const char *model, char **output, struct sinq_error *error) {
    struct sinq_quantize_result result = {.input = model};
    struct sinq_quantize_options options = sinq_read_quantize_options(run->arguments);
    struct sinq_source *source = NULL, *absorbed = NULL, *view = NULL;
    struct sinq_recipe *recipe = NULL, *folding = NULL;
    struct sinq_source *statistics = NULL;
    int status = sinq_open_checkpoint(model, &source, error);
    if (status == SINQ_OK) status = sinq_settle_budget(run->arguments, source, &options, error);
    if (status == SINQ_OK && options.type != NULL && options.absorb) {
        status = absorb_first(run, model, source, &folding, &absorbed, error);
    }
    if (status == SINQ_OK && makes_gguf(run)) {
        status = sinq_open_gguf_view(absorbed != NULL ? absorbed : source, &view, error);
    } else if (status == SINQ_OK && options.format == SINQ_FORMAT_REFERENCE) {
        status = sinq_open_reference_view(source, &view, error);
    }
    result.source = view != NULL ? view : absorbed != NULL ? absorbed : source;
    result.folding = folding;
    result.original = source;
    if (status == SINQ_OK) status = open_statistics(run, model, source, &options, &statistics, error);
    if (status == SINQ_OK) status = sinq_make_recipe(result.source, &options, &recipe, error);
    if (status != SINQ_OK) goto done;
    const struct sinq_recipe_summary summary = sinq_recipe_summary(recipe);
    *output = choose_output(run, model, source, &summary);
    if (*output == NULL) {
        snprintf(error->message, sizeof error->message, "%s has no name to make an output's name from: use -o OUT",
                 model);
        status = error->status = SINQ_USAGE;
        goto done;
    }
    result.output = *output;
    result.recipe = recipe;
    if (!run->arguments->dry_run) status = write_output(run, &result, error);
    if (status == SINQ_OK) warn_of_uncalibrated(&result.summary);
    if (status == SINQ_OK) report_result(run, &result);
done:
    sinq_source_close(statistics);
    sinq_recipe_free(recipe);
    sinq_source_close(view);
    sinq_source_close(absorbed);
    sinq_recipe_free(folding);
    sinq_source_close(source);
    return status;
}

/* A failed model is an object of its own in the JSON output, so that results and models still pair up. */
static void report_failure_json(const char *model, int status, const char *message) {
    struct sinq_json_writer json = {.out = stdout};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, "schema", "sinq.quantize/1");
    sinq_write_text(&json, "input", model);
    sinq_write_count(&json, "status", (uint64_t)status);
    sinq_write_text(&json, "error", message);
    sinq_write_close(&json, '}');
}

/*
 * The command that goes on: the same options, --resume, and the models that are left. getopt has put options before
 * operands. If one of several models is left, -o no longer names a folder: the output itself is given.
 */
static void print_resume_command(const struct run *run, int argc, char **argv, int first, int current,
                                 const char *output) {
    const int options_end = first > 1 && strcmp(argv[first - 1], "--") == 0 ? first - 1 : first;
    fputs("To go on:\n ", stderr);
    sinq_write_shell_word(stderr, sinq_program);
    sinq_write_shell_word(stderr, argv[0]);
    if (!run->arguments->resume) sinq_write_shell_word(stderr, "--resume");
    for (int i = 1; i < options_end; i++) sinq_write_shell_word(stderr, argv[i]);
    if (output != NULL && run->arguments->output != NULL && run->model_count > 1 && current == argc - 1) {
        sinq_write_shell_word(stderr, "-o");
        sinq_write_shell_word(stderr, output);
    }
    bool has_dash = false;
    for (int i = current; i < argc; i++) has_dash = has_dash || argv[i][0] == '-';
    if (has_dash) sinq_write_shell_word(stderr, "--");
    for (int i = current; i < argc; i++) sinq_write_shell_word(stderr, argv[i]);
    putc('\n', stderr);
}

static void print_totals(const struct run *run, double seconds) {
    char before[SINQ_QUANTITY_SIZE], after[SINQ_QUANTITY_SIZE], time[SINQ_QUANTITY_SIZE];
    printf("%zu of %zu models %s, %s -> %s, %s\n", run->done, run->model_count,
           run->arguments->dry_run ? "planned" : "quantized", sinq_format_bytes(before, run->bytes_before),
           sinq_format_bytes(after, run->bytes_after), sinq_format_seconds(time, seconds));
}

static int process_models(struct run *run, int argc, char **argv, int first) {
    const struct sinq_common_options *const common = &run->arguments->common;
    const double started = sinq_now();
    int code = SINQ_OK;
    for (int i = first; i < argc; i++) {
        struct sinq_error error = {.status = 0};
        char *output = NULL;
        const bool is_stopped = sinq_caught_signal() != 0;
        const int status = is_stopped ? SINQ_INTERRUPTED : process_model(run, argv[i], &output, &error);
        run->done += status == SINQ_OK;
        if (code == SINQ_OK) code = status;
        if (status == SINQ_INTERRUPTED)
            snprintf(error.message, sizeof error.message, "interrupted; what is finished is kept");
        if (status != SINQ_OK) {
            sinq_report_error(error.message);
            if (common->json) report_failure_json(argv[i], status, error.message);
        }
        if (status == SINQ_INTERRUPTED) print_resume_command(run, argc, argv, first, i, output);
        free(output);
        if (status == SINQ_INTERRUPTED) break;
    }
    if (run->model_count > 1 && !common->quiet && !common->json) print_totals(run, sinq_now() - started);
    return code;
}

static bool needs_type(const struct sinq_quantize_arguments *arguments) {
    const enum sinq_format format = sinq_read_output_format(arguments);
    return format == SINQ_FORMAT_GGUF || format == SINQ_FORMAT_PLAIN;
}

static int run_quantize(const struct sinq_command *command, int argc, char **argv) {
    struct sinq_quantize_arguments arguments = {.output = NULL};
    int first;
    int code = sinq_begin_command(command, argc, argv, &arguments, &first);
    if (code != SINQ_CONTINUE) goto done;
    struct run run = {.arguments = &arguments, .model_count = (size_t)(argc - first)};
    if (run.model_count == 0) {
        code = sinq_report_usage(command, "which MODEL?");
    } else if (arguments.output != NULL && *arguments.output == '\0') {
        code = sinq_report_usage(command, "-o/--output: the name is empty");
    } else if (needs_type(&arguments) != (arguments.type != NULL)) {
        code = sinq_report_usage(command, "--format gguf or safetensors, and --type go together");
    } else if (arguments.levels != NULL && arguments.method != NULL) {
        code = sinq_report_usage(command, "--levels takes the place of --method: give one of them");
    } else if (arguments.stats != NULL && arguments.calib.count != 0) {
        code = sinq_report_usage(command, "--stats takes the place of --calib: give one of them");
    } else if (arguments.save_stats != NULL && (arguments.calib.count == 0 || run.model_count > 1)) {
        code = sinq_report_usage(command, "--save-stats keeps what --calib finds, of one model");
    } else if (run.model_count > 1 && arguments.output != NULL && !sinq_is_directory(arguments.output)) {
        code = sinq_report_usage(command, "of several models, -o must name an existing directory; '%s' is none",
                                 arguments.output);
    } else {
        code = process_models(&run, argc, argv, first);
    }
done:
    sinq_free_rules(&arguments.rules);
    sinq_free_texts(&arguments.calib);
    return code;
}

static const struct sinq_example examples[] = {
    {"sinq quantize models/Qwen3-8B", "Writes models/Qwen3-8B-sinq-4bit-g32."},
    {"sinq quantize -n -b 3 models/Qwen3-8B", "Prints what would become of each tensor at 3 bits, and writes nothing."},
    {"sinq quantize --fit 24G --ctx-size 8192 models/Qwen3-32B",
     "Chooses the bits of each tensor so that the model, 8192 positions of keys and values, and a driver fit 24 GiB."},
    {"sinq quantize --format gguf --type q4_k models/Qwen3-8B",
     "Writes models/Qwen3-8B-q4_k.gguf for llama.cpp, Ollama or LM Studio."},
    {"sinq quantize --format sinq-reference models/Qwen3-8B",
     "Writes models/Qwen3-8B-sinq-reference-4bit-g64 for the reference implementation and transformers."},
    {"sinq quantize --format safetensors --type bf16 --absorb models/Qwen3-8B",
     "Writes models/Qwen3-8B-bf16, which computes the same and is easier for other quantizers."},
    {"sinq quantize --tensor 'down_proj=bits:5' --tensor 'layers\\.0\\.=keep' model -o small",
     "Keeps the first layer as it is, and gives the down projections of all others 5 bits."},
    {NULL, NULL},
};

const struct sinq_command sinq_quantize_command = {
    .name = "quantize",
    .summary = "write a smaller model",
    .operands = "MODEL...",
    .about =
        "Quantizes the linear layers of each MODEL with SINQ and writes a model of the same form: a directory for a "
        "directory or a GGUF, a file for a file. Norms, biases, embeddings, the output head, routers and convolutions "
        "are "
        "kept as they are. The result is the same for any number of threads and any processor.\nMemory is bounded "
        "by the largest matrix, not by the model. Nothing appears under OUT before it is complete and checked; an "
        "interrupted run leaves OUT.partial, from which --resume goes on.",
    .examples = examples,
    .options = sinq_quantize_option_table,
    .run = run_quantize,
};
