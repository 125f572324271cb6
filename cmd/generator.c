/* generator.c: opening and closing of what generation.h describes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "generation.h"
#include "load_model.h"
#include "machine_memory.h"
#include "memory.h"
#include "vocabulary.h"

int sinq_plan_run(const struct sinq_run_arguments *arguments, const struct sinq_source *source,
                  struct sinq_plan_report *report, struct sinq_error *error) {
    const struct sinq_session_options options = sinq_read_session_options(arguments);
    *report = (struct sinq_plan_report){
        .model = sinq_source_path(source),
        .family = sinq_source_model_type(source),
        .kv_type = arguments->kv != NULL ? arguments->kv : "f16",
        .memory = arguments->memory,
        .available = sinq_available_memory(),
    };
    const int status = sinq_plan_session(source, &options, &report->plan, error);
    if (status != SINQ_OK || !arguments->plan || arguments->gpu_memory == 0) return status;
    const struct sinq_device_options device = {arguments->device, arguments->gpu_memory, &options};
    report->has_device = true;
    return sinq_plan_device(source, &device, &report->device, error);
}

static void print_plan(const struct sinq_plan_report *plan) {
    char *const line = sinq_describe_plan(plan);
    fprintf(stderr, "%s\n", line);
    free(line);
}

static int open_parts(struct sinq_generator *generator, struct sinq_error *error) {
    const struct sinq_run_arguments *const arguments = generator->arguments;
    const struct sinq_session_options options = sinq_read_session_options(arguments);
    int status = sinq_plan_run(arguments, generator->source, &generator->plan, error);
    if (status == SINQ_OK && arguments->common.verbose) print_plan(&generator->plan);
    if (status == SINQ_OK) status = sinq_check_memory(&generator->plan, error);
    if (status == SINQ_OK) {
        const struct sinq_device_options device = {arguments->device, arguments->gpu_memory, &options};
        status = sinq_load_model_as_asked(generator->source, device, &arguments->common, &generator->model, error);
    }
    if (status != SINQ_OK) return status;
    generator->facts = sinq_model_facts(generator->model);
    generator->sampling = sinq_read_sampling(arguments);
    if (generator->tokenizer == NULL) sinq_find_end_tokens(generator->source, &generator->ends);
    if (arguments->common.verbose) fprintf(stderr, "seed %llu\n", (unsigned long long)generator->sampling.seed);
    if (generator->tokenizer != NULL)
        status = sinq_check_vocabulary(sinq_source_path(generator->source), sinq_tokenizer_size(generator->tokenizer),
                                       generator->facts.vocabulary, error);
    if (status == SINQ_OK) status = sinq_open_session(generator->model, &options, &generator->session, error);
    if (status == SINQ_OK)
        status = sinq_open_sampler(&generator->sampling, generator->facts.vocabulary, &generator->sampler, error);
    if (status != SINQ_OK) return status;
    generator->logits = sinq_allocate(generator->facts.vocabulary, sizeof *generator->logits);
    generator->best = sinq_allocate(arguments->logprobs, sizeof *generator->best);
    generator->stop.texts = arguments->stops.texts;
    generator->stop.count = arguments->stops.count;
    return SINQ_OK;
}

int sinq_open_generator(const struct sinq_run_arguments *arguments, const struct sinq_source *source,
                        const struct sinq_tokenizer *tokenizer, const struct sinq_chat_template *chat,
                        struct sinq_generator *generator, struct sinq_error *error) {
    *generator =
        (struct sinq_generator){.arguments = arguments, .source = source, .tokenizer = tokenizer, .chat = chat};
    const int status = open_parts(generator, error);
    if (status != SINQ_OK) sinq_close_generator(generator);
    return status;
}

void sinq_close_generator(struct sinq_generator *generator) {
    sinq_stop_free(&generator->stop);
    free(generator->tokens.ids);
    free(generator->best);
    free(generator->logits);
    sinq_sampler_close(generator->sampler);
    sinq_session_close(generator->session);
    sinq_model_free(generator->model);
    memset(generator, 0, sizeof *generator);
}
