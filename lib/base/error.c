#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static int fill_error(struct sinq_error *error, int status, int error_number, const char *format, va_list arguments)
    SINQ_PRINTF(4, 0);

static int fill_error(struct sinq_error *error, int status, int error_number, const char *format, va_list arguments) {
    if (error == NULL) return status;
    const size_t capacity = sizeof(error->message);
    error->status = status;
    const int written = vsnprintf(error->message, capacity, format, arguments);
    const size_t used = written < 0 ? 0 : (size_t)written;
    if (error_number != 0 && used + 3 < capacity) {
        char text[128];
        const char *const reason = strerror_r(error_number, text, sizeof text) == 0 ? text : "unknown error";
        (void)snprintf(error->message + used, capacity - used, ": %s", reason);
    }
    sinq_make_printable(error->message);
    return status;
}

int sinq_fail(struct sinq_error *error, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fill_error(error, status, 0, format, arguments);
    va_end(arguments);
    return status;
}

int sinq_fail_errno(struct sinq_error *error, const char *format, ...) {
    const int error_number = errno;
    va_list arguments;
    va_start(arguments, format);
    fill_error(error, SINQ_FAILED, error_number, format, arguments);
    va_end(arguments);
    return SINQ_FAILED;
}

int sinq_fail_memory(struct sinq_error *error, const char *purpose, uint64_t bytes) {
    return sinq_fail(error, SINQ_FAILED, "out of memory: %llu bytes for %s", (unsigned long long)bytes, purpose);
}
