#include "text/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "text/byte_level.h"

/* ---- reading ---- */

static int read_character(const struct sinq_place *place, const char *type, const char *string,
                          struct sinq_decoder_stage *stage, struct sinq_error *error) {
    size_t length = 0;
    if (string != NULL && string[0] != '\0') stage->character = sinq_decode_utf8(string, &length);
    if (length == 0 || string[length] != '\0') return sinq_fail_component(place, type, "one character", error);
    return SINQ_OK;
}

static int read_count(const struct sinq_place *place, const cJSON *json, const char *name, size_t *count,
                      struct sinq_error *error) {
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(json, name);
    const bool is_count = cJSON_IsNumber(value) && value->valuedouble >= 0 && value->valuedouble <= 1e6;
    if (!is_count) return sinq_fail_component(place, "Strip", "a count for start and stop", error);
    *count = (size_t)value->valuedouble;
    return SINQ_OK;
}

static int read_strip(const struct sinq_place *place, const cJSON *json, struct sinq_decoder_stage *stage,
                      struct sinq_error *error) {
    stage->kind = SINQ_DECODE_STRIP;
    int status = read_character(place, "Strip", sinq_component_string(json, "content"), stage, error);
    if (status == SINQ_OK) status = read_count(place, json, "start", &stage->strip_start, error);
    return status == SINQ_OK ? read_count(place, json, "stop", &stage->strip_stop, error) : status;
}

static int read_metaspace(const struct sinq_place *place, const cJSON *json, struct sinq_decoder_stage *stage,
                          struct sinq_error *error) {
    const char *const scheme = sinq_component_string(json, "prepend_scheme");
    stage->kind = SINQ_DECODE_METASPACE;
    stage->drops_first =
        scheme != NULL ? strcmp(scheme, "never") != 0 : sinq_component_flag(json, "add_prefix_space", true);
    return read_character(place, "Metaspace", sinq_component_string(json, "replacement"), stage, error);
}

static bool is_one_character(const struct sinq_pattern *pattern) {
    size_t length = 0;
    if (pattern->string != NULL) (void)sinq_decode_utf8(pattern->string, &length);
    return length > 0 && length == pattern->string_size;
}

static int read_replace(const struct sinq_place *place, const cJSON *json, struct sinq_decoder_stage *stage,
                        struct sinq_error *error) {
    const char *const content = sinq_component_string(json, "content");
    stage->kind = SINQ_DECODE_REPLACE;
    const int status = sinq_read_pattern(place->path, place->section, cJSON_GetObjectItemCaseSensitive(json, "pattern"),
                                         &stage->pattern, error);
    if (status != SINQ_OK) return status;
    if (content == NULL) return sinq_fail_component(place, "Replace", "a string \"content\"", error);
    if (stage->is_fused && !is_one_character(&stage->pattern)) {
        return sinq_fail_component(place, "Replace of more than one character", "a place before Fuse or ByteLevel",
                                   error);
    }
    stage->content_size = strlen(content);
    stage->content = strdup(content);
    return stage->content != NULL ? SINQ_OK : sinq_fail_memory(error, "a decoder", stage->content_size);
}

static int read_stage(const struct sinq_place *place, const char *type, const cJSON *json,
                      struct sinq_decoder_stage *stage, struct sinq_error *error) {
    if (strcmp(type, "Replace") == 0) return read_replace(place, json, stage, error);
    if (strcmp(type, "Strip") == 0) return read_strip(place, json, stage, error);
    if (strcmp(type, "Metaspace") == 0) return read_metaspace(place, json, stage, error);
    if (strcmp(type, "Fuse") == 0) {
        stage->kind = SINQ_DECODE_FUSE;
    } else if (strcmp(type, "ByteLevel") == 0) {
        stage->kind = SINQ_DECODE_BYTE_LEVEL;
    } else if (strcmp(type, "ByteFallback") == 0) {
        stage->kind = SINQ_DECODE_BYTE_FALLBACK;
    } else {
        return sinq_fail_type(place, type, error);
    }
    if (!stage->is_fused || stage->kind == SINQ_DECODE_FUSE) return SINQ_OK;
    return sinq_fail_component(place, type, "a place before Fuse or ByteLevel", error);
}

static int add_stage(void *user, const struct sinq_place *place, const char *type, const cJSON *json,
                     struct sinq_error *error) {
    struct sinq_decoder *const decoder = user;
    if (decoder->count == SINQ_MAX_STAGES) return sinq_fail_component(place, type, "a shorter sequence", error);
    struct sinq_decoder_stage *const stage = &decoder->stages[decoder->count++];
    if (decoder->count > 1) {
        const struct sinq_decoder_stage *const before = stage - 1;
        stage->is_fused =
            before->is_fused || before->kind == SINQ_DECODE_FUSE || before->kind == SINQ_DECODE_BYTE_LEVEL;
    }
    return read_stage(place, type, json, stage, error);
}

int sinq_read_decoder(const char *path, const cJSON *json, struct sinq_decoder *decoder, struct sinq_error *error) {
    const struct sinq_place place = {path, "decoder"};
    decoder->stages = calloc(SINQ_MAX_STAGES, sizeof *decoder->stages);
    if (decoder->stages == NULL) return sinq_fail_memory(error, "a decoder", SINQ_MAX_STAGES);
    const int status = sinq_read_components(&place, json, "decoders", add_stage, decoder, error);
    if (json == NULL || cJSON_IsNull(json)) decoder->stages[decoder->count++].kind = SINQ_DECODE_JOIN;
    return status;
}

void sinq_decoder_free(struct sinq_decoder *decoder) {
    for (size_t i = 0; i < decoder->count; i++) {
        sinq_pattern_free(&decoder->stages[i].pattern);
        free(decoder->stages[i].content);
    }
    free(decoder->stages);
    *decoder = (struct sinq_decoder){0};
}

/* ---- stages: each adds to state->out what comes of a token, or of a part of the fused one ---- */

static void decode_byte_level(struct sinq_decoder_state *state, const char *token, size_t size) {
    struct sinq_text bytes = {0};
    size_t count = size;
    sinq_text_add_bytes(&bytes, token, size);
    if (!bytes.failed && sinq_text_to_bytes(token, size, bytes.data, &count)) {
        sinq_filter_utf8(&state->filter, bytes.data, count, &state->out);
    } else {
        sinq_filter_utf8(&state->filter, token, size, &state->out); /* it stands for no bytes: it is text */
    }
    state->out.failed |= bytes.failed;
    sinq_text_free(&bytes);
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<0x0A>" */
static int byte_of_token(const char *token, size_t size) {
    if (size != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>') return -1;
    const int high = hex_digit(token[3]), low = hex_digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void decode_byte_fallback(struct sinq_decoder_state *state, const char *token, size_t size) {
    const int byte = byte_of_token(token, size);
    state->filter.each_byte = true;
    if (byte >= 0) {
        const char c = (char)byte;
        sinq_filter_utf8(&state->filter, &c, 1, &state->out);
    } else {
        sinq_finish_utf8(&state->filter, &state->out);
        sinq_text_add_bytes(&state->out, token, size);
    }
}

static void decode_metaspace(const struct sinq_decoder_stage *stage, struct sinq_decoder_state *state,
                             const char *token, size_t size) {
    const bool drops = stage->drops_first && (stage->is_fused || !state->has_begun);
    for (size_t i = 0, length; i < size; i += length) {
        const bool is_mark = sinq_decode_utf8(token + i, &length) == stage->character;
        if (!is_mark) sinq_text_add_bytes(&state->out, token + i, length);
        if (is_mark && !drops) sinq_text_add(&state->out, " ");
    }
}

static void add_characters(uint32_t character, size_t count, struct sinq_text *out) {
    char bytes[4];
    const size_t length = sinq_encode_utf8(character, bytes);
    for (size_t i = 0; i < count; i++) sinq_text_add_bytes(out, bytes, length);
}

/* Where up to `most` of the character end at the beginning, and how many of them end the rest. */
static size_t skip_characters(uint32_t character, const char *text, size_t size, size_t most, size_t *count) {
    size_t at = 0, length;
    for (*count = 0; *count < most && at < size && sinq_decode_utf8(text + at, &length) == character; ++*count) {
        at += length;
    }
    return at;
}

static size_t cut_characters(uint32_t character, const char *text, size_t size, size_t most, size_t *count) {
    char bytes[4];
    const size_t length = sinq_encode_utf8(character, bytes);
    for (*count = 0; *count < most && size >= length && memcmp(text + size - length, bytes, length) == 0; ++*count) {
        size -= length;
    }
    return size;
}

static void decode_strip(const struct sinq_decoder_stage *stage, struct sinq_decoder_state *state, const char *token,
                         size_t size) {
    size_t count;
    if (!stage->is_fused) state->stripped = 0;
    const size_t start = skip_characters(stage->character, token, size, stage->strip_start - state->stripped, &count);
    state->stripped += count;
    if (start < size) state->stripped = stage->strip_start; /* something else has come: no more */
    if (!stage->is_fused) {
        const size_t end = cut_characters(stage->character, token + start, size - start, stage->strip_stop, &count);
        sinq_text_add_bytes(&state->out, token + start, end);
        return;
    }
    const size_t end = cut_characters(stage->character, token + start, size - start, stage->strip_stop, &count);
    if (end > 0) { /* what was kept back is not at the end after all */
        add_characters(stage->character, state->held, &state->out);
        state->held = 0;
    }
    sinq_text_add_bytes(&state->out, token + start, end);
    state->held += count;
    if (state->held > stage->strip_stop) {
        add_characters(stage->character, state->held - stage->strip_stop, &state->out);
        state->held = stage->strip_stop;
    }
}

static int run_stage(const struct sinq_decoder_stage *stage, struct sinq_decoder_state *state, const char *token,
                     size_t size, struct sinq_error *error) {
    struct sinq_text *const out = &state->out;
    switch (stage->kind) {
    case SINQ_DECODE_BYTE_LEVEL:
        decode_byte_level(state, token, size);
        break;
    case SINQ_DECODE_BYTE_FALLBACK:
        decode_byte_fallback(state, token, size);
        break;
    case SINQ_DECODE_REPLACE:
        return sinq_replace(&stage->pattern, stage->content, stage->content_size, &state->scratch, token, size,
                            SIZE_MAX, out, error);
    case SINQ_DECODE_STRIP:
        decode_strip(stage, state, token, size);
        break;
    case SINQ_DECODE_METASPACE:
        decode_metaspace(stage, state, token, size);
        break;
    case SINQ_DECODE_JOIN:
        if (state->has_begun) sinq_text_add(out, " ");
        sinq_text_add_bytes(out, token, size);
        break;
    case SINQ_DECODE_FUSE:
        sinq_text_add_bytes(out, token, size);
        break;
    }
    return SINQ_OK;
}

/* ---- the row of stages ---- */

/* A token, or a part of the fused one, goes through the stages from `first` on. */
static int run_stages(const struct sinq_decoder *decoder, struct sinq_decoder_state *states, size_t first,
                      const char *token, size_t size, struct sinq_text *text, struct sinq_error *error) {
    for (size_t i = first; i < decoder->count; i++) {
        struct sinq_decoder_state *const state = &states[i];
        if (decoder->stages[i].is_fused && size == 0) return SINQ_OK;
        state->out.size = 0;
        const int status = run_stage(&decoder->stages[i], state, token, size, error);
        if (status != SINQ_OK) return status;
        if (state->out.failed) return sinq_fail_memory(error, "a text", size);
        state->has_begun = true;
        token = state->out.data == NULL ? "" : state->out.data;
        size = state->out.size;
    }
    sinq_text_add_bytes(text, token, size);
    return text->failed ? sinq_fail_memory(error, "a text", size) : SINQ_OK;
}

int sinq_decode_token(const struct sinq_decoder *decoder, struct sinq_decoder_state *states, const char *token,
                      size_t size, struct sinq_text *text, struct sinq_error *error) {
    return run_stages(decoder, states, 0, token, size, text, error);
}

int sinq_decode_end(const struct sinq_decoder *decoder, struct sinq_decoder_state *states, struct sinq_text *text,
                    struct sinq_error *error) {
    int status = SINQ_OK;
    for (size_t i = 0; i < decoder->count && status == SINQ_OK; i++) {
        struct sinq_decoder_state *const state = &states[i];
        state->out.size = 0;
        sinq_finish_utf8(&state->filter, &state->out);
        const char *const rest = state->out.data == NULL ? "" : state->out.data;
        if (state->out.size > 0) status = run_stages(decoder, states, i + 1, rest, state->out.size, text, error);
        state->has_begun = false;
        state->stripped = state->held = 0;
    }
    return status;
}

void sinq_decoder_states_free(const struct sinq_decoder *decoder, struct sinq_decoder_state *states) {
    for (size_t i = 0; states != NULL && i < decoder->count; i++) {
        sinq_text_free(&states[i].out);
        sinq_regex_scratch_free(&states[i].scratch);
    }
    free(states);
}
