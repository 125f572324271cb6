#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "printable.h"
#include "terminal.h"

#define LINE_SIZE 8192 /* two paths */

void sinq_print_heading(const char *format, ...) {
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    char *const printable = sinq_copy_printable(line);
    const bool is_bold = sinq_has_color(stdout);
    printf("%s%s%s\n", is_bold ? "\033[1m" : "", printable, is_bold ? "\033[0m" : "");
    free(printable);
}

void sinq_print_fact(const char *label, const char *format, ...) {
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    char *const printable = sinq_copy_printable(line);
    printf("  %-13s %s\n", label, printable);
    free(printable);
}
