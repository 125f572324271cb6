/* gguf_cursor.h: walking over a GGUF header, which is read piece by piece as far as it makes sense. */
#ifndef SINQ_FORMATS_GGUF_CURSOR_H
#define SINQ_FORMATS_GGUF_CURSOR_H

#include "base/input.h"

struct sinq_gguf_cursor {
    const struct sinq_input *input;
    uint8_t *bytes; /* of the file, from its beginning; moves when more is read */
    uint64_t size, capacity;
    uint64_t at;
    struct sinq_error *error;
};

void sinq_gguf_cursor_free(struct sinq_gguf_cursor *cursor);

/* Skips `count` bytes, which are then there from the old place on. `what` is for messages: "key 3 of the metadata". */
int sinq_gguf_skip(struct sinq_gguf_cursor *cursor, uint64_t count, const char *what);
int sinq_gguf_read_u32(struct sinq_gguf_cursor *cursor, const char *what, uint32_t *number);
int sinq_gguf_read_u64(struct sinq_gguf_cursor *cursor, const char *what, uint64_t *number);
/* A length and that many bytes, which begin at *place. */
int sinq_gguf_read_string(struct sinq_gguf_cursor *cursor, const char *what, uint64_t *place, uint64_t *size);

#endif
