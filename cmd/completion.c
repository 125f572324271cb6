/* completion.c: completions for three shells. */
#include <stdio.h>
#include <string.h>

#include "help.h"

static bool takes_argument(const struct sinq_option *option) {
    return option->kind != SINQ_OPTION_FLAG && option->kind != SINQ_OPTION_HEADING;
}

/* An explanation inside '...': zsh leaves the quotes to write one, and has brackets around it; fish escapes. */
static void print_zsh_text(const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
        } else {
            if (strchr("[]:\\", *text) != NULL) putchar('\\');
            putchar(*text);
        }
    }
}

static void print_fish_text(const char *text) {
    for (; *text != '\0'; text++) {
        if (strchr("'\\", *text) != NULL) putchar('\\');
        putchar(*text);
    }
}

/* ---- bash -------------------------------------------------------------------------------------------------- */

static void print_bash_values(const struct sinq_command *command) {
    for (const struct sinq_option *option = command->options; option->kind != SINQ_OPTION_END; option++) {
        if (!takes_argument(option)) continue;
        printf("        %s:--%s", command->name, option->name);
        if (option->letter != '\0') printf("|%s:-%c", command->name, option->letter);
        if (option->choices != NULL) {
            printf(") COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n", option->choices);
        } else if (option->completion == SINQ_COMPLETE_FILES) {
            puts(") compopt -o default; return ;;");
        } else {
            puts(") return ;;");
        }
    }
}

static void print_bash_options(const struct sinq_command *command) {
    printf("        %s) options='", command->name);
    for (const struct sinq_option *option = command->options; option->kind != SINQ_OPTION_END; option++) {
        if (option->kind != SINQ_OPTION_HEADING) printf("--%s ", option->name);
    }
    puts("' ;;");
}

static void print_command_names(void) {
    for (size_t i = 0; sinq_commands[i] != NULL; i++) printf("%s%s", i > 0 ? " " : "", sinq_commands[i]->name);
}

static void print_bash(void) {
    fputs("# bash completion for sinq\n"
          "_sinq() {\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}\n"
          "    local options=\n"
          "    COMPREPLY=()\n"
          "    if ((COMP_CWORD == 1)); then\n"
          "        COMPREPLY=($(compgen -W '",
          stdout);
    print_command_names();
    fputs(" --help --version' -- \"$word\"))\n"
          "        return\n"
          "    fi\n"
          "    case $command:$previous in\n",
          stdout);
    for (size_t i = 0; sinq_commands[i] != NULL; i++) print_bash_values(sinq_commands[i]);
    fputs("    esac\n    case $command in\n", stdout);
    for (size_t i = 0; sinq_commands[i] != NULL; i++) print_bash_options(sinq_commands[i]);
    fputs("    esac\n"
          "    if [[ $word == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n"
          "    elif [[ $command == help ]]; then\n"
          "        COMPREPLY=($(compgen -W '",
          stdout);
    print_command_names();
    fputs("' -- \"$word\"))\n"
          "    else\n"
          "        compopt -o default\n"
          "    fi\n"
          "}\n"
          "complete -F _sinq sinq\n",
          stdout);
}

/* ---- zsh --------------------------------------------------------------------------------------------------- */

static void print_zsh_action(const struct sinq_option *option) {
    if (!takes_argument(option)) return;
    if (option->choices != NULL) {
        printf(":value:(%s)", option->choices);
    } else if (option->completion == SINQ_COMPLETE_FILES) {
        fputs(":file:_files", stdout);
    } else {
        fputs(":value: ", stdout);
    }
    if (option->kind == SINQ_OPTION_PAIR) fputs(":file:_files", stdout);
}

static void print_zsh_command(const struct sinq_command *command) {
    printf("        %s)\n            _arguments -s -S \\\n", command->name);
    for (const struct sinq_option *option = command->options; option->kind != SINQ_OPTION_END; option++) {
        if (option->kind == SINQ_OPTION_HEADING) continue;
        const char *const repeated = option->kind == SINQ_OPTION_RULE || option->kind == SINQ_OPTION_TEXTS ? "*" : "";
        printf("                '%s--%s[", repeated, option->name);
        print_zsh_text(option->help);
        putchar(']');
        print_zsh_action(option);
        puts("' \\");
        if (option->letter == '\0') continue;
        printf("                '%s-%c[", repeated, option->letter);
        print_zsh_text(option->help);
        putchar(']');
        print_zsh_action(option);
        puts("' \\");
    }
    if (command == &sinq_help_command) {
        fputs("                '*:command:(", stdout);
        print_command_names();
        puts(")' ;;");
    } else {
        puts("                '*:model:_files' ;;");
    }
}

static void print_zsh(void) {
    fputs("#compdef sinq\n"
          "_sinq() {\n"
          "    local -a commands=(\n",
          stdout);
    for (size_t i = 0; sinq_commands[i] != NULL; i++) {
        printf("        '%s:", sinq_commands[i]->name);
        print_zsh_text(sinq_commands[i]->summary);
        puts("'");
    }
    fputs("    )\n"
          "    if ((CURRENT == 2)); then\n"
          "        _describe command commands\n"
          "        _arguments '--help[explain]' '--version[print the version]'\n"
          "        return\n"
          "    fi\n"
          "    local command=$words[2]\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $command in\n",
          stdout);
    for (size_t i = 0; sinq_commands[i] != NULL; i++) print_zsh_command(sinq_commands[i]);
    fputs("    esac\n"
          "}\n"
          "if [[ $funcstack[1] == _sinq ]]; then _sinq \"$@\"; else compdef _sinq sinq; fi\n",
          stdout);
}

/* ---- fish -------------------------------------------------------------------------------------------------- */

static void print_fish_option(const struct sinq_command *command, const struct sinq_option *option) {
    printf("complete -c sinq -n '__fish_seen_subcommand_from %s' -l %s", command->name, option->name);
    if (option->letter != '\0') printf(" -s %c", option->letter);
    if (takes_argument(option) && option->completion != SINQ_COMPLETE_FILES) fputs(" -x", stdout);
    if (takes_argument(option) && option->completion == SINQ_COMPLETE_FILES) fputs(" -r -F", stdout);
    if (option->choices != NULL) printf(" -a '%s'", option->choices);
    fputs(" -d '", stdout);
    print_fish_text(option->help);
    puts("'");
}

static void print_fish(void) {
    puts("# fish completion for sinq");
    for (size_t i = 0; sinq_commands[i] != NULL; i++) {
        printf("complete -c sinq -n __fish_use_subcommand -f -a %s -d '", sinq_commands[i]->name);
        print_fish_text(sinq_commands[i]->summary);
        puts("'");
    }
    puts("complete -c sinq -n __fish_use_subcommand -l help -d 'explain'\n"
         "complete -c sinq -n __fish_use_subcommand -l version -d 'print the version'");
    for (size_t i = 0; sinq_commands[i] != NULL; i++) {
        const struct sinq_option *option = sinq_commands[i]->options;
        for (; option->kind != SINQ_OPTION_END; option++)
            if (option->kind != SINQ_OPTION_HEADING) print_fish_option(sinq_commands[i], option);
    }
    fputs("complete -c sinq -n '__fish_seen_subcommand_from help' -f -a '", stdout);
    print_command_names();
    puts("'");
}

void sinq_print_completion(const char *shell) {
    if (strcmp(shell, "bash") == 0) print_bash();
    if (strcmp(shell, "zsh") == 0) print_zsh();
    if (strcmp(shell, "fish") == 0) print_fish();
}
