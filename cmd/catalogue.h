/* catalogue.h: what a subcommand is. main.c holds the table of them and the facts that help and man page share. */
#ifndef SINQ_CMD_CATALOGUE_H
#define SINQ_CMD_CATALOGUE_H

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

extern const struct sinq_command sinq_quantize_command, sinq_inspect_command, sinq_eval_command, sinq_run_command,
    sinq_bench_command, sinq_help_command;

/* All commands, ended by NULL. */
extern const struct sinq_command *const sinq_commands[];

/* How the program was called, for command lines that are printed. */
extern const char *sinq_program;

/* Facts that help and man page share. */
#define SINQ_SUMMARY "shrink large language models, run them, and measure what was lost"
extern const char *const sinq_exit_codes[][2];  /* code and meaning, ended by NULL */
extern const char *const sinq_environment[][2]; /* variable and meaning, ended by NULL */

#endif
