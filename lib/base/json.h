/*
 * json.h: a strict JSON reader (RFC 8259) that pulls one value after the other and builds no tree, so that text of any size
 * is read in one pass and in constant memory. Text from a file passes through a small window.
 *
 * Calling sequence
 *   sinq_json_open_text() or sinq_json_open_input()
 *   sinq_json_begin_object(), then while sinq_json_next_key(): read or skip the value; likewise for arrays
 *   sinq_json_end()                 nothing but white space follows
 *   sinq_json_close()
 *
 * Functions return false at the first fault and fill *error: invalid syntax, invalid UTF-8, \u0000 and lone surrogates in
 * strings, nesting deeper than SINQ_JSON_DEPTH. A reader belongs to one thread.
 */
#ifndef SINQ_BASE_JSON_H
#define SINQ_BASE_JSON_H

#include "base/hash.h"
#include "base/input.h"
#include "base/text.h"

#define SINQ_JSON_DEPTH 100

struct sinq_json {
    const char *at, *end;           /* what is left of the window */
    const char *start;              /* of the window */
    uint64_t start_offset;          /* of the window in the text */
    const struct sinq_input *input; /* NULL where the window is the whole text */
    uint64_t next, left;            /* bytes of the input behind the window */
    char *window;                   /* owned */
    struct sinq_hasher *hasher;     /* fed with what is read from the input; borrowed, may be NULL */
    const char *what;               /* names the text in messages: "header of x.safetensors"; borrowed */
    const char *item;         /* the tensor whose description is being read, for messages; borrowed, may be NULL */
    struct sinq_text skipped; /* scratch for checking strings that are not kept */
    bool has_failed;
    bool allow_nul;       /* accept \u0000 in strings: their size counts then, not their NUL */
    bool allow_nonfinite; /* accept the NaN, Infinity and -Infinity that Python writes */
    struct sinq_error *error;
};

/* All of `text` lies in memory, which is borrowed: positions in it can be kept. */
void sinq_json_open_text(struct sinq_json *json, const char *what, const char *text, size_t size,
                         struct sinq_error *error);

/* Bytes [offset, offset + size) of an input. */
bool sinq_json_open_input(struct sinq_json *json, const char *what, const struct sinq_input *input, uint64_t offset,
                          uint64_t size, struct sinq_error *error);

bool sinq_json_begin_object(struct sinq_json *json);

/*
 * Goes on to the next key of the object; *first is true before its first and is changed here. Returns false at the object's
 * end, or at a fault: then has_failed is set. `key` is replaced; longer than `limit` bytes is a fault.
 */
bool sinq_json_next_key(struct sinq_json *json, bool *first, size_t limit, struct sinq_text *key);

/* The same for an array's elements. */
bool sinq_json_begin_array(struct sinq_json *json);
bool sinq_json_next_element(struct sinq_json *json, bool *first);

/* A string of at most `limit` bytes, decoded, replaces *text. */
bool sinq_json_read_string(struct sinq_json *json, size_t limit, struct sinq_text *text);

/* A non-negative integer written without fraction or exponent. */
bool sinq_json_read_u64(struct sinq_json *json, uint64_t *value);

/* Whether the next value is an object, a null, ...: its first character, or 0 at the end of the text. */
char sinq_json_peek(struct sinq_json *json);

/* Any value, checked and dropped. */
bool sinq_json_skip(struct sinq_json *json);

/* Only white space is left. */
bool sinq_json_end(struct sinq_json *json);

/* Fails with "WHAT: byte N: expected ..." unless it has failed already. Returns false. */
bool sinq_json_fail(struct sinq_json *json, const char *expected);

void sinq_json_close(struct sinq_json *json);

#endif
