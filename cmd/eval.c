/* eval.c: `sinq eval`. */
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "formats.h"
#include "progress.h"
#include "quantity.h"
#include "terminal.h"
#include "weight_report.h"

struct eval_arguments {
    struct sinq_common_options common;
    const char *reference, *as;
    bool weights;
    double max_error; /* negative where not given */
    unsigned top;
};

#define PLACE(member) .offset = offsetof(struct eval_arguments, member)

static const struct sinq_option options[] = {
    {.kind = SINQ_OPTION_HEADING, .help = "What is compared"},
    {.name = "reference",
     .kind = SINQ_OPTION_TEXT,
     .argument = "REF",
     .completion = SINQ_COMPLETE_FILES,
     PLACE(reference),
     .help = "the model to compare with, usually the one that MODEL was made from"},
    {.name = "as",
     .kind = SINQ_OPTION_TEXT,
     .argument = "SETTING",
     PLACE(as),
     .help =
         "instead of --reference: compare MODEL with itself quantized in memory, and write nothing; SETTING is, in any "
         "order and part, bits:3,group:32,method:rtn,scale:f16,tiling:2d"},
    {.name = "weights",
     .kind = SINQ_OPTION_FLAG,
     PLACE(weights),
     .help = "compare weights, tensor by tensor: relative error (of the Frobenius norm), signal to noise ratio, "
             "cosine, largest error; the worst come first"},
    {.name = "top",
     .kind = SINQ_OPTION_NUMBER,
     .argument = "N",
     .least = 1,
     .most = 1e9,
     PLACE(top),
     .help = "only the N worst tensors"},
    {.name = "max-error",
     .kind = SINQ_OPTION_REAL,
     .argument = "X",
     .least = 0,
     .most = 1e30,
     PLACE(max_error),
     .help = "exit with 3 if the relative error of all quantized weights together exceeds X, for instance 0.1 or 10%"},
    SINQ_COMMON_OPTIONS,
};

static int compare_models(const struct eval_arguments *arguments, const struct sinq_source *model,
                          const struct sinq_source *reference, struct sinq_error *error) {
    struct sinq_weight_report report = {.count = 0};
    struct sinq_meter meter;
    sinq_meter_start(&meter, &arguments->common, sinq_source_path(model));
    int status =
        sinq_compare_weights(model, reference, arguments->common.threads, sinq_meter_report, &meter, &report, error);
    sinq_meter_stop(&meter);
    if (status != SINQ_OK) return status;
    struct sinq_weight_comparison comparison = {
        .model = model, .reference = reference, .report = &report, .max_error = arguments->max_error};
    comparison.error = sinq_gated_error(&comparison);
    /* Written so that an error that is not a number fails. */
    const bool is_exceeded = arguments->max_error >= 0.0 && !(comparison.error <= arguments->max_error);
    comparison.exceeded = is_exceeded;
    comparison.top = arguments->top > 0 && arguments->top < report.count ? arguments->top : report.count;
    if (arguments->common.json)
        sinq_report_weights_json(&comparison);
    else if (!arguments->common.quiet)
        sinq_report_weights(&comparison);
    if (is_exceeded) {
        char found[SINQ_QUANTITY_SIZE], allowed[SINQ_QUANTITY_SIZE], excess[SINQ_QUANTITY_SIZE];
        snprintf(error->message, sizeof error->message, "%.600s: the relative error, %s, exceeds --max-error %s by %s",
                 sinq_source_path(model), sinq_format_percent(found, comparison.error),
                 sinq_format_percent(allowed, arguments->max_error),
                 sinq_format_percent(excess, comparison.error - arguments->max_error));
        status = SINQ_CHECK_FAILED;
    }
    sinq_weight_report_free(&report);
    return status;
}

/* MODEL against itself, quantized as --as says. */
static int compare_trial(const struct eval_arguments *arguments, const struct sinq_source *model,
                         struct sinq_error *error) {
    struct sinq_quantize_options wanted = sinq_default_quantize_options();
    struct sinq_recipe *recipe = NULL;
    struct sinq_source *trial = NULL;
    wanted.is_trial = true;
    wanted.threads = arguments->common.threads;
    int status = sinq_parse_quantize_setting(arguments->as, &wanted, error);
    if (status == SINQ_OK) status = sinq_make_recipe(model, &wanted, &recipe, error);
    if (status == SINQ_OK) status = sinq_open_trial(model, recipe, &trial, error);
    if (status == SINQ_OK) status = compare_models(arguments, trial, model, error);
    sinq_source_close(trial);
    sinq_recipe_free(recipe);
    return status;
}

static int compare_reference(const struct eval_arguments *arguments, const struct sinq_source *model,
                             struct sinq_error *error) {
    struct sinq_source *reference = NULL;
    int status = sinq_open_checkpoint(arguments->reference, &reference, error);
    if (status == SINQ_OK) status = compare_models(arguments, model, reference, error);
    sinq_source_close(reference);
    return status;
}

static int run_eval(const struct sinq_command *command, int argc, char **argv) {
    struct eval_arguments arguments = {.max_error = -1.0};
    struct sinq_error error = {.status = 0};
    struct sinq_source *model = NULL;
    int first;
    const int code = sinq_begin_command(command, argc, argv, &arguments, &first);
    if (code != SINQ_CONTINUE) return code;
    if (argc == first) return sinq_report_usage(command, "which MODEL?");
    if (argc - first > 1) return sinq_report_usage(command, "one MODEL at a time, found '%s' besides", argv[first + 1]);
    if (!arguments.weights)
        return sinq_report_usage(command, "--weights is needed: weights are what this version compares");
    if ((arguments.reference == NULL) == (arguments.as == NULL))
        return sinq_report_usage(command, "--weights needs --reference REF or --as SETTING, one of them");
    int status = sinq_open_checkpoint(argv[first], &model, &error);
    if (status == SINQ_OK)
        status = (arguments.as != NULL ? compare_trial : compare_reference)(&arguments, model, &error);
    sinq_source_close(model);
    if (status != SINQ_OK) {
        fflush(stdout);
        sinq_report_error(status == SINQ_INTERRUPTED ? "interrupted" : error.message);
    }
    return sinq_exit_code(status);
}

static const struct sinq_example examples[] = {
    {"sinq eval small --reference model --weights --top 10", "Compares weights and lists the ten worst tensors."},
    {"sinq eval small --reference model --weights --max-error 12% -q",
     "Prints nothing, and exits with 3 if the error is larger than 12 %."},
    {"sinq eval model --weights --as bits:3,method:rtn --top 1 -q --json",
     "Measures what rounding to 3 bits would cost, without writing a model."},
    {NULL, NULL},
};

const struct sinq_command sinq_eval_command = {
    .name = "eval",
    .summary = "measure how far a model is from its reference",
    .operands = "MODEL",
    .about = "Compares the weights of MODEL with those of a reference. Tensors are compared by name, whatever they are "
             "stored as.",
    .examples = examples,
    .options = options,
    .run = run_eval,
};
