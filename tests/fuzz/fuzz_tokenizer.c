/* tokenizer.json, and text through what was read: ids are in the vocabulary, what comes back is UTF-8. */
#include "base/text.h"
#include "fuzz.h"

#define TEXT_BYTES ((size_t)256) /* of the file itself that are tokenized */

static void require_text(const struct sinq_tokenizer *tokenizer, const struct sinq_tokens *tokens, bool skip_special) {
    struct sinq_text_stream *stream = NULL;
    struct sinq_error error = {0};
    const char *bytes;
    size_t size;
    require(sinq_open_text_stream(tokenizer, skip_special, &stream, &error) == SINQ_OK);
    for (size_t i = 0; i < tokens->count; i++) {
        const int status = sinq_text_stream_add(stream, tokens->ids[i], &bytes, &size, &error);
        require_status(status, &error);
        if (status != SINQ_OK) break;
        require(sinq_is_utf8(bytes, size));
    }
    if (error.message[0] == '\0') {
        require_status(sinq_text_stream_end(stream, &bytes, &size, &error), &error);
        require(error.message[0] != '\0' || sinq_is_utf8(bytes, size));
    }
    sinq_text_stream_free(stream);
}

static void require_tokens(const struct sinq_tokenizer *tokenizer, const char *text, size_t size, unsigned flags) {
    struct sinq_tokens tokens = {0};
    struct sinq_error error = {0};
    const int status = sinq_tokenize(tokenizer, text, size, flags, &tokens, &error);
    require_status(status, &error);
    require(status == SINQ_OK || tokens.count == 0);
    for (size_t i = 0; i < tokens.count; i++) require(tokens.ids[i] >= 0 && tokens.ids[i] < 1 << 22);
    if (status == SINQ_OK) require_text(tokenizer, &tokens, (flags & SINQ_TOKENIZE_LITERAL) != 0);
    sinq_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] =
        "Hello  wor\xcc\x81ld\xff, it's 1234\xe2\x96\x81 a b ab\n\n<s>\xe4\xbd\xa0\xe5 </s> aaaaaaaaaaaaaaaaa\t";
    struct sinq_tokenizer *tokenizer = NULL;
    struct sinq_error error = {0};
    const int status = sinq_parse_tokenizer("fuzz", (const char *)data, size, &tokenizer, &error);
    require_status(status, &error);
    if (status != SINQ_OK) return 0;
    require(sinq_tokenizer_size(tokenizer) <= 1 << 22);
    require(sinq_tokenizer_find(tokenizer, "a") < (int32_t)sinq_tokenizer_size(tokenizer));
    for (unsigned flags = 0; flags < 4; flags++) require_tokens(tokenizer, text, sizeof text - 1, flags);
    require_tokens(tokenizer, (const char *)data, size < TEXT_BYTES ? size : TEXT_BYTES, 0);
    sinq_tokenizer_free(tokenizer);
    return 0;
}
