#include "dialogue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "line_editor.h"
#include "memory.h"
#include "run_output.h"
#include "run_report.h"
#include "terminal.h"

struct dialogue {
    struct sinq_generator *generator;
    struct sinq_line_editor *editor;
    struct sinq_run_output output;
    struct sinq_chat_message *messages; /* contents are owned */
    size_t count, capacity;
    char *answer; /* the one being written */
    size_t answer_size, answer_capacity;
    struct sinq_answer total;
    bool is_over;
};

/* ---- what was said ----------------------------------------------------------------------------------------- */

static void add_message(struct dialogue *dialogue, const char *role, const char *content) {
    sinq_reserve(&dialogue->messages, &dialogue->capacity, dialogue->count + 1, sizeof *dialogue->messages);
    dialogue->messages[dialogue->count++] = (struct sinq_chat_message){role, sinq_format("%s", content)};
}

static void drop_messages(struct dialogue *dialogue, size_t kept) {
    while (dialogue->count > kept) free((void *)(uintptr_t)dialogue->messages[--dialogue->count].content);
}

static void begin_anew(struct dialogue *dialogue) {
    const char *const system = dialogue->generator->arguments->system;
    drop_messages(dialogue, 0);
    dialogue->generator->tokens.count = 0;
    sinq_session_reset(dialogue->generator->session);
    dialogue->output.last = '\0';
    if (system != NULL) add_message(dialogue, "system", system);
}

/* Shows a piece of the answer and keeps it. */
static bool take_piece(void *user, const struct sinq_step *step) {
    struct dialogue *const dialogue = user;
    sinq_reserve(&dialogue->answer, &dialogue->answer_capacity, dialogue->answer_size + step->size + 1, 1);
    if (step->size > 0) memcpy(dialogue->answer + dialogue->answer_size, step->text, step->size);
    dialogue->answer_size += step->size;
    dialogue->answer[dialogue->answer_size] = '\0';
    return sinq_take_text(&dialogue->output, step);
}

/* ---- a turn ------------------------------------------------------------------------------------------------ */

static void add_up(struct sinq_answer *total, const struct sinq_answer *answer) {
    total->prompt_tokens += answer->prompt_tokens;
    total->fed_tokens += answer->fed_tokens;
    total->generated += answer->generated;
    total->passes += answer->passes;
    total->prompt_seconds += answer->prompt_seconds;
    total->seconds += answer->seconds;
}

/* Lets the model go on from `tokens`. *is_answered is false where there was no room, or it was stopped before it said a word. */
static int answer_tokens(struct dialogue *dialogue, const struct sinq_tokens *tokens, bool *is_answered,
                         struct sinq_error *error) {
    struct sinq_generator *const generator = dialogue->generator;
    const uint64_t context = sinq_session_context(generator->session);
    struct sinq_answer answer;
    *is_answered = false;
    if (tokens->count > context) {
        fprintf(stderr, "That makes %zu tokens, and the context has %llu: /reset begins anew, --ctx-size makes room.\n",
                tokens->count, (unsigned long long)context);
        return SINQ_OK;
    }
    dialogue->answer_size = 0;
    const int status = sinq_generate(generator, tokens->ids, tokens->count, take_piece, dialogue, &answer, error);
    (void)sinq_take_interrupt();
    if (dialogue->answer_size > 0 && dialogue->output.last != '\n') putchar('\n');
    if (status != SINQ_OK) return status;
    *is_answered = answer.generated > 0 || answer.reason == SINQ_STOP_END;
    add_up(&dialogue->total, &answer);
    if (answer.reason == SINQ_STOP_UNWANTED) dialogue->is_over = true;
    if (answer.reason == SINQ_STOP_CONTEXT) fputs("The context is full: /reset begins anew.\n", stderr);
    if (generator->arguments->common.verbose)
        sinq_report_run(generator, &answer, sinq_describe_stop_reason(answer.reason));
    return SINQ_OK;
}

static int answer_message(struct dialogue *dialogue, const char *line, struct sinq_error *error) {
    const size_t before = dialogue->count;
    struct sinq_tokens tokens = {.count = 0};
    bool is_answered = false;
    if (line[strspn(line, " \t\n")] == '\0') return SINQ_OK;
    add_message(dialogue, "user", line);
    int status = sinq_tokenize_chat(dialogue->generator->tokenizer, dialogue->generator->chat, dialogue->messages,
                                    dialogue->count, &tokens, error);
    if (status == SINQ_OK) status = answer_tokens(dialogue, &tokens, &is_answered, error);
    if (is_answered) {
        add_message(dialogue, "assistant", dialogue->answer_size > 0 ? dialogue->answer : "");
    } else {
        drop_messages(dialogue, before);
    }
    sinq_tokens_free(&tokens);
    return status;
}

/* The text so far, a new line of it, and on it goes. An empty line adds nothing. */
static int continue_text(struct dialogue *dialogue, const char *line, struct sinq_error *error) {
    const struct sinq_generator *const generator = dialogue->generator;
    const struct sinq_tokens *const so_far = &generator->tokens;
    const bool is_first = so_far->count == 0;
    struct sinq_tokens tokens = {.count = 0};
    bool is_answered;
    int status = SINQ_OK;
    if (is_first && *line == '\0') return SINQ_OK;
    sinq_reserve(&tokens.ids, &tokens.capacity, so_far->count + 1, sizeof *tokens.ids);
    if (!is_first) memcpy(tokens.ids, so_far->ids, so_far->count * sizeof *tokens.ids);
    tokens.count = so_far->count;
    if (*line != '\0') {
        char *const text = sinq_format("%s%s", is_first || dialogue->output.last == '\n' ? "" : "\n", line);
        status = sinq_tokenize(generator->tokenizer, text, strlen(text), is_first ? SINQ_TOKENIZE_SPECIAL : 0, &tokens,
                               error);
        free(text);
    }
    if (status == SINQ_OK) status = answer_tokens(dialogue, &tokens, &is_answered, error);
    sinq_tokens_free(&tokens);
    return status;
}

/* ---- commands ---------------------------------------------------------------------------------------------- */

static void print_help(const struct dialogue *dialogue) {
    printf("%s\n"
           "/reset   begin anew\n"
           "/help    print this\n"
           "/quit    leave; so do Ctrl-D, and Ctrl-C where nothing is typed\n"
           "Ctrl-C stops an answer. A line that ends in \\ goes on in the next.\n",
           dialogue->generator->chat != NULL ? "The model answers what you write."
                                             : "The model continues the text that you begin; after an empty line it "
                                               "goes on by itself.");
}

/* True where the line is one. A blank before the slash makes it text. */
static bool obey_command(struct dialogue *dialogue, const char *line) {
    if (*line != '/') return false;
    if (strcmp(line, "/help") == 0 || strcmp(line, "/?") == 0) {
        print_help(dialogue);
    } else if (strcmp(line, "/reset") == 0) {
        begin_anew(dialogue);
    } else if (strcmp(line, "/quit") == 0 || strcmp(line, "/exit") == 0) {
        dialogue->is_over = true;
    } else {
        fputs("There is /reset, /help and /quit; a blank before the slash makes it text.\n", stderr);
    }
    return true;
}

static void greet(const struct dialogue *dialogue) {
    const struct sinq_generator *const generator = dialogue->generator;
    if (generator->arguments->common.quiet) return;
    if (generator->chat != NULL) {
        fprintf(stderr, "A chat by template %s. /help explains.\n", sinq_chat_template_name(generator->chat));
    } else {
        fprintf(stderr, "%sThe text that you begin is continued. /help explains.\n",
                generator->arguments->raw ? ""
                                          : "This model has no chat template that is known here (--template NAME "
                                            "gives it one). ");
    }
}

static int take_turns(struct dialogue *dialogue, struct sinq_error *error) {
    int status = SINQ_OK;
    while (status == SINQ_OK && !dialogue->is_over && sinq_caught_signal() == 0) {
        const char *line;
        fflush(stdout);
        const enum sinq_line_result result = sinq_read_line(dialogue->editor, &line);
        if (result == SINQ_LINE_LEFT) break;
        if (result == SINQ_LINE_DROPPED || obey_command(dialogue, line)) continue;
        status = (dialogue->generator->chat != NULL ? answer_message : continue_text)(dialogue, line, error);
    }
    return status == SINQ_OK && sinq_caught_signal() != 0 ? SINQ_INTERRUPTED : status;
}

int sinq_hold_dialogue(struct sinq_generator *generator, struct sinq_error *error) {
    struct dialogue dialogue = {.generator = generator, .output = {.generator = generator, .is_terminal = true}};
    int status = sinq_open_line_editor(&dialogue.editor, error);
    if (status != SINQ_OK) return status;
    sinq_begin_dialogue();
    begin_anew(&dialogue);
    greet(&dialogue);
    status = take_turns(&dialogue, error);
    if (status == SINQ_OK && dialogue.total.generated > 0 && !generator->arguments->common.quiet)
        sinq_report_run(generator, &dialogue.total, "in all");
    sinq_close_line_editor(dialogue.editor);
    drop_messages(&dialogue, 0);
    free(dialogue.messages);
    free(dialogue.answer);
    return status;
}
