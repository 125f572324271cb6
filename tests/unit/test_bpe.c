/* test_bpe.c: merging, against the plainest way to do it, on made-up models; long words in little time. */
#include <time.h>

#include "tokenizer_cases.h"

static uint32_t random_state = 1;

static uint32_t next_random(uint32_t below) {
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

/* ---- a made-up model ---- */

#define MOST_TOKENS 400

/* Tokens over the letters a to d (and a mark, U+2581, in place of some); merges in order of rank. */
struct model {
    char tokens[MOST_TOKENS][64];
    size_t count;
    struct {
        size_t left, right, result;
    } merges[MOST_TOKENS];
    size_t merge_count;
};

static size_t find_token(const struct model *m, const char *token) {
    size_t i = 0;
    while (i < m->count && strcmp(m->tokens[i], token) != 0) i++;
    return i;
}

static void make_model(struct model *m, bool has_mark, size_t merges) {
    static const char *const letters[] = {"a", "b", "c", "d"}, *const marked[] = {"a", "b", "\xe2\x96\x81", "\xc3\xa9"};
    m->count = m->merge_count = 0;
    for (size_t i = 0; i < 4; i++) strcpy(m->tokens[m->count++], has_mark ? marked[i] : letters[i]);
    while (m->merge_count < merges && m->count < MOST_TOKENS) {
        char joined[128];
        const size_t left = next_random((uint32_t)m->count), right = next_random((uint32_t)m->count);
        strcpy(joined, m->tokens[left]);
        strcat(joined, m->tokens[right]);
        if (strlen(joined) > 60) continue;
        const size_t result = find_token(m, joined);
        if (result == m->count) strcpy(m->tokens[m->count++], joined);
        bool is_new = true;
        for (size_t i = 0; i < m->merge_count; i++) {
            is_new = is_new && (m->merges[i].left != left || m->merges[i].right != right);
        }
        if (!is_new) continue;
        m->merges[m->merge_count].left = left;
        m->merges[m->merge_count].right = right;
        m->merges[m->merge_count++].result = result;
    }
}

static struct sinq_tokenizer *make_tokenizer(const struct model *m, const char *pre_tokenizer, bool ignores_merges) {
    struct sinq_text json = {0};
    sinq_text_print(&json, "{\"pre_tokenizer\":%s,\"model\":{\"type\":\"BPE\",\"ignore_merges\":%s,\"vocab\":{",
                    pre_tokenizer, ignores_merges ? "true" : "false");
    for (size_t i = 0; i < m->count; i++) sinq_text_print(&json, "%s\"%s\":%zu", i == 0 ? "" : ",", m->tokens[i], i);
    sinq_text_add(&json, "},\"merges\":[");
    for (size_t i = 0; i < m->merge_count; i++) {
        sinq_text_print(&json, "%s[\"%s\",\"%s\"]", i == 0 ? "" : ",", m->tokens[m->merges[i].left],
                        m->tokens[m->merges[i].right]);
    }
    sinq_text_add(&json, "]}}");
    struct sinq_tokenizer *const tokenizer = parse_good(json.data);
    sinq_text_free(&json);
    return tokenizer;
}

/* ---- the plainest way: as long as there is a merge, the lowest rank, its leftmost place ---- */

static size_t merge_plainly(const struct model *m, size_t *ids, size_t count) {
    for (;;) {
        size_t rank = m->merge_count, place = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            for (size_t r = 0; r < rank; r++) {
                if (m->merges[r].left == ids[i] && m->merges[r].right == ids[i + 1]) {
                    rank = r;
                    place = i;
                }
            }
        }
        if (rank == m->merge_count) return count;
        ids[place] = m->merges[rank].result;
        memmove(ids + place + 1, ids + place + 2, (count - place - 2) * sizeof *ids);
        count--;
    }
}

static void check_word(const struct sinq_tokenizer *tokenizer, const struct model *m, size_t length) {
    struct sinq_text text = {0};
    size_t *const ids = malloc((length + 1) * sizeof *ids);
    ck_assert_ptr_nonnull(ids);
    sinq_text_add(&text, "");
    for (size_t i = 0; i < length; i++) {
        ids[i] = next_random(4);
        sinq_text_add(&text, m->tokens[ids[i]]);
    }
    const size_t count = merge_plainly(m, ids, length);
    struct sinq_tokens tokens = tokenize(tokenizer, text.data, text.size, 0);
    ck_assert_uint_eq(tokens.count, count);
    for (size_t i = 0; i < count; i++)
        check_often(tokens.ids[i] == (int32_t)ids[i], "token %zu is %d", i, tokens.ids[i]);
    sinq_tokens_free(&tokens);
    sinq_text_free(&text);
    free(ids);
}

static void check_models(bool has_mark, const char *pre_tokenizer) {
    static struct model m;
    for (size_t round = 0; round < 60; round++) {
        make_model(&m, has_mark, 1 + next_random(60));
        struct sinq_tokenizer *const tokenizer = make_tokenizer(&m, pre_tokenizer, false);
        for (size_t i = 0; i < 20; i++) check_word(tokenizer, &m, next_random(40));
        for (size_t length = 60; length < 70; length++)
            check_word(tokenizer, &m, length); /* from scanning to the heap */
        check_word(tokenizer, &m, 700);
        sinq_tokenizer_free(tokenizer);
    }
}

START_TEST(words_of_characters_merge_as_plainly) { check_models(false, "null"); }
END_TEST

/* Where no token crosses to a mark, words are cut there and come from a cache. */
START_TEST(words_with_marks_merge_as_plainly) { check_models(true, "null"); }
END_TEST

START_TEST(words_of_bytes_merge_as_plainly) {
    check_models(false, "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}");
}
END_TEST

/* ---- single cases ---- */

#define MODEL(settings, vocab, merges)                                                                                 \
    "{\"model\":{\"type\":\"BPE\"," settings "\"vocab\":{" vocab "},\"merges\":[" merges "]}}"
#define BYTE_LEVEL(settings, vocab, merges)                                                                            \
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},\"model\":{\"type\":\"BPE\"," settings     \
    "\"vocab\":{" vocab "},\"merges\":[" merges "]}}"
#define UNKNOWN(more) "\"unk_token\":\"<unk>\"," more

static const struct {
    const char *name, *json, *text, *ids;
} cases[] = {
    {"the lowest rank first", MODEL("", "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4", "\"b c\",\"a b\""), "abc", "0 4"},
    {"of one rank the leftmost", MODEL("", "\"a\":0,\"aa\":1", "\"a a\""), "aaaaa", "1 1 0"},
    {"of a merge given twice the last",
     MODEL("", "\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4", "\"a b\",\"b c\",\"a b\""), "abc", "0 4"},
    {"merges before the vocabulary",
     "{\"model\":{\"merges\":[\"a b\"],\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"type\":\"BPE\"}}", "ab", "2"},
    {"ignore_merges takes whole words from the vocabulary",
     MODEL("\"ignore_merges\":true,", "\"a\":0,\"b\":1,\"ab\":2", ""), "ab", "2"},
    {"without it they must be merged", MODEL("", "\"a\":0,\"b\":1,\"ab\":2", ""), "ab", "0 1"},
    {"no unknown token: left out", MODEL("", "\"a\":0", ""), "axa", "0 0"},
    {"an unknown token for each", MODEL(UNKNOWN(""), "\"<unk>\":0,\"a\":1", ""), "axyaz", "1 0 0 1 0"},
    {"fused", MODEL(UNKNOWN("\"fuse_unk\":true,"), "\"<unk>\":0,\"a\":1", ""), "axyaz", "1 0 1 0"},
    {"bytes of what is unknown",
     MODEL(UNKNOWN("\"byte_fallback\":true,"), "\"<unk>\":0,\"a\":1,\"<0xC3>\":2,\"<0xA9>\":3", ""), "a\xc3\xa9",
     "1 2 3"},
    {"unless a byte is no token", MODEL(UNKNOWN("\"byte_fallback\":true,"), "\"<unk>\":0,\"a\":1,\"<0xC3>\":2", ""),
     "a\xc3\xa9", "1 0"},
    {"an unknown token waits behind bytes, as in the reference",
     MODEL(UNKNOWN("\"byte_fallback\":true,"), "\"<unk>\":0,\"a\":1,\"<0x78>\":2", ""), "yxa", "2 0 1"},
    {"byte tokens may merge",
     MODEL("\"byte_fallback\":true,", "\"a\":0,\"<0x78>\":1,\"<0x79>\":2,\"<0x78><0x79>\":3", "\"<0x78> <0x79>\""),
     "axy", "0 3"},
    {"unknown tokens may merge", MODEL(UNKNOWN(""), "\"<unk>\":0,\"a\":1,\"<unk>a\":2", "\"<unk> a\""), "xa", "2"},
    {"bytes of a byte-level model",
     BYTE_LEVEL("",
                "\"\xc4\xa0\":0,\"a\":1,\"\xc4\xa0"
                "a\":2",
                "\"\xc4\xa0 a\""),
     "a a", "1 2"},
    {"of which one is no token", BYTE_LEVEL("", "\"a\":1", ""), "a a", "1 1"},
    {"or is unknown", BYTE_LEVEL(UNKNOWN(""), "\"<unk>\":0,\"a\":1", ""), "a a", "1 0 1"},
    {"or has bytes of its name", BYTE_LEVEL("\"byte_fallback\":true,", "\"a\":1,\"<0xC4>\":2,\"<0xA0>\":3", ""), "a a",
     "1 2 3 1"},
    {"a token with NUL", MODEL("", "\"a\":0,\"\\u0000\":1,\"a\\u0000\":2", "[\"a\",\"\\u0000\"]"), "aa", "0 0"},
    {"an empty vocabulary", MODEL("", "", ""), "abc", ""},
};

START_TEST(single_cases) {
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sinq_tokenizer *const tokenizer = parse_good(cases[i].json);
        struct sinq_tokens tokens = tokenize(tokenizer, cases[i].text, strlen(cases[i].text), 0);
        struct sinq_text ids = write_ids(&tokens);
        ck_assert_msg(strcmp(ids.data, cases[i].ids) == 0, "%s: got %s, expected %s", cases[i].name, ids.data,
                      cases[i].ids);
        sinq_text_free(&ids);
        sinq_tokens_free(&tokens);
        sinq_tokenizer_free(tokenizer);
    }
}
END_TEST

/* A word of a million symbols that all merge: quadratic time would be hours. */
START_TEST(long_words_take_little_time) {
    const size_t size = 1000000;
    char *const text = malloc(size);
    struct sinq_tokenizer *const tokenizer = parse_good(
        MODEL("", "\"a\":0,\"aa\":1,\"aaaa\":2,\"b\":3,\"ab\":4,\"ba\":5", "\"a a\",\"aa aa\",\"a b\",\"b a\""));
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', size);
    struct sinq_tokens tokens = tokenize(tokenizer, text, size, 0);
    ck_assert_uint_eq(tokens.count, size / 4);
    for (size_t i = 0; i < tokens.count; i++) check_often(tokens.ids[i] == 2, "token %zu is %d", i, tokens.ids[i]);
    sinq_tokens_free(&tokens);
    for (size_t i = 0; i < size; i++) text[i] = (char)('a' + next_random(2));
    const clock_t begin = clock();
    tokens = tokenize(tokenizer, text, size, 0);
    ck_assert_msg((double)(clock() - begin) / CLOCKS_PER_SEC < 20, "a million symbols took more than 20 seconds");
    struct sinq_text back = decode(tokenizer, &tokens, false);
    size_t letters = 0; /* without a decoder tokens are joined by spaces */
    for (size_t i = 0; i < back.size; i++) {
        if (back.data[i] != ' ') check_often(back.data[i] == text[letters++], "byte %zu", i);
    }
    ck_assert_uint_eq(letters, size);
    sinq_text_free(&back);
    sinq_tokens_free(&tokens);
    sinq_tokenizer_free(tokenizer);
    free(text);
}
END_TEST

UNIT_MAIN("bpe", words_of_characters_merge_as_plainly, words_with_marks_merge_as_plainly,
          words_of_bytes_merge_as_plainly, single_cases, long_words_take_little_time)
