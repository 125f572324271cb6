/* error.h: filling struct sinq_error at the point of failure. */
#ifndef SINQ_BASE_ERROR_H
#define SINQ_BASE_ERROR_H

#include "sinq.h"

/*
 * Writes one line into *error (which may be NULL) and returns `status`, so that a failing function ends in
 * `return sinq_fail(...)`. Control characters and invalid UTF-8, which a hostile file's names may hold, become '?'.
 */
int sinq_fail(struct sinq_error *error, int status, const char *format, ...) SINQ_PRINTF(3, 4);

/* As sinq_fail with SINQ_FAILED, and ": " and the text of errno behind the message. */
int sinq_fail_errno(struct sinq_error *error, const char *format, ...) SINQ_PRINTF(2, 3);

/* SINQ_FAILED, "out of memory" with what the memory was for. */
int sinq_fail_memory(struct sinq_error *error, const char *purpose, uint64_t bytes);

#endif
