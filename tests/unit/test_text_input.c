/* test_text_input.c: text from files, gzip and pipes, and token ids; what is not such is refused. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The program's files are no library: they are compiled into the test. */
#include "cmd/memory.c"
#include "cmd/text_input.c"
#include "unit.h"

static int signal_number;
int sinq_caught_signal(void) { return signal_number; }

/* ---- files ------------------------------------------------------------------------------------------------- */

/* Writes one gzip member that holds text[0..size) behind out[0..used); the new length. */
static size_t add_member(char *out, size_t used, size_t capacity, const char *text, size_t size) {
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)text, .avail_in = (uInt)size};
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_out = (Bytef *)out + used;
    stream.avail_out = (uInt)(capacity - used);
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    used = capacity - stream.avail_out;
    deflateEnd(&stream);
    return used;
}

static char path[] = "/tmp/sinq-text-input-XXXXXX";

static void write_file(const char *bytes, size_t size) {
    snprintf(path, sizeof path, "/tmp/sinq-text-input-XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

/* Reads a file of those bytes. */
static int read_back(const char *bytes, size_t size, char **data, size_t *found, struct sinq_error *error) {
    write_file(bytes, size);
    const int status = sinq_read_text_file(path, data, found, error);
    unlink(path);
    return status;
}

static void check_text(const char *bytes, size_t size, const char *expected, size_t expected_size) {
    char *data = NULL;
    size_t found = 0;
    struct sinq_error error = {.status = 0};
    ck_assert_msg(read_back(bytes, size, &data, &found, &error) == SINQ_OK, "%s", error.message);
    ck_assert_uint_eq(found, expected_size);
    ck_assert_mem_eq(data, expected, expected_size);
    ck_assert_int_eq(data[found], 0);
    free(data);
}

START_TEST(files_are_read_whole_and_gzip_is_recognised_by_content) {
    enum { LARGE = 700000 };
    char *const text = malloc(LARGE), *const packed = malloc(2 * LARGE);
    for (size_t i = 0; i < LARGE; i++) text[i] = (char)(i * i >> 7);
    check_text(text, LARGE, text, LARGE);
    check_text("", 0, "", 0);
    check_text("\x1f", 1, "\x1f", 1);
    check_text("a\0b\r\n", 5, "a\0b\r\n", 5);
    size_t used = add_member(packed, 0, 2 * LARGE, text, LARGE);
    check_text(packed, used, text, LARGE);
    used = add_member(packed, 0, 2 * LARGE, text, 1000);
    used = add_member(packed, used, 2 * LARGE, text + 1000, 2000); /* as `cat a.gz b.gz` makes it */
    check_text(packed, used, text, 3000);
    memset(packed + used, 0, 512);
    check_text(packed, used + 512, text, 3000);
    used = add_member(packed, 0, 2 * LARGE, text, 0);
    check_text(packed, used, "", 0);
    free(text);
    free(packed);
}
END_TEST

START_TEST(damaged_gzip_is_refused) {
    char packed[400], text[200];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 37 >> 2);
    const size_t used = add_member(packed, 0, sizeof packed, text, sizeof text);
    char *data = NULL;
    size_t size;
    struct sinq_error error;
    for (size_t cut = 2; cut < used; cut++) {
        ck_assert_int_eq(read_back(packed, cut, &data, &size, &error), SINQ_FAILED);
        ck_assert_msg(strstr(error.message, "too early") != NULL, "%zu: %s", cut, error.message);
    }
    packed[used - 6] ^= 1; /* the checksum */
    ck_assert_int_eq(read_back(packed, used, &data, &size, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "damaged") != NULL, "%s", error.message);
    packed[used - 6] ^= 1;
    memcpy(packed + used, "more", 4);
    ck_assert_int_eq(read_back(packed, used + 4, &data, &size, &error), SINQ_FAILED);
    ck_assert_ptr_null(data);
}
END_TEST

START_TEST(what_cannot_be_read_is_named) {
    char *data = NULL;
    size_t size;
    struct sinq_error error;
    ck_assert_int_eq(sinq_read_text_file("no/such/file", &data, &size, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "no/such/file: cannot open") != NULL, "%s", error.message);
    ck_assert_int_eq(sinq_read_text_file("/", &data, &size, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "/: cannot read") != NULL, "%s", error.message);
    signal_number = 2;
    ck_assert_int_eq(read_back("text", 4, &data, &size, &error), SINQ_INTERRUPTED);
    signal_number = 0;
    ck_assert_ptr_null(data);
}
END_TEST

/* ---- token ids --------------------------------------------------------------------------------------------- */

START_TEST(token_ids_are_numbers_between_blanks_and_commas) {
    static const struct {
        const char *name, *text;
        size_t count; /* SIZE_MAX: refused */
        int32_t ids[4];
    } cases[] = {
        {"none", "", 0, {0}},
        {"separators alone", " ,\n\t, ", 0, {0}},
        {"one", "7", 1, {7}},
        {"blanks and commas", " 1, 2,3\n004\r\n", 4, {1, 2, 3, 4}},
        {"the largest", "2147483647 0", 2, {2147483647, 0}},
        {"too large", "2147483648", SIZE_MAX, {0}},
        {"far too large", "99999999999999999999999999999999", SIZE_MAX, {0}},
        {"negative", "1 -1", SIZE_MAX, {0}},
        {"fraction", "1.5", SIZE_MAX, {0}},
        {"word", "1 two", SIZE_MAX, {0}},
        {"brackets", "[1]", SIZE_MAX, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_tokens tokens = {.count = 0};
        struct sinq_error error = {.status = 0};
        const int status = sinq_parse_token_ids(cases[i].text, strlen(cases[i].text), &tokens, &error);
        ck_assert_msg(status == (cases[i].count == SIZE_MAX ? SINQ_FAILED : SINQ_OK), "%s: %s", cases[i].name,
                      error.message);
        if (status == SINQ_OK) {
            ck_assert_msg(tokens.count == cases[i].count, "%s: %zu", cases[i].name, tokens.count);
            for (size_t k = 0; k < tokens.count; k++)
                ck_assert_msg(tokens.ids[k] == cases[i].ids[k], "%s: id %zu", cases[i].name, k);
        }
        free(tokens.ids);
    }
}
END_TEST

START_TEST(a_refused_id_is_pointed_at) {
    struct sinq_tokens tokens = {.count = 0};
    struct sinq_error error;
    ck_assert_int_eq(sinq_parse_token_ids("12 34x", 6, &tokens, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "byte 3:") != NULL, "%s", error.message);
    ck_assert_int_eq(sinq_parse_token_ids("1\0", 2, &tokens, &error), SINQ_FAILED);
    free(tokens.ids);
}
END_TEST

START_TEST(line_ends_of_two_characters_are_counted) {
    ck_assert_uint_eq(sinq_count_crlf("", 0), 0);
    ck_assert_uint_eq(sinq_count_crlf("a\nb\rc\r", 6), 0);
    ck_assert_uint_eq(sinq_count_crlf("\r\n\r\r\n", 5), 2);
    ck_assert_uint_eq(sinq_count_crlf("\r\n", 1), 0);
}
END_TEST

UNIT_MAIN("text input", files_are_read_whole_and_gzip_is_recognised_by_content, damaged_gzip_is_refused,
          what_cannot_be_read_is_named, token_ids_are_numbers_between_blanks_and_commas, a_refused_id_is_pointed_at,
          line_ends_of_two_characters_are_counted)
