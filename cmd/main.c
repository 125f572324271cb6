/* main.c: the table of commands. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "help.h"
#include "suggestion.h"
#include "terminal.h"

const struct sinq_command *const sinq_commands[] = {
    &sinq_quantize_command,
    &sinq_inspect_command,
    &sinq_eval_command,
    &sinq_run_command,
    &sinq_bench_command,
    &sinq_help_command,
    NULL,
};

const char *sinq_program = "sinq";

const char *const sinq_exit_codes[][2] = {
    {"0", "done"},
    {"1", "failure: a bad file, no space, no memory, ..."},
    {"2", "usage: an argument, or a combination of options, that cannot be"},
    {"3", "a check or a threshold was not met"},
    {"75", "interrupted, and what is finished is kept: the same command with --resume goes on"},
    {"130, 143", "interrupted by SIGINT or SIGTERM, with nothing kept"},
    {NULL, NULL},
};

const char *const sinq_environment[][2] = {
    {"SINQ_CPU", "instruction sets that may be used, as --cpu"},
    {"SINQ_DEVICE", "what models run on, as --device"},
    {"OMP_NUM_THREADS", "threads where --threads is not given"},
    {"NO_COLOR, TERM", "no colour where NO_COLOR is not empty or TERM is dumb"},
    {NULL, NULL},
};

static int print_version(void) {
    struct sinq_error error;
    printf("sinq %s\n", SINQ_VERSION);
    if (sinq_select_cpu(getenv("SINQ_CPU"), &error) != SINQ_OK) {
        sinq_report_error(error.message);
        return error.status;
    }
    printf("cpu: %s\nprocessors: %u\n%s\n", sinq_cpu_name(), sinq_count_processors(), sinq_build_facts());
    return SINQ_OK;
}

static int refuse_command(const char *name) {
    char message[600];
    const char *likely = sinq_find_likely_command(name);
    if (sinq_is_likely(name, "--version")) likely = "--version";
    if (sinq_is_likely(name, "--help")) likely = "--help";
    const char *const kind = name[0] == '-' ? "option" : "command";
    if (likely != NULL) {
        snprintf(message, sizeof message, "unknown %s '%.400s'; did you mean %s?", kind, name, likely);
    } else {
        snprintf(message, sizeof message, "unknown %s '%.400s'", kind, name);
    }
    sinq_report_error(message);
    fputs("Try 'sinq help'.\n", stderr);
    return SINQ_USAGE;
}

static int run_command(int argc, char **argv) {
    sinq_choose_color(NULL);
    if (argc < 2) {
        fputs("usage: sinq COMMAND [OPTION]... [MODEL]...\nTry 'sinq help'.\n", stderr);
        return SINQ_USAGE;
    }
    const char *const name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) return print_version();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        sinq_print_help();
        return SINQ_OK;
    }
    const struct sinq_command *const command = sinq_find_command(name);
    return command != NULL ? command->run(command, argc - 1, argv + 1) : refuse_command(name);
}

/*
 * GNU OpenMP's threads spin for milliseconds where they wait, which on a machine that others use too makes two threads slower
 * than one. How long is read from the environment before main() runs, and nowhere else: so it is set and the program run anew.
 * Where that is not possible it works all the same.
 */
static void limit_spinning(char **argv) {
    if (getenv("GOMP_SPINCOUNT") != NULL || getenv("OMP_WAIT_POLICY") != NULL) return;
    if (setenv("GOMP_SPINCOUNT", "2000", 1) == 0) execv("/proc/self/exe", argv);
}

/*
 * A standard stream that is closed would be the next file that is opened: models read as a prompt, reports written into
 * weights. A file that can only be used the other way round takes its place, so that its use is an error as before.
 */
static void occupy_closed_streams(void) {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
        (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
}

int main(int argc, char **argv) {
    occupy_closed_streams();
    if (argc > 0) limit_spinning(argv);
    sinq_catch_signals();
    if (argc > 0) sinq_program = argv[0];
    return sinq_finish_output(run_command(argc, argv));
}
