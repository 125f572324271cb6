/* input.h: bytes to parse, from an open file or from memory (tests, fuzzing). Parsers only ever see this. */
#ifndef SINQ_BASE_INPUT_H
#define SINQ_BASE_INPUT_H

#include "sinq.h"

struct sinq_input {
    const char *path; /* for messages; borrowed */
    uint64_t bytes;
    int fd;                /* used where memory is NULL */
    const uint8_t *memory; /* or NULL; borrowed */
};

/* Exactly `size` bytes at `offset`; less is an error that names the file. Thread safe. */
int sinq_input_read(const struct sinq_input *input, uint64_t offset, uint64_t size, void *out,
                    struct sinq_error *error);

#endif
