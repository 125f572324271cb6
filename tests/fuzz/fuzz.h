/* fuzz.h: what every fuzz target has. A target is one file; replay.c runs it over a corpus without libFuzzer. */
#ifndef SINQ_TESTS_FUZZ_H
#define SINQ_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "sinq.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input; unlike assert it stays in every build. */
static inline void require(bool condition) {
    if (!condition) abort();
}

/* An error is one line of text, and success leaves none. */
static inline void require_status(int status, const struct sinq_error *error) {
    require(memchr(error->message, '\0', sizeof error->message) != NULL);
    require((status == SINQ_OK) == (error->message[0] == '\0'));
    require(status == SINQ_OK || status == SINQ_FAILED);
    require(strpbrk(error->message, "\n\r\t") == NULL);
    require(sinq_is_utf8(error->message, strlen(error->message)));
}

#endif
