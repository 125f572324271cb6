#include "gguf_metadata.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/name_index.h"
#include "base/utf8.h"

#define MAX_KEYS      ((uint64_t)1 << 16)
#define MAX_KEY_BYTES ((uint64_t)65535) /* the specification's */
#define MAX_NESTING   4u

/* A value is known by its place in the header while that may move. */
static const uint8_t *as_pointer(uint64_t place) { return (const uint8_t *)(uintptr_t)place; }

static int fail_type(struct sinq_gguf_cursor *c, const char *what, uint32_t type) {
    return sinq_fail(c->error, SINQ_FAILED, "%s: %s has type %u, expected 0 to %u", c->input->path, what, type,
                     SINQ_GGUF_TYPE_COUNT - 1u);
}

/* `count` elements of an array. Arrays in arrays are passed over. */
static int skip_elements(struct sinq_gguf_cursor *c, uint32_t type, uint64_t count, const char *what, unsigned depth) {
    uint64_t place, size;
    uint32_t inner;
    if (type >= SINQ_GGUF_TYPE_COUNT) return fail_type(c, what, type);
    const size_t element = sinq_gguf_type_size((enum sinq_gguf_type)type);
    if (element != 0) {
        if (count <= c->input->bytes / element) return sinq_gguf_skip(c, count * element, what);
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s has %llu values, more than the file can hold", c->input->path,
                         what, (unsigned long long)count);
    }
    if (type == SINQ_GGUF_ARRAY && depth == MAX_NESTING) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s has arrays within arrays more than %u deep", c->input->path,
                         what, MAX_NESTING);
    }
    int status = SINQ_OK;
    for (uint64_t i = 0; i < count && status == SINQ_OK; i++) {
        if (type == SINQ_GGUF_STRING) {
            status = sinq_gguf_read_string(c, what, &place, &size);
            continue;
        }
        status = sinq_gguf_read_u32(c, what, &inner);
        if (status == SINQ_OK) status = sinq_gguf_read_u64(c, what, &size);
        if (status == SINQ_OK) status = skip_elements(c, inner, size, what, depth + 1);
    }
    return status;
}

static int read_value(struct sinq_gguf_cursor *c, const char *what, struct sinq_gguf_value *value) {
    uint32_t type;
    value->count = 1;
    int status = sinq_gguf_read_u32(c, what, &type);
    if (status != SINQ_OK) return status;
    value->is_array = type == SINQ_GGUF_ARRAY;
    if (value->is_array) {
        status = sinq_gguf_read_u32(c, what, &type);
        if (status == SINQ_OK) status = sinq_gguf_read_u64(c, what, &value->count);
        if (status != SINQ_OK) return status;
    }
    const uint64_t place = c->at;
    status = skip_elements(c, type, value->count, what, 1);
    if (status != SINQ_OK) return status;
    value->type = (enum sinq_gguf_type)type;
    value->bytes = as_pointer(place);
    value->size = c->at - place;
    if (value->is_array || type != SINQ_GGUF_BOOL || c->bytes[place] <= 1) return SINQ_OK;
    return sinq_fail(c->error, SINQ_FAILED, "%s: %s is a flag of %u, expected 0 or 1", c->input->path, what,
                     c->bytes[place]);
}

static int read_key(struct sinq_gguf_cursor *c, uint64_t index, struct sinq_gguf_file *file, const char **key) {
    char what[64];
    uint64_t place, size;
    (void)snprintf(what, sizeof what, "metadata: key %llu", (unsigned long long)index);
    const int status = sinq_gguf_read_string(c, what, &place, &size);
    if (status != SINQ_OK) return status;
    const char *const text = (const char *)c->bytes + place;
    const bool is_good = size > 0 && size <= MAX_KEY_BYTES && memchr(text, '\0', (size_t)size) == NULL &&
                         sinq_is_utf8(text, (size_t)size);
    if (!is_good) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s of %llu bytes, expected 1 to %llu bytes of UTF-8",
                         c->input->path, what, (unsigned long long)size, (unsigned long long)MAX_KEY_BYTES);
    }
    *key = sinq_arena_add(&file->strings, text, (size_t)size);
    return *key != NULL ? SINQ_OK : sinq_fail_memory(c->error, c->input->path, size);
}

static int check_keys(struct sinq_gguf_cursor *c, const struct sinq_gguf_values *values) {
    struct sinq_name_index *const keys = sinq_name_index_create(values->count);
    int status = keys != NULL ? SINQ_OK : sinq_fail_memory(c->error, c->input->path, 32 * (uint64_t)values->count);
    for (size_t i = 0; i < values->count && status == SINQ_OK; i++) {
        if (sinq_name_index_add(keys, values->values[i].key, i)) continue;
        status = sinq_fail(c->error, SINQ_FAILED, "%s: metadata: %.300s is there twice", c->input->path,
                           values->values[i].key);
    }
    sinq_name_index_free(keys);
    return status;
}

int sinq_read_gguf_metadata(struct sinq_gguf_cursor *cursor, uint64_t count, struct sinq_gguf_file *file) {
    char what[400];
    if (count > MAX_KEYS) {
        return sinq_fail(cursor->error, SINQ_FAILED, "%s: metadata of %llu keys, expected at most %llu",
                         cursor->input->path, (unsigned long long)count, (unsigned long long)MAX_KEYS);
    }
    for (uint64_t i = 0; i < count; i++) {
        struct sinq_gguf_value value = {0};
        int status = read_key(cursor, i, file, &value.key);
        if (status != SINQ_OK) return status;
        (void)snprintf(what, sizeof what, "metadata: %.300s", value.key);
        status = read_value(cursor, what, &value);
        if (status != SINQ_OK) return status;
        sinq_gguf_add_value(&file->values, &value);
        if (file->values.failed) return sinq_fail_memory(cursor->error, cursor->input->path, sizeof value);
    }
    return check_keys(cursor, &file->values);
}

void sinq_gguf_place_values(struct sinq_gguf_file *file) {
    for (size_t i = 0; i < file->values.count; i++) {
        struct sinq_gguf_value *const value = &file->values.values[i];
        value->bytes = file->header + (uintptr_t)value->bytes;
    }
}
