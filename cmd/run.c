/* run.c: `sinq run`. */
#include "run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "dialogue.h"
#include "formats.h"
#include "prompt.h"
#include "run_output.h"
#include "run_report.h"

/* What a run needs besides the model itself. */
struct run {
    const struct sinq_run_arguments *arguments;
    bool is_dialogue;
    struct sinq_source *source;
    struct sinq_tokenizer *tokenizer;
    const struct sinq_chat_template *chat;
    struct sinq_prompt prompt;
};

static int report_plan(const struct run *run, struct sinq_error *error) {
    struct sinq_plan_report report;
    const int status = sinq_plan_run(run->arguments, run->source, &report, error);
    if (status != SINQ_OK) return status;
    if (run->arguments->common.json)
        sinq_report_plan_json(&report);
    else if (!run->arguments->common.quiet)
        sinq_report_plan(&report);
    if (sinq_plan_fits(&report)) return SINQ_OK;
    snprintf(error->message, sizeof error->message, "%.600s: %llu bytes do not fit in the %llu of --memory",
             report.model, (unsigned long long)report.plan.total_bytes, (unsigned long long)report.memory);
    return SINQ_CHECK_FAILED;
}

/* In a dialogue that nobody asked to be a chat, a model without a known template continues text. */
static int choose_template(struct run *run, struct sinq_error *error) {
    const struct sinq_run_arguments *const arguments = run->arguments;
    if (arguments->template_name != NULL) return sinq_name_chat_template(arguments->template_name, &run->chat, error);
    if (sinq_wants_chat(arguments)) return sinq_find_chat_template(run->source, &run->chat, error);
    if (run->is_dialogue && !arguments->raw && sinq_find_chat_template(run->source, &run->chat, error) != SINQ_OK)
        run->chat = NULL;
    return SINQ_OK;
}

/* A person who gives a model made for chats a bare prompt is told, as its answers look odd then. */
static void hint_at_chat(const struct run *run) {
    const struct sinq_run_arguments *const arguments = run->arguments;
    const struct sinq_chat_template *chat = NULL;
    struct sinq_error error;
    if (run->is_dialogue || arguments->raw || sinq_wants_chat(arguments) || arguments->token_ids) return;
    if (arguments->common.quiet || isatty(STDERR_FILENO) == 0) return;
    if (sinq_find_chat_template(run->source, &chat, &error) != SINQ_OK) return;
    fprintf(stderr, "This model has a chat template (%s): --chat uses it, --raw says that this is not wanted.\n",
            sinq_chat_template_name(chat));
    sinq_chat_template_free(chat);
}

static int open_text(struct run *run, struct sinq_error *error) {
    int status = SINQ_OK;
    if (!run->arguments->token_ids) status = sinq_open_tokenizer(run->source, &run->tokenizer, error);
    if (status == SINQ_OK) status = choose_template(run, error);
    if (status == SINQ_OK) hint_at_chat(run);
    return status;
}

/* One prompt, one answer. */
static int answer_prompt(const struct run *run, struct sinq_generator *generator, struct sinq_error *error) {
    const struct sinq_run_arguments *const arguments = run->arguments;
    struct sinq_run_output output = {.generator = generator, .is_terminal = isatty(STDOUT_FILENO) != 0};
    struct sinq_tokens tokens = {.count = 0};
    struct sinq_answer answer;
    int status =
        sinq_tokenize_prompt(arguments, run->tokenizer, run->chat, generator->facts.bos, &run->prompt, &tokens, error);
    if (status == SINQ_OK)
        status =
            sinq_generate(generator, tokens.ids, tokens.count, sinq_choose_output(arguments), &output, &answer, error);
    if (status == SINQ_OK) {
        if (arguments->common.json) sinq_report_run_json(&output, tokens.ids, &answer);
        sinq_finish_run_output(&output);
        if (!arguments->common.quiet && answer.reason != SINQ_STOP_UNWANTED)
            sinq_report_run(generator, &answer, sinq_describe_stop_reason(answer.reason));
        if (answer.reason == SINQ_STOP_UNWANTED) status = SINQ_FAILED;
        if (answer.reason == SINQ_STOP_SIGNAL) status = SINQ_INTERRUPTED;
    }
    sinq_free_run_output(&output);
    sinq_tokens_free(&tokens);
    return status;
}

static int use_model(struct run *run, struct sinq_error *error) {
    struct sinq_generator generator;
    int status = sinq_open_generator(run->arguments, run->source, run->tokenizer, run->chat, &generator, error);
    if (status != SINQ_OK) return status;
    status = run->is_dialogue ? sinq_hold_dialogue(&generator, error) : answer_prompt(run, &generator, error);
    sinq_close_generator(&generator);
    return status;
}

/* A terminal that is waited for without a word looks like a program that hangs. */
static void announce_reading(const struct sinq_run_arguments *arguments) {
    const bool reads_input =
        arguments->prompt == NULL && (arguments->file == NULL || strcmp(arguments->file, "-") == 0);
    if (reads_input && isatty(STDIN_FILENO) != 0 && !arguments->common.quiet)
        fputs("The prompt is read from the terminal; Ctrl-D ends it.\n", stderr);
}

/* SINQ_USAGE with an empty message: nothing came from standard input. */
static int process_model(struct run *run, const char *model, struct sinq_error *error) {
    int status = sinq_open_checkpoint(model, &run->source, error);
    if (status == SINQ_OK && run->arguments->plan) return report_plan(run, error);
    if (status == SINQ_OK && !run->is_dialogue) {
        announce_reading(run->arguments);
        status = sinq_read_prompt(run->arguments, &run->prompt, error);
    }
    if (status == SINQ_OK && run->prompt.is_implied && run->prompt.size == 0) {
        error->message[0] = '\0';
        return SINQ_USAGE;
    }
    if (status == SINQ_OK) status = open_text(run, error);
    return status == SINQ_OK ? use_model(run, error) : status;
}

static int run_model(const struct sinq_command *command, struct run *run, const char *model) {
    struct sinq_error error = {.status = 0};
    const int status = process_model(run, model, &error);
    if (status == SINQ_USAGE && error.message[0] == '\0') {
        sinq_report_usage(command, "no prompt: standard input is empty; -p TEXT or -f FILE gives one");
    } else if (status != SINQ_OK && error.message[0] != '\0') {
        fflush(stdout);
        sinq_report_error(status == SINQ_INTERRUPTED ? "interrupted" : error.message);
    }
    sinq_free_prompt(&run->prompt);
    sinq_chat_template_free(run->chat);
    sinq_tokenizer_free(run->tokenizer);
    sinq_source_close(run->source);
    return sinq_exit_code(status);
}

static int run_run(const struct sinq_command *command, int argc, char **argv) {
    struct sinq_run_arguments arguments = sinq_default_run_arguments();
    struct run run = {.arguments = &arguments};
    int first;
    int code = sinq_begin_command(command, argc, argv, &arguments, &first);
    if (code == SINQ_CONTINUE) {
        const char *const conflict = sinq_find_run_conflict(&arguments);
        run.is_dialogue = !arguments.plan && arguments.prompt == NULL && arguments.file == NULL &&
                          isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
        if (argc == first)
            code = sinq_report_usage(command, "which MODEL?");
        else if (argc - first > 1)
            code = sinq_report_usage(command, "one MODEL at a time, found '%s' besides", argv[first + 1]);
        else if (conflict != NULL)
            code = sinq_report_usage(command, "%s", conflict);
        else if (run.is_dialogue && (arguments.common.json || arguments.logprobs > 0 || arguments.token_ids))
            code = sinq_report_usage(command, "--json, --logprobs and --token-ids need a prompt: -p TEXT or -f FILE");
        else
            code = run_model(command, &run, argv[first]);
    }
    sinq_free_run_arguments(&arguments);
    return code;
}

static const struct sinq_example examples[] = {
    {"sinq run model", "Opens a dialogue; /help explains it."},
    {"sinq run model -p 'Once upon a time' -n 100", "Continues a text with 100 tokens."},
    {"sinq run model --chat -f question.txt --temp 0", "Answers the question in a file, always with the best token."},
    {"sinq run model --plan --memory 24G -c 32768", "Says what 32768 positions would take, and exits with 3 if that is "
                                                    "more than 24 GiB."},
    {NULL, NULL},
};

const struct sinq_command sinq_run_command = {
    .name = "run",
    .summary = "let a model write: continue a text, answer a message, hold a dialogue",
    .operands = "MODEL",
    .about =
        "Lets MODEL continue a prompt or answer it, quantized or not. Without a prompt it reads standard input, or on "
        "a terminal holds a dialogue. Text goes to standard output as it is written; speed and memory are told on "
        "standard error.",
    .examples = examples,
    .options = sinq_run_options,
    .run = run_run,
};
