/* test_text_stream.c: text as it comes, id by id. */
#include "tokenizer_cases.h"

#define PIECES                                                                                                         \
    "{\"unk_token\":\"<unk>\",\"fuse_unk\":true,\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</"          \
    "s>\":2,\"<0xE2>\":3,\"<0x82>\":4,\"<0xAC>\":5,\"<0xF0>\":6,\"<0x9F>\":7,\"<0x98>\":8,\"<0x80>\":9,\"\\u2581\":"   \
    "10,\"a\":11,\"b\":12,\"\\u2581a\":13,\"\\u2581\\u2581\":14,\"\\u00e9\":15},\"merges\":[[\"\\u2581\",\"a\"],["     \
    "\"\\u2581\",\"\\u2581\"]]}"
#define LLAMA_DECODER                                                                                                  \
    "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\u2581\"},\"content\":\" "  \
    "\"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "                          \
    "\",\"start\":1,\"stop\":0}]}"

/* What each id completes, with | between; ids are bytes. */
static void check_stream(const struct sinq_tokenizer *tokenizer, const char *ids, const char *expected) {
    struct sinq_text_stream *stream = NULL;
    struct sinq_error error = {0};
    struct sinq_text text = {0};
    const char *bytes;
    size_t size;
    ck_assert_int_eq(sinq_open_text_stream(tokenizer, false, &stream, &error), SINQ_OK);
    for (const char *c = ids; *c != '\0'; c++) {
        ck_assert_int_eq(sinq_text_stream_add(stream, (unsigned char)*c, &bytes, &size, &error), SINQ_OK);
        sinq_text_add_bytes(&text, bytes, size);
        sinq_text_add(&text, "|");
    }
    ck_assert_int_eq(sinq_text_stream_end(stream, &bytes, &size, &error), SINQ_OK);
    sinq_text_add_bytes(&text, bytes, size);
    ck_assert_str_eq(text.data, expected);
    sinq_text_free(&text);
    sinq_text_stream_free(stream);
}

START_TEST(a_stream_holds_back_unfinished_characters) {
    struct sinq_tokenizer *const tokenizer = make_bytes();
    check_stream(tokenizer, "ab", "a|b|");
    check_stream(tokenizer, "\xc3\xa9z", "|\xc3\xa9|z|");
    check_stream(tokenizer, "\xf0\x9f\x98\x80", "|||\xf0\x9f\x98\x80|");
    check_stream(tokenizer, "\xe4\xbdz", "||\xef\xbf\xbdz|");
    check_stream(tokenizer, "a\xe4\xbd", "a|||\xef\xbf\xbd");
    check_stream(tokenizer, "\x80\xff", "\xef\xbf\xbd|\xef\xbf\xbd|");
    sinq_tokenizer_free(tokenizer);
}
END_TEST

START_TEST(a_stream_passes_over_unknown_ids) {
    struct sinq_tokenizer *const tokenizer = parse_good("{\"decoder\":" LLAMA_DECODER ",\"model\":" PIECES "}");
    static const int32_t ids[] = {-1, 13, 100, INT32_MAX, INT32_MIN, 12};
    struct sinq_tokens tokens = {(int32_t *)(uintptr_t)ids, sizeof ids / sizeof ids[0], 0};
    struct sinq_text text = decode(tokenizer, &tokens, false);
    ck_assert_str_eq(text.data, "ab");
    sinq_text_free(&text);
    sinq_tokenizer_free(tokenizer);
}
END_TEST

/* The space in front of the first token is the tokenizer's, that of later ones the text's. */
START_TEST(a_stream_can_be_used_again_after_its_end) {
    struct sinq_tokenizer *const tokenizer = parse_good("{\"decoder\":" LLAMA_DECODER ",\"model\":" PIECES "}");
    struct sinq_text_stream *stream = NULL;
    struct sinq_error error = {0};
    const char *bytes;
    size_t size;
    ck_assert_int_eq(sinq_open_text_stream(tokenizer, false, &stream, &error), SINQ_OK);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(sinq_text_stream_add(stream, 13, &bytes, &size, &error), SINQ_OK);
        ck_assert_uint_eq(size, 1);
        ck_assert_mem_eq(bytes, "a", 1);
        ck_assert_int_eq(sinq_text_stream_add(stream, 13, &bytes, &size, &error), SINQ_OK);
        ck_assert_uint_eq(size, 2);
        ck_assert_mem_eq(bytes, " a", 2);
        ck_assert_int_eq(sinq_text_stream_end(stream, &bytes, &size, &error), SINQ_OK);
        ck_assert_uint_eq(size, 0);
    }
    sinq_text_stream_free(stream);
    sinq_tokenizer_free(tokenizer);
}
END_TEST

UNIT_MAIN("text_stream", a_stream_holds_back_unfinished_characters, a_stream_passes_over_unknown_ids,
          a_stream_can_be_used_again_after_its_end)
