/*
 * gguf_values.h: a GGUF file's metadata: keys with values of the types of the specification (ggml's docs/gguf.md), as they are
 * read and as they are written. A value's bytes are those of the file, little-endian, from behind its type (of an array: from
 * behind its length).
 *
 * Not thread safe while values are added.
 */
#ifndef SINQ_CHECKPOINT_GGUF_VALUES_H
#define SINQ_CHECKPOINT_GGUF_VALUES_H

#include "base/text.h"

enum sinq_gguf_type {
    SINQ_GGUF_U8,
    SINQ_GGUF_I8,
    SINQ_GGUF_U16,
    SINQ_GGUF_I16,
    SINQ_GGUF_U32,
    SINQ_GGUF_I32,
    SINQ_GGUF_F32,
    SINQ_GGUF_BOOL,
    SINQ_GGUF_STRING, /* a 64-bit length and that many bytes */
    SINQ_GGUF_ARRAY,  /* an element type, a 64-bit length and that many elements */
    SINQ_GGUF_U64,
    SINQ_GGUF_I64,
    SINQ_GGUF_F64,
    SINQ_GGUF_TYPE_COUNT
};

/* Bytes of one value, 0 of strings and arrays. */
size_t sinq_gguf_type_size(enum sinq_gguf_type type);

struct sinq_gguf_value {
    const char *key;
    enum sinq_gguf_type type; /* of an array: its elements' */
    bool is_array;
    uint64_t count; /* of an array's elements; else 1 */
    const uint8_t *bytes;
    uint64_t size;
};

/* All zero when empty. Keys and bytes are borrowed, but those of the functions below that add. */
struct sinq_gguf_values {
    struct sinq_gguf_value *values; /* in the order of the file */
    size_t count, capacity;
    void **owned;
    size_t owned_count, owned_capacity;
    bool failed; /* out of memory: check once, at the end */
};

void sinq_gguf_values_free(struct sinq_gguf_values *values);

/* ---- writing: keys are copied, "{arch}." is not put before them ---- */

void sinq_gguf_add_value(struct sinq_gguf_values *values, const struct sinq_gguf_value *value); /* borrowed, as it is */
void sinq_gguf_add_u32(struct sinq_gguf_values *values, const char *key, uint32_t number);
void sinq_gguf_add_f32(struct sinq_gguf_values *values, const char *key, float number);
void sinq_gguf_add_bool(struct sinq_gguf_values *values, const char *key, bool flag);
void sinq_gguf_add_string(struct sinq_gguf_values *values, const char *key, const char *bytes, size_t size);
/* Arrays: `numbers` holds `count` values of the type as C has them (bool is one byte). */
void sinq_gguf_add_numbers(struct sinq_gguf_values *values, const char *key, enum sinq_gguf_type type,
                           const void *numbers, uint64_t count);
/* An array of strings; `next` gives string `index`. */
typedef const char *sinq_gguf_string_fn(const void *user, uint64_t index, size_t *size);
void sinq_gguf_add_strings(struct sinq_gguf_values *values, const char *key, uint64_t count, sinq_gguf_string_fn *next,
                           const void *user);

/* ---- reading ---- */

/* NULL where there is none. Linear: files have a few dozen keys. */
const struct sinq_gguf_value *sinq_gguf_find(const struct sinq_gguf_values *values, const char *key);
/* False, and *out unchanged, where the value (or NULL) is none of the kind: a whole number from 0 on, any number, a flag. */
bool sinq_gguf_get_u64(const struct sinq_gguf_value *value, uint64_t *out);
bool sinq_gguf_get_f64(const struct sinq_gguf_value *value, double *out);
bool sinq_gguf_get_bool(const struct sinq_gguf_value *value, bool *out);
/* Borrowed bytes, no NUL behind them. */
bool sinq_gguf_get_string(const struct sinq_gguf_value *value, const char **bytes, size_t *size);
/* Element `index` of an array of numbers (a scalar is an array of one). */
bool sinq_gguf_get_element(const struct sinq_gguf_value *value, uint64_t index, double *out);
/* Walks over an array of strings: *at is 0 at first, and the place behind the string afterwards. False at the end. */
bool sinq_gguf_next_string(const struct sinq_gguf_value *value, uint64_t *at, const char **bytes, size_t *size);

#endif
