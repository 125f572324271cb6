/*
 * test_tokenizer.c: added and special tokens, what is put around a text, and the way back. What the table expects is what Hugging Face's
 * tokenizers 0.22.2 gives for the same tokenizer and text.
 */
#include <pthread.h>

#include "tokenizer_cases.h"

#define LETTERS                                                                                                        \
    "{\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"x\":3,\"y\":4,\" "                                                          \
    "\":5,\"\\n\":6,\"A\":7,\"B\":8,\".\":9,\"_\":10},\"merges\":[]}"
#define BYTES                                                                                                          \
    "{\"vocab\":{\"!\":0,\"\\\"\":1,\"#\":2,\"$\":3,\"%\":4,\"&\":5,\"'\":6,\"(\":7,\")\":8,\"*\":9,\"+\":10,\",\":"   \
    "11,\"-\":12,\".\":13,\"/"                                                                                         \
    "\":14,\"0\":15,\"1\":16,\"2\":17,\"3\":18,\"4\":19,\"5\":20,\"6\":21,\"7\":22,\"8\":23,\"9\":24,\":\":25,\";\":"  \
    "26,\"<\":27,\"=\":28,\">\":29,\"?\":30,\"@\":31,\"A\":32,\"B\":33,\"C\":34,\"D\":35,\"E\":36,\"F\":37,\"G\":38,"  \
    "\"H\":39,\"I\":40,\"J\":41,\"K\":42,\"L\":43,\"M\":44,\"N\":45,\"O\":46,\"P\":47,\"Q\":48,\"R\":49,\"S\":50,"     \
    "\"T\":51,\"U\":52,\"V\":53,\"W\":54,\"X\":55,\"Y\":56,\"Z\":57,\"[\":58,\"\\\\\":59,\"]\":60,\"^\":61,\"_\":62,"  \
    "\"`\":63,\"a\":64,\"b\":65,\"c\":66,\"d\":67,\"e\":68,\"f\":69,\"g\":70,\"h\":71,\"i\":72,\"j\":73,\"k\":74,"     \
    "\"l\":75,\"m\":76,\"n\":77,\"o\":78,\"p\":79,\"q\":80,\"r\":81,\"s\":82,\"t\":83,\"u\":84,\"v\":85,\"w\":86,"     \
    "\"x\":87,\"y\":88,\"z\":89,\"{\":90,\"|\":91,\"}\":92,\"~\":93,\"\\u0120\":94,\"\\u010a\":95,\"\\u00c3\":96,"     \
    "\"\\u00a9\":97,\"\\u00e4\":98,\"\\u00bd\":99,\"\\u0142\":100,\"\\u00f0\":101,\"\\u0141\":102,\"\\u013a\":103,"    \
    "\"\\u0122\":104},\"merges\":[]}"
#define PIECES                                                                                                         \
    "{\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</"          \
    "s>\":2,\"<0xE2>\":3,\"<0x82>\":4,\"<0xAC>\":5,\"<0xF0>\":6,\"<0x9F>\":7,\"<0x98>\":8,\"<0x80>\":9,\"\\u2581\":"   \
    "10,\"a\":11,\"b\":12,\"\\u2581a\":13,\"\\u2581\\u2581\":14,\"\\u00e9\":15},\"merges\":[[\"\\u2581\",\"a\"],["     \
    "\"\\u2581\",\"\\u2581\"]]}"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"
#define LLAMA_DECODER                                                                                                  \
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" "  \
    "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "                          \
    "\",\"start\":1,\"stop\":0}]}"
#define LLAMA_NORMALIZER                                                                                               \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"\\u2581\"},{\"type\":\"Replace\","    \
    "\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}"
#define TEMPLATE                                                                                                       \
    "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{"   \
    "\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":{\"id\":\"</"                                                      \
    "s>\",\"type_id\":0}}],\"pair\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"Sequence\":{\"id\":\"B\",\"type_"  \
    "id\":1}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[1],\"tokens\":[\"<s>\"]},\"</s>\":{\"id\":\"</"    \
    "s>\",\"ids\":[2],\"tokens\":[\"</s>\"]}}}"

static const struct {
    const char *name, *json, *text;
    unsigned flags;
    const char *ids, *decoded, *without_special;
} cases[] = {
    {"an added token is found anywhere",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"ab\",\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},"
     "\"model\":" LETTERS "}",
     "xabcab", 0, "3 11 2 11", "xabcab", "xabcab"},
    {"the longest of those that begin at a place",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"a\",\"normalized\":false},{\"id\":11,\"content\":\"ab\","
     "\"normalized\":false},{\"id\":12,\"content\":\"abcx\",\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},"
     "\"model\":" LETTERS "}",
     "abcabx", 0, "11 2 11 3", "abcabx", "abcabx"},
    {"the leftmost, even if a longer one overlaps",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"ab\",\"normalized\":false},{\"id\":12,\"content\":\"bcx\","
     "\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "abcx", 0, "11 2 3", "abcx", "abcx"},
    {"lstrip takes white space before it",
     "{\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"lstrip\":true,\"normalized\":false}],\"decoder\":{\"type\":"
     "\"Fuse\"},\"model\":" LETTERS "}",
     "a \n xb", 0, "0 3 1", "axb", "axb"},
    {"rstrip takes white space behind it",
     "{\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"rstrip\":true,\"normalized\":false}],\"decoder\":{\"type\":"
     "\"Fuse\"},\"model\":" LETTERS "}",
     "ax \n b", 0, "0 3 1", "axb", "axb"},
    {"both, side by side",
     "{\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"lstrip\":true,\"rstrip\":true,\"normalized\":false}],"
     "\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "a x  x b", 0, "0 3 3 1", "axxb", "axxb"},
    {"white space as a token that takes more along",
     "{\"added_tokens\":[{\"id\":5,\"content\":\" "
     "\",\"rstrip\":true,\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "a    b", 0, "0 5 5 5 5 1", "a    b", "a    b"},
    {"the same to both sides",
     "{\"added_tokens\":[{\"id\":5,\"content\":\" "
     "\",\"lstrip\":true,\"rstrip\":true,\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "a    b", 0, "0 5 1", "a b", "a b"},
    {"a single word",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"ab\",\"single_word\":true,\"normalized\":false}],\"decoder\":{"
     "\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "ab xab abx ab. _ab .ab", 0, "11 5 3 0 1 5 0 1 3 5 11 9 5 10 0 1 5 9 11", "ab xab abx ab. _ab .ab",
     "ab xab abx ab. _ab .ab"},
    {"a single word: after a discarded place it goes on behind it",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"aa\",\"single_word\":true,\"normalized\":false}],\"decoder\":{"
     "\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "aaa aa", 0, "0 0 0 5 11", "aaa aa", "aaa aa"},
    {"a normalized token is found in normal text",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"AB\",\"normalized\":true}],\"normalizer\":{\"type\":\"Lowercase\"},"
     "\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "xAbab", 0, "3 11 11", "xABAB", "xABAB"},
    {"another only as it is written",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"AB\",\"normalized\":false}],\"normalizer\":{\"type\":\"Lowercase\"},"
     "\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "xAbABab", 0, "3 0 1 11 0 1", "xabABab", "xabABab"},
    {"what is found raw goes before what is found in normal text",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"ab\",\"normalized\":true},{\"id\":12,\"content\":\"bc\","
     "\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "abc", 0, "0 12", "abc", "abc"},
    {"special tokens are found too",
     "{\"added_tokens\":[{\"id\":11,\"content\":\"<s>\",\"normalized\":false,\"special\":true}],\"decoder\":{\"type\":"
     "\"Fuse\"},\"model\":" LETTERS "}",
     "a<s>b", 0, "0 11 1", "a<s>b", "ab"},
    {"token with space in front",
     "{\"added_tokens\":[{\"id\":11,\"content\":\" "
     "a\",\"normalized\":false}],\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "b a a", 0, "1 11 11", "b a a", "b a a"},
    {"Llama 2: a mark in front of each piece",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"normalized\":false,\"special\":true},{\"id\":1,\"content\":"
     "\"<s>\",\"normalized\":false,\"special\":true},{\"id\":2,\"content\":\"</"
     "s>\",\"normalized\":false,\"special\":true}],\"normalizer\":" LLAMA_NORMALIZER ",\"decoder\":" LLAMA_DECODER
     ",\"model\":" PIECES "}",
     "a<s>a </s> a", 0, "13 1 13 10 2 10 13", "a<s> a </s>  a", "a a   a"},
    {"Llama 2: spaces in front",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"normalized\":false,\"special\":true},{\"id\":1,\"content\":"
     "\"<s>\",\"normalized\":false,\"special\":true},{\"id\":2,\"content\":\"</"
     "s>\",\"normalized\":false,\"special\":true}],\"normalizer\":" LLAMA_NORMALIZER ",\"decoder\":" LLAMA_DECODER
     ",\"model\":" PIECES "}",
     "  a  a", 0, "14 13 10 13", "  a  a", "  a  a"},
    {"Llama 2: nothing",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"normalized\":false,\"special\":true},{\"id\":1,\"content\":"
     "\"<s>\",\"normalized\":false,\"special\":true},{\"id\":2,\"content\":\"</"
     "s>\",\"normalized\":false,\"special\":true}],\"normalizer\":" LLAMA_NORMALIZER ",\"post_processor\":" TEMPLATE
     ",\"decoder\":" LLAMA_DECODER ",\"model\":" PIECES "}",
     "", 1, "1 2", "<s></s>", ""},
    {"Llama 2: BOS and EOS",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"normalized\":false,\"special\":true},{\"id\":1,\"content\":"
     "\"<s>\",\"normalized\":false,\"special\":true},{\"id\":2,\"content\":\"</"
     "s>\",\"normalized\":false,\"special\":true}],\"normalizer\":" LLAMA_NORMALIZER ",\"post_processor\":" TEMPLATE
     ",\"decoder\":" LLAMA_DECODER ",\"model\":" PIECES "}",
     "a b", 1, "1 13 10 12 2", "<s> a b</s>", "a b"},
    {"Llama 2: bytes of a character",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"normalized\":false,\"special\":true},{\"id\":1,\"content\":"
     "\"<s>\",\"normalized\":false,\"special\":true},{\"id\":2,\"content\":\"</"
     "s>\",\"normalized\":false,\"special\":true}],\"normalizer\":" LLAMA_NORMALIZER ",\"decoder\":" LLAMA_DECODER
     ",\"model\":" PIECES "}",
     "a\xe2\x82\xac\xf0\x9f\x98\x80"
     "b\xc3\xa9",
     0, "13 3 4 5 6 7 8 9 12 15",
     "a\xe2\x82\xac\xf0\x9f\x98\x80"
     "b\xc3\xa9",
     "a\xe2\x82\xac\xf0\x9f\x98\x80"
     "b\xc3\xa9"},
    {"Mistral: a mark in front of the text alone",
     "{\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\",\"normalized\":false,\"special\":true},{\"id\":1,\"content\":"
     "\"<s>\",\"normalized\":false,\"special\":true},{\"id\":2,\"content\":\"</"
     "s>\",\"normalized\":false,\"special\":true}],\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":"
     "\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":false},\"decoder\":" LLAMA_DECODER ",\"model\":" PIECES "}",
     "a<s>a </s> a", 0, "13 1 11 10 2 13", "a<s>a </s> a", "aa  a"},
    {"Metaspace both ways",
     "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"always\",\"split\":"
     "true},\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"always\",\"split\":"
     "true},\"model\":" PIECES "}",
     "a  a b", 0, "13 10 13 10 12", "a  a b", "a  a b"},
    {"a decoder that strips each token",
     "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Strip\",\"content\":\"\\u2581\",\"start\":1,"
     "\"stop\":0},{\"type\":\"Fuse\"}]},\"model\":" PIECES "}",
     "\xe2\x96\x81\xe2\x96\x81"
     "a\xe2\x96\x81"
     "ab",
     0, "10 13 13 12", "aab", "aab"},
    {"a decoder that strips the end",
     "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
     "\",\"start\":1,\"stop\":2}]},\"model\":" LETTERS "}",
     "  a  b    ", 0, "5 5 0 5 5 1 5 5 5 5", " a  b  ", " a  b  "},
    {"no decoder", "{\"decoder\":null,\"model\":" LETTERS "}", "abc", 0, "0 1 2", "a b c", "a b c"},
    {"byte-level: characters over several tokens",
     "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},"
     "\"decoder\":" BYTE_LEVEL ",\"model\":" BYTES "}",
     "a \xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\n", 0, "64 94 96 97 98 99 100 101 102 103 104 95",
     "a \xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\n", "a \xc3\xa9\xe4\xbd\xa0\xf0\x9f\x98\x80\n"},
    {"byte-level: an added token that is no bytes",
     "{\"added_tokens\":[{\"id\":105,\"content\":\"<\\uff5ca "
     "b\\uff5c>\",\"normalized\":false,\"special\":true}],\"pre_tokenizer\":" BYTE_LEVEL ",\"decoder\":" BYTE_LEVEL
     ",\"model\":" BYTES "}",
     "a<\xef\xbd\x9c"
     "a b\xef\xbd\x9c>b",
     0, "94 64 105 94 65",
     " a<\xef\xbd\x9c"
     "a b\xef\xbd\x9c> b",
     " a b"},
    {"byte-level: an added token that looks like bytes",
     "{\"added_tokens\":[{\"id\":105,\"content\":\"\\u00e9\",\"normalized\":false}],\"pre_tokenizer\":{\"type\":"
     "\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},\"decoder\":" BYTE_LEVEL
     ",\"model\":" BYTES "}",
     "a\xc3\xa9"
     "b",
     0, "64 105 65",
     "a\xef\xbf\xbd"
     "b",
     "a\xef\xbf\xbd"
     "b"},
    {"a template within a sequence",
     "{\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":true,"
     "\"trim_offsets\":false,\"use_regex\":true}," TEMPLATE "]},\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "a", 1, "1 0 2", "bac", "bac"},
    {"Roberta's way",
     "{\"post_processor\":{\"type\":\"RobertaProcessing\",\"sep\":[\"b\",1],\"cls\":[\"a\",0],\"trim_offsets\":true,"
     "\"add_prefix_space\":false},\"decoder\":{\"type\":\"Fuse\"},\"model\":" LETTERS "}",
     "c", 1, "0 2 1", "acb", "acb"},
};

START_TEST(ids_and_text_are_those_of_the_reference) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_tokenizer *const tokenizer = parse_good(cases[i].json);
        struct sinq_tokens tokens = tokenize(tokenizer, cases[i].text, strlen(cases[i].text), cases[i].flags);
        struct sinq_text ids = write_ids(&tokens), decoded = decode(tokenizer, &tokens, false);
        struct sinq_text without_special = decode(tokenizer, &tokens, true);
        ck_assert_msg(strcmp(ids.data, cases[i].ids) == 0, "%s: got %s, expected %s", cases[i].name, ids.data,
                      cases[i].ids);
        ck_assert_msg(strcmp(decoded.data, cases[i].decoded) == 0, "%s: got \"%s\", expected \"%s\"", cases[i].name,
                      decoded.data, cases[i].decoded);
        ck_assert_msg(strcmp(without_special.data, cases[i].without_special) == 0, "%s: got \"%s\", expected \"%s\"",
                      cases[i].name, without_special.data, cases[i].without_special);
        sinq_text_free(&ids);
        sinq_text_free(&decoded);
        sinq_text_free(&without_special);
        sinq_tokens_free(&tokens);
        sinq_tokenizer_free(tokenizer);
    }
}
END_TEST

#define ADDED                                                                                                          \
    "\"added_tokens\":[{\"id\":11,\"content\":\"<s>\",\"special\":true,\"normalized\":false},{\"id\":12,\"content\":"  \
    "\"ab\",\"normalized\":false}],"

START_TEST(literal_leaves_special_tokens_in_the_text) {
    struct sinq_tokenizer *const tokenizer = parse_good("{" ADDED "\"model\":" LETTERS "}");
    struct sinq_tokens tokens = tokenize(tokenizer, "ab<s>x", 6, 0);
    struct sinq_text ids = write_ids(&tokens);
    ck_assert_str_eq(ids.data, "12 11 3");
    sinq_tokens_free(&tokens);
    sinq_text_free(&ids);
    tokens = tokenize(tokenizer, "ab<s>x", 6, SINQ_TOKENIZE_LITERAL); /* <, s and > are no tokens */
    ids = write_ids(&tokens);
    ck_assert_str_eq(ids.data, "12 3");
    sinq_tokens_free(&tokens);
    sinq_text_free(&ids);
    sinq_tokenizer_free(tokenizer);
}
END_TEST

START_TEST(ids_are_appended) {
    struct sinq_tokenizer *const tokenizer = parse_good("{\"model\":" LETTERS "}");
    struct sinq_tokens tokens = tokenize(tokenizer, "ab", 2, 0);
    struct sinq_error error = {0};
    for (int i = 0; i < 3; i++) { /* longer ones too, whose words are found again by where they stand in the output */
        ck_assert_int_eq(sinq_tokenize(tokenizer, "abc abc abc abc abc abc abc abc abc abc abc abc abc abc abc abc abc",
                                       67, 0, &tokens, &error),
                         SINQ_OK);
    }
    ck_assert_uint_eq(tokens.count, 2 + 3 * 67);
    for (size_t i = 2; i < tokens.count; i++) ck_assert_int_eq(tokens.ids[i], tokens.ids[2 + (i - 2) % 67]);
    sinq_tokens_free(&tokens);
    sinq_tokenizer_free(tokenizer);
}
END_TEST

START_TEST(names_and_sizes) {
    struct sinq_tokenizer *const tokenizer = parse_good("{" ADDED "\"model\":" LETTERS "}");
    ck_assert_uint_eq(sinq_tokenizer_size(tokenizer), 13);
    ck_assert_int_eq(sinq_tokenizer_find(tokenizer, "<s>"), 11);
    ck_assert_int_eq(sinq_tokenizer_find(tokenizer, "_"), 10);
    ck_assert_int_eq(sinq_tokenizer_find(tokenizer, "nothing"), -1);
    ck_assert_int_eq(sinq_tokenizer_find(tokenizer, ""), -1);
    ck_assert_int_eq(sinq_tokenizer_find(tokenizer, "\xff"), -1);
    ck_assert(!sinq_tokenizer_is_end(tokenizer, 11));
    sinq_tokenizer_free(tokenizer);
    struct sinq_tokenizer *const bytes = parse_good("{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":" BYTES "}");
    ck_assert_int_gt(sinq_tokenizer_find(bytes, "\xc4\xa0"), 0); /* as written: U+0120 */
    ck_assert_int_eq(sinq_tokenizer_find(bytes, " "), -1);
    sinq_tokenizer_free(bytes);
}
END_TEST

/* ---- bytes that are not UTF-8 ---- */

static const struct {
    const char *name, *bytes, *same;
} broken[] = {
    {"a lone continuation", "a\x80z", "a\xef\xbf\xbdz"},
    {"an overlong form", "\xc0\xafz", "\xef\xbf\xbd\xef\xbf\xbdz"},
    {"a character cut off", "\xe4\xbdz", "\xef\xbf\xbdz"},
    {"at the end", "a\xf0\x9f\x98", "a\xef\xbf\xbd"},
    {"a surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"above the last code point", "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    {"bytes that are never used", "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
    {"between good characters", "\xc3\xa9\xc3\xe4\xbd\xa0", "\xc3\xa9\xef\xbf\xbd\xe4\xbd\xa0"},
};

START_TEST(what_is_not_utf8_is_the_replacement_character) {
    struct sinq_tokenizer *const tokenizer = make_bytes();
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct sinq_tokens tokens = tokenize(tokenizer, broken[i].bytes, strlen(broken[i].bytes), 0);
        ck_assert_uint_eq(tokens.count, strlen(broken[i].same));
        for (size_t k = 0; k < tokens.count; k++) {
            ck_assert_msg(tokens.ids[k] == (unsigned char)broken[i].same[k], "%s: id %zu", broken[i].name, k);
        }
        sinq_tokens_free(&tokens);
    }
    sinq_tokenizer_free(tokenizer);
}
END_TEST

/* ---- threads ---- */

#define SHARED_BY 4

static void *tokenize_again(void *argument) {
    const struct sinq_tokenizer *const tokenizer = argument;
    bool is_same = true;
    for (int i = 0; i < 20; i++) {
        struct sinq_tokens tokens = tokenize(tokenizer, "a\xc3\xa9 ab <s> ab", 13, 0);
        struct sinq_text text = decode(tokenizer, &tokens, false);
        is_same = is_same && strcmp(text.data, "a\xc3\xa9 ab <s> ab") == 0;
        sinq_text_free(&text);
        sinq_tokens_free(&tokens);
    }
    return is_same ? argument : NULL;
}

START_TEST(threads_share_a_tokenizer) {
    struct sinq_tokenizer *const tokenizer = make_bytes();
    pthread_t threads[SHARED_BY];
    for (size_t i = 0; i < SHARED_BY; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, tokenize_again, tokenizer), 0);
    for (size_t i = 0; i < SHARED_BY; i++) {
        void *result = NULL;
        ck_assert_int_eq(pthread_join(threads[i], &result), 0);
        ck_assert_ptr_eq(result, tokenizer);
    }
    sinq_tokenizer_free(tokenizer);
}
END_TEST

UNIT_MAIN("tokenizer", ids_and_text_are_those_of_the_reference, literal_leaves_special_tokens_in_the_text,
          ids_are_appended, names_and_sizes, what_is_not_utf8_is_the_replacement_character, threads_share_a_tokenizer)
