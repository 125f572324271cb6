/* command_line.h: command lines that a person can paste into a shell. */
#ifndef SINQ_CMD_COMMAND_LINE_H
#define SINQ_CMD_COMMAND_LINE_H

#include <stdio.h>

/* Writes `word` so that a POSIX shell reads it as one word, with a blank before it. */
void sinq_write_shell_word(FILE *out, const char *word);

#endif
