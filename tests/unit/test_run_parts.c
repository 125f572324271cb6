/* test_run_parts.c: what `sinq run` decides without a model: options, memory, end tokens, what a terminal is shown. */
#include <stdarg.h>
#include <string.h>

/* The program's files are no library: they are compiled into the test. */
#include "cmd/device_report.c"
#include "cmd/end_tokens.c"
#include "cmd/json.c"
#include "cmd/memory.c"
#include "cmd/model_text.c"
#include "cmd/options.c"
#include "cmd/plan_report.c"
#include "cmd/printable.c"
#include "cmd/quantity.c"
#include "cmd/report.c"
#include "cmd/run_options.c"
#include "cmd/suggestion.c"
#include "cmd/table.c"
#include "cmd/terminal.c"
#include "cmd/vocabulary.c"
#include "unit.h"

START_TEST(conflicts) {
    static const struct {
        const char *name;
        char *words[6];
        const char *message; /* how it begins; NULL: none */
    } cases[] = {
        {"nothing", {"run"}, NULL},
        {"prompt twice", {"run", "-p", "a", "-f", "b"}, "--prompt and --file"},
        {"raw chat", {"run", "--raw", "--chat"}, "--raw "},
        {"raw with a system message", {"run", "--raw", "--system", "x"}, "--raw "},
        {"ids of a template", {"run", "--token-ids", "--template", "x"}, "--token-ids "},
        {"ids and stop texts", {"run", "--token-ids", "--stop", "x"}, "--stop "},
        {"memory without a plan", {"run", "--memory", "1G"}, "--memory needs --plan"},
        {"memory with a plan", {"run", "--memory", "1G", "--plan"}, NULL},
        {"two stop texts", {"run", "--stop", "a", "--stop", "b"}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_run_arguments arguments = sinq_default_run_arguments();
        struct sinq_error error;
        int first, count = 0;
        char *words[6];
        memcpy(words, cases[i].words, sizeof words);
        while (count < 6 && words[count] != NULL) count++;
        ck_assert_msg(sinq_parse_options(sinq_run_options, count, words, &arguments, &first, &error) == SINQ_OK, "%s",
                      cases[i].name);
        const char *const conflict = sinq_find_run_conflict(&arguments);
        ck_assert_msg((conflict == NULL) == (cases[i].message == NULL), "%s: %s", cases[i].name,
                      conflict != NULL ? conflict : "none");
        if (conflict != NULL)
            ck_assert_msg(strncmp(conflict, cases[i].message, strlen(cases[i].message)) == 0, "%s: %s", cases[i].name,
                          conflict);
        sinq_free_run_arguments(&arguments);
    }
}
END_TEST

START_TEST(repeated_texts) {
    char *words[] = {"run", "--stop", "a", "--stop=b c", "--stop", ""};
    struct sinq_run_arguments arguments = sinq_default_run_arguments();
    struct sinq_error error;
    int first;
    ck_assert_int_eq(sinq_parse_options(sinq_run_options, 4, words, &arguments, &first, &error), SINQ_OK);
    ck_assert_uint_eq(arguments.stops.count, 2);
    ck_assert_str_eq(arguments.stops.texts[0], "a");
    ck_assert_str_eq(arguments.stops.texts[1], "b c");
    ck_assert_int_eq(sinq_parse_options(sinq_run_options, 6, words, &arguments, &first, &error), SINQ_USAGE);
    ck_assert_str_eq(error.message, "--stop: '' is not a text of at least one character");
    sinq_free_run_arguments(&arguments);
}
END_TEST

START_TEST(options_become_settings) {
    char *words[] = {"run", "--temp", "0", "--top-k=7", "--seed", "12", "-c", "99", "--kv", "i8", "--exact"};
    struct sinq_run_arguments arguments = sinq_default_run_arguments();
    struct sinq_error error;
    int first;
    const struct sinq_sampling usual = sinq_default_sampling(), before = sinq_read_sampling(&arguments);
    ck_assert_double_eq(before.temperature, usual.temperature);
    ck_assert_double_eq(before.top_p, usual.top_p);
    ck_assert_double_eq(before.min_p, usual.min_p);
    ck_assert_double_eq(before.repeat_penalty, usual.repeat_penalty);
    ck_assert_uint_eq(before.top_k, usual.top_k);
    ck_assert_uint_eq(before.repeat_last, usual.repeat_last);
    ck_assert_int_eq(sinq_read_session_options(&arguments).kv_type, SINQ_KV_F16);
    ck_assert_int_eq(sinq_parse_options(sinq_run_options, 11, words, &arguments, &first, &error), SINQ_OK);
    const struct sinq_sampling sampling = sinq_read_sampling(&arguments);
    ck_assert_double_eq(sampling.temperature, 0.0);
    ck_assert_uint_eq(sampling.top_k, 7);
    ck_assert_uint_eq(sampling.seed, 12);
    const struct sinq_session_options session = sinq_read_session_options(&arguments);
    ck_assert_uint_eq(session.context, 99);
    ck_assert_int_eq(session.kv_type, SINQ_KV_I8);
    ck_assert(session.exact);
}
END_TEST

START_TEST(memory_is_checked) {
    static const struct {
        const char *name;
        uint64_t available, weights, owned, kv, scratch;
        const char *part; /* of the message; NULL: it fits */
    } cases[] = {
        {"unknown memory", 0, 1000, 1000, 1000, 1000, NULL},
        {"all mapped, larger than memory", 500, 100000, 0, 300, 200, NULL},
        {"keys and values do not fit", 500, 100000, 0, 301, 200, "a smaller --ctx-size takes less"},
        {"rebuilt weights fill it", 500, 1000, 100, 300, 200, "or a model quantized by sinq"},
        {"just fits", 600, 1000, 100, 300, 200, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_plan_report report = {.model = "m", .kv_type = "f16", .available = cases[i].available};
        report.plan = (struct sinq_plan){.weight_bytes = cases[i].weights,
                                         .owned_bytes = cases[i].owned,
                                         .kv_bytes = cases[i].kv,
                                         .scratch_bytes = cases[i].scratch,
                                         .context = 7};
        report.plan.total_bytes = cases[i].weights + cases[i].kv + cases[i].scratch;
        struct sinq_error error = {.status = 0};
        const int status = sinq_check_memory(&report, &error);
        ck_assert_msg((status == SINQ_OK) == (cases[i].part == NULL), "%s: %s", cases[i].name, error.message);
        if (cases[i].part != NULL) {
            ck_assert_int_eq(status, SINQ_FAILED);
            ck_assert_msg(strstr(error.message, cases[i].part) != NULL, "%s: %s", cases[i].name, error.message);
        }
        ck_assert(sinq_plan_fits(&report));
        report.memory = report.plan.total_bytes;
        ck_assert(sinq_plan_fits(&report));
        report.memory--;
        ck_assert(!sinq_plan_fits(&report));
    }
}
END_TEST

START_TEST(end_tokens) {
    static const struct {
        const char *name, *json;
        int32_t ids[3];
        size_t count;
    } cases[] = {
        {"a number", "{\"eos_token_id\": 2}", {2}, 1},
        {"a list", "{\"eos_token_id\": [2, 7, 2]}", {2, 7}, 2},
        {"none", "{\"eos_token_id\": null}", {0}, 0},
        {"absent", "{}", {0}, 0},
        {"text", "{\"eos_token_id\": \"2\"}", {0}, 0},
        {"out of range", "{\"eos_token_id\": [-1, 4294967296, 1e300, 5]}", {5}, 1},
        {"no JSON", "{\"eos_token_id\": ", {0}, 0},
        {"no object", "[2]", {0}, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_end_tokens ends = {.count = 0};
        sinq_add_end_tokens(&ends, cases[i].json);
        ck_assert_msg(ends.count == cases[i].count, "%s: %zu", cases[i].name, ends.count);
        for (size_t k = 0; k < ends.count; k++) {
            ck_assert_msg(ends.ids[k] == cases[i].ids[k], "%s", cases[i].name);
            ck_assert(sinq_is_end_token(&ends, ends.ids[k]));
        }
        ck_assert(!sinq_is_end_token(&ends, 99));
    }
    struct sinq_end_tokens many = {.count = 0};
    sinq_add_end_tokens(&many, "{\"eos_token_id\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18]}");
    ck_assert_uint_eq(many.count, SINQ_MOST_END_TOKENS);
}
END_TEST

/* What one of the writers makes of text[0..size). */
static void check_written(const char *name, const char *text, size_t size, bool is_terminal, bool is_quoted,
                          const char *expected, size_t expected_size) {
    char *written = NULL;
    size_t written_size = 0;
    FILE *const out = open_memstream(&written, &written_size);
    ck_assert_ptr_nonnull(out);
    if (is_quoted) {
        sinq_quote_model_text(out, text, size);
    } else {
        ck_assert(sinq_write_model_text(out, is_terminal, text, size));
    }
    fclose(out);
    ck_assert_msg(written_size == expected_size && memcmp(written, expected, expected_size) == 0, "%s: '%s'", name,
                  written);
    free(written);
}

START_TEST(shown_text) {
    static const struct {
        const char *name, *text;
        size_t size;
        const char *terminal, *quoted;
    } cases[] = {
        {"plain", "a b", 3, "a b", "\"a b\""},
        {"nothing", "", 0, "", "\"\""},
        {"newline and tab", "a\n\tb", 4, "a\n\tb", "\"a\\n\\tb\""},
        {"an escape sequence", "\033[31mred", 8, "?[31mred", "\"?[31mred\""},
        {"carriage return and DEL", "a\rb\177", 4, "a?b?", "\"a?b?\""},
        {"a control character of two bytes", "a\xc2\x85", 3, "a?", "\"a?\""},
        {"a NUL", "a\0b", 3, "a?b", "\"a?b\""},
        {"letters of many bytes", "\u00e9\u4e2d\U0001f600", 9, "\u00e9\u4e2d\U0001f600", "\"\u00e9\u4e2d\U0001f600\""},
        {"joined emoji stay joined", "\u200d", 3, "\u200d", "\"\u200d\""},
        {"what is not UTF-8", "a\xff\xc3", 3, "a\ufffd\ufffd", "\"a\ufffd\ufffd\""},
        {"quotes", "\"\\", 2, "\"\\", "\"\\\"\\\\\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check_written(cases[i].name, cases[i].text, cases[i].size, true, false, cases[i].terminal,
                      strlen(cases[i].terminal));
        check_written(cases[i].name, cases[i].text, cases[i].size, false, false, cases[i].text, cases[i].size);
        check_written(cases[i].name, cases[i].text, cases[i].size, true, true, cases[i].quoted,
                      strlen(cases[i].quoted));
    }
}
END_TEST

START_TEST(json_of_any_bytes) {
    char *written = NULL;
    size_t size = 0;
    FILE *const out = open_memstream(&written, &size);
    ck_assert_ptr_nonnull(out);
    struct sinq_json_writer json = {.out = out};
    sinq_write_open_inline(&json, NULL, '[');
    sinq_write_sized_text(&json, NULL, "a\0b\xff\n\"", 6);
    sinq_write_sized_text(&json, NULL, NULL, 0);
    sinq_write_close(&json, ']');
    fclose(out);
    ck_assert_str_eq(written, "[\"a\\u0000b\\ufffd\\u000a\\\"\", \"\"]\n");
    free(written);
}
END_TEST

START_TEST(a_full_disk_is_noticed) {
    FILE *const full = fopen("/dev/full", "w");
    if (full == NULL) {
        fputs("SKIPPED: no /dev/full here\n", stderr);
        return;
    }
    ck_assert(!sinq_write_model_text(full, false, "text", 4));
    ck_assert(!sinq_write_model_text(full, true, "", 0));
    (void)fclose(full);
}
END_TEST

START_TEST(vocabularies) {
    static const struct {
        const char *name;
        uint32_t tokenizer, model;
        bool fits;
    } cases[] = {
        {"equal", 4096, 4096, true},
        {"no tokenizer", 0, 4096, true},
        {"padded embeddings", 151669, 151936, true},
        {"one token more", 262145, 262144, true},
        {"a hundredth more", 4136, 4096, true},
        {"more than that", 4137, 4096, false},
        {"another model's", 50257, 4096, false},
        {"the largest numbers", UINT32_MAX, UINT32_MAX - 1, true},
        {"a small model", 99, 50, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_error error = {.status = 0};
        const int status = sinq_check_vocabulary("m", cases[i].tokenizer, cases[i].model, &error);
        ck_assert_msg((status == SINQ_OK) == cases[i].fits, "%s: %s", cases[i].name, error.message);
    }
}
END_TEST

UNIT_MAIN("run_parts", conflicts, repeated_texts, options_become_settings, memory_is_checked, end_tokens, shown_text,
          json_of_any_bytes, a_full_disk_is_noticed, vocabularies)
