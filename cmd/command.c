#include "command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "help.h"
#include "terminal.h"

int sinq_report_usage(const struct sinq_command *command, const char *format, ...) {
    char message[1200], program[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    snprintf(program, sizeof program, "sinq %s", command->name);
    sinq_print_error(program, message);
    fprintf(stderr, "Try 'sinq help%s%s'.\n", command == &sinq_help_command ? "" : " ",
            command == &sinq_help_command ? "" : command->name);
    return SINQ_USAGE;
}

int sinq_exit_code(int status) {
    const int number = sinq_caught_signal();
    return status == SINQ_INTERRUPTED && number != 0 ? 128 + number : status;
}

/* What the OpenMP programs of this machine are told, where it is a plain number. */
static unsigned read_openmp_threads(void) {
    const char *const text = getenv("OMP_NUM_THREADS");
    if (text == NULL || *text < '0' || *text > '9') return 0;
    char *end;
    const unsigned long number = strtoul(text, &end, 10);
    return (*end == '\0' || *end == ',') && number <= 1024 ? (unsigned)number : 0;
}

int sinq_begin_command(const struct sinq_command *command, int argc, char **argv, void *values, int *first_operand) {
    struct sinq_common_options *const common = values;
    struct sinq_error error = {.status = 0};
    if (sinq_parse_options(command->options, argc, argv, values, first_operand, &error) != 0)
        return sinq_report_usage(command, "%s", error.message);
    sinq_choose_color(common->color);
    if (common->help) {
        sinq_print_command_help(command);
        return SINQ_OK;
    }
    const char *const cpu = common->cpu != NULL ? common->cpu : getenv("SINQ_CPU");
    const int status = sinq_select_cpu(cpu, &error);
    if (status != SINQ_OK) {
        if (status == SINQ_USAGE && common->cpu != NULL) return sinq_report_usage(command, "%s", error.message);
        sinq_report_error(error.message);
        return status;
    }
    if (common->threads == 0) common->threads = read_openmp_threads();
    return SINQ_CONTINUE;
}
