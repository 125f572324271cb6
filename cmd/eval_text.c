/* eval_text.c: `sinq eval --text`: the text becomes tokens, the models are loaded and run over it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "eval.h"
#include "load_model.h"
#include "progress.h"
#include "terminal.h"
#include "text_input.h"
#include "vocabulary.h"

static bool is_word(const char *text, const char *word) { return text != NULL && strcmp(text, word) == 0; }

static struct sinq_text_options read_text_options(const struct sinq_eval_arguments *arguments) {
    return (struct sinq_text_options){
        .window = arguments->window,
        .stride = arguments->stride,
        .second_half = is_word(arguments->score, "second-half"),
        .max_windows = arguments->max_windows,
        .bos = arguments->bos,
        .exact = arguments->exact,
        .kv_type = sinq_read_kv_type(arguments->kv),
        .threads = arguments->common.threads,
    };
}

/* Says where: "PLACE: MESSAGE". The library does not know what files its input came from. */
static int add_place(struct sinq_error *error, int status, const char *first, const char *second) {
    char place[600], message[sizeof error->message];
    if (status == SINQ_OK) return status;
    snprintf(place, sizeof place, "%.280s%s%.280s", first, second != NULL ? " on " : "", second != NULL ? second : "");
    snprintf(message, sizeof message, "%s", error->message);
    snprintf(error->message, sizeof error->message, "%s: %.*s", place, (int)(sizeof message - sizeof place - 2),
             message);
    return status;
}

/* ---- tokens ---- */

static void warn_of_crlf(const struct sinq_eval_arguments *arguments, const char *text, size_t size) {
    const size_t count = sinq_count_crlf(text, size);
    char message[1000];
    if (count == 0 || arguments->common.quiet) return;
    snprintf(message, sizeof message,
             "warning: %.600s: %zu lines end in CR LF, which is kept: models have hardly seen such text, and its "
             "perplexity says little of others",
             arguments->text, count);
    sinq_report_error(message);
}

/* The text as the model's tokens, and how many tokens the tokenizer knows: 0 where the text was ids. */
struct reading {
    struct sinq_tokens tokens;
    uint32_t tokenizer_size;
};

static int tokenize(const struct sinq_eval_result *result, const char *text, size_t size, struct reading *reading,
                    struct sinq_error *error) {
    struct sinq_tokenizer *tokenizer = NULL;
    if (result->arguments->token_ids)
        return add_place(error, sinq_parse_token_ids(text, size, &reading->tokens, error), result->arguments->text,
                         NULL);
    warn_of_crlf(result->arguments, text, size);
    int status = sinq_open_tokenizer(result->model, &tokenizer, error);
    if (status == SINQ_OK) status = sinq_tokenize(tokenizer, text, size, 0, &reading->tokens, error);
    if (status == SINQ_OK) reading->tokenizer_size = sinq_tokenizer_size(tokenizer);
    sinq_tokenizer_free(tokenizer);
    return status;
}

static int read_tokens(const struct sinq_eval_result *result, struct reading *reading, struct sinq_error *error) {
    char *text = NULL;
    size_t size = 0;
    int status = sinq_read_text_file(result->arguments->text, &text, &size, error);
    if (status == SINQ_OK) status = tokenize(result, text, size, reading, error);
    free(text);
    return status;
}

/* ---- the whole ---- */

/* --gpu-memory is for both models together: the second one has what the first one's plan leaves. */
static void leave_room(const struct sinq_model *model, struct sinq_device_options *device) {
    const struct sinq_device_plan *const plan = sinq_model_device_plan(model);
    if (device->memory_limit == 0 || plan == NULL) return;
    device->memory_limit = device->memory_limit > plan->total_bytes ? device->memory_limit - plan->total_bytes : 1;
}

static int evaluate(struct sinq_eval_result *result, const struct reading *reading, struct sinq_error *error) {
    const struct sinq_eval_arguments *const arguments = result->arguments;
    const struct sinq_text_options options = read_text_options(arguments);
    struct sinq_model *model = NULL, *reference = NULL;
    struct sinq_meter meter;
    const struct sinq_session_options session = {.context = options.window, .kv_type = options.kv_type};
    struct sinq_device_options device = {arguments->device, arguments->gpu_memory, &session};
    int status = sinq_load_model_as_asked(result->model, device, &arguments->common, &model, error);
    if (status == SINQ_OK)
        status = sinq_check_vocabulary(sinq_source_path(result->model), reading->tokenizer_size,
                                       sinq_model_facts(model).vocabulary, error);
    if (status == SINQ_OK && result->reference != NULL) {
        leave_room(model, &device);
        status = sinq_load_model_as_asked(result->reference, device, &arguments->common, &reference, error);
    }
    if (status == SINQ_OK) {
        sinq_meter_start(&meter, &arguments->common, sinq_source_path(result->model));
        status = sinq_evaluate_text(model, reference, reading->tokens.ids, reading->tokens.count, &options,
                                    sinq_meter_report, &meter, &result->text, error);
        sinq_meter_stop(&meter);
        add_place(error, status, sinq_source_path(result->model), arguments->text);
    }
    if (status == SINQ_OK) result->has_device = sinq_model_device_memory(model, &result->device);
    sinq_model_free(reference);
    sinq_model_free(model);
    return status;
}

int sinq_evaluate_text_file(struct sinq_eval_result *result, struct sinq_error *error) {
    struct reading reading = {.tokenizer_size = 0};
    int status = read_tokens(result, &reading, error);
    if (status == SINQ_OK) status = evaluate(result, &reading, error);
    sinq_tokens_free(&reading.tokens);
    return status;
}
