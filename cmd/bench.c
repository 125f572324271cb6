/* bench.c: `sinq bench`. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "formats.h"
#include "load_model.h"
#include "machine_memory.h"
#include "plan_report.h"

static int open_source(struct sinq_bench *bench, const char *model, struct sinq_error *error) {
    if (model != NULL) return sinq_open_checkpoint(model, &bench->source, error);
    const struct sinq_synthetic_options options = {.shape = bench->arguments->shape,
                                                   .quantize = sinq_read_bench_quantizing(bench->arguments),
                                                   .memory = sinq_available_memory(),
                                                   .small_pages = bench->arguments->small_pages};
    return sinq_open_synthetic(&options, sinq_meter_report, &bench->meter, &bench->source, error);
}

static int open_model(struct sinq_bench *bench, const char *model, struct sinq_error *error) {
    const struct sinq_bench_arguments *const arguments = bench->arguments;
    const struct sinq_session_options options = sinq_read_bench_session(arguments, arguments->threads.numbers[0]);
    double start = sinq_now();
    int status = open_source(bench, model, error);
    if (status != SINQ_OK) return status;
    if (model == NULL) start = sinq_now();
    struct sinq_plan_report plan = {.model = sinq_source_path(bench->source),
                                    .kv_type = arguments->kv != NULL ? arguments->kv : "f16",
                                    .available = sinq_available_memory()};
    status = sinq_plan_session(bench->source, &options, &plan.plan, error);
    if (status == SINQ_OK) status = sinq_check_memory(&plan, error);
    if (status == SINQ_OK) {
        const struct sinq_device_options device = {arguments->device, arguments->gpu_memory, &options};
        status = sinq_load_model_as_asked(bench->source, device, &arguments->common, &bench->model, error);
    }
    if (status != SINQ_OK) return status;
    bench->load_seconds = sinq_now() - start;
    bench->facts = sinq_model_facts(bench->model);
    bench->context = plan.plan.context;
    return SINQ_OK;
}

static int measure(struct sinq_bench *bench, const char *model, struct sinq_error *error) {
    const bool has_limits = !bench->arguments->no_limits;
    int status = has_limits ? sinq_measure_machine(bench, error) : SINQ_OK;
    if (status != SINQ_OK || (model == NULL && bench->arguments->shape == NULL)) return status;
    status = open_model(bench, model, error);
    if (status == SINQ_OK && has_limits) status = sinq_measure_resident(bench, error);
    return status == SINQ_OK ? sinq_measure_cases(bench, error) : status;
}

static int bench_model(const struct sinq_bench_arguments *arguments, const char *model) {
    struct sinq_bench bench = {.arguments = arguments};
    struct sinq_error error = {.status = 0};
    const char *const subject = model != NULL ? model : arguments->shape != NULL ? arguments->shape : "machine";
    sinq_meter_start(&bench.meter, &arguments->common, subject);
    const int status = measure(&bench, model, &error);
    sinq_meter_stop(&bench.meter);
    if (status != SINQ_OK) {
        sinq_report_error(status == SINQ_INTERRUPTED ? "interrupted" : error.message);
    } else if (arguments->common.json) {
        sinq_report_bench_json(&bench);
    } else if (!arguments->common.quiet) {
        sinq_report_bench(&bench);
    }
    for (size_t i = 0; i < bench.case_count; i++) {
        free(bench.cases[i].rates);
        free(bench.cases[i].limits);
        free(bench.cases[i].profile);
    }
    free(bench.cases);
    sinq_model_free(bench.model);
    sinq_source_close(bench.source);
    sinq_limit_probe_close(bench.probe);
    return sinq_exit_code(status);
}

static int run_bench(const struct sinq_command *command, int argc, char **argv) {
    struct sinq_bench_arguments arguments = sinq_default_bench_arguments;
    int first;
    const int code = sinq_begin_command(command, argc, argv, &arguments, &first);
    if (code != SINQ_CONTINUE) return code;
    sinq_complete_bench_arguments(&arguments);
    const char *const conflict = sinq_find_bench_conflict(&arguments, argc > first);
    if (argc - first > 1) return sinq_report_usage(command, "one MODEL at a time, found '%s' besides", argv[first + 1]);
    if (conflict != NULL) return sinq_report_usage(command, "%s", conflict);
    return bench_model(&arguments, argc > first ? argv[first] : NULL);
}

static const struct sinq_example examples[] = {
    {"sinq bench model",
     "How fast a model reads prompts and decodes, and how near that is to what the machine can do."},
    {"sinq bench --shape 4b --bits 4 -t 1,2 -d 128,4096",
     "The same of weights made up in memory, with one thread and with two, behind little and much context."},
    {"sinq bench -t 2", "Only what the machine can do with two threads."},
    {NULL, NULL},
};

const struct sinq_command sinq_bench_command = {
    .name = "bench",
    .summary = "measure how fast a model runs, and how near that is to the machine's limits",
    .operands = "[MODEL]",
    .about =
        "Measures how many tokens a second MODEL reads of a prompt, and how many it decodes one by one, both as `sinq "
        "run` does it. Before that it measures what this machine can do at most with as many threads and the same "
        "instruction set: reading memory, multiplying int8 and f32; without a MODEL or --shape that is all it does.\n"
        "Decoding is held to the rate of reading: counted are the bytes of codes, scales, zero points, column scales, "
        "norms, the head, and the keys and values that attention reads; of experts those that are chosen. A prompt is "
        "held to the int8 rate (with --exact to that of f32): counted are two operations for each multiplication of "
        "its linear layers, but not those of attention. A limit is the best of several loops, and never below what "
        "the model itself reaches. What a shared machine can do changes from minute to minute: the best loop "
        "is run again after each repetition, and the column `paired` has the median of the shares of those: medians "
        "beside medians, where `of limit` holds one to the largest of many.",
    .examples = examples,
    .options = sinq_bench_options,
    .run = run_bench,
};
