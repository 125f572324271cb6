/* help_command.c: `sinq help`. */
#include <stddef.h>

#include "command.h"
#include "help.h"

struct help_options {
    struct sinq_common_options common;
    bool manual;
    const char *shell;
};

static const struct sinq_option help_options[] = {
    {.name = "man",
     .kind = SINQ_OPTION_FLAG,
     .offset = offsetof(struct help_options, manual),
     .help = "print the man page, in mdoc"},
    {.name = "completion",
     .kind = SINQ_OPTION_CHOICE,
     .argument = "SHELL",
     .choices = "bash zsh fish",
     .offset = offsetof(struct help_options, shell),
     .help = "print the completions for bash, zsh or fish"},
    {.name = "help",
     .letter = 'h',
     .kind = SINQ_OPTION_FLAG,
     .offset = offsetof(struct sinq_common_options, help),
     .help = "print this and exit"},
    {.kind = SINQ_OPTION_END},
};

static int run_help(const struct sinq_command *command, int argc, char **argv) {
    struct help_options options = {.manual = false};
    struct sinq_error error;
    int first;
    sinq_choose_color(NULL);
    if (sinq_parse_options(command->options, argc, argv, &options, &first, &error) != SINQ_OK)
        return sinq_report_usage(command, "%s", error.message);
    if (options.common.help) {
        sinq_print_command_help(command);
    } else if (options.manual) {
        sinq_print_manual();
    } else if (options.shell != NULL) {
        sinq_print_completion(options.shell);
    } else if (first == argc) {
        sinq_print_help();
    } else if (argc - first > 1) {
        return sinq_report_usage(command, "one COMMAND at a time, found '%s' besides", argv[first + 1]);
    } else {
        const struct sinq_command *const topic = sinq_find_command(argv[first]);
        if (topic == NULL) {
            const char *const likely = sinq_find_likely_command(argv[first]);
            return sinq_report_usage(command,
                                     likely != NULL ? "unknown command '%s'; did you mean %s?" : "unknown command '%s'",
                                     argv[first], likely);
        }
        sinq_print_command_help(topic);
    }
    return SINQ_OK;
}

const struct sinq_command sinq_help_command = {
    .name = "help",
    .summary = "explain a command; print the man page or a shell's completions",
    .operands = "[COMMAND]",
    .about = "Explains a command, or without one lists all commands, exit codes and environment variables.",
    .examples = NULL,
    .options = help_options,
    .run = run_help,
};
