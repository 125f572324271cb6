/*
 * command.h: what a subcommand is, and what all of them begin with. main.c holds the table of them; one file each
 * implements them.
 */
#ifndef SINQ_CMD_COMMAND_H
#define SINQ_CMD_COMMAND_H

#include "options.h"

struct sinq_example {
    const char *command;
    const char *purpose;
};

struct sinq_command {
    const char *name;
    const char *summary;                 /* one line, lower case, no full stop */
    const char *operands;                /* "MODEL..." */
    const char *about;                   /* paragraphs, separated by a newline */
    const struct sinq_example *examples; /* ends with an empty one */
    const struct sinq_option *options;
    int (*run)(const struct sinq_command *command, int argc, char **argv); /* returns the exit code */
};

extern const struct sinq_command sinq_quantize_command, sinq_inspect_command, sinq_eval_command, sinq_help_command;

/* All commands, ended by NULL. */
extern const struct sinq_command *const sinq_commands[];

/* How the program was called, for command lines that are printed. */
extern const char *sinq_program;

/* Facts that help and man page share. */
#define SINQ_SUMMARY "shrink the weights of large language models, and check the result"
extern const char *const sinq_exit_codes[][2];  /* code and meaning, ended by NULL */
extern const char *const sinq_environment[][2]; /* variable and meaning, ended by NULL */

#define SINQ_CONTINUE (-1)

/*
 * Parses the options and does what is common to all commands: --help, colour, --cpu, threads. SINQ_CONTINUE, or the exit
 * code to leave with. `values` begins with struct sinq_common_options.
 */
int sinq_begin_command(const struct sinq_command *command, int argc, char **argv, void *values, int *first_operand);

/* "sinq: MESSAGE" on stderr. */
void sinq_report_error(const char *message);

/* "sinq COMMAND: MESSAGE" and where to look, on stderr; returns SINQ_USAGE. */
int sinq_report_usage(const struct sinq_command *command, const char *format, ...) SINQ_PRINTF(2, 3);

/* The exit code for a failed library call: 130 or 143 where a signal was the cause and nothing was kept. */
int sinq_exit_code(int status);

#endif
