/* gguf_writer.h: GGUF files for tests, put together by hand so that they may be wrong in any way. */
#ifndef SINQ_TESTS_GGUF_WRITER_H
#define SINQ_TESTS_GGUF_WRITER_H

#include <string.h>

#include "checkpoint/gguf_values.h"
#include "unit.h"

struct gguf_bytes {
    uint8_t *data;
    size_t size, capacity;
};

static inline void put_bytes(struct gguf_bytes *b, const void *data, size_t size) {
    if (b->size + size > b->capacity) {
        b->capacity = 2 * (b->size + size) + 64;
        b->data = realloc(b->data, b->capacity);
        ck_assert_ptr_nonnull(b->data);
    }
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
}

static inline void put_number(struct gguf_bytes *b, uint64_t number, size_t size) {
    for (size_t i = 0; i < size; i++) {
        const uint8_t byte = (uint8_t)(number >> 8 * i);
        put_bytes(b, &byte, 1);
    }
}

static inline void put_u32(struct gguf_bytes *b, uint32_t number) { put_number(b, number, 4); }
static inline void put_u64(struct gguf_bytes *b, uint64_t number) { put_number(b, number, 8); }
static inline void put_string(struct gguf_bytes *b, const char *text) {
    put_u64(b, strlen(text));
    put_bytes(b, text, strlen(text));
}

static inline void pad_bytes(struct gguf_bytes *b, size_t alignment) {
    while (b->size % alignment != 0) put_number(b, 0, 1);
}

/* ---- a whole file: keys and tensors are collected, then put together ---- */

struct gguf_writer {
    struct gguf_bytes keys, entries, data;
    uint64_t key_count, tensor_count;
    size_t alignment; /* 0: 32 */
};

static inline void begin_key(struct gguf_writer *w, const char *key, uint32_t type) {
    put_string(&w->keys, key);
    put_u32(&w->keys, type);
    w->key_count++;
}
static inline void add_key_u32(struct gguf_writer *w, const char *key, uint32_t number) {
    begin_key(w, key, SINQ_GGUF_U32);
    put_u32(&w->keys, number);
}
static inline void add_key_string(struct gguf_writer *w, const char *key, const char *text) {
    begin_key(w, key, SINQ_GGUF_STRING);
    put_string(&w->keys, text);
}
/* Values as the library writes them. */
static inline void add_values(struct gguf_writer *w, const struct sinq_gguf_values *values) {
    for (size_t i = 0; i < values->count; i++) {
        const struct sinq_gguf_value *const value = &values->values[i];
        begin_key(w, value->key, value->is_array ? SINQ_GGUF_ARRAY : value->type);
        if (value->is_array) {
            put_u32(&w->keys, value->type);
            put_u64(&w->keys, value->count);
        }
        put_bytes(&w->keys, value->bytes, (size_t)value->size);
    }
}

/* An entry as it stands: `shape` innermost first. */
static inline void add_entry(struct gguf_writer *w, const char *name, uint32_t rank, const uint64_t *shape,
                             uint32_t type, uint64_t offset) {
    put_string(&w->entries, name);
    put_u32(&w->entries, rank);
    for (uint32_t i = 0; i < rank && i < 5; i++) put_u64(&w->entries, shape[i]);
    put_u32(&w->entries, type);
    put_u64(&w->entries, offset);
    w->tensor_count++;
}

/* A tensor with its data behind those before it; `shape` outermost first. */
static inline void add_gguf_tensor(struct gguf_writer *w, const char *name, uint32_t rank, const uint64_t *shape,
                                   uint32_t type, const void *bytes, size_t size) {
    uint64_t turned[8];
    for (uint32_t i = 0; i < rank; i++) turned[i] = shape[rank - 1 - i];
    pad_bytes(&w->data, w->alignment == 0 ? 32 : w->alignment);
    add_entry(w, name, rank, turned, type, w->data.size);
    put_bytes(&w->data, bytes, size);
}

/* The whole file; the writer is empty afterwards. */
static inline struct gguf_bytes finish_gguf(struct gguf_writer *w, uint32_t version) {
    struct gguf_bytes file = {0};
    put_bytes(&file, "GGUF", 4);
    put_u32(&file, version);
    put_u64(&file, w->tensor_count);
    put_u64(&file, w->key_count);
    put_bytes(&file, w->keys.data, w->keys.size);
    put_bytes(&file, w->entries.data, w->entries.size);
    pad_bytes(&file, w->alignment == 0 ? 32 : w->alignment);
    put_bytes(&file, w->data.data, w->data.size);
    free(w->keys.data);
    free(w->entries.data);
    free(w->data.data);
    *w = (struct gguf_writer){.alignment = w->alignment};
    return file;
}

#endif
