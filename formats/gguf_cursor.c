#include "gguf_cursor.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"

#define FIRST_BYTES      ((uint64_t)1 << 16)
#define MAX_HEADER_BYTES ((uint64_t)1 << 30) /* the largest vocabularies take some ten megabytes */

void sinq_gguf_cursor_free(struct sinq_gguf_cursor *cursor) {
    free(cursor->bytes);
    cursor->bytes = NULL;
}

/* Reads the file up to byte `end` at least. What is held is never more than twice what was asked for. */
static int fill(struct sinq_gguf_cursor *c, uint64_t end) {
    if (end <= c->size) return SINQ_OK;
    if (end > c->capacity) {
        const uint64_t wanted = sinq_max_u64(FIRST_BYTES, sinq_min_u64(2 * end, c->input->bytes));
        uint8_t *const grown = realloc(c->bytes, (size_t)wanted);
        if (grown == NULL) return sinq_fail_memory(c->error, c->input->path, wanted);
        c->bytes = grown;
        c->capacity = wanted;
    }
    const uint64_t more = sinq_min_u64(c->capacity, c->input->bytes) - c->size;
    const int status = sinq_input_read(c->input, c->size, more, c->bytes + c->size, c->error);
    if (status == SINQ_OK) c->size += more;
    return status;
}

int sinq_gguf_skip(struct sinq_gguf_cursor *cursor, uint64_t count, const char *what) {
    const uint64_t left = cursor->input->bytes - cursor->at;
    if (count > left) {
        return sinq_fail(cursor->error, SINQ_FAILED, "%s: %s takes %llu bytes at byte %llu, the file has %llu more",
                         cursor->input->path, what, (unsigned long long)count, (unsigned long long)cursor->at,
                         (unsigned long long)left);
    }
    if (cursor->at + count > MAX_HEADER_BYTES) {
        return sinq_fail(cursor->error, SINQ_FAILED, "%s: %s: a header of more than %llu bytes", cursor->input->path,
                         what, (unsigned long long)MAX_HEADER_BYTES);
    }
    const int status = fill(cursor, cursor->at + count);
    if (status == SINQ_OK) cursor->at += count;
    return status;
}

static uint64_t load(const uint8_t *bytes, unsigned size) {
    uint64_t number = 0;
    for (unsigned i = 0; i < size; i++) number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

int sinq_gguf_read_u32(struct sinq_gguf_cursor *cursor, const char *what, uint32_t *number) {
    const uint64_t place = cursor->at;
    const int status = sinq_gguf_skip(cursor, sizeof *number, what);
    if (status == SINQ_OK) *number = (uint32_t)load(cursor->bytes + place, sizeof *number);
    return status;
}

int sinq_gguf_read_u64(struct sinq_gguf_cursor *cursor, const char *what, uint64_t *number) {
    const uint64_t place = cursor->at;
    const int status = sinq_gguf_skip(cursor, sizeof *number, what);
    if (status == SINQ_OK) *number = load(cursor->bytes + place, sizeof *number);
    return status;
}

int sinq_gguf_read_string(struct sinq_gguf_cursor *cursor, const char *what, uint64_t *place, uint64_t *size) {
    int status = sinq_gguf_read_u64(cursor, what, size);
    if (status != SINQ_OK) return status;
    *place = cursor->at;
    return sinq_gguf_skip(cursor, *size, what);
}
