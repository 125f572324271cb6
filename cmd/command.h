/* command.h: what all subcommands begin and end with. */
#ifndef SINQ_CMD_COMMAND_H
#define SINQ_CMD_COMMAND_H

#include "catalogue.h"
#include "terminal.h"

#define SINQ_CONTINUE (-1)

/*
 * Parses the options and does what is common to all commands: --help, colour, --cpu, threads. SINQ_CONTINUE, or the exit
 * code to leave with. `values` begins with struct sinq_common_options.
 */
int sinq_begin_command(const struct sinq_command *command, int argc, char **argv, void *values, int *first_operand);

/* "sinq COMMAND: MESSAGE" and where to look, on stderr; returns SINQ_USAGE. */
int sinq_report_usage(const struct sinq_command *command, const char *format, ...) SINQ_PRINTF(2, 3);

/* The exit code for a failed library call: 130 or 143 where a signal was the cause and nothing was kept. */
int sinq_exit_code(int status);

#endif
