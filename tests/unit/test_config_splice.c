/* Members of config.json: all else stays byte for byte. */
#include "config_splice.h"

#include <string.h>

#include "unit.h"

#define NAME         "quantization_config"
#define VALUE        "{\"quant_method\":\"dual-scale\"}"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *name, *config, *expected; /* expected NULL: refused */
} cases[] = {
    {"added behind the last member", "{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"quantization_config\": " VALUE "\n}\n"},
    {"added to an empty object", "{}", "{\n  \"quantization_config\": " VALUE "\n}"},
    {"no config at all", NULL, "{\n  \"quantization_config\": " VALUE "\n}\n"},
    {"numbers keep their spelling", "{\"t\":1e6,\"e\":1.00000001e-05,\"n\":12345678901234567890}",
     "{\"t\":1e6,\"e\":1.00000001e-05,\"n\":12345678901234567890,\n  \"quantization_config\": " VALUE "}"},
    {"replaced in place", "{\"a\": 1, \"quantization_config\": {\"quant_method\": \"fp8\", \"x\": [1, {}]}, \"b\": 2}",
     "{\"a\": 1, \"quantization_config\": " VALUE ", \"b\": 2}"},
    {"replaced, first and last", "{\"quantization_config\" :null}", "{\"quantization_config\" :" VALUE "}"},
    {"replaced, a number", "{\"quantization_config\":-1.5e3\n}", "{\"quantization_config\":" VALUE "\n}"},
    {"replaced, a string with quotes and braces", "{\"quantization_config\":\"}\\\"{\",\"b\":[]}",
     "{\"quantization_config\":" VALUE ",\"b\":[]}"},
    {"a key written with escapes", "{\"quantization\\u005fconfig\":{}}", "{\"quantization\\u005fconfig\":" VALUE "}"},
    {"the same name further in is another thing", "{\"text_config\": {\"quantization_config\": {\"a\": 1}}}",
     "{\"text_config\": {\"quantization_config\": {\"a\": 1}},\n  \"quantization_config\": " VALUE "}"},
    {"the same name as a value", "{\"a\": \"quantization_config\"}",
     "{\"a\": \"quantization_config\",\n  \"quantization_config\": " VALUE "}"},
    {"brackets and escapes in strings", "{\"a\\\"}\": \"]}\\\\\", \"b\": [\"}\", [[{\"c\": \"{\"}]], true]}",
     "{\"a\\\"}\": \"]}\\\\\", \"b\": [\"}\", [[{\"c\": \"{\"}]], true],\n  \"quantization_config\": " VALUE "}"},
    {"a byte order mark stays", "\xef\xbb\xbf{\"a\":1}",
     "\xef\xbb\xbf{\"a\":1,\n  \"quantization_config\": " VALUE "}"},
    {"twice", "{\"quantization_config\":1,\"quantization_config\":2}", NULL},
    {"a list", "[]", NULL},
    {"no JSON", "{\"a\"", NULL},
    {"text behind it", "{} x", NULL},
    {"nothing", "", NULL},
};

START_TEST(test_splice) {
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct sinq_text text = {0};
        struct sinq_error error = {0};
        const int status = sinq_splice_member(cases[i].config, NAME, VALUE, "config.json", &text, &error);
        if (cases[i].expected == NULL) {
            ck_assert_msg(status == SINQ_FAILED && error.message[0] != '\0', "%s", cases[i].name);
        } else {
            ck_assert_msg(status == SINQ_OK, "%s: %s", cases[i].name, error.message);
            ck_assert_msg(strcmp(text.data, cases[i].expected) == 0, "%s: %s", cases[i].name, text.data);
        }
        sinq_text_free(&text);
    }
}
END_TEST

/* Every prefix of a config either is refused or is one JSON object: none is read beyond its end. */
START_TEST(test_prefixes) {
    static const char whole[] =
        "{\"a\\\"\": [1, {\"b\": \"\\u0041\"}], \"quantization_config\": {\"x\": \"}\"}, \"c\": -1e5}";
    for (size_t size = 0; size < sizeof whole; size++) {
        char *const prefix = malloc(size + 1);
        struct sinq_text text = {0};
        ck_assert_ptr_nonnull(prefix);
        memcpy(prefix, whole, size);
        prefix[size] = '\0';
        const int status = sinq_splice_member(prefix, NAME, VALUE, "config.json", &text, NULL);
        ck_assert_int_eq(status, size == sizeof whole - 1 ? SINQ_OK : SINQ_FAILED);
        sinq_text_free(&text);
        free(prefix);
    }
}
END_TEST

START_TEST(test_value_must_be_json) {
    static const char *const values[] = {"", "{", "{}{}", "bfloat16"};
    for (size_t i = 0; i < COUNT(values); i++) {
        struct sinq_text text = {0};
        ck_assert_int_eq(sinq_splice_member("{}", NAME, values[i], "config.json", &text, NULL), SINQ_FAILED);
        sinq_text_free(&text);
    }
}
END_TEST

/* What config.json says once all numbers are of one type. */
static const struct {
    const char *name, *config, *expected;
} plain_cases[] = {
    {"nothing there", "{}", "{\n  \"torch_dtype\": \"float16\"\n}"},
    {"no config at all", NULL, "{\n  \"torch_dtype\": \"float16\"\n}\n"},
    {"the old name", "{\"torch_dtype\": \"bfloat16\", \"a\": 1}", "{\"torch_dtype\": \"float16\", \"a\": 1}"},
    {"the new name", "{\"a\": 1, \"dtype\": null}", "{\"a\": 1, \"dtype\": \"float16\"}"},
    {"both", "{\"dtype\":1,\"torch_dtype\":2}", "{\"dtype\":\"float16\",\"torch_dtype\":\"float16\"}"},
    {"quantization goes, first", "{\"quantization_config\": {\"a\": [1, 2]}, \"dtype\": 1}",
     "{\"dtype\": \"float16\"}"},
    {"quantization goes, between", "{\"dtype\": 1,\n \"quantization_config\": 0 ,\n \"b\": 2}",
     "{\"dtype\": \"float16\",\n \"b\": 2}"},
    {"quantization goes, last", "{\"dtype\": 1,\n \"quantization_config\": {}\n}", "{\"dtype\": \"float16\"\n}"},
    {"quantization goes, alone", "{\"quantization_config\": {}}", "{\n  \"torch_dtype\": \"float16\"\n}"},
    {"further in nothing changes", "{\"dtype\": 1, \"t\": {\"dtype\": 2, \"quantization_config\": 3}}",
     "{\"dtype\": \"float16\", \"t\": {\"dtype\": 2, \"quantization_config\": 3}}"},
    {"no object", "[]", NULL},
};

START_TEST(test_plain) {
    for (size_t i = 0; i < COUNT(plain_cases); i++) {
        struct sinq_text text = {0};
        struct sinq_error error = {0};
        const int status = sinq_splice_plain(plain_cases[i].config, "float16", "config.json", &text, &error);
        ck_assert_msg((status == SINQ_OK) == (plain_cases[i].expected != NULL), "%s: %s", plain_cases[i].name,
                      error.message);
        if (status == SINQ_OK) {
            ck_assert_msg(strcmp(text.data, plain_cases[i].expected) == 0, "%s: %s", plain_cases[i].name, text.data);
        }
        sinq_text_free(&text);
    }
}
END_TEST

UNIT_MAIN("config_splice", test_splice, test_prefixes, test_value_must_be_json, test_plain)
