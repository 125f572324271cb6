#include "gguf_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/name_index.h"
#include "base/utf8.h"
#include "gguf_cursor.h"
#include "gguf_metadata.h"
#include "safetensors.h"

#define FIRST_VERSION     2u
#define LAST_VERSION      3u
#define DEFAULT_ALIGNMENT 32u
#define MAX_ALIGNMENT     ((uint64_t)1 << 20)
#define MIN_TENSOR_BYTES  ((uint64_t)24) /* of its entry: lengths, rank, type, offset */

struct parser {
    struct sinq_gguf_cursor cursor;
    struct sinq_gguf_file *file;
    uint64_t alignment, data; /* data: where the tensors' bytes begin */
};

bool sinq_is_gguf(const uint8_t *bytes, size_t size) { return size >= 4 && memcmp(bytes, SINQ_GGUF_MAGIC, 4) == 0; }

void sinq_gguf_file_free(struct sinq_gguf_file *file) {
    sinq_gguf_values_free(&file->values);
    sinq_arena_free(&file->strings);
    free(file->tensors);
    free(file->header);
    *file = (struct sinq_gguf_file){0};
}

/* ---- the beginning ---- */

static int read_version(struct parser *p) {
    struct sinq_gguf_cursor *const c = &p->cursor;
    const int status = sinq_gguf_read_u32(c, "the version", &p->file->version);
    if (status != SINQ_OK) return status;
    const uint32_t version = p->file->version;
    if (version >= FIRST_VERSION && version <= LAST_VERSION) return SINQ_OK;
    if (version != 0 && (version & 0xffff) == 0) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: is a big-endian GGUF file, only little-endian ones are read",
                         c->input->path);
    }
    return sinq_fail(c->error, SINQ_FAILED, "%s: is a GGUF file of version %u, expected %u or %u", c->input->path,
                     version, FIRST_VERSION, LAST_VERSION);
}

static int read_alignment(struct parser *p) {
    const struct sinq_gguf_value *const value = sinq_gguf_find(&p->file->values, "general.alignment");
    p->alignment = DEFAULT_ALIGNMENT;
    if (value == NULL) return SINQ_OK;
    /* Its bytes are not in place yet. */
    struct sinq_gguf_value placed = *value;
    placed.bytes = p->cursor.bytes + (uintptr_t)value->bytes;
    const bool is_number = sinq_gguf_get_u64(&placed, &p->alignment);
    const bool is_power = p->alignment != 0 && (p->alignment & (p->alignment - 1)) == 0;
    if (is_number && is_power && p->alignment <= MAX_ALIGNMENT) return SINQ_OK;
    return sinq_fail(
        p->cursor.error, SINQ_FAILED, "%s: metadata: general.alignment is %llu, expected a power of two up to %llu",
        p->cursor.input->path, (unsigned long long)(is_number ? p->alignment : 0), (unsigned long long)MAX_ALIGNMENT);
}

/* ---- tensors ---- */

/* Types of the format that this program has no use for, so that a message can name them. */
static const char *name_unread_type(uint32_t type) {
    static const struct {
        uint32_t type;
        const char *name;
    } names[] = {{4, "q4_2, of old"},
                 {5, "q4_3, of old"},
                 {9, "q8_1"},
                 {16, "iq2_xxs"},
                 {17, "iq2_xs"},
                 {18, "iq3_xxs"},
                 {19, "iq1_s"},
                 {21, "iq3_s"},
                 {22, "iq2_s"},
                 {29, "iq1_m"},
                 {31, "q4_0_4_4, of old"},
                 {32, "q4_0_4_8, of old"},
                 {33, "q4_0_8_8, of old"},
                 {34, "tq1_0"},
                 {35, "tq2_0"},
                 {40, "nvfp4"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].type == type) return names[i].name;
    }
    return "unknown";
}

static int read_name(struct parser *p, const char *what, const char **name) {
    struct sinq_gguf_cursor *const c = &p->cursor;
    uint64_t place, size;
    const int status = sinq_gguf_read_string(c, what, &place, &size);
    if (status != SINQ_OK) return status;
    const char *const text = (const char *)c->bytes + place;
    if (size == 0 || size > SINQ_MAX_NAME_BYTES || memchr(text, '\0', (size_t)size) != NULL ||
        !sinq_is_utf8(text, (size_t)size)) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s: a name of %llu bytes, expected 1 to %zu bytes of UTF-8",
                         c->input->path, what, (unsigned long long)size, SINQ_MAX_NAME_BYTES);
    }
    *name = sinq_arena_add(&p->file->strings, text, (size_t)size);
    return *name != NULL ? SINQ_OK : sinq_fail_memory(c->error, c->input->path, size);
}

static int read_shape(struct parser *p, const char *what, struct sinq_gguf_tensor *tensor) {
    struct sinq_gguf_cursor *const c = &p->cursor;
    int status = sinq_gguf_read_u32(c, what, &tensor->rank);
    if (status != SINQ_OK) return status;
    if (tensor->rank == 0 || tensor->rank > SINQ_GGUF_MAX_RANK) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s: %u dimensions, expected 1 to %u", c->input->path, what,
                         tensor->rank, SINQ_GGUF_MAX_RANK);
    }
    for (uint32_t i = 0; i < tensor->rank && status == SINQ_OK; i++) {
        status = sinq_gguf_read_u64(c, what, &tensor->shape[tensor->rank - 1 - i]);
    }
    return status;
}

/* Type and shape together give the size. */
static int measure(struct parser *p, const char *what, uint32_t type, struct sinq_gguf_tensor *tensor) {
    struct sinq_gguf_cursor *const c = &p->cursor;
    const uint64_t cols = tensor->shape[tensor->rank - 1];
    tensor->type = sinq_find_block_type(type);
    if (tensor->type == NULL) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s: type %u (%s) is not read", c->input->path, what, type,
                         name_unread_type(type));
    }
    uint64_t elements = 1;
    bool fits = true;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        fits = fits && tensor->shape[i] != 0 && sinq_multiply_u64(elements, tensor->shape[i], &elements);
    }
    if (!fits || elements > INT64_MAX) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s: a dimension of 0, or more values than 63 bits can count",
                         c->input->path, what);
    }
    uint64_t row_bytes;
    if (!sinq_measure_block_row(tensor->type, cols, &row_bytes)) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s: rows of %llu values, %s has blocks of %u", c->input->path,
                         what, (unsigned long long)cols, tensor->type->name, tensor->type->values);
    }
    if (!sinq_multiply_u64(row_bytes, elements / cols, &tensor->bytes)) {
        return sinq_fail(c->error, SINQ_FAILED, "%s: %s: more bytes than 64 bits can count", c->input->path, what);
    }
    return SINQ_OK;
}

static int read_tensor(struct parser *p, uint64_t index, struct sinq_gguf_tensor *tensor) {
    char what[400];
    uint32_t type = 0;
    (void)snprintf(what, sizeof what, "tensor %llu", (unsigned long long)index);
    int status = read_name(p, what, &tensor->name);
    if (status != SINQ_OK) return status;
    (void)snprintf(what, sizeof what, "tensor %.300s", tensor->name);
    status = read_shape(p, what, tensor);
    if (status == SINQ_OK) status = sinq_gguf_read_u32(&p->cursor, what, &type);
    if (status == SINQ_OK) status = sinq_gguf_read_u64(&p->cursor, what, &tensor->offset);
    return status == SINQ_OK ? measure(p, what, type, tensor) : status;
}

/* Room grows with what was read, whatever the file claims. */
static int read_tensors(struct parser *p, uint64_t count) {
    struct sinq_gguf_file *const file = p->file;
    const struct sinq_input *const input = p->cursor.input;
    size_t capacity = 0;
    if (count > SINQ_MAX_TENSORS || count > input->bytes / MIN_TENSOR_BYTES) {
        return sinq_fail(p->cursor.error, SINQ_FAILED, "%s: %llu tensors in a file of %llu bytes (and at most %zu)",
                         input->path, (unsigned long long)count, (unsigned long long)input->bytes, SINQ_MAX_TENSORS);
    }
    while (file->tensor_count < count) {
        if (file->tensor_count == capacity) {
            capacity = capacity == 0 ? 64 : 2 * capacity;
            struct sinq_gguf_tensor *const grown = realloc(file->tensors, capacity * sizeof *grown);
            if (grown == NULL) return sinq_fail_memory(p->cursor.error, input->path, capacity * sizeof *grown);
            file->tensors = grown;
        }
        struct sinq_gguf_tensor *const tensor = &file->tensors[file->tensor_count];
        *tensor = (struct sinq_gguf_tensor){0};
        const int status = read_tensor(p, file->tensor_count, tensor);
        if (status != SINQ_OK) return status;
        file->tensor_count++;
    }
    return SINQ_OK;
}

/* ---- where tensors lie ---- */

static int check_place(struct parser *p, struct sinq_gguf_tensor *tensor) {
    const struct sinq_input *const input = p->cursor.input;
    const uint64_t room = p->data > input->bytes ? 0 : input->bytes - p->data;
    if (tensor->offset % p->alignment != 0) {
        return sinq_fail(p->cursor.error, SINQ_FAILED, "%s: tensor %.300s: begins at byte %llu, no multiple of %llu",
                         input->path, tensor->name, (unsigned long long)tensor->offset,
                         (unsigned long long)p->alignment);
    }
    if (tensor->offset > room || tensor->bytes > room - tensor->offset) {
        return sinq_fail(p->cursor.error, SINQ_FAILED,
                         "%s: tensor %.300s: %llu bytes at byte %llu of the data, of which the file holds %llu",
                         input->path, tensor->name, (unsigned long long)tensor->bytes,
                         (unsigned long long)tensor->offset, (unsigned long long)room);
    }
    tensor->offset += p->data;
    return SINQ_OK;
}

static int compare_places(const void *left, const void *right) {
    const struct sinq_gguf_tensor *const a = left, *const b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int check_overlaps(const struct parser *p) {
    const struct sinq_gguf_tensor *const t = p->file->tensors;
    for (size_t i = 1; i < p->file->tensor_count; i++) {
        if (t[i].offset >= t[i - 1].offset + t[i - 1].bytes) continue;
        return sinq_fail(p->cursor.error, SINQ_FAILED, "%s: tensor %.300s overlaps tensor %.300s",
                         p->cursor.input->path, t[i].name, t[i - 1].name);
    }
    return SINQ_OK;
}

static int check_names(const struct parser *p) {
    const struct sinq_gguf_file *const file = p->file;
    struct sinq_name_index *const names = sinq_name_index_create(file->tensor_count);
    int status = SINQ_OK;
    if (names == NULL) {
        return sinq_fail_memory(p->cursor.error, p->cursor.input->path, 32 * (uint64_t)file->tensor_count);
    }
    for (size_t i = 0; i < file->tensor_count && status == SINQ_OK; i++) {
        if (sinq_name_index_add(names, file->tensors[i].name, i)) continue;
        status = sinq_fail(p->cursor.error, SINQ_FAILED, "%s: two tensors have the name %.300s", p->cursor.input->path,
                           file->tensors[i].name);
    }
    sinq_name_index_free(names);
    return status;
}

static int place_tensors(struct parser *p) {
    struct sinq_gguf_file *const file = p->file;
    p->data = sinq_round_up(p->cursor.at, p->alignment);
    for (size_t i = 0; i < file->tensor_count; i++) {
        const int status = check_place(p, &file->tensors[i]);
        if (status != SINQ_OK) return status;
    }
    if (file->tensor_count > 0) qsort(file->tensors, file->tensor_count, sizeof *file->tensors, compare_places);
    const int status = check_overlaps(p);
    return status == SINQ_OK ? check_names(p) : status;
}

/* ---- the whole ---- */

static int parse(struct parser *p) {
    uint64_t tensors = 0, keys = 0;
    int status = sinq_gguf_skip(&p->cursor, strlen(SINQ_GGUF_MAGIC), "the magic");
    if (status == SINQ_OK) status = read_version(p);
    if (status == SINQ_OK) status = sinq_gguf_read_u64(&p->cursor, "the number of tensors", &tensors);
    if (status == SINQ_OK) status = sinq_gguf_read_u64(&p->cursor, "the number of keys", &keys);
    if (status == SINQ_OK) status = sinq_read_gguf_metadata(&p->cursor, keys, p->file);
    if (status == SINQ_OK) status = read_alignment(p);
    if (status == SINQ_OK) status = read_tensors(p, tensors);
    return status == SINQ_OK ? place_tensors(p) : status;
}

int sinq_read_gguf_file(const struct sinq_input *input, struct sinq_gguf_file *file, struct sinq_error *error) {
    struct parser parser = {.cursor = {.input = input, .error = error}, .file = file};
    *file = (struct sinq_gguf_file){0};
    const int status = parse(&parser);
    if (status != SINQ_OK) {
        sinq_gguf_cursor_free(&parser.cursor);
        return status;
    }
    const struct sinq_hash hash = sinq_hash_bytes(parser.cursor.bytes, (size_t)parser.cursor.at);
    memcpy(file->hash, hash.bytes, sizeof file->hash);
    file->header = parser.cursor.bytes;
    sinq_gguf_place_values(file);
    return SINQ_OK;
}
