/*
 * strict_safetensors.h: a reader of safetensors files written from the format's specification alone, to test what we write
 * against. It shares nothing with the program and accepts no more than the official parser does.
 */
#ifndef SINQ_TESTS_STRICT_SAFETENSORS_H
#define SINQ_TESTS_STRICT_SAFETENSORS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRICT_MOST   400
#define STRICT_STRING 200000

struct strict_tensor {
    char name[256];
    char dtype[16];
    size_t rank;
    uint64_t shape[8];
    uint64_t begin, end;
};

struct strict_file {
    const uint8_t *bytes;
    size_t size, data_start;
    size_t count;
    struct strict_tensor tensors[STRICT_MOST];
    size_t metadata_count;
    char *keys[8], *values[8];
    const char *reason; /* why it is not accepted, or NULL */
};

struct strict_text {
    const char *at, *end;
    struct strict_file *file;
};

static inline bool strict_no(struct strict_text *text, const char *reason) {
    if (text->file->reason == NULL) text->file->reason = reason;
    return false;
}

/* Insignificant white space, then the character. */
static inline bool strict_take(struct strict_text *text, char wanted) {
    while (text->at < text->end && strchr(" \t\r\n", *text->at) != NULL) text->at++;
    if (text->at >= text->end || *text->at != wanted) return false;
    text->at++;
    return true;
}

static inline bool strict_escape(struct strict_text *text, char *out) {
    static const char names[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    if (text->at >= text->end) return false;
    const char name = *text->at++;
    const char *const known = strchr(names, name);
    if (name != '\0' && known != NULL) {
        *out = meanings[known - names];
        return true;
    }
    unsigned code = 0;
    if (name != 'u' || text->end - text->at < 4) return false;
    for (int i = 0; i < 4; i++, text->at++) {
        const char *const digits = "0123456789abcdef";
        const char *const digit = *text->at == '\0' ? NULL : strchr(digits, *text->at);
        if (digit == NULL) return false;
        code = code * 16 + (unsigned)(digit - digits);
    }
    if (code == 0 || code >= 0x80) return false; /* our writer has no reason for those */
    *out = (char)code;
    return true;
}

static inline bool strict_string(struct strict_text *text, char *out, size_t capacity) {
    size_t size = 0;
    if (!strict_take(text, '"')) return strict_no(text, "a string is missing");
    while (text->at < text->end && *text->at != '"') {
        char c = *text->at++;
        if ((unsigned char)c < 0x20) return strict_no(text, "a control character in a string");
        if (c == '\\' && !strict_escape(text, &c)) return strict_no(text, "a bad escape");
        if (size + 1 >= capacity) return strict_no(text, "a string is too long");
        out[size++] = c;
    }
    out[size] = '\0';
    return strict_take(text, '"') || strict_no(text, "a string has no end");
}

static inline bool strict_number(struct strict_text *text, uint64_t *number) {
    (void)strict_take(text, ' ');
    const char *const start = text->at;
    *number = 0;
    while (text->at < text->end && *text->at >= '0' && *text->at <= '9') {
        *number = *number * 10 + (uint64_t)(*text->at++ - '0');
    }
    const bool leading_zero = text->at - start > 1 && *start == '0';
    return (text->at > start && !leading_zero) || strict_no(text, "a bad number");
}

static inline bool strict_numbers(struct strict_text *text, uint64_t *numbers, size_t most, size_t *count) {
    *count = 0;
    if (!strict_take(text, '[')) return strict_no(text, "a list is missing");
    if (strict_take(text, ']')) return true;
    do {
        if (*count == most || !strict_number(text, &numbers[*count])) return strict_no(text, "a bad list");
        ++*count;
    } while (strict_take(text, ','));
    return strict_take(text, ']') || strict_no(text, "a list has no end");
}

static inline bool strict_metadata(struct strict_text *text) {
    struct strict_file *const file = text->file;
    if (!strict_take(text, '{')) return strict_no(text, "metadata is no object");
    if (strict_take(text, '}')) return true;
    do {
        if (file->metadata_count == 8) return strict_no(text, "too much metadata");
        char *const key = file->keys[file->metadata_count] = malloc(STRICT_STRING);
        char *const value = file->values[file->metadata_count] = malloc(STRICT_STRING);
        file->metadata_count++;
        if (key == NULL || value == NULL || !strict_string(text, key, STRICT_STRING) || !strict_take(text, ':') ||
            !strict_string(text, value, STRICT_STRING)) {
            return strict_no(text, "bad metadata");
        }
    } while (strict_take(text, ','));
    return strict_take(text, '}') || strict_no(text, "metadata has no end");
}

/* Exactly the three keys, each once. */
static inline bool strict_entry(struct strict_text *text, struct strict_tensor *tensor) {
    char key[32];
    unsigned seen = 0;
    if (!strict_take(text, '{')) return strict_no(text, "an entry is no object");
    do {
        uint64_t offsets[2];
        size_t count = 0;
        if (!strict_string(text, key, sizeof key) || !strict_take(text, ':')) return strict_no(text, "a bad entry");
        const unsigned which = strcmp(key, "dtype") == 0          ? 1
                               : strcmp(key, "shape") == 0        ? 2
                               : strcmp(key, "data_offsets") == 0 ? 4
                                                                  : 0;
        if (which == 0 || (seen & which) != 0) return strict_no(text, "an unknown or repeated key");
        seen |= which;
        if (which == 1 && !strict_string(text, tensor->dtype, sizeof tensor->dtype)) return false;
        if (which == 2 && !strict_numbers(text, tensor->shape, 8, &tensor->rank)) return false;
        if (which != 4) continue;
        if (!strict_numbers(text, offsets, 2, &count) || count != 2) return strict_no(text, "bad offsets");
        tensor->begin = offsets[0];
        tensor->end = offsets[1];
    } while (strict_take(text, ','));
    if (seen != 7) return strict_no(text, "an entry lacks a key");
    return strict_take(text, '}') || strict_no(text, "an entry has no end");
}

static inline bool strict_header(struct strict_text *text) {
    struct strict_file *const file = text->file;
    if (text->at >= text->end || *text->at != '{') return strict_no(text, "the header does not begin with {");
    text->at++;
    if (!strict_take(text, '}')) {
        do {
            char name[256];
            if (!strict_string(text, name, sizeof name) || !strict_take(text, ':'))
                return strict_no(text, "a bad name");
            if (strcmp(name, "__metadata__") == 0) {
                if (file->metadata_count > 0) return strict_no(text, "metadata twice");
                if (!strict_metadata(text)) return false;
                continue;
            }
            for (size_t i = 0; i < file->count; i++) {
                if (strcmp(file->tensors[i].name, name) == 0) return strict_no(text, "a name twice");
            }
            if (file->count == STRICT_MOST) return strict_no(text, "too many tensors");
            memcpy(file->tensors[file->count].name, name, sizeof name);
            if (!strict_entry(text, &file->tensors[file->count++])) return false;
        } while (strict_take(text, ','));
        if (!strict_take(text, '}')) return strict_no(text, "the header has no end");
    }
    while (text->at < text->end && *text->at == ' ') text->at++;
    return text->at == text->end || strict_no(text, "something behind the header");
}

static inline uint64_t strict_dtype_size(const char *name) {
    static const struct {
        const char *name;
        uint64_t size;
    } dtypes[] = {{"F64", 8}, {"F32", 4}, {"F16", 2},  {"BF16", 2},    {"I64", 8},
                  {"I32", 4}, {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},
                  {"U16", 2}, {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(dtypes[i].name, name) == 0) return dtypes[i].size;
    }
    return 0;
}

static inline int strict_compare(const void *a, const void *b) {
    const struct strict_tensor *const x = a;
    const struct strict_tensor *const y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

/* Parses a whole file; tensors come sorted by place. False with file->reason where it is not to be accepted. */
static inline bool strict_parse(const void *bytes, size_t size, struct strict_file *file) {
    *file = (struct strict_file){.bytes = bytes, .size = size};
    struct strict_text text = {.file = file};
    uint64_t length = 0;
    if (size < 8) return strict_no(&text, "shorter than its length field");
    for (size_t i = 8; i-- > 0;) length = length << 8 | file->bytes[i];
    if (length > 100000000 || length > size - 8) return strict_no(&text, "a bad header length");
    text.at = (const char *)file->bytes + 8;
    text.end = text.at + length;
    file->data_start = 8 + (size_t)length;
    if (!strict_header(&text)) return false;
    qsort(file->tensors, file->count, sizeof file->tensors[0], strict_compare);
    uint64_t at = 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct strict_tensor *const tensor = &file->tensors[i];
        uint64_t wanted = strict_dtype_size(tensor->dtype);
        if (wanted == 0) return strict_no(&text, "an unknown dtype");
        for (size_t k = 0; k < tensor->rank; k++) wanted *= tensor->shape[k];
        if (tensor->begin != at || tensor->end - tensor->begin != wanted) return strict_no(&text, "a hole or overlap");
        at = tensor->end;
    }
    return at == size - file->data_start || strict_no(&text, "data that no tensor has");
}

static inline const char *strict_metadata_value(const struct strict_file *file, const char *key) {
    for (size_t i = 0; i < file->metadata_count; i++) {
        if (strcmp(file->keys[i], key) == 0) return file->values[i];
    }
    return NULL;
}

static inline void strict_free(struct strict_file *file) {
    for (size_t i = 0; i < file->metadata_count; i++) {
        free(file->keys[i]);
        free(file->values[i]);
    }
}

#endif
