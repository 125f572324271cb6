/*
 * terminal.h: what is known about stdout and stderr, and the signals that a person at a terminal sends. Set up once in
 * main(), before anything else.
 */
#ifndef SINQ_CMD_TERMINAL_H
#define SINQ_CMD_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Whether colour may be used, by --color ("auto", "always", "never" or NULL), NO_COLOR and TERM. */
void sinq_choose_color(const char *when);
bool sinq_has_color(FILE *stream);

/* Whether stderr is a terminal that understands how to rewrite a line. */
bool sinq_can_rewrite_lines(void);

/* Whether stdout and stderr are one and the same, so that what is written to them mixes. */
bool sinq_streams_mix(void);

/* Columns of the terminal behind `stream`; 0 where it is none. */
size_t sinq_terminal_width(FILE *stream);

/*
 * SIGINT and SIGTERM are noted instead of killing; the second one kills. SIGPIPE and SIGXFSZ become errors of write().
 */
void sinq_catch_signals(void);
/* The signal that was caught, or 0. */
int sinq_caught_signal(void);

/*
 * In a dialogue SIGINT stops an answer, not the program: from here on it is only noted, any number of times, and interrupts
 * system calls. sinq_take_interrupt forgets it and says whether there was one.
 */
void sinq_begin_dialogue(void);
bool sinq_is_interrupted(void);
bool sinq_take_interrupt(void);
/* Whether the terminal got another size, or another program had it meanwhile (Ctrl-Z and fg); forgets it. */
bool sinq_take_terminal_change(void);

/*
 * Closes stdout at the program's end. A full disk or a closed pipe shows only here: returns 1 where `code` is 0 and not
 * everything could be written, with a message unless the reader simply went away.
 */
int sinq_finish_output(int code);

/* Seconds of a clock that only runs forward. */
double sinq_now(void);

/* "PROGRAM: MESSAGE" on stderr, made printable. */
void sinq_print_error(const char *program, const char *message);

/* "sinq: MESSAGE" on stderr. */
void sinq_report_error(const char *message);

#endif
