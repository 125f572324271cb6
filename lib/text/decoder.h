/*
 * decoder.h: how tokenizer.json's "decoder" turns tokens back into text, token by token. Immutable, shared by threads.
 *
 * A decoder is a row of stages. Behind a stage that fuses (Fuse, ByteLevel) all tokens are one that goes on.
 */
#ifndef SINQ_TEXT_DECODER_H
#define SINQ_TEXT_DECODER_H

#include "text/component.h"
#include "text/pattern.h"

enum sinq_decoder_kind {
    SINQ_DECODE_BYTE_LEVEL,
    SINQ_DECODE_BYTE_FALLBACK,
    SINQ_DECODE_FUSE,
    SINQ_DECODE_REPLACE,
    SINQ_DECODE_STRIP,
    SINQ_DECODE_METASPACE,
    SINQ_DECODE_JOIN /* no decoder: tokens with spaces between */
};

struct sinq_decoder_stage {
    enum sinq_decoder_kind kind;
    bool is_fused; /* its input is one token that goes on */
    struct sinq_pattern pattern;
    char *content; /* what is put in place of the pattern */
    size_t content_size;
    uint32_t character; /* that Strip or Metaspace looks for */
    size_t strip_start, strip_stop;
    bool drops_first; /* Metaspace: in the first token */
};

struct sinq_decoder {
    struct sinq_decoder_stage *stages;
    size_t count;
};

int sinq_read_decoder(const char *path, const cJSON *json, struct sinq_decoder *decoder, struct sinq_error *error);
void sinq_decoder_free(struct sinq_decoder *decoder);

/* What a stage remembers between tokens: all zero at first. */
struct sinq_decoder_state {
    bool has_begun; /* a token has come */
    struct sinq_utf8_filter filter;
    size_t stripped, held; /* Strip on one fused token: characters dropped at its start, kept back at its end */
    struct sinq_text out;
    struct sinq_regex_scratch scratch;
};

/* Adds to *text what the token (as written in tokenizer.json) gives; `states` has one for each stage. */
int sinq_decode_token(const struct sinq_decoder *decoder, struct sinq_decoder_state *states, const char *token,
                      size_t size, struct sinq_text *text, struct sinq_error *error);
/* Adds what was kept back, once the last token has come; the states are as at the beginning then. */
int sinq_decode_end(const struct sinq_decoder *decoder, struct sinq_decoder_state *states, struct sinq_text *text,
                    struct sinq_error *error);
void sinq_decoder_states_free(const struct sinq_decoder *decoder, struct sinq_decoder_state *states);

#endif
