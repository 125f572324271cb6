/* help.h: help, man page and completions, all made from the table of commands and their tables of options. */
#ifndef SINQ_CMD_HELP_H
#define SINQ_CMD_HELP_H

#include "catalogue.h"

/* What `sinq help` and `sinq help COMMAND` print on stdout. */
void sinq_print_help(void);
void sinq_print_command_help(const struct sinq_command *command);

/* manual.c: the man page in mdoc. */
void sinq_print_manual(void);

/* completion.c: for "bash", "zsh" or "fish". */
void sinq_print_completion(const char *shell);

/* The command of that name, or NULL. */
const struct sinq_command *sinq_find_command(const char *name);
/* The name that a mistyped one probably means, or NULL. */
const char *sinq_find_likely_command(const char *name);

#endif
