/* test_presentation.c: what the program does to names and numbers before people and scripts see them. */
/* First: it asks the system headers for realpath. The program's files are no library: they are compiled into the test. */
#include "cmd/output_path.c"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "cmd/command_line.c"
#include "cmd/fold.c"
#include "cmd/json.c"
#include "cmd/memory.c"
#include "cmd/printable.c"
#include "cmd/quantity.c"
#include "cmd/table.c"
#include "unit.h"

/* What `write` puts into a file, as a string to free. */
static char *capture(void (*write)(FILE *out, const void *context), const void *context) {
    char *data = NULL;
    size_t size = 0;
    FILE *const out = open_memstream(&data, &size);
    ck_assert_ptr_nonnull(out);
    write(out, context);
    ck_assert_int_eq(fclose(out), 0);
    return data;
}

START_TEST(printable_text) {
    static const struct {
        const char *name, *text, *expected;
    } cases[] = {
        {"plain", "model.layers.0", "model.layers.0"},
        {"escape sequence", "a\033[31mb", "a?[31mb"},
        {"newline and tab", "a\nb\tc", "a?b?c"},
        {"delete", "a\177b", "a?b"},
        {"UTF-8", "gr\xc3\xbc\xc3\x9f \xe6\xa8\xa1\xe5\x9e\x8b", "gr\xc3\xbc\xc3\x9f \xe6\xa8\xa1\xe5\x9e\x8b"},
        {"control characters above ASCII",
         "a\xc2\x9b"
         "31m",
         "a?31m"},
        {"writing from right to left",
         "a\xe2\x80\xae"
         "b",
         "a?b"},
        {"line separator",
         "a\xe2\x80\xa8"
         "b",
         "a?b"},
        {"half a letter at the end", "a\xc3", "a?"},
        {"stray continuation",
         "a\x80"
         "b",
         "a?b"},
        {"overlong", "\xc0\xaf", "??"},
        {"surrogate", "\xed\xa0\x80", "???"},
        {"above the last code point", "\xf4\x90\x80\x80", "????"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const copy = sinq_copy_printable(cases[i].text);
        ck_assert_msg(strcmp(copy, cases[i].expected) == 0, "%s: found '%s'", cases[i].name, copy);
        free(copy);
    }
}
END_TEST

static void write_hostile_json(FILE *out, const void *context) {
    struct sinq_json_writer json = {.out = out};
    sinq_write_open(&json, NULL, '{');
    sinq_write_text(&json, context, context);
    sinq_write_close(&json, '}');
}

START_TEST(json_text_is_valid) {
    static const struct {
        const char *text, *read_back;
    } cases[] = {
        {"plain", "plain"},
        {"a\"b\\c/", "a\"b\\c/"},
        {"\n\r\t\b\f\001\037\177", "\n\r\t\b\f\001\037\177"},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"bad \xff here \xc3", "bad \xef\xbf\xbd here \xef\xbf\xbd"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const text = capture(write_hostile_json, cases[i].text);
        cJSON *const root = cJSON_ParseWithOpts(text, NULL, false);
        ck_assert_msg(root != NULL && root->child != NULL, "not JSON: %s", text);
        ck_assert_str_eq(root->child->valuestring, cases[i].read_back);
        ck_assert_str_eq(root->child->string, cases[i].read_back);
        cJSON_Delete(root);
        free(text);
    }
}
END_TEST

static void write_all_kinds(FILE *out, const void *context) {
    (void)context;
    struct sinq_json_writer json = {.out = out};
    sinq_write_open(&json, NULL, '{');
    sinq_write_count(&json, "most", UINT64_MAX);
    sinq_write_real(&json, "tenth", 0.1);
    sinq_write_real(&json, "third", 1.0 / 3.0);
    sinq_write_real(&json, "infinite", INFINITY);
    sinq_write_real(&json, "nan", NAN);
    sinq_write_text(&json, "nothing", NULL);
    sinq_write_open(&json, "empty", '[');
    sinq_write_close(&json, ']');
    sinq_write_open(&json, "list", '[');
    for (int i = 0; i < 2; i++) {
        sinq_write_open_inline(&json, NULL, '{');
        sinq_write_flag(&json, "on", i == 0);
        sinq_write_open(&json, "shape", '[');
        sinq_write_count(&json, NULL, 3);
        sinq_write_count(&json, NULL, 4);
        sinq_write_close(&json, ']');
        sinq_write_close(&json, '}');
    }
    sinq_write_close(&json, ']');
    sinq_write_close(&json, '}');
}

START_TEST(json_layout) {
    char *const text = capture(write_all_kinds, NULL);
    ck_assert_str_eq(text, "{\n"
                           "  \"most\": 18446744073709551615,\n"
                           "  \"tenth\": 0.1,\n"
                           "  \"third\": 0.3333333333333333,\n"
                           "  \"infinite\": null,\n"
                           "  \"nan\": null,\n"
                           "  \"nothing\": null,\n"
                           "  \"empty\": [],\n"
                           "  \"list\": [\n"
                           "    {\"on\": true, \"shape\": [3, 4]},\n"
                           "    {\"on\": false, \"shape\": [3, 4]}\n"
                           "  ]\n"
                           "}\n");
    free(text);
}
END_TEST

START_TEST(folded_names) {
    static const struct {
        const char *names[7], *traits[7], *expected[7];
    } cases[] = {
        {{"a.0.w", "a.1.w", "a.2.w"}, {"t", "t", "t"}, {"a.{0-2}.w x3"}},
        {{"a.0.w", "a.1.w", "a.2.w"}, {"t", "u", "t"}, {"a.{0,2}.w x2", "a.1.w x1"}},
        {{"a.9.w", "a.10.w", "a.11.w", "a.3.w"}, {"t", "t", "t", "t"}, {"a.{3,9-11}.w x4"}},
        {{"l.0.e.0", "l.0.e.1", "l.1.e.0", "l.1.e.1"}, {"", "", "", ""}, {"l.{0-1}.e.{0-1} x4"}},
        {{"l.5.e.0", "l.5.e.1"}, {"", ""}, {"l.5.e.{0-1} x2"}},
        {{"b.w", "a.0.w", "b.v", "a.1.w"}, {"", "", "", ""}, {"b.w x1", "a.{0-1}.w x2", "b.v x1"}},
        /* What only looks like a number stays as it is. */
        {{"a.01.w", "a.02.w", "a.x1.w", "a.x2.w"},
         {"", "", "", ""},
         {"a.01.w x1", "a.02.w x1", "a.x1.w x1", "a.x2.w x1"}},
        {{"12345678901", "12345678902"}, {"", ""}, {"12345678901 x1", "12345678902 x1"}},
        {{"", ".", "..", "0", "1"}, {"", "", "", "", ""}, {" x1", ". x1", ".. x1", "{0-1} x2"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t count = 0, total = 0;
        while (count < 7 && cases[i].names[count] != NULL) count++;
        struct sinq_fold_list list = sinq_fold_names(cases[i].names, cases[i].traits, count);
        for (size_t k = 0; k < list.count; k++) {
            char found[100];
            snprintf(found, sizeof found, "%s x%zu", list.folds[k].name, list.folds[k].count);
            ck_assert_ptr_nonnull(cases[i].expected[k]);
            ck_assert_str_eq(found, cases[i].expected[k]);
            total += list.folds[k].count;
        }
        ck_assert_uint_eq(total, count);
        sinq_free_folds(&list);
    }
}
END_TEST

START_TEST(quantities) {
    static const struct {
        uint64_t number;
        const char *bytes, *count;
    } numbers[] = {
        {0, "0 B", "0"},
        {999, "999 B", "999"},
        {1000, "1.00 kB", "1.00 k"},
        {6746856, "6.75 MB", "6.75 M"},
        {99960000, "100 MB", "100 M"},
        {999499999, "999 MB", "999 M"},
        {999500000, "1.00 GB", "1.00 B"},
        {UINT64_MAX, "18.4 EB", "18446744 T"},
    };
    static const struct {
        double seconds;
        const char *expected;
    } times[] = {
        {0.0, "0.000 s"},        {0.0421, "0.042 s"},   {0.4249, "0.42 s"},
        {12.34, "12.3 s"},       {99.96, "1 min 40 s"}, {119.6, "2 min 00 s"},
        {3599.4, "59 min 59 s"}, {3600, "1 h 00 min"},  {7320, "2 h 02 min"},
    };
    static const struct {
        double share;
        const char *expected;
    } shares[] = {
        {0.0, "0 %"},      {0.0891, "8.91 %"}, {0.000123, "0.0123 %"},
        {0.766, "76.6 %"}, {1.0, "100 %"},     {0.09996, "10.0 %"},
    };
    char buffer[SINQ_QUANTITY_SIZE];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        ck_assert_str_eq(sinq_format_bytes(buffer, numbers[i].number), numbers[i].bytes);
        ck_assert_str_eq(sinq_format_count(buffer, numbers[i].number), numbers[i].count);
    }
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        ck_assert_str_eq(sinq_format_seconds(buffer, times[i].seconds), times[i].expected);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++)
        ck_assert_str_eq(sinq_format_percent(buffer, shares[i].share), shares[i].expected);
}
END_TEST

START_TEST(output_paths) {
    static const struct {
        const char *model;
        bool is_directory;
        int bits;
        uint32_t group_size;
        const char *folder, *expected;
    } cases[] = {
        {"model", true, 4, 64, NULL, "model-sinq-4bit-g64"},
        {"a/model/", true, 3, 128, NULL, "a/model-sinq-3bit-g128"},
        {"/model///", true, 4, 64, NULL, "/model-sinq-4bit-g64"},
        {"a/x.safetensors", false, 4, 64, NULL, "a/x-sinq-4bit-g64.safetensors"},
        {"a/x.bin", false, 8, SINQ_GROUP_ROW, NULL, "a/x.bin-sinq-8bit-grow.safetensors"},
        {".safetensors", false, 4, 64, NULL, ".safetensors-sinq-4bit-g64.safetensors"},
        {"a/v1.5.safetensors", true, 4, 64, NULL, "a/v1.5.safetensors-sinq-4bit-g64"},
        {"a/model", true, 4, 64, "out", "out/model-sinq-4bit-g64"},
        {"a/x.gguf", true, 4, 64, NULL, "a/x-sinq-4bit-g64"},
        {"x-00001-of-00003.gguf", true, 4, 64, NULL, "x-sinq-4bit-g64"},
        {"x-00001-of-0003.gguf", true, 4, 64, NULL, "x-00001-of-0003-sinq-4bit-g64"},
        {"/", true, 4, 64, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_recipe_summary recipe = {.bits = cases[i].bits, .group_size = cases[i].group_size};
        char *const path = sinq_default_output_path(cases[i].model, cases[i].is_directory, &recipe, cases[i].folder);
        if (cases[i].expected == NULL)
            ck_assert_ptr_null(path);
        else
            ck_assert_str_eq(path, cases[i].expected);
        free(path);
    }
    const struct sinq_recipe_summary gguf = {.format = SINQ_FORMAT_GGUF, .type = "q4_k"};
    char *const paths[] = {sinq_default_output_path("a/model/", true, &gguf, NULL),
                           sinq_default_output_path("m.safetensors", false, &gguf, "out")};
    ck_assert_str_eq(paths[0], "a/model-q4_k.gguf");
    ck_assert_str_eq(paths[1], "out/m-q4_k.gguf");
    free(paths[0]);
    free(paths[1]);
    const struct sinq_recipe_summary cast = {.format = SINQ_FORMAT_PLAIN, .type = "bf16"};
    char *const casts[] = {sinq_default_output_path("a/model-q4_k.gguf", true, &cast, NULL),
                           sinq_default_output_path("m.safetensors", false, &cast, "out")};
    ck_assert_str_eq(casts[0], "a/model-q4_k-bf16");
    ck_assert_str_eq(casts[1], "out/m-bf16.safetensors");
    free(casts[0]);
    free(casts[1]);
}
END_TEST

static void write_word(FILE *out, const void *context) { sinq_write_shell_word(out, context); }

START_TEST(shell_words) {
    static const char *const cases[][2] = {
        {"plain-1.2/x=y", " plain-1.2/x=y"},
        {"", " ''"},
        {"a b", " 'a b'"},
        {"it's", " 'it'\\''s'"},
        {"$HOME", " '$HOME'"},
        {"a;b", " 'a;b'"},
        {"*", " '*'"},
        {"~", " '~'"},
        {"q_proj|k", " 'q_proj|k'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const text = capture(write_word, cases[i][0]);
        ck_assert_str_eq(text, cases[i][1]);
        free(text);
    }
}
END_TEST

struct table_case {
    size_t width;
    const char *expected;
};

static void write_table(FILE *out, const void *context) {
    static const struct sinq_column columns[] = {{"name", SINQ_FLEXIBLE}, {"n", SINQ_RIGHT}, {"why", SINQ_LEFT}};
    const struct table_case *const wanted = context;
    struct sinq_table table = {.columns = columns, .column_count = 3};
    static const char *const cells[] = {
        "model.layers.11.self_attn.query_key_value.weight", "1", "because", "gr\xc3\xbc\xc3\x9f", "12345", ""};
    for (size_t i = 0; i < 6; i++) sinq_table_add(&table, cells[i]);
    sinq_table_write(&table, out, false, wanted->width);
    sinq_table_free(&table);
}

START_TEST(tables) {
    static const struct table_case cases[] = {
        {0, "name                                                  n  why\n"
            "model.layers.11.self_attn.query_key_value.weight      1  because\n"
            "gr\xc3\xbc\xc3\x9f                                              12345\n"},
        {56, "name                                          n  why\n"
             "model.lay..._attn.query_key_value.weight      1  because\n"
             "gr\xc3\xbc\xc3\x9f                                      12345\n"},
        {5, "name                                      n  why\n"
            "model.la...tn.query_key_value.weight      1  because\n"
            "gr\xc3\xbc\xc3\x9f                                  12345\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *const text = capture(write_table, &cases[i]);
        ck_assert_str_eq(text, cases[i].expected);
        free(text);
    }
}
END_TEST

UNIT_MAIN("presentation", printable_text, json_text_is_valid, json_layout, folded_names, quantities, output_paths,
          shell_words, tables)
