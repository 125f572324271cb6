/* test_token_table.c: GGUF's lists of tokens, from a checkpoint's tokenizer files and back. */
#include <utf8proc.h>

#include "checkpoint/source.h"
#include "text/named_pretokenizer.h"
#include "text/token_table.h"
#include "tokenizer_cases.h"

/* ---- a checkpoint that is nothing but sidecars ---- */

#define MOST_FILES 4

struct files {
    struct sinq_source base;
    char *names[MOST_FILES];
    const char *texts[MOST_FILES];
};

static int read_text(const struct sinq_source *source, size_t index, char **data, size_t *size,
                     struct sinq_error *error) {
    (void)error;
    *data = strdup(((const struct files *)(const void *)source)->texts[index]);
    ck_assert_ptr_nonnull(*data);
    *size = strlen(*data);
    return SINQ_OK;
}

static const struct sinq_source_ops ops = {.read_sidecar = read_text};

static void make_files(struct files *files, const char *const pairs[], size_t count) {
    static char path[] = "model";
    *files = (struct files){.base = {.ops = &ops, .path = path, .sidecar_count = count}};
    for (size_t i = 0; i < count; i++) {
        files->names[i] = (char *)(uintptr_t)pairs[2 * i]; /* never written to */
        files->texts[i] = pairs[2 * i + 1];
    }
    files->base.sidecars = files->names;
}

static struct sinq_token_table make_table(const char *const pairs[], size_t count, uint32_t vocabulary) {
    struct files files;
    struct sinq_token_table table;
    struct sinq_error error = {0};
    make_files(&files, pairs, count);
    ck_assert_msg(sinq_make_token_table(&files.base, vocabulary, &table, &error) == SINQ_OK, "%s", error.message);
    return table;
}

static struct sinq_tokenizer *open_table(const struct sinq_token_table *table, struct sinq_text *json) {
    struct sinq_error error = {0};
    struct sinq_tokenizer *tokenizer = NULL;
    ck_assert_msg(sinq_print_tokenizer_json(table, "t.gguf", json, &error) == SINQ_OK, "%s", error.message);
    ck_assert_msg(sinq_parse_tokenizer("t.gguf", json->data, json->size, &tokenizer, &error) == SINQ_OK, "%s",
                  error.message);
    return tokenizer;
}

/* ---- real tokenizers ---- */

static const struct {
    const char *file, *model, *pre;
    size_t tokens;
    bool adds_bos;
    bool trims; /* no mark in front where a space is: llama.cpp always puts one */
} real[] = {
    {"models/classics-3m/tokenizer.json", "gpt2", "qwen2", 4096, false, false},
    {"tokenizers/gpt2/tokenizer.json", "gpt2", "gpt-2", 50257, false, false},
    {"tokenizers/llama3/tokenizer.json", "gpt2", "llama-bpe", 128256, false, false},
    {"tokenizers/qwen3/tokenizer.json", "gpt2", "qwen2", 151669, false, false},
    {"tokenizers/deepseek_v3/tokenizer.json", "gpt2", "deepseek-v3", 128815, false, false},
    {"tokenizers/llama2-sp/tokenizer.json", "llama", "default", 32000, true, false},
    {"tokenizers/mistral-7b-v0.1/tokenizer.json", "llama", "default", 32000, true, true},
};

static bool equals(struct sinq_table_string string, const char *text) {
    return string.size == strlen(text) && memcmp(string.bytes, text, string.size) == 0;
}

static void compare(const struct sinq_tokenizer *got, const struct sinq_tokenizer *expected, const char *text,
                    size_t size, const char *name) {
    struct sinq_tokens tokens[2] = {tokenize(got, text, size, SINQ_TOKENIZE_SPECIAL),
                                    tokenize(expected, text, size, SINQ_TOKENIZE_SPECIAL)};
    struct sinq_text ids[2] = {write_ids(&tokens[0]), write_ids(&tokens[1])}, back[2];
    ck_assert_msg(strcmp(ids[0].data, ids[1].data) == 0, "%s: \"%.300s\"\n got      %s\n expected %s", name, text,
                  ids[0].data, ids[1].data);
    for (int i = 0; i < 2; i++) back[i] = decode(i == 0 ? got : expected, &tokens[1], true);
    ck_assert_msg(back[0].size == back[1].size && memcmp(back[0].data, back[1].data, back[0].size) == 0,
                  "%s: text of \"%.300s\"", name, text);
    for (int i = 0; i < 2; i++) {
        sinq_text_free(&ids[i]);
        sinq_text_free(&back[i]);
        sinq_tokens_free(&tokens[i]);
    }
}

static uint32_t next_random(void) {
    static uint64_t state = 0x9e3779b97f4a7c15u;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33);
}

/* Words and signs that pre-tokenizers treat differently, in any order; in NFC. */
static void make_text(struct sinq_text *text) {
    static const char *const parts[] = {
        "the",    " The", "'s",      "'LL",       " ",    "  ",   "\n", "\r\n",     "\t",
        "1",      "12",   "1234567", "ab12cd",    "...",  "?!\n", "_x", "é",        "Übung",
        "日本",   "語を", "한국",    "α",         "🙂", "<b>",  "'",  "\xc2\xa0", "e\xcc\x81\xcc\x80",
        "़",       "/",    "//\n",    "CamelCase", "İ",    "𝒳",    "$9", "%",        " 100",
        "don't ", "٣٤"};
    text->size = 0;
    sinq_text_add(text, "");
    for (uint32_t left = 1 + next_random() % 12; left > 0; left--) {
        sinq_text_add(text, parts[next_random() % (sizeof parts / sizeof parts[0])]);
    }
    utf8proc_uint8_t *const normal = utf8proc_NFC((const utf8proc_uint8_t *)text->data);
    ck_assert_ptr_nonnull(normal);
    text->size = 0;
    sinq_text_add(text, (const char *)normal);
    free(normal);
}

static void check_real(size_t i, const char *json) {
    const char *const pairs[] = {"tokenizer.json", json};
    struct sinq_token_table table = make_table(pairs, 1, (uint32_t)real[i].tokens + 3);
    ck_assert_msg(equals(table.model, real[i].model), "%s", real[i].file);
    ck_assert_msg(equals(table.pre, real[i].pre), "%s: %.*s", real[i].file, (int)table.pre.size, table.pre.bytes);
    ck_assert_uint_eq(table.token_count, real[i].tokens + 3);
    ck_assert_int_eq(table.tokens[table.token_count - 1].kind, SINQ_TOKEN_UNUSED);
    ck_assert_int_eq(table.adds_bos, real[i].adds_bos);
    struct sinq_text again = {0}, text = {0};
    struct sinq_tokenizer *const got = open_table(&table, &again), *const expected = parse_good(json);
    ck_assert_uint_eq(sinq_tokenizer_size(expected), real[i].tokens);
    for (int n = IS_SANITIZED ? 100 : 2000; n > 0; n--) {
        make_text(&text);
        if (real[i].trims && text.data[0] == ' ') continue;
        compare(got, expected, text.data, text.size, real[i].file);
    }
    sinq_tokenizer_free(got);
    sinq_tokenizer_free(expected);
    sinq_text_free(&again);
    sinq_text_free(&text);
    sinq_free_token_table(&table);
}

START_TEST(real_tokenizers_give_the_same_ids) {
    char *const path = find_shared(real[_i].file);
    char *text = NULL;
    size_t size;
    struct sinq_error error;
    if (path == NULL) return;
    ck_assert_int_eq(sinq_read_file(path, 1 << 26, &text, &size, &error), SINQ_OK);
    check_real((size_t)_i, text);
    free(text);
    free(path);
}
END_TEST

/* Of Llama 2 the first merge has the score 0, the next -1; runs of spaces come last. */
START_TEST(scores_are_sentencepieces) {
    char *const path = find_shared("tokenizers/llama2-sp/tokenizer.json");
    char *text = NULL;
    size_t size;
    struct sinq_error error;
    if (path == NULL) return;
    ck_assert_int_eq(sinq_read_file(path, 1 << 26, &text, &size, &error), SINQ_OK);
    const char *const pairs[] = {"tokenizer.json", text};
    struct sinq_token_table table = make_table(pairs, 1, 32000);
    static const struct {
        size_t id;
        float score;
        enum sinq_token_kind kind;
    } cases[] = {{0, 0, SINQ_TOKEN_UNKNOWN},       {1, 0, SINQ_TOKEN_CONTROL},      {3, 0, SINQ_TOKEN_BYTE},
                 {258, 0, SINQ_TOKEN_BYTE},        {260, 0, SINQ_TOKEN_NORMAL},     {261, -1, SINQ_TOKEN_NORMAL},
                 {5000, -4728, SINQ_TOKEN_NORMAL}, {259, -29597, SINQ_TOKEN_NORMAL}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct sinq_table_token *const token = &table.tokens[cases[i].id];
        ck_assert_int_eq(token->kind, cases[i].kind);
        ck_assert_msg(token->score == cases[i].score, "token %zu has %g", cases[i].id, (double)token->score);
    }
    sinq_free_token_table(&table);
    free(text);
    free(path);
}
END_TEST

/* ---- special tokens ---- */

#define BYTE_LEVEL "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
#define MODEL      "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]},"
#define ADDED                                                                                                          \
    "\"added_tokens\":[{\"id\":3,\"content\":\"<s>\",\"special\":true},{\"id\":4,\"content\":\"<|im_end|>\","          \
    "\"special\":false},{\"id\":5,\"content\":\"  \",\"special\":false}]"

START_TEST(special_tokens_are_named) {
    static const char *const pairs[] = {"tokenizer.json",
                                        "{" BYTE_LEVEL MODEL ADDED "}",
                                        "tokenizer_config.json",
                                        "{\"bos_token\":\"<s>\",\"pad_token\":{\"content\":\"ab\"},"
                                        "\"chat_template\":\"{{ \\\"x\\\" }}\"}",
                                        "config.json",
                                        "{\"bos_token_id\":1,\"eos_token_id\":[0,4]}"};
    struct sinq_token_table table = make_table(pairs, 3, 8);
    ck_assert_int_eq(table.bos, 3);
    ck_assert_int_eq(table.eos, 0);
    ck_assert_int_eq(table.padding, 2);
    ck_assert_int_eq(table.unknown, -1);
    ck_assert_int_eq(table.end_of_turn, 4);
    ck_assert_int_eq(table.adds_bos, 0);
    static const enum sinq_token_kind kinds[] = {SINQ_TOKEN_NORMAL,  SINQ_TOKEN_NORMAL,  SINQ_TOKEN_NORMAL,
                                                 SINQ_TOKEN_CONTROL, SINQ_TOKEN_CONTROL, SINQ_TOKEN_USER_DEFINED,
                                                 SINQ_TOKEN_UNUSED,  SINQ_TOKEN_UNUSED};
    for (size_t i = 0; i < 8; i++) ck_assert_int_eq(table.tokens[i].kind, kinds[i]);
    ck_assert(equals(table.tokens[7].text, "[PAD7]"));
    ck_assert(equals(table.merges[0], "a b"));
    ck_assert(equals(table.chat_template, "{{ \"x\" }}"));
    struct sinq_text config = {0};
    struct sinq_error error;
    ck_assert_int_eq(sinq_print_tokenizer_config(&table, "t.gguf", &config, &error), SINQ_OK);
    ck_assert_ptr_nonnull(strstr(config.data, "\"bos_token\":\"<s>\""));
    ck_assert_ptr_nonnull(strstr(config.data, "\"chat_template\":\"{{ \\\"x\\\" }}\""));
    sinq_text_free(&config);
    sinq_free_token_table(&table);
}
END_TEST

/* ---- what cannot be said ---- */

static const struct {
    const char *json;
    uint32_t vocabulary;
    const char *message;
} refused[] = {
    {"{" BYTE_LEVEL MODEL ADDED "}", 5, "6 tokens, but config.json says vocab_size 5"},
    {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\"}," MODEL ADDED "}", 8, "GGUF has no name for a pre-tokenizer with"},
    {"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x+\"},"
     "\"behavior\":\"Isolated\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]}," MODEL ADDED "}",
     8, "splits at x+, ..."},
    {"{" BYTE_LEVEL "\"normalizer\":{\"type\":\"Lowercase\"}," MODEL ADDED "}", 8, "this normalizer"},
    {"{" MODEL ADDED "}", 8, "neither byte-level nor with byte_fallback"},
    {"{" BYTE_LEVEL MODEL "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"a\",0],\"sep\":[\"b\",1]}," ADDED
     "}",
     8, NULL}, /* cls is BOS then, and sep EOS */
};

START_TEST(what_gguf_cannot_say_is_refused) {
    const char *const pairs[] = {"tokenizer.json", refused[_i].json};
    struct files files;
    struct sinq_token_table table;
    struct sinq_error error = {0};
    make_files(&files, pairs, 1);
    const int status = sinq_make_token_table(&files.base, refused[_i].vocabulary, &table, &error);
    ck_assert_int_eq(status, refused[_i].message == NULL ? SINQ_OK : SINQ_FAILED);
    if (refused[_i].message != NULL) {
        ck_assert_msg(strstr(error.message, refused[_i].message) != NULL, "%s", error.message);
    }
    sinq_free_token_table(&table);
}
END_TEST

#define TEXT(s)                                                                                                        \
    { s, sizeof(s) - 1 }

START_TEST(foreign_tables_are_checked) {
    struct sinq_table_token tokens[] = {
        {TEXT("a"), 0, SINQ_TOKEN_NORMAL}, {TEXT("b"), 0, SINQ_TOKEN_NORMAL}, {TEXT("ab"), 1, SINQ_TOKEN_NORMAL}};
    struct sinq_table_string merges[] = {TEXT("a b")};
    struct sinq_token_table table = sinq_empty_token_table();
    struct sinq_text json = {0};
    struct sinq_error error = {0};
    table.tokens = tokens;
    table.token_count = 3;
    table.merges = merges;
    table.merge_count = 1;
    table.model = (struct sinq_table_string)TEXT("t5");
    ck_assert_int_eq(sinq_print_tokenizer_json(&table, "t.gguf", &json, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "\"t5\" is not supported") != NULL, "%s", error.message);
    table.model = (struct sinq_table_string)TEXT("gpt2");
    table.pre = (struct sinq_table_string)TEXT("nothing");
    ck_assert_int_eq(sinq_print_tokenizer_json(&table, "t.gguf", &json, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "\"nothing\" is not known") != NULL, "%s", error.message);
    table.pre = (struct sinq_table_string){0};
    tokens[1].text = (struct sinq_table_string)TEXT("\xff");
    ck_assert_int_eq(sinq_print_tokenizer_json(&table, "t.gguf", &json, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "token 1: UTF-8 text") != NULL, "%s", error.message);
    tokens[1].text = (struct sinq_table_string)TEXT("b");
    table.bos = 7;
    table.adds_bos = 1;
    json.size = 0;
    struct sinq_tokenizer *tokenizer = open_table(&table, &json);
    struct sinq_tokens ids = tokenize(tokenizer, "aab", 3, SINQ_TOKENIZE_SPECIAL);
    ck_assert_uint_eq(ids.count, 2);
    sinq_tokens_free(&ids);
    sinq_tokenizer_free(tokenizer);
    sinq_text_free(&json);
}
END_TEST

/* All parts of three texts of 128 characters are tokens: two of any that stand side by side make a third. */
START_TEST(merges_are_bounded) {
    enum { TEXTS = 3, CHARACTERS = 128, TOKENS = TEXTS * CHARACTERS * (CHARACTERS + 1) / 2 };
    static char text[TEXTS * CHARACTERS * 2];
    static struct sinq_table_token tokens[TOKENS];
    struct sinq_token_table table = sinq_empty_token_table();
    struct sinq_text json = {0};
    struct sinq_error error = {0};
    for (unsigned i = 0; i < TEXTS * CHARACTERS; i++) {
        text[2 * i] = (char)(0xc4 + i / 64);
        text[2 * i + 1] = (char)(0x80 + i % 64);
    }
    for (size_t t = 0; t < TEXTS; t++) {
        for (size_t first = 0; first < CHARACTERS; first++) {
            for (size_t count = 1; count <= CHARACTERS - first; count++) {
                tokens[table.token_count++] =
                    (struct sinq_table_token){{text + 2 * (t * CHARACTERS + first), 2 * count}, 0, SINQ_TOKEN_NORMAL};
            }
        }
    }
    ck_assert_uint_eq(table.token_count, TOKENS);
    table.tokens = tokens;
    table.model = (struct sinq_table_string)TEXT("llama");
    ck_assert_int_eq(sinq_print_tokenizer_json(&table, "t.gguf", &json, &error), SINQ_FAILED);
    ck_assert_msg(strstr(error.message, "to put tokens together") != NULL, "%s", error.message);
    sinq_text_free(&json);
}
END_TEST

/* Each line of the table is found by what it does, but those that do the same as an earlier one. */
START_TEST(names_go_both_ways) {
    static const char *const names[] = {"gpt-2",       "qwen2",          "llama-bpe", "smaug-bpe", "qwen35",
                                        "deepseek-v3", "deepseek-llm",   "tekken",    "gpt-4o",    "starcoder",
                                        "falcon",      "deepseek-coder", "default"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct sinq_named_pretokenizer *named = sinq_find_named_pretokenizer(names[i], strlen(names[i])), *found;
        struct sinq_text json = {0};
        struct sinq_error error = {0};
        ck_assert_ptr_nonnull(named);
        sinq_print_named_pretokenizer(named, &json);
        cJSON *const parsed = cJSON_Parse(json.data);
        ck_assert_msg(sinq_name_pretokenizer("t", parsed, named->ignores_merges, &found, &error) == SINQ_OK, "%s",
                      error.message);
        ck_assert_str_eq(found->names, named->names);
        cJSON_Delete(parsed);
        sinq_text_free(&json);
    }
    ck_assert_ptr_eq(sinq_find_named_pretokenizer("llama3", 6), sinq_find_named_pretokenizer("llama-bpe", 9));
    ck_assert_ptr_eq(sinq_find_named_pretokenizer("", 0), sinq_find_named_pretokenizer("default", 7));
    ck_assert_ptr_null(sinq_find_named_pretokenizer("llama", 5));
}
END_TEST

int main(void) {
    Suite *const suite = suite_create("token table");
    TCase *const tcase = tcase_create("token table");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, real_tokenizers_give_the_same_ids, 0, (int)(sizeof real / sizeof real[0]));
    tcase_add_test(tcase, scores_are_sentencepieces);
    tcase_add_test(tcase, special_tokens_are_named);
    tcase_add_loop_test(tcase, what_gguf_cannot_say_is_refused, 0, (int)(sizeof refused / sizeof refused[0]));
    tcase_add_test(tcase, foreign_tables_are_checked);
    tcase_add_test(tcase, merges_are_bounded);
    tcase_add_test(tcase, names_go_both_ways);
    suite_add_tcase(suite, tcase);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
