/* tokenizer_cases.h: making tokenizers from a few lines of JSON, and comparing ids and text. */
#ifndef SINQ_TESTS_TOKENIZER_CASES_H
#define SINQ_TESTS_TOKENIZER_CASES_H

#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "sinq.h"
#include "unit.h"

static inline struct sinq_tokenizer *parse_good(const char *json) {
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_error error = {0};
    const int status = sinq_parse_tokenizer("t.json", json, strlen(json), &tokenizer, &error);
    ck_assert_msg(status == SINQ_OK, "%s\n%s", error.message, json);
    return tokenizer;
}

static inline struct sinq_tokenizer *parse_file(const char *path) {
    char *text = NULL;
    size_t size = 0;
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_error error = {0};
    int status = sinq_read_file(path, (uint64_t)1 << 30, &text, &size, &error);
    if (status == SINQ_OK) status = sinq_parse_tokenizer(path, text, size, &tokenizer, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    free(text);
    return tokenizer;
}

static inline struct sinq_tokens tokenize(const struct sinq_tokenizer *tokenizer, const char *text, size_t size,
                                          unsigned flags) {
    struct sinq_tokens tokens = {0};
    struct sinq_error error = {0};
    const int status = sinq_tokenize(tokenizer, text, size, flags, &tokens, &error);
    ck_assert_msg(status == SINQ_OK, "%s", error.message);
    return tokens;
}

/* The text of the ids, pushed through a stream one by one. */
static inline struct sinq_text decode(const struct sinq_tokenizer *tokenizer, const struct sinq_tokens *tokens,
                                      bool skip_special) {
    struct sinq_text_stream *stream = NULL;
    struct sinq_error error = {0};
    struct sinq_text text = {0};
    const char *bytes;
    size_t size;
    sinq_text_add(&text, "");
    ck_assert_int_eq(sinq_open_text_stream(tokenizer, skip_special, &stream, &error), SINQ_OK);
    for (size_t i = 0; i < tokens->count; i++) {
        ck_assert_int_eq(sinq_text_stream_add(stream, tokens->ids[i], &bytes, &size, &error), SINQ_OK);
        sinq_text_add_bytes(&text, bytes, size);
    }
    ck_assert_int_eq(sinq_text_stream_end(stream, &bytes, &size, &error), SINQ_OK);
    sinq_text_add_bytes(&text, bytes, size);
    sinq_text_stream_free(stream);
    return text;
}

/* "1 2 3" */
static inline struct sinq_text write_ids(const struct sinq_tokens *tokens) {
    struct sinq_text text = {0};
    sinq_text_add(&text, "");
    for (size_t i = 0; i < tokens->count; i++) sinq_text_print(&text, "%s%d", i == 0 ? "" : " ", tokens->ids[i]);
    return text;
}

/* A byte-level tokenizer without merges: the ids are the bytes. */
static inline struct sinq_tokenizer *make_bytes(void) {
    struct sinq_text json = {0};
    sinq_text_add(&json, "{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_"
                         "space\":false},\"decoder\":{\"type\":\"ByteLevel\"},"
                         "\"model\":{\"merges\":[],\"vocab\":{");
    for (unsigned b = 0; b < 256; b++) {
        const bool is_visible = (b >= '!' && b <= '~') || (b >= 0xa1 && b != 0xad);
        static unsigned hidden;
        if (b == 0) hidden = 0;
        const unsigned point = is_visible ? b : 0x100 + hidden++;
        sinq_text_print(&json, "%s\"\\u%04x\":%u", b == 0 ? "" : ",", point, b);
    }
    sinq_text_add(&json, "}}}");
    struct sinq_tokenizer *const tokenizer = parse_good(json.data);
    sinq_text_free(&json);
    return tokenizer;
}

#endif
