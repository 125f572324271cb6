/* The names of methods, and the grammar of --tensor. Patterns are tested with the recipe. */
#include "quant/recipe/rule.h"

#include <string.h>

#include "unit.h"

START_TEST(method_names_go_both_ways) {
    for (int i = 0; i < SINQ_METHOD_COUNT; i++) {
        ck_assert_int_eq(sinq_method_from_name(sinq_method_name((enum sinq_method)i)), i);
    }
    ck_assert_int_eq(sinq_method_from_name("SINQ"), -1);
    ck_assert_int_eq(sinq_method_from_name(""), -1);
    ck_assert_str_eq(sinq_method_name(SINQ_METHOD_SINQ_HQQ), "sinq-hqq");
    ck_assert_str_eq(sinq_aux_type_name(SINQ_AUX_U8), "u8");
}
END_TEST

START_TEST(settings_are_parsed) {
    static const struct {
        const char *text;
        struct sinq_rule_setting expected;
    } cases[] = {
        {"keep", {true, 0, -1, -1, -1, NULL}},
        {"bits:3", {false, 3, -1, -1, -1, NULL}},
        {"group:row", {false, 0, 0, -1, -1, NULL}},
        {"group:128", {false, 0, 128, -1, -1, NULL}},
        {"method:sinq-nf4", {false, 0, -1, SINQ_METHOD_SINQ_NF4, -1, NULL}},
        {"scale:f16", {false, 0, -1, -1, SINQ_AUX_F16, NULL}},
        {"scale:u8,method:rtn,group:32,bits:8", {false, 8, 32, SINQ_METHOD_RTN, SINQ_AUX_U8, NULL}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_rule_setting got;
        struct sinq_error error = {0};
        ck_assert_msg(sinq_parse_rule_setting("x", cases[i].text, &got, &error) == SINQ_OK, "%s", error.message);
        const struct sinq_rule_setting *const want = &cases[i].expected;
        ck_assert_msg(got.keep == want->keep && got.bits == want->bits && got.group_size == want->group_size &&
                          got.method == want->method && got.scale_type == want->scale_type,
                      "%s", cases[i].text);
    }
}
END_TEST

START_TEST(wrong_settings_are_refused_by_word) {
    static const struct {
        const char *text, *found, *expected;
    } cases[] = {
        {"", "found \"\"", "keep or type: alone"},
        {"Keep", "found \"Keep\"", "keep or type: alone"},
        {"keep,bits:3", "found \"keep\"", "keep or type: alone"},
        {"bits:3,keep", "found \"keep\"", "keep or type: alone"},
        {"bits:3,", "found \"\"", "keep or type: alone"},
        {",bits:3", "found \"\"", "keep or type: alone"},
        {"bits", "found \"bits\"", "keep or type: alone"},
        {"bits:", "found \"bits:\"", "2, 3, 4, 5, 6 or 8"},
        {"bits:7", "found \"bits:7\"", "2, 3, 4, 5, 6 or 8"},
        {"bits:1", "found \"bits:1\"", "2, 3, 4, 5, 6 or 8"},
        {"bits:16", "found \"bits:16\"", "2, 3, 4, 5, 6 or 8"},
        {"bits:-4", "found \"bits:-4\"", "2, 3, 4, 5, 6 or 8"},
        {"bits:4 ", "found \"bits:4 \"", "2, 3, 4, 5, 6 or 8"},
        {"bits:99999999999999999999", "bits:999", "2, 3, 4, 5, 6 or 8"},
        {"bits:3,bits:4", "found \"bits:4\"", "bits once"},
        {"group:0", "found \"group:0\"", "16, 32, 64, 128 or row"},
        {"group:48", "found \"group:48\"", "16, 32, 64, 128 or row"},
        {"group:row,group:64", "found \"group:64\"", "group once"},
        {"method:gptq", "found \"method:gptq\"", "sinq-hqq"},
        {"method:rtn,method:rtn", "found \"method:rtn\"", "method once"},
        {"scale:u5", "found \"scale:u5\"", "f16, u8 or u6"},
        {"scale:u8,scale:u8", "found \"scale:u8\"", "scale once"},
        {"type:q9_9", "found \"type:q9_9\"", "f16 bf16 q8_0"},
        {"type:q8_k", "found \"type:q8_k\"", "f16 bf16 q8_0"},
        {"type:f16,type:f16", "found \"type:f16\"", "type once"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "found \"aaaa",
         "keep or type: alone"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_rule_setting got;
        struct sinq_error error = {0};
        ck_assert_msg(sinq_parse_rule_setting("q_proj", cases[i].text, &got, &error) == SINQ_USAGE, "%s was taken",
                      cases[i].text);
        ck_assert_msg(strstr(error.message, cases[i].found) != NULL, "%s: %s", cases[i].text, error.message);
        ck_assert_msg(strstr(error.message, cases[i].expected) != NULL, "%s: %s", cases[i].text, error.message);
        ck_assert_msg(strstr(error.message, "--tensor 'q_proj=") == error.message, "%s", error.message);
    }
}
END_TEST

UNIT_MAIN("rule", method_names_go_both_ways, settings_are_parsed, wrong_settings_are_refused_by_word)
