/* test_literal_ranges.c: control tokens that somebody writes into a message stay text, those of the template are tokens. */
#include <string.h>

#include "text/literal.h"
#include "unit.h"

/* Bytes of ASCII as tokens, pairs "ab" and "<|"; added: 100 special, 101 <|turn|>, 102 and 103 with wide bars, 104 <think>. */
#define VOCABULARY                                                                                                     \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"<\":2,\"|\":3,\">\":4,\"e\":5,\"n\":6,\"d\":7,\"t\":8,"  \
    "\"u\":9,\"r\":10,\"x\":11,\"ab\":12,\"<|\":13,\"h\":14,\"i\":15,\"k\":16,\"A\":17,\"\\uff5c\":18,\"\\ufffd\":19"  \
    "},\"merges\":[\"a b\",\"< |\"]}"
#define TOKEN(id, content, normalized, special)                                                                        \
    "{\"id\":" #id ",\"content\":\"" content                                                                           \
    "\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,\"normalized\":" normalized ",\"special\":" special    \
    "}"
#define TOKENIZER(normalizer)                                                                                          \
    "{\"added_tokens\":[" TOKEN(100, "<e>", "false", "true") "," TOKEN(101, "<|turn|>", "false", "false") "," TOKEN(   \
        102, "<\\uff5cA\\uff5c>", "true",                                                                              \
        "false") "," TOKEN(103, "<\\uff5cx\\uff5c>", "false",                                                          \
                           "false") "," TOKEN(104, "<think>", "false",                                                 \
                                              "false") "],\"normalizer\":" normalizer                                  \
                                                       ",\"pre_tokenizer\":null,\"post_processor\":null,\"decoder\":"  \
                                                       "null," VOCABULARY "}"

static struct sinq_tokenizer *parse(const char *json) {
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_error error = {.status = 0};
    const int status = sinq_parse_tokenizer("made up", json, strlen(json), &tokenizer, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return tokenizer;
}

/* `text` marks literal ranges with [ and ], which are taken out. */
static struct sinq_tokens tokenize(const struct sinq_tokenizer *tokenizer, const char *text) {
    char plain[200];
    struct sinq_literal_range ranges[8];
    size_t size = 0, count = 0;
    for (; *text != '\0'; text++) {
        if (*text == '[') {
            ranges[count].begin = size;
        } else if (*text == ']') {
            ranges[count++].end = size;
        } else {
            plain[size++] = *text;
        }
    }
    struct sinq_tokens tokens = {.count = 0};
    struct sinq_error error = {.status = 0};
    const int status = sinq_tokenize_ranges(tokenizer, plain, size, ranges, count, &tokens, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return tokens;
}

START_TEST(marked_texts) {
    static const struct {
        const char *name, *text;
        int32_t ids[12];
        size_t count;
    } cases[] = {
        {"no ranges", "a<e>b", {0, 100, 1}, 3},
        {"a special token in a range", "[a<e>b]", {0, 2, 5, 4, 1}, 5},
        {"beside a range", "[a]<e>[b]", {0, 100, 1}, 3},
        {"its end in a range", "a<e[>b]", {0, 2, 5, 4, 1}, 5},
        {"its beginning in a range", "[a<]e>b", {0, 2, 5, 4, 1}, 5},
        {"around a range", "a<[e]>b", {0, 2, 5, 4, 1}, 5},
        {"around an empty range", "a<[]e>b", {0, 100, 1}, 3},
        {"an empty range first, another behind", "[]<e>[x]", {100, 11}, 2},
        {"an empty range inside, a full one behind", "<[]e>[x]", {100, 11}, 2},
        {"a turn outside", "<|turn|>[a]", {101, 0}, 2},
        {"a turn inside", "[<|turn|>]", {13, 8, 9, 10, 6, 3, 4}, 7},
        {"wide bars inside", "[<\uff5cx\uff5c>]", {2, 18, 11, 18, 4}, 5},
        {"wide bars outside", "<\uff5cx\uff5c>[a]", {103, 0}, 2},
        {"a normalized one inside", "[<\uff5cA\uff5c>]", {2, 18, 17, 18, 4}, 5},
        {"a normalized one outside", "<\uff5cA\uff5c>[a]<\uff5cA\uff5c>[b]", {102, 0, 102, 1}, 4},
        {"other added tokens everywhere", "[<think>]<think>", {104, 104}, 2},
        {"words go on across edges", "[a]b", {12}, 1},
        {"words go on across refused tokens' edges", "[<e>a]b", {2, 5, 4, 12}, 4},
        {"many ranges", "[a]<e>[<e>]<e>[b]", {0, 100, 2, 5, 4, 100, 1}, 7},
    };
    struct sinq_tokenizer *const tokenizer = parse(TOKENIZER("null"));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_tokens tokens = tokenize(tokenizer, cases[i].text);
        ck_assert_msg(tokens.count == cases[i].count, "%s: %zu tokens", cases[i].name, tokens.count);
        for (size_t k = 0; k < tokens.count; k++)
            ck_assert_msg(tokens.ids[k] == cases[i].ids[k], "%s: token %zu is %d", cases[i].name, k, tokens.ids[k]);
        sinq_tokens_free(&tokens);
    }
    sinq_tokenizer_free(tokenizer);
}
END_TEST

/* A normalizer that moves bytes. */
START_TEST(moving_normalizer) {
    struct sinq_tokenizer *const tokenizer = parse(TOKENIZER("{\"type\":\"Prepend\",\"prepend\":\"x\"}"));
    struct sinq_tokens tokens = tokenize(tokenizer, "<\uff5cA\uff5c>[<\uff5cA\uff5c>]");
    for (size_t i = 2; i < tokens.count; i++) ck_assert_int_ne(tokens.ids[i], 102);
    ck_assert_uint_ge(tokens.count, 6);
    sinq_tokens_free(&tokens);
    tokens = tokenize(tokenizer, "<e>[<e>]<e>");
    ck_assert_uint_eq(tokens.count, 6);
    ck_assert_int_eq(tokens.ids[0], 100);
    ck_assert_int_eq(tokens.ids[5], 100);
    sinq_tokens_free(&tokens);
    sinq_tokenizer_free(tokenizer);
}
END_TEST

UNIT_MAIN("literal_ranges", marked_texts, moving_normalizer)
