#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "printable.h"
#include "sinq.h"

static bool color_stdout, color_stderr;
static volatile sig_atomic_t caught_signal, is_interrupted, is_terminal_changed;

static bool is_dumb(void) {
    const char *const term = getenv("TERM");
    return term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;
}

void sinq_choose_color(const char *when) {
    const char *const no_color = getenv("NO_COLOR");
    const bool is_wanted = (no_color == NULL || *no_color == '\0') && !is_dumb();
    color_stdout = is_wanted && isatty(STDOUT_FILENO);
    color_stderr = is_wanted && isatty(STDERR_FILENO);
    if (when == NULL || strcmp(when, "auto") == 0) return;
    color_stdout = color_stderr = strcmp(when, "always") == 0;
}

bool sinq_has_color(FILE *stream) { return stream == stdout ? color_stdout : color_stderr; }

void sinq_print_error(const char *program, const char *message) {
    char *const printable = sinq_copy_printable(message);
    const char *const red = sinq_has_color(stderr) ? "\033[1;31m" : "";
    const char *const plain = sinq_has_color(stderr) ? "\033[0m" : "";
    fprintf(stderr, "%s%s:%s %s\n", red, program, plain, printable);
    free(printable);
}

void sinq_report_error(const char *message) { sinq_print_error("sinq", message); }

bool sinq_can_rewrite_lines(void) { return isatty(STDERR_FILENO) && !is_dumb(); }

bool sinq_streams_mix(void) {
    struct stat output, errors;
    if (fstat(STDOUT_FILENO, &output) != 0 || fstat(STDERR_FILENO, &errors) != 0) return false;
    return output.st_dev == errors.st_dev && output.st_ino == errors.st_ino;
}

size_t sinq_terminal_width(FILE *stream) {
    const int fd = fileno(stream);
    struct winsize size;
    if (!isatty(fd)) return 0;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void note_signal(int number) {
    if (caught_signal != 0) {
        signal(number, SIG_DFL);
        raise(number);
    }
    caught_signal = number;
}

void sinq_catch_signals(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    sigaction(SIGXFSZ, &action, NULL);
}

int sinq_caught_signal(void) { return (int)caught_signal; }

static void note_interrupt(int number) {
    (void)number;
    is_interrupted = 1;
}

static void note_terminal_change(int number) {
    (void)number;
    is_terminal_changed = 1;
}

void sinq_begin_dialogue(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = note_interrupt;
    sigaction(SIGINT, &action, NULL);
    action.sa_handler = note_signal;
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = note_terminal_change;
    sigaction(SIGCONT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
}

bool sinq_take_terminal_change(void) {
    const bool was_changed = is_terminal_changed != 0;
    is_terminal_changed = 0;
    return was_changed;
}

bool sinq_is_interrupted(void) { return is_interrupted != 0; }

bool sinq_take_interrupt(void) {
    const bool was_interrupted = is_interrupted != 0;
    is_interrupted = 0;
    return was_interrupted;
}

/* Whether stdout is a pipe that nobody reads any more. */
static bool is_reader_gone(void) {
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

int sinq_finish_output(int code) {
    const bool is_gone = is_reader_gone();
    errno = 0;
    const bool had_error = ferror(stdout) != 0;
    const bool failed = fclose(stdout) != 0;
    const int reason = errno;
    if (!had_error && !failed) return code;
    if (!is_gone && !(failed && reason == EPIPE)) {
        char message[160];
        snprintf(message, sizeof message, "standard output: %s",
                 failed && reason != 0 ? strerror(reason) : "not everything could be written");
        sinq_report_error(message);
    }
    return code != 0 ? code : SINQ_FAILED;
}

double sinq_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
