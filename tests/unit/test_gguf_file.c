/* test_gguf_file.c: a GGUF header: every type of value, shapes, alignment, and what is wrong with files that are wrong. */
#include <string.h>

#include "gguf_file.h"
#include "gguf_writer.h"

static int read_file(const struct gguf_bytes *bytes, struct sinq_gguf_file *file, struct sinq_error *error) {
    /* A copy of its own size, so that sanitizers see what is read behind its end. */
    uint8_t *const copy = malloc(bytes->size + 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes->data, bytes->size);
    const struct sinq_input input = {.path = "f", .bytes = bytes->size, .memory = copy};
    *error = (struct sinq_error){0};
    const int status = sinq_read_gguf_file(&input, file, error);
    free(copy);
    return status;
}

/* ---- good files ---- */

static void add_all_types(struct gguf_writer *w) {
    static const struct {
        const char *key;
        enum sinq_gguf_type type;
        uint64_t bits;
    } numbers[] = {
        {"u8", SINQ_GGUF_U8, 200},           {"i8", SINQ_GGUF_I8, 0xff},
        {"u16", SINQ_GGUF_U16, 60000},       {"i16", SINQ_GGUF_I16, 0xfffe},
        {"u32", SINQ_GGUF_U32, 4000000000},  {"i32", SINQ_GGUF_I32, 0xfffffffd},
        {"u64", SINQ_GGUF_U64, 1ull << 40},  {"i64", SINQ_GGUF_I64, (uint64_t)-4},
        {"f32", SINQ_GGUF_F32, 0x3fc00000u}, {"f64", SINQ_GGUF_F64, 0xc004000000000000u},
        {"bool", SINQ_GGUF_BOOL, 1},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        begin_key(w, numbers[i].key, numbers[i].type);
        put_number(&w->keys, numbers[i].bits, sinq_gguf_type_size(numbers[i].type));
    }
    add_key_string(w, "string", "gr\xc3\xbc\xc3\x9f");
    begin_key(w, "numbers", SINQ_GGUF_ARRAY);
    put_u32(&w->keys, SINQ_GGUF_I16);
    put_u64(&w->keys, 3);
    for (uint64_t i = 0; i < 3; i++) put_number(&w->keys, 0xffff - i, 2);
    begin_key(w, "strings", SINQ_GGUF_ARRAY);
    put_u32(&w->keys, SINQ_GGUF_STRING);
    put_u64(&w->keys, 3);
    put_string(&w->keys, "a"), put_string(&w->keys, ""), put_string(&w->keys, "ccc");
    begin_key(w, "arrays", SINQ_GGUF_ARRAY);
    put_u32(&w->keys, SINQ_GGUF_ARRAY);
    put_u64(&w->keys, 2);
    put_u32(&w->keys, SINQ_GGUF_U8), put_u64(&w->keys, 2), put_number(&w->keys, 7, 1), put_number(&w->keys, 8, 1);
    put_u32(&w->keys, SINQ_GGUF_STRING), put_u64(&w->keys, 1), put_string(&w->keys, "deep");
    begin_key(w, "empty", SINQ_GGUF_ARRAY);
    put_u32(&w->keys, SINQ_GGUF_F32);
    put_u64(&w->keys, 0);
}

static double number_of(const struct sinq_gguf_file *file, const char *key) {
    double number = 1e99;
    ck_assert_msg(sinq_gguf_get_f64(sinq_gguf_find(&file->values, key), &number), "%s", key);
    return number;
}

static void check_all_types(const struct sinq_gguf_file *file) {
    static const struct {
        const char *key;
        double number;
    } expected[] = {{"u8", 200}, {"i8", -1},      {"u16", 60000}, {"i16", -2},  {"u32", 4000000000.0},
                    {"i32", -3}, {"u64", 0x1p40}, {"i64", -4},    {"f32", 1.5}, {"f64", -2.5}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert_msg(number_of(file, expected[i].key) == expected[i].number, "%s", expected[i].key);
    }
    const char *bytes;
    size_t size;
    bool flag = false;
    uint64_t at = 0, whole = 0;
    double element = 0;
    ck_assert(sinq_gguf_get_bool(sinq_gguf_find(&file->values, "bool"), &flag) && flag);
    ck_assert(sinq_gguf_get_string(sinq_gguf_find(&file->values, "string"), &bytes, &size) && size == 6);
    const struct sinq_gguf_value *const numbers = sinq_gguf_find(&file->values, "numbers");
    ck_assert(numbers->is_array && sinq_gguf_get_element(numbers, 2, &element) && element == -3);
    ck_assert(!sinq_gguf_get_element(numbers, 3, &element) && !sinq_gguf_get_f64(numbers, &element));
    const struct sinq_gguf_value *const strings = sinq_gguf_find(&file->values, "strings");
    ck_assert(sinq_gguf_next_string(strings, &at, &bytes, &size) && size == 1 && bytes[0] == 'a');
    ck_assert(sinq_gguf_next_string(strings, &at, &bytes, &size) && size == 0);
    ck_assert(sinq_gguf_next_string(strings, &at, &bytes, &size) && size == 3);
    ck_assert(!sinq_gguf_next_string(strings, &at, &bytes, &size) && !sinq_gguf_get_string(strings, &bytes, &size));
    ck_assert(!sinq_gguf_get_u64(sinq_gguf_find(&file->values, "i64"), &whole));
    ck_assert(!sinq_gguf_get_u64(sinq_gguf_find(&file->values, "f32"), &whole));
    ck_assert(!sinq_gguf_get_element(sinq_gguf_find(&file->values, "arrays"), 0, &element));
    ck_assert_uint_eq(sinq_gguf_find(&file->values, "empty")->count, 0);
    ck_assert_ptr_null(sinq_gguf_find(&file->values, "nothing"));
}

START_TEST(all_types_of_values_in_both_versions) {
    for (uint32_t version = 2; version <= 3; version++) {
        struct gguf_writer w = {0};
        struct sinq_gguf_file file;
        struct sinq_error error;
        add_all_types(&w);
        struct gguf_bytes bytes = finish_gguf(&w, version);
        ck_assert_msg(read_file(&bytes, &file, &error) == SINQ_OK, "%s", error.message);
        ck_assert_uint_eq(file.version, version);
        ck_assert_uint_eq(file.values.count, 16);
        check_all_types(&file);
        sinq_gguf_file_free(&file);
        free(bytes.data);
    }
}
END_TEST

START_TEST(tensors_have_shapes_and_places) {
    static const uint64_t matrix[2] = {3, 64}, stack[3] = {2, 1, 256}, vector[1] = {5};
    const uint8_t data[1024] = {0};
    struct gguf_writer w = {.alignment = 64};
    struct sinq_gguf_file file;
    struct sinq_error error;
    add_key_u32(&w, "general.alignment", 64);
    add_gguf_tensor(&w, "matrix", 2, matrix, SINQ_BLOCK_Q8_0, data, 3 * 68);
    add_gguf_tensor(&w, "stack", 3, stack, SINQ_BLOCK_Q4_K, data, 288);
    add_gguf_tensor(&w, "vector", 1, vector, SINQ_BLOCK_F32, data, 20);
    struct gguf_bytes bytes = finish_gguf(&w, 3);
    ck_assert_msg(read_file(&bytes, &file, &error) == SINQ_OK, "%s", error.message);
    ck_assert_uint_eq(file.tensor_count, 3);
    ck_assert_str_eq(file.tensors[0].name, "matrix");
    ck_assert(file.tensors[0].shape[0] == 3 && file.tensors[0].shape[1] == 64 && file.tensors[0].bytes == 204);
    ck_assert(file.tensors[1].rank == 3 && file.tensors[1].shape[2] == 256 && file.tensors[1].bytes == 288);
    ck_assert_uint_eq(file.tensors[2].offset, bytes.size - 20);
    ck_assert_uint_eq(file.tensors[1].offset % 64, 0);
    sinq_gguf_file_free(&file);
    free(bytes.data);
}
END_TEST

START_TEST(every_cut_is_noticed) {
    static const uint64_t matrix[2] = {1, 64};
    const uint8_t data[68] = {0};
    struct gguf_writer w = {0};
    struct sinq_gguf_file file;
    struct sinq_error error;
    add_all_types(&w);
    add_gguf_tensor(&w, "matrix", 2, matrix, SINQ_BLOCK_Q8_0, data, 68);
    struct gguf_bytes bytes = finish_gguf(&w, 3);
    const size_t size = bytes.size;
    for (bytes.size = 0; bytes.size < size; bytes.size++) {
        ck_assert_int_eq(read_file(&bytes, &file, &error), SINQ_FAILED);
        ck_assert_msg(strncmp(error.message, "f: ", 3) == 0, "%s", error.message);
        sinq_gguf_file_free(&file);
    }
    free(bytes.data);
}
END_TEST

/* ---- bad ones ---- */

static void write_big_endian(struct gguf_bytes *b) { put_bytes(b, "GGUF\0\0\0\003", 8), put_u64(b, 0), put_u64(b, 0); }
static void write_old(struct gguf_bytes *b) { put_bytes(b, "GGUF", 4), put_u32(b, 1), put_u64(b, 0), put_u64(b, 0); }
static void write_new(struct gguf_bytes *b) { put_bytes(b, "GGUF", 4), put_u32(b, 4), put_u64(b, 0), put_u64(b, 0); }
static void write_counts(struct gguf_bytes *b, uint64_t tensors, uint64_t keys) {
    put_bytes(b, "GGUF", 4), put_u32(b, 3), put_u64(b, tensors), put_u64(b, keys);
}
static void write_many_tensors(struct gguf_bytes *b) { write_counts(b, 1ull << 62, 0); }
static void write_many_keys(struct gguf_bytes *b) { write_counts(b, 0, 1ull << 62); }
static void write_long_key(struct gguf_bytes *b) { write_counts(b, 0, 1), put_u64(b, UINT64_MAX), put_u32(b, 0); }
static void write_empty_key(struct gguf_bytes *b) { write_counts(b, 0, 1), put_u64(b, 0), put_u32(b, 0); }
static void write_bad_key(struct gguf_bytes *b) {
    write_counts(b, 0, 1), put_u64(b, 1), put_number(b, 0xff, 1), put_u32(b, 0);
}
static void begin_value(struct gguf_bytes *b, uint32_t type) {
    write_counts(b, 0, 1), put_string(b, "k"), put_u32(b, type);
}
static void write_unknown_type(struct gguf_bytes *b) { begin_value(b, 13), put_u64(b, 0); }
static void write_bad_flag(struct gguf_bytes *b) { begin_value(b, SINQ_GGUF_BOOL), put_number(b, 2, 1); }
static void write_long_string(struct gguf_bytes *b) {
    begin_value(b, SINQ_GGUF_STRING), put_u64(b, 1ull << 63), put_u64(b, 0);
}
static void write_long_array(struct gguf_bytes *b) {
    begin_value(b, SINQ_GGUF_ARRAY), put_u32(b, SINQ_GGUF_F64), put_u64(b, 1ull << 61), put_u64(b, 0);
}
static void write_long_strings(struct gguf_bytes *b) {
    begin_value(b, SINQ_GGUF_ARRAY), put_u32(b, SINQ_GGUF_STRING), put_u64(b, UINT64_MAX), put_u64(b, 0);
}
static void write_bad_elements(struct gguf_bytes *b) { begin_value(b, SINQ_GGUF_ARRAY), put_u32(b, 99), put_u64(b, 0); }
static void write_deep_arrays(struct gguf_bytes *b) {
    begin_value(b, SINQ_GGUF_ARRAY);
    for (int i = 0; i < 100000; i++) put_u32(b, SINQ_GGUF_ARRAY), put_u64(b, 1);
}
static void write_two_keys(struct gguf_bytes *b) {
    write_counts(b, 0, 2);
    for (int i = 0; i < 2; i++) put_string(b, "same"), put_u32(b, SINQ_GGUF_U8), put_number(b, 1, 1);
}
static void write_alignment(struct gguf_bytes *b, uint32_t alignment) {
    write_counts(b, 0, 1), put_string(b, "general.alignment"), put_u32(b, SINQ_GGUF_U32), put_u32(b, alignment);
}
static void write_zero_alignment(struct gguf_bytes *b) { write_alignment(b, 0); }
static void write_odd_alignment(struct gguf_bytes *b) { write_alignment(b, 24); }
static void write_huge_alignment(struct gguf_bytes *b) { write_alignment(b, 1u << 31); }
static void write_word_alignment(struct gguf_bytes *b) {
    write_counts(b, 0, 1), put_string(b, "general.alignment"), put_u32(b, SINQ_GGUF_STRING), put_string(b, "32");
}

struct tensor_entry {
    const char *name;
    uint32_t rank;
    uint64_t shape[5]; /* innermost first */
    uint32_t type;
    uint64_t offset;
};

/* Entries as they are, and 256 bytes of data. */
static void write_entries(struct gguf_bytes *b, const struct tensor_entry *entries, size_t count) {
    struct gguf_writer w = {0};
    const uint8_t data[256] = {0};
    for (size_t i = 0; i < count; i++) {
        const struct tensor_entry *const e = &entries[i];
        add_entry(&w, e->name, e->rank, e->shape, e->type, e->offset);
    }
    put_bytes(&w.data, data, sizeof data);
    *b = finish_gguf(&w, 3);
}

static const struct {
    const char *name;
    void (*write)(struct gguf_bytes *bytes);
    const char *message;
} bad_files[] = {
    {"big-endian", write_big_endian, "f: is a big-endian GGUF file"},
    {"version 1", write_old, "f: is a GGUF file of version 1, expected 2 or 3"},
    {"version 4", write_new, "f: is a GGUF file of version 4, expected 2 or 3"},
    {"2^62 tensors", write_many_tensors, "f: 4611686018427387904 tensors in a file of 24 bytes"},
    {"2^62 keys", write_many_keys, "f: metadata of 4611686018427387904 keys"},
    {"a key beyond the file", write_long_key, "f: metadata: key 0 takes 18446744073709551615 bytes at byte 32"},
    {"an empty key", write_empty_key, "f: metadata: key 0 of 0 bytes"},
    {"a key that is no UTF-8", write_bad_key, "f: metadata: key 0 of 1 bytes, expected 1 to 65535 bytes of UTF-8"},
    {"an unknown type", write_unknown_type, "f: metadata: k has type 13, expected 0 to 12"},
    {"a flag of 2", write_bad_flag, "f: metadata: k is a flag of 2, expected 0 or 1"},
    {"a string beyond the file", write_long_string, "f: metadata: k takes 9223372036854775808 bytes"},
    {"an array beyond the file", write_long_array, "f: metadata: k has 2305843009213693952 values"},
    {"strings beyond the file", write_long_strings, "f: metadata: k takes 8 bytes at byte"},
    {"elements of an unknown type", write_bad_elements, "f: metadata: k has type 99"},
    {"arrays of arrays of arrays", write_deep_arrays, "f: metadata: k has arrays within arrays"},
    {"the same key twice", write_two_keys, "f: metadata: same is there twice"},
    {"alignment 0", write_zero_alignment, "f: metadata: general.alignment is 0, expected a power of two"},
    {"alignment 24", write_odd_alignment, "f: metadata: general.alignment is 24"},
    {"alignment 2^31", write_huge_alignment, "f: metadata: general.alignment is 2147483648"},
    {"alignment in words", write_word_alignment, "f: metadata: general.alignment is"},
};

static const struct {
    const char *name;
    struct tensor_entry entries[2];
    size_t count;
    const char *message;
} bad_tensors[] = {
    {"no name", {{"", 1, {8}, 0, 0}}, 1, "f: tensor 0: a name of 0 bytes"},
    {"no dimension", {{"t", 0, {0}, 0, 0}}, 1, "f: tensor t: 0 dimensions, expected 1 to 4"},
    {"five dimensions", {{"t", 5, {1, 1, 1, 1, 1}, 0, 0}}, 1, "f: tensor t: 5 dimensions, expected 1 to 4"},
    {"2^32 dimensions", {{"t", UINT32_MAX, {1, 1, 1, 1, 1}, 0, 0}}, 1, "dimensions, expected 1 to 4"},
    {"a dimension of 0", {{"t", 2, {8, 0}, 0, 0}}, 1, "f: tensor t: a dimension of 0, or more values"},
    {"a dimension of 2^62", {{"t", 2, {1ull << 62, 2}, 0, 0}}, 1, "f: tensor t: a dimension of 0, or more values"},
    {"2^62 values", {{"t", 1, {1ull << 62}, 0, 0}}, 1, "f: tensor t:"},
    {"an overflow of the shape", {{"t", 2, {1ull << 33, 1ull << 33}, 0, 0}}, 1, "more values than 63 bits can count"},
    {"a type that is not read", {{"t", 1, {256}, 16, 0}}, 1, "f: tensor t: type 16 (iq2_xxs) is not read"},
    {"an unknown type", {{"t", 1, {256}, 99, 0}}, 1, "f: tensor t: type 99 (unknown) is not read"},
    {"rows that are no whole blocks",
     {{"t", 2, {48, 2}, 8, 0}},
     1,
     "f: tensor t: rows of 48 values, q8_0 has blocks of 32"},
    {"off the alignment", {{"t", 1, {8}, 0, 8}}, 1, "f: tensor t: begins at byte 8, no multiple of 32"},
    {"beyond the file",
     {{"t", 1, {8}, 0, 1024}},
     1,
     "f: tensor t: 32 bytes at byte 1024 of the data, of which the file holds 256"},
    {"an offset that overflows",
     {{"t", 1, {8}, 0, 0xffffffffffffffe0u}},
     1,
     "f: tensor t: 32 bytes at byte 18446744073709551584"},
    {"larger than the file", {{"t", 1, {65}, 0, 0}}, 1, "f: tensor t: 260 bytes at byte 0"},
    {"overlapping", {{"t", 1, {16}, 0, 0}, {"u", 1, {8}, 0, 32}}, 2, "f: tensor u overlaps tensor t"},
    {"the same place", {{"t", 1, {8}, 0, 0}, {"u", 1, {8}, 0, 0}}, 2, "overlaps tensor"},
    {"the same name", {{"t", 1, {8}, 0, 0}, {"t", 1, {8}, 0, 32}}, 2, "f: two tensors have the name t"},
};

static void check_bad(const char *name, struct gguf_bytes *bytes, const char *message) {
    struct sinq_gguf_file file;
    struct sinq_error error;
    ck_assert_msg(read_file(bytes, &file, &error) == SINQ_FAILED, "%s was read", name);
    ck_assert_msg(strstr(error.message, message) != NULL, "%s: %s", name, error.message);
    ck_assert_msg(strchr(error.message, '\n') == NULL, "%s: more than a line: %s", name, error.message);
    sinq_gguf_file_free(&file);
    free(bytes->data);
}

START_TEST(bad_files_are_refused_in_one_line) {
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        struct gguf_bytes bytes = {0};
        bad_files[i].write(&bytes);
        check_bad(bad_files[i].name, &bytes, bad_files[i].message);
    }
}
END_TEST

START_TEST(bad_tensors_are_named) {
    for (size_t i = 0; i < sizeof bad_tensors / sizeof bad_tensors[0]; i++) {
        struct gguf_bytes bytes = {0};
        write_entries(&bytes, bad_tensors[i].entries, bad_tensors[i].count);
        check_bad(bad_tensors[i].name, &bytes, bad_tensors[i].message);
    }
}
END_TEST

int main(void) {
    const TTest *const tests[] = {all_types_of_values_in_both_versions, tensors_have_shapes_and_places,
                                  every_cut_is_noticed, bad_files_are_refused_in_one_line, bad_tensors_are_named};
    return run_unit_tests("gguf_file", tests, sizeof tests / sizeof tests[0]);
}
