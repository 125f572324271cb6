/*
 * test_pretokenizer.c: into which words a text falls. What is expected is what Hugging Face's tokenizers 0.22.2 gives for the same
 * pre-tokenizer and text.
 */
#include <string.h>

#include "text/pretokenizer.h"
#include "unit.h"

static const struct {
    const char *name, *json, *text, *words; /* with | between */
} cases[] = {
    {"split at a string, Removed",
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"Removed\",\"invert\":false}",
     "-The-final--countdown-", "The|final|countdown"},
    {"split between words, Removed",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+|[^\\\\w\\\\s]+\"},\"behavior\":\"Removed\",\"invert\":true}",
     "How are  you doing?", "How|are|you|doing|?"},
    {"digits and Removed",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\d+\"},\"behavior\":\"Removed\",\"invert\":false}", "1a22bb333",
     "a|bb"},
    {"split at a string, Isolated",
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "-The-final--countdown-", "-|The|-|final|-|-|countdown|-"},
    {"split between words, Isolated",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+|[^\\\\w\\\\s]+\"},\"behavior\":\"Isolated\",\"invert\":true}",
     "How are  you doing?", "How| |are|  |you| |doing|?"},
    {"digits and Isolated",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\d+\"},\"behavior\":\"Isolated\",\"invert\":false}", "1a22bb333",
     "1|a|22|bb|333"},
    {"split at a string, MergedWithPrevious",
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}",
     "-The-final--countdown-", "-|The-|final-|-|countdown-"},
    {"split between words, MergedWithPrevious",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+|[^\\\\w\\\\s]+\"},\"behavior\":\"MergedWithPrevious\","
     "\"invert\":true}",
     "How are  you doing?", "How |are  |you |doing|?"},
    {"digits and MergedWithPrevious",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\d+\"},\"behavior\":\"MergedWithPrevious\",\"invert\":false}",
     "1a22bb333", "1|a22|bb333"},
    {"split at a string, MergedWithNext",
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"MergedWithNext\",\"invert\":false}",
     "-The-final--countdown-", "-The|-final|-|-countdown|-"},
    {"split between words, MergedWithNext",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+|[^\\\\w\\\\s]+\"},\"behavior\":\"MergedWithNext\",\"invert\":"
     "true}",
     "How are  you doing?", "How| are|  you| doing|?"},
    {"digits and MergedWithNext",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\d+\"},\"behavior\":\"MergedWithNext\",\"invert\":false}",
     "1a22bb333", "1a|22bb|333"},
    {"split at a string, Contiguous",
     "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"Contiguous\",\"invert\":false}",
     "-The-final--countdown-", "-|The|-|final|--|countdown|-"},
    {"split between words, Contiguous",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+|[^\\\\w\\\\s]+\"},\"behavior\":\"Contiguous\",\"invert\":"
     "true}",
     "How are  you doing?", "How| |are|  |you| |doing?"},
    {"digits and Contiguous",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\d+\"},\"behavior\":\"Contiguous\",\"invert\":false}",
     "1a22bb333", "1|a|22|bb|333"},
    {"an empty match is none behind another",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a*\"},\"behavior\":\"Isolated\",\"invert\":false}", "baac",
     "b|aa|c"},
    {"a lookahead",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?=[A-Z])\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "fooBarBaz", "foo|Bar|Baz"},
    {"ends of lines", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"$\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "a\nb\n", "a|\nb|\n"},
    {"beginnings of lines",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"^\"},\"behavior\":\"Isolated\",\"invert\":false}", "a\nb\n",
     "a\n|b\n"},
    {"space is White_Space: U+0085 and U+3000 but not U+180E",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\s\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "a\xc2\x85"
     "b\xe3\x80\x80"
     "c\xe1\xa0\x8e"
     "d\xe2\x80\x8b"
     "e",
     "a|\xc2\x85|b|\xe3\x80\x80|c\xe1\xa0\x8e"
     "d\xe2\x80\x8b"
     "e"},
    {"not space", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\S+\"},\"behavior\":\"Removed\",\"invert\":false}",
     "ab\xe3\x80\x80"
     "cd\xe1\xa0\x8e e",
     "\xe3\x80\x80| "},
    {"letters, marks, numbers and connectors are words",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+\"},\"behavior\":\"Isolated\",\"invert\":true}",
     "na\xcc\x88ive_x\xe2\x80\xbfy \xc2\xb2\xe2\x85\xa0\xd9\xa1 \xe2\x92\xb6-\xe2\x82\xac",
     "na\xcc\x88ive_x\xe2\x80\xbfy| |\xc2\xb2\xe2\x85\xa0\xd9\xa1| |\xe2\x92\xb6|-\xe2\x82\xac"},
    {"Ruby's h is a hexadecimal digit",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\h+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "xyzBEEFface09q", "xyz|BEEFface09|q"},
    {"Ruby's m lets the dot match line ends",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?m:a.b)\"},\"behavior\":\"Isolated\",\"invert\":false}", "a\nb axb",
     "a\nb| |axb"},
    {"the dot alone does not",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a.b\"},\"behavior\":\"Isolated\",\"invert\":false}", "a\nb axb",
     "a\nb |axb"},
    {"up to two", "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"x{,2}y\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "xxxy y xy", "x|xxy| |y| |xy"},
    {"a brace that counts nothing",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a{b\"},\"behavior\":\"Isolated\",\"invert\":false}", "a{b a{2}",
     "a{b| a{2}"},
    {"code points by u",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\u00e9+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "ab\xc3\xa9\xc3\xa9"
     "c",
     "ab|\xc3\xa9\xc3\xa9|c"},
    {"a script",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{Han}+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "kanji \xe6\xbc\xa2\xe5\xad\x97\xe3\x80\x81kana \xe3\x82\xab\xe3\x83\xbc",
     "kanji |\xe6\xbc\xa2\xe5\xad\x97|\xe3\x80\x81kana \xe3\x82\xab\xe3\x83\xbc"},
    {"a negated property",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{^L}+\"},\"behavior\":\"Isolated\",\"invert\":false}", "ab12-c",
     "ab|12-|c"},
    {"punctuation of POSIX has symbols",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[[:punct:]]+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "a.b+c\xe2\x82\xac"
     "d\xc2\xa7"
     "e",
     "a|.|b|+|c|\xe2\x82\xac|d|\xc2\xa7|e"},
    {"a class in a class (Bloom)",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\" "
     "?[^(\\\\s|[.,!?\\u2026\\u3002\\uff0c\\u3001\\u0964\\u06d4\\u060c])]+\"},\"behavior\":\"Isolated\",\"invert\":"
     "false}",
     "Hello, you (and me)! a|b", "Hello|,| you| (|and| me|)!| a|||b"},
    {"hyphens beside brackets",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a[-c]]+|[d[f-]]+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "ab-c d-ef", "a|b|-c| |d-|e|f"},
    {"not space in a class",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[^\\\\S\\\\n]+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "a \t\xe1\xa0\x8e\nb", "a| \t|\xe1\xa0\x8e\nb"},
    {"what is not a word",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\W+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "a\xc2\xb2\xc2\xbd\xe2\x91\xa0\xe2\x80\x8d\xe2\x82\xac"
     "b",
     "a\xc2\xb2\xc2\xbd|\xe2\x91\xa0\xe2\x80\x8d\xe2\x82\xac|b"},
    {"caseless contractions",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)\"},\"behavior\":\"Isolated\","
     "\"invert\":false}",
     "it's IT'S WE'LL he'\xc5\xbf", "it|'s| IT|'S| WE|'LL| he|'\xc5\xbf"},
    {"possessive",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?+\\\\p{L}++|\\\\p{N}{1,3}\"},"
     "\"behavior\":\"Isolated\",\"invert\":false}",
     "(abc)12345!", "(abc|)|123|45|!"},
    {"Qwen",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+"
     "|\\\\p{N}| "
     "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\","
     "\"invert\":false}",
     "I'll  say: \"x = 42;\"\n\n  end   ", "I|'ll| | say|:| \"|x| =| |4|2|;\"\n\n| | end|   "},
    {"o200k",
     "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}"
     "\\\\p{M}]*[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?["
     "\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
     "|\\\\p{N}{1,3}| "
     "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n/"
     "]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false}",
     "HTTPServer isn't fooBar's 12345 //\n\xe4\xbd\xa0\xe5\xa5\xbd x",
     "HTTPServer| isn't| foo|Bar's| |123|45| //\n|\xe4\xbd\xa0\xe5\xa5\xbd| x"},
    {"Digits", "{\"type\":\"Digits\",\"individual_digits\":false}",
     "a12\xc2\xb2"
     "3b\xd9\xa4\xe2\x85\xa7",
     "a|12\xc2\xb2"
     "3|b|\xd9\xa4\xe2\x85\xa7"},
    {"Digits, each", "{\"type\":\"Digits\",\"individual_digits\":true}",
     "a12\xc2\xb2"
     "3b",
     "a|1|2|\xc2\xb2|3|b"},
    {"Punctuation", "{\"type\":\"Punctuation\"}",
     "a,b.. \xe3\x80\x8c"
     "c\xe3\x80\x8d+$d",
     "a|,|b|.|.| |\xe3\x80\x8c|c|\xe3\x80\x8d|+|$|d"},
    {"Punctuation, MergedWithPrevious", "{\"type\":\"Punctuation\",\"behavior\":\"MergedWithPrevious\"}", "a,b..c",
     "a,|b.|.|c"},
    {"Whitespace", "{\"type\":\"Whitespace\"}", "Hey friend!     How_are\xe2\x80\x8dyou?! \xc2\xb2",
     "Hey|friend|!|How_are\xe2\x80\x8dyou|?!|\xc2\xb2"},
    {"WhitespaceSplit", "{\"type\":\"WhitespaceSplit\"}", " Hey friend!\xe3\x80\x80\n How ", "Hey|friend!|How"},
    {"CharDelimiterSplit", "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"}", "the--end-", "the|end"},
    {"Metaspace, always",
     "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"always\",\"split\":true}",
     "Hey  friend ",
     "\xe2\x96\x81Hey|\xe2\x96\x81|\xe2\x96\x81"
     "friend|\xe2\x96\x81"},
    {"Metaspace, always, a space is there",
     "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"always\",\"split\":true}", " Hey",
     "\xe2\x96\x81Hey"},
    {"Metaspace, a mark is there",
     "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":true}",
     "\xe2\x96\x81Hey", "\xe2\x96\x81Hey"},
    {"Metaspace, never",
     "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"never\",\"split\":true}", "Hey  friend",
     "Hey|\xe2\x96\x81|\xe2\x96\x81"
     "friend"},
    {"Metaspace without splitting",
     "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":false}", "Hey  friend",
     "\xe2\x96\x81Hey\xe2\x96\x81\xe2\x96\x81"
     "friend"},
    {"Metaspace of old", "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\",\"add_prefix_space\":true}", "Hey friend",
     "\xe2\x96\x81Hey|\xe2\x96\x81"
     "friend"},
    {"Metaspace, first, behind a split",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":"
     "\"\\u2581\",\"prepend_scheme\":\"first\",\"split\":false}]}",
     "Hey my friend", "\xe2\x96\x81Hey|my|friend"},
    {"Metaspace, always, behind a split",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":"
     "\"\\u2581\",\"prepend_scheme\":\"always\",\"split\":false}]}",
     "Hey my friend",
     "\xe2\x96\x81Hey|\xe2\x96\x81my|\xe2\x96\x81"
     "friend"},
    {"a sequence in a sequence",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\","
     "\"individual_digits\":true}]},{\"type\":\"Punctuation\"},{\"type\":\"Sequence\",\"pretokenizers\":[]}]}",
     "a1.b", "a|1|.|b"},
    {"ByteLevel before others (Falcon)",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"},{\"type\":"
     "\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":true},{\"type\":\"Digits\","
     "\"individual_digits\":false},{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[0-9][0-9][0-9]\"},\"behavior\":"
     "\"Isolated\",\"invert\":false}]}",
     "it's 12345, \xc3\xa9t\xc3\xa9..\n ok",
     "it|'|s|\xc4\xa0|123|45|,|\xc4\xa0\xc3\x83\xc2\xa9t\xc3\x83\xc2\xa9|..|\xc4\x8a|\xc4\xa0ok"},
    {"ByteLevel with a space, then a split",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":"
     "true,\"use_regex\":false},{\"type\":\"Split\",\"pattern\":{\"String\":\"\\u0120\"},\"behavior\":"
     "\"MergedWithNext\",\"invert\":false}]}",
     "a b",
     "\xc4\xa0"
     "a|\xc4\xa0"
     "b"},
    {"DeepSeek",
     "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\p{N}{1,3}\"},"
     "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[\\u4e00-\\u9fa5\\u3040-"
     "\\u309f\\u30a0-\\u30ff]+\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"Split\",\"pattern\":{"
     "\"Regex\":\"[!\\\"#$%&'()*+,\\\\-./"
     ":;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+| "
     "?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":"
     "false}]}",
     "12345 \xe4\xb8\xad\xe6\x96\x87"
     "abc?don't (x) \xe3\x81\x82y\n\n  z",
     "123|45| |\xe4\xb8\xad\xe6\x96\x87|abc|?don|'t| (|x|)| |\xe3\x81\x82|y|\n\n| | z"},
};

static int collect(void *user, const char *word, size_t size, struct sinq_error *error) {
    struct sinq_text *const text = user;
    (void)error;
    if (text->size > 0) sinq_text_add(text, "|");
    sinq_text_add_bytes(text, word, size);
    return SINQ_OK;
}

static int split_words(const char *json, const char *text, struct sinq_text *words, struct sinq_error *error) {
    struct sinq_pretokenizer pretokenizer = {0};
    struct sinq_pretokenizer_work work = {0};
    cJSON *const tree = cJSON_Parse(json);
    ck_assert_ptr_nonnull(tree);
    int status = sinq_read_pretokenizer("t.json", tree, &pretokenizer, error);
    sinq_text_add(words, "");
    if (status == SINQ_OK) {
        status = sinq_run_pretokenizer(&pretokenizer, &work, text, strlen(text), true, collect, words, error);
    }
    sinq_pretokenizer_work_free(&pretokenizer, &work);
    sinq_pretokenizer_free(&pretokenizer);
    cJSON_Delete(tree);
    return status;
}

START_TEST(words_are_those_of_the_reference) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_text words = {0};
        struct sinq_error error = {0};
        const int status = split_words(cases[i].json, cases[i].text, &words, &error);
        ck_assert_msg(status == SINQ_OK, "%s: %s", cases[i].name, error.message);
        ck_assert_msg(strcmp(words.data, cases[i].words) == 0, "%s:\n got      %s\n expected %s", cases[i].name,
                      words.data, cases[i].words);
        sinq_text_free(&words);
    }
}
END_TEST

#define SPLIT(regex) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"},\"behavior\":\"Isolated\"}"

static const struct {
    const char *name, *json, *message;
} refused[] = {
    {"a negated class in a class", SPLIT("[a[^b]]"), "this class in a class is not supported"},
    {"a hyphen before a class", SPLIT("[d-[f]]"), "a hyphen before a class is not supported"},
    {"an intersection", SPLIT("[a-z&&[^aeiou]]"), "&& in a class is not supported"},
    {"a verb of PCRE2", SPLIT("(*LIMIT_MATCH=1)a"), "(* is not supported"},
    {"PCRE2's quoting", SPLIT("\\\\Qa.b\\\\E"), "this escape sequence is not supported"},
    {"a recursion", SPLIT("(?R)"), "this kind of group is not supported"},
    {"a repeated count", SPLIT("a{1,2}+"), "{...}+ is not supported"},
    {"no end", SPLIT("(a"), "missing closing parenthesis"},
    {"an unknown property", SPLIT("\\\\p{Klingon}"), "unknown"},
    {"an unknown behavior", "{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Merged\"}",
     "unknown behavior"},
    {"no pattern", "{\"type\":\"Split\",\"behavior\":\"Isolated\"}", "a pattern"},
    {"an empty string", "{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"Isolated\"}", "a pattern"},
    {"an unknown type", "{\"type\":\"BertPreTokenizer\"}", "type BertPreTokenizer is not supported"},
    {"no type", "{\"behavior\":\"Isolated\"}", "\"type\""},
    {"no object", "[1]", "\"type\""},
    {"a mark of two characters", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "one character"},
    {"a sequence of nothing", "{\"type\":\"Sequence\"}", "pretokenizers was expected"},
};

START_TEST(what_is_not_supported_is_refused) {
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct sinq_text words = {0};
        struct sinq_error error = {0};
        ck_assert_msg(split_words(refused[i].json, "a", &words, &error) == SINQ_FAILED, "%s", refused[i].name);
        ck_assert_msg(strstr(error.message, refused[i].message) != NULL, "%s: %s", refused[i].name, error.message);
        ck_assert_ptr_nonnull(strstr(error.message, "t.json: pre_tokenizer: "));
        sinq_text_free(&words);
    }
}
END_TEST

/* Nested repetitions would take longer than the universe has. */
START_TEST(an_expression_that_explodes_gives_up) {
    struct sinq_text words = {0};
    struct sinq_error error = {0};
    const char *const text = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    ck_assert_int_eq(split_words(SPLIT("(a|a)*(a|a)*(a|a)*\\\\d"), text, &words, &error), SINQ_FAILED);
    ck_assert_ptr_nonnull(strstr(error.message, "gives up at byte 0 of the text"));
    sinq_text_free(&words);
}
END_TEST

/* Each alternative of the known expressions takes its run of space or letters in one go. */
START_TEST(long_runs_take_linear_time) {
    static const char qwen[] =
        SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| "
              "?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+");
    static const char characters[] = " a-";
    const size_t size = 3000000;
    char *const text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < 3; i++) {
        struct sinq_text words = {0};
        struct sinq_error error = {0};
        memset(text, characters[i], size);
        text[size] = '\0';
        const int status = split_words(qwen, text, &words, &error);
        ck_assert_msg(status == SINQ_OK, "%s", error.message);
        ck_assert_uint_eq(words.size, size);
        sinq_text_free(&words);
    }
    free(text);
}
END_TEST

UNIT_MAIN("pretokenizer", words_are_those_of_the_reference, what_is_not_supported_is_refused,
          an_expression_that_explodes_gives_up, long_runs_take_linear_time)
