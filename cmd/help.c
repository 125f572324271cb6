#include "help.h"

#include <stdio.h>
#include <string.h>

#include "suggestion.h"
#include "terminal.h"

#define TEXT_WIDTH  79u /* help is wrapped here */
#define HELP_COLUMN 26u /* where the explanations of options begin */

const struct sinq_command *sinq_find_command(const char *name) {
    for (size_t i = 0; sinq_commands[i] != NULL; i++)
        if (strcmp(sinq_commands[i]->name, name) == 0) return sinq_commands[i];
    return NULL;
}

const char *sinq_find_likely_command(const char *name) {
    for (size_t i = 0; sinq_commands[i] != NULL; i++)
        if (sinq_is_likely(name, sinq_commands[i]->name)) return sinq_commands[i]->name;
    return NULL;
}

static const char *bold(void) { return sinq_has_color(stdout) ? "\033[1m" : ""; }
static const char *plain(void) { return sinq_has_color(stdout) ? "\033[0m" : ""; }

/* Words of `text` from column `column` on, wrapped, further lines indented by `indent`. A newline ends a paragraph. */
static void print_wrapped(const char *text, size_t column, size_t indent) {
    bool is_first = true;
    while (*text != '\0') {
        const size_t length = strcspn(text, " \n");
        if (!is_first && column + 1 + length > TEXT_WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
            is_first = true;
        }
        if (!is_first) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)length, text);
        column += length;
        is_first = false;
        text += length;
        if (*text == '\n') {
            printf("\n\n%*s", (int)indent, "");
            column = indent;
            is_first = true;
        }
        if (*text != '\0') text++;
    }
    putchar('\n');
}

static void print_option(const struct sinq_option *option) {
    if (option->kind == SINQ_OPTION_HEADING) {
        printf("\n%s%s%s\n", bold(), option->help, plain());
        return;
    }
    char head[96];
    int used = option->letter != '\0' ? snprintf(head, sizeof head, "  -%c, --%s", option->letter, option->name)
                                      : snprintf(head, sizeof head, "      --%s", option->name);
    if (option->argument != NULL) used += snprintf(head + used, sizeof head - (size_t)used, " %s", option->argument);
    fputs(head, stdout);
    size_t column = (size_t)used;
    if (column + 2 > HELP_COLUMN) {
        putchar('\n');
        column = 0;
    }
    printf("%*s", (int)(HELP_COLUMN - column), "");
    print_wrapped(option->help, HELP_COLUMN, HELP_COLUMN);
}

void sinq_print_command_help(const struct sinq_command *command) {
    printf("%susage:%s sinq %s [OPTION]...%s%s\n\n", bold(), plain(), command->name,
           *command->operands != '\0' ? " " : "", command->operands);
    print_wrapped(command->about, 0, 0);
    for (const struct sinq_option *o = command->options; o->kind != SINQ_OPTION_END; o++) print_option(o);
    if (command->examples == NULL) return;
    printf("\n%sExamples%s\n", bold(), plain());
    for (const struct sinq_example *example = command->examples; example->command != NULL; example++) {
        printf("  %s\n      ", example->command);
        print_wrapped(example->purpose, 6, 6);
    }
}

static void print_pairs(const char *heading, const char *const (*pairs)[2], size_t column) {
    printf("\n%s%s%s\n", bold(), heading, plain());
    for (; (*pairs)[0] != NULL; pairs++) {
        printf("  %-*s", (int)column - 2, (*pairs)[0]);
        print_wrapped((*pairs)[1], column, column);
    }
}

void sinq_print_help(void) {
    printf("sinq: %s\n\n%susage:%s sinq COMMAND [OPTION]... [MODEL]...\n\n%sCommands%s\n", SINQ_SUMMARY, bold(),
           plain(), bold(), plain());
    for (size_t i = 0; sinq_commands[i] != NULL; i++) {
        printf("  %-12s", sinq_commands[i]->name);
        print_wrapped(sinq_commands[i]->summary, 14, 14);
    }
    putchar('\n');
    print_wrapped("MODEL is a Hugging Face directory or one .safetensors file; what it is shows in its content, not in "
                  "its name. 'sinq help COMMAND' explains a command, 'sinq --version' this program.",
                  0, 0);
    print_pairs("Exit codes", sinq_exit_codes, 14);
    print_pairs("Environment", sinq_environment, 20);
}

/* ---- the command ------------------------------------------------------------------------------------------- */
