/* text_stream.c: from ids to text, as they come. */
#include <stdlib.h>

#include "base/error.h"
#include "text/tokenizer.h"

struct sinq_text_stream {
    const struct sinq_tokenizer *tokenizer;
    bool skip_special;
    struct sinq_decoder_state *states;
    struct sinq_text token, text;
};

int sinq_open_text_stream(const struct sinq_tokenizer *tokenizer, bool skip_special, struct sinq_text_stream **stream,
                          struct sinq_error *error) {
    const size_t stages = tokenizer->decoder.count;
    struct sinq_text_stream *const s = calloc(1, sizeof *s);
    if (s == NULL) return sinq_fail_memory(error, "a text stream", sizeof *s);
    s->tokenizer = tokenizer;
    s->skip_special = skip_special;
    s->states = calloc(stages + 1, sizeof *s->states);
    if (s->states == NULL) {
        sinq_text_stream_free(s);
        return sinq_fail_memory(error, "a text stream", stages * sizeof *s->states);
    }
    *stream = s;
    return SINQ_OK;
}

static void hand_over(const struct sinq_text_stream *stream, const char **bytes, size_t *size) {
    *bytes = stream->text.data == NULL ? "" : stream->text.data;
    *size = stream->text.size;
}

static bool is_skipped(const struct sinq_text_stream *stream, int32_t id) {
    if (!stream->skip_special || id < 0) return false;
    const struct sinq_added_token *const token = sinq_added_tokens_by_id(&stream->tokenizer->added, (uint32_t)id);
    return token != NULL && token->special;
}

int sinq_text_stream_add(struct sinq_text_stream *stream, int32_t id, const char **bytes, size_t *size,
                         struct sinq_error *error) {
    int status = SINQ_OK;
    stream->text.size = stream->token.size = 0;
    if (!is_skipped(stream, id) && sinq_write_token(stream->tokenizer, id, &stream->token)) {
        if (stream->token.failed) return sinq_fail_memory(error, "a token", SINQ_TOKEN_BYTES);
        const char *const token = stream->token.data == NULL ? "" : stream->token.data;
        status = sinq_decode_token(&stream->tokenizer->decoder, stream->states, token, stream->token.size,
                                   &stream->text, error);
    }
    hand_over(stream, bytes, size);
    return status;
}

int sinq_text_stream_end(struct sinq_text_stream *stream, const char **bytes, size_t *size, struct sinq_error *error) {
    stream->text.size = 0;
    const int status = sinq_decode_end(&stream->tokenizer->decoder, stream->states, &stream->text, error);
    hand_over(stream, bytes, size);
    return status;
}

void sinq_text_stream_free(struct sinq_text_stream *stream) {
    if (stream == NULL) return;
    sinq_decoder_states_free(&stream->tokenizer->decoder, stream->states);
    sinq_text_free(&stream->token);
    sinq_text_free(&stream->text);
    free(stream);
}
