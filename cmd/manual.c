/* manual.c: the man page, in mdoc. */
#include <stdio.h>
#include <string.h>

#include "help.h"

/* Of the release; pages are the same wherever they are made. */
#define MANUAL_DATE "November 24, 2026"

#define TEXT_WIDTH 78u

/* Escapes what would be a macro at a line's begin or an escape anywhere. */
static void print_word(const char *word, size_t length, bool is_first) {
    if (is_first && (*word == '.' || *word == '\'')) fputs("\\&", stdout);
    for (size_t i = 0; i < length; i++) {
        if (word[i] == '\\') {
            fputs("\\e", stdout);
        } else {
            putchar(word[i]);
        }
    }
}

/* Running text: lines of a decent length, a new line for each sentence as roff wants it, paragraphs at newlines. */
static void print_text(const char *text) {
    size_t column = 0;
    while (*text != '\0') {
        const size_t length = strcspn(text, " \n");
        const bool is_last = text[length] != ' ';
        if (column > 0 && column + 1 + length > TEXT_WIDTH) {
            putchar('\n');
            column = 0;
        }
        if (column > 0) putchar(' ');
        print_word(text, length, column == 0);
        column += length + 1;
        if (!is_last && length > 1 && text[length - 1] == '.') {
            putchar('\n');
            column = 0;
        }
        if (text[length] == '\n') {
            fputs("\n.Pp\n", stdout);
            column = 0;
        }
        text += length + (text[length] != '\0');
    }
    putchar('\n');
}

/* A word or phrase as one argument of a macro. */
static void print_argument(const char *text) {
    fputs(" \"", stdout);
    for (; *text != '\0'; text++) {
        if (*text == '"') {
            fputs("\\(dq", stdout);
        } else if (*text == '\\') {
            fputs("\\e", stdout);
        } else {
            putchar(*text);
        }
    }
    putchar('"');
}

static void print_option(const struct sinq_option *option) {
    fputs(".It", stdout);
    if (option->letter != '\0') printf(" Fl %c ,", option->letter);
    printf(" Fl Fl %s", option->name);
    if (option->argument != NULL) {
        fputs(" Ar", stdout);
        print_argument(option->argument);
    }
    putchar('\n');
    print_text(option->help);
}

static void print_options(const struct sinq_command *command) {
    bool is_listing = false;
    for (const struct sinq_option *option = command->options; option->kind != SINQ_OPTION_END; option++) {
        if (option->kind == SINQ_OPTION_HEADING) {
            if (is_listing) puts(".El");
            is_listing = false;
            printf(".Pp\n%s:\n", option->help);
            continue;
        }
        if (!is_listing) puts(".Bl -tag -width Ds");
        is_listing = true;
        print_option(option);
    }
    if (is_listing) puts(".El");
}

static void print_command(const struct sinq_command *command) {
    printf(".Ss sinq %s\n", command->name);
    print_text(command->about);
    print_options(command);
}

static void print_pairs(const char *section, const char *introduction, const char *macro,
                        const char *const (*pairs)[2]) {
    printf(".Sh %s\n%s\n.Bl -tag -width Ds\n", section, introduction);
    for (; (*pairs)[0] != NULL; pairs++) {
        printf(".It%s", macro);
        print_argument((*pairs)[0]);
        putchar('\n');
        print_text((*pairs)[1]);
    }
    puts(".El");
}

static void print_examples(void) {
    bool is_first = true;
    puts(".Sh EXAMPLES");
    for (size_t i = 0; sinq_commands[i] != NULL; i++) {
        const struct sinq_example *example = sinq_commands[i]->examples;
        for (; example != NULL && example->command != NULL; example++) {
            if (!is_first) puts(".Pp");
            is_first = false;
            print_text(example->purpose);
            fputs(".Pp\n.Dl", stdout);
            print_argument(example->command);
            putchar('\n');
        }
    }
}

void sinq_print_manual(void) {
    printf(".Dd %s\n.Dt SINQ 1\n.Os\n.Sh NAME\n.Nm sinq\n.Nd %s\n.Sh SYNOPSIS\n", MANUAL_DATE, SINQ_SUMMARY);
    for (size_t i = 0; sinq_commands[i] != NULL; i++) {
        printf(".Nm\n.Cm %s\n.Op Ar option ...\n", sinq_commands[i]->name);
        if (*sinq_commands[i]->operands != '\0') {
            fputs(".Ar", stdout);
            print_argument(sinq_commands[i]->operands);
            putchar('\n');
        }
    }
    puts(".Nm\n.Fl Fl version");
    puts(".Sh DESCRIPTION\n.Nm");
    print_text("quantizes the weights of a language model with SINQ: every matrix gets a scale and a zero point per "
               "group of columns, and one scale per column, found by Sinkhorn normalization. No data is needed for it. "
               "It runs models, quantized or not, and measures how well they predict a text.\n"
               "A model is a Hugging Face directory or one .safetensors file; what it is shows in its content, not in "
               "its name.");
    for (size_t i = 0; sinq_commands[i] != NULL; i++) print_command(sinq_commands[i]);
    print_pairs("ENVIRONMENT", "These variables are looked at:", " Ev", sinq_environment);
    print_pairs("EXIT STATUS", ".Nm\nends with one of these:", "", sinq_exit_codes);
    print_examples();
    puts(".Sh SEE ALSO\n"
         ".Lk https://arxiv.org/abs/2509.22944 \"SINQ: Sinkhorn-Normalized Quantization for Calibration-Free "
         "Low-Precision LLM Weights\"");
}
