/*
 * test_normalizer.c: what a text becomes before it is split. What is expected is what Hugging Face's tokenizers 0.22.2 gives for the
 * same normalizer and text.
 */
#include <string.h>
#include <utf8proc.h>

#include "text/normalizer.h"
#include "unit.h"

static const struct {
    const char *name, *json, *text, *normal;
} cases[] = {
    {"NFC", "{\"type\":\"NFC\"}",
     "e\xcc\x81\xcc\xa7 \xe2\x84\xab \xea\xb0\x80\xe1\x86\xa8 \xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8 \xe0\xa5\x98 "
     "\xcd\x84",
     "\xc8\xa9\xcc\x81 \xc3\x85 \xea\xb0\x81 \xea\xb0\x81 \xe0\xa4\x95\xe0\xa4\xbc \xcc\x88\xcc\x81"},
    {"NFC leaves text alone", "{\"type\":\"NFC\"}",
     "caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xd0\xb9 \xea\xb0\x81 \xef\xac\x81",
     "caf\xc3\xa9 \xe4\xb8\xad\xe6\x96\x87 \xd0\xb9 \xea\xb0\x81 \xef\xac\x81"},
    {"NFC of marks alone", "{\"type\":\"NFC\"}", "\xcc\x81\xcc\xa7\xcc\xa3 a\xcc\xa3\xcc\x87 a\xcc\x87\xcc\xa3",
     "\xcc\xa7\xcc\xa3\xcc\x81 \xe1\xba\xa1\xcc\x87 \xe1\xba\xa1\xcc\x87"},
    {"NFC of a first and a late mark", "{\"type\":\"NFC\"}",
     "a\xcc\xa7\xcc\x81 o\xcc\xa8\xcc\x84 \xe0\xa7\x87\xe0\xa6\xbe", "\xc3\xa1\xcc\xa7 \xc7\xad \xe0\xa7\x8b"},
    {"NFD", "{\"type\":\"NFD\"}", "\xc3\xa9 \xe1\xb9\xa9 \xea\xb0\x81 \xef\xac\x81",
     "e\xcc\x81 s\xcc\xa3\xcc\x87 \xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8 \xef\xac\x81"},
    {"NFKC", "{\"type\":\"NFKC\"}",
     "\xef\xac\x81\xef\xbc\xa1\xef\xbc\xa2 \xc2\xbd \xe2\x91\xa0 \xe3\x8c\x80 \xef\xbd\xb6\xef\xbe\x9e \xef\xb7\xba",
     "fiAB 1\xe2\x81\x84"
     "2 1 \xe3\x82\xa2\xe3\x83\x91\xe3\x83\xbc\xe3\x83\x88 \xe3\x82\xac \xd8\xb5\xd9\x84\xd9\x89 "
     "\xd8\xa7\xd9\x84\xd9\x84\xd9\x87 \xd8\xb9\xd9\x84\xd9\x8a\xd9\x87 \xd9\x88\xd8\xb3\xd9\x84\xd9\x85"},
    {"NFKD", "{\"type\":\"NFKD\"}", "\xef\xac\x81 \xe1\xba\x9b\xcc\xa3 \xc3\x85\xe2\x84\xa6",
     "fi s\xcc\xa3\xcc\x87 A\xcc\x8a\xce\xa9"},
    {"Lowercase", "{\"type\":\"Lowercase\"}", "A\xc3\x89\xc4\xb0\xce\xa3\xc7\x85\xe1\xba\x9e\xf0\x90\x90\x80",
     "a\xc3\xa9i\xcc\x87\xcf\x83\xc7\x86\xc3\x9f\xf0\x90\x90\xa8"},
    {"Strip", "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \xe3\x80\x80\ta b\xc2\xa0\n", "a b"},
    {"Strip, left", "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false}", " a ", "a "},
    {"Strip, right", "{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}", " a ", " a"},
    {"Strip of nothing but space", "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \n ", ""},
    {"StripAccents", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"StripAccents\"}]}",
     "\xc3\xa9l\xc3\xa9gant \xe0\xa4\x95\xe0\xa4\xbf", "elegant \xe0\xa4\x95"},
    {"Prepend", "{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"}", "ab",
     "\xe2\x96\x81"
     "ab"},
    {"Prepend to nothing", "{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"}", "", ""},
    {"Replace a string", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"aa\"},\"content\":\"b\"}", "aaaaa", "bba"},
    {"Replace a regex", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+\"},\"content\":\"_\"}",
     " Hello \n friend ", "_Hello_friend_"},
    {"Replace by nothing", "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"\"}", " a b ", "ab"},
    {"Replace content is literal", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(a)\"},\"content\":\"$1\\\\1\"}",
     "bab", "b$1\\1b"},
    {"Llama 2",
     "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},{\"type\":\"Replace\","
     "\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}",
     " a  b",
     "\xe2\x96\x81\xe2\x96\x81"
     "a\xe2\x96\x81\xe2\x96\x81"
     "b"},
    {"a sequence in a sequence",
     "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Lowercase\"}]},{"
     "\"type\":\"NFC\"},{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}]}",
     " E\xcc\x81X ", "\xc3\xa9x"},
};

static int normalize(const char *json, const char *text, size_t size, struct sinq_text *normal,
                     struct sinq_error *error) {
    struct sinq_normalizer normalizer = {0};
    struct sinq_normalizer_work work = {0};
    cJSON *const tree = cJSON_Parse(json);
    ck_assert_ptr_nonnull(tree);
    const char *result = NULL;
    int status = sinq_read_normalizer("t.json", tree, &normalizer, error);
    if (status == SINQ_OK) status = sinq_run_normalizer(&normalizer, &work, text, size, &result, &size, error);
    if (status == SINQ_OK) sinq_text_add_bytes(normal, result, size);
    sinq_normalizer_work_free(&normalizer, &work);
    sinq_normalizer_free(&normalizer);
    cJSON_Delete(tree);
    return status;
}

START_TEST(text_is_that_of_the_reference) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_text normal = {0};
        struct sinq_error error = {0};
        const int status = normalize(cases[i].json, cases[i].text, strlen(cases[i].text), &normal, &error);
        ck_assert_msg(status == SINQ_OK, "%s: %s", cases[i].name, error.message);
        ck_assert_msg(strcmp(normal.data, cases[i].normal) == 0, "%s:\n got      %s\n expected %s", cases[i].name,
                      normal.data, cases[i].normal);
        sinq_text_free(&normal);
    }
}
END_TEST

static const struct {
    const char *json;
    utf8proc_option_t options;
} forms[] = {
    {"{\"type\":\"NFC\"}", UTF8PROC_STABLE | UTF8PROC_COMPOSE},
    {"{\"type\":\"NFD\"}", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
    {"{\"type\":\"NFKC\"}", UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
    {"{\"type\":\"NFKD\"}", UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
};

static void compare_form(size_t form, const struct sinq_text *text, uint32_t point) {
    struct sinq_text normal = {0};
    struct sinq_error error = {0};
    utf8proc_uint8_t *expected = NULL;
    ck_assert_int_eq(normalize(forms[form].json, text->data, text->size, &normal, &error), SINQ_OK);
    const utf8proc_ssize_t size = utf8proc_map((const utf8proc_uint8_t *)text->data, (utf8proc_ssize_t)text->size,
                                               &expected, forms[form].options);
    ck_assert_msg(normal.size == (size_t)size && memcmp(normal.data, expected, normal.size) == 0,
                  "%s differs from utf8proc in the text around U+%04X", forms[form].json, point);
    free(expected);
    sinq_text_free(&normal);
}

/* Every character, alone and between others that it may compose with: what the table of inert characters skips is nothing else. */
START_TEST(forms_are_utf8procs_for_every_character) {
    static const char *const neighbours[] = {
        "a", "\xcc\x81", "\xcc\xa7", "\xe1\x84\x80", "\xe1\x85\xa1", "\xe1\x86\xa8", "\xe0\xa7\x87"};
    for (size_t form = 0; form < 4; form++) {
        struct sinq_text text = {0};
        for (uint32_t point = 1; point < 0x31400; point++) {
            char bytes[4];
            if (point >= 0xd800 && point < 0xe000) continue;
            const size_t length = sinq_encode_utf8(point, bytes);
            for (size_t i = 0; i < 3; i++) {
                sinq_text_add(&text, neighbours[(point + i) % 7]);
                sinq_text_add_bytes(&text, bytes, length);
            }
            sinq_text_add(&text, neighbours[(point / 7) % 7]);
            if (point % 1024 != 0 && point + 1 < 0x31400) continue;
            compare_form(form, &text, point);
            text.size = 0;
        }
        sinq_text_free(&text);
    }
}
END_TEST

/* Marks in the worst order: sorting them by swapping neighbours would take hours. */
START_TEST(many_marks_take_linear_time) {
    struct sinq_text text = {0}, normal = {0};
    struct sinq_error error = {0};
    for (int i = 0; i < 300000; i++) sinq_text_add(&text, i % 2 == 0 ? "\xcc\x81" : "\xcc\xa3");
    ck_assert_int_eq(normalize("{\"type\":\"NFC\"}", text.data, text.size, &normal, &error), SINQ_OK);
    ck_assert_uint_eq(normal.size, text.size);
    ck_assert_mem_eq(normal.data, "\xcc\xa3\xcc\xa3", 4);
    ck_assert_mem_eq(normal.data + normal.size - 4, "\xcc\x81\xcc\x81", 4);
    sinq_text_free(&text);
    sinq_text_free(&normal);
}
END_TEST

#define DOUBLE "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"aaaaaaaaaaaaaaaa\"}"

static const struct {
    const char *name, *json, *message;
} refused[] = {
    {"an unknown type", "{\"type\":\"BertNormalizer\"}", "normalizer: type BertNormalizer is not supported"},
    {"Prepend of nothing", "{\"type\":\"Prepend\"}", "normalizer: Prepend: a string was expected"},
    {"Replace without content", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}",
     "Replace: a string was expected"},
    {"a text that explodes",
     "{\"type\":\"Sequence\",\"normalizers\":[" DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE "," DOUBLE
     "," DOUBLE "]}",
     "makes the text far longer"},
};

START_TEST(what_is_wrong_is_refused) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sinq_text normal = {0};
        struct sinq_error error = {0};
        ck_assert_msg(normalize(refused[i].json, "a", 1, &normal, &error) == SINQ_FAILED, "%s", refused[i].name);
        ck_assert_msg(strstr(error.message, refused[i].message) != NULL, "%s: %s", refused[i].name, error.message);
        sinq_text_free(&normal);
    }
}
END_TEST

UNIT_MAIN("normalizer", text_is_that_of_the_reference, forms_are_utf8procs_for_every_character,
          many_marks_take_linear_time, what_is_wrong_is_refused)
