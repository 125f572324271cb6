#include "model_text.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "printable.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static bool is_control(uint32_t point) { return point < 0x20 || (point >= 0x7f && point < 0xa0); }

/* One sequence of `rest`, which ends with a NUL behind its `size` bytes; returns its length. */
static size_t write_point(FILE *out, const char *rest, bool is_quoted) {
    uint32_t point = 0;
    const size_t length = sinq_decode_utf8(rest, &point);
    if (length == 0) {
        fputs(*rest == '\0' ? "?" : REPLACEMENT, out);
    } else if (is_quoted && (point == '"' || point == '\\')) {
        fprintf(out, "\\%c", (char)point);
    } else if (point == '\n' || point == '\t') {
        fputs(!is_quoted ? (point == '\n' ? "\n" : "\t") : point == '\n' ? "\\n" : "\\t", out);
    } else if (is_control(point)) {
        putc('?', out);
    } else {
        fwrite(rest, 1, length, out);
    }
    return length > 0 ? length : 1;
}

static void write_printable(FILE *out, const char *text, size_t size, bool is_quoted) {
    char *const copy = sinq_allocate(size + 1, 1);
    if (size > 0) memcpy(copy, text, size);
    for (size_t i = 0; i < size;) i += write_point(out, copy + i, is_quoted);
    free(copy);
}

bool sinq_write_model_text(FILE *out, bool is_terminal, const char *text, size_t size) {
    if (size == 0) return ferror(out) == 0;
    if (is_terminal) {
        write_printable(out, text, size, false);
    } else {
        fwrite(text, 1, size, out);
    }
    return fflush(out) == 0 && ferror(out) == 0;
}

void sinq_quote_model_text(FILE *out, const char *text, size_t size) {
    putc('"', out);
    write_printable(out, text, size, true);
    putc('"', out);
}

void sinq_write_token_text(const struct sinq_tokenizer *tokenizer, int32_t id,
                           void (*write)(void *user, const char *text, size_t size), void *user) {
    struct sinq_text_stream *stream = NULL;
    struct sinq_error error;
    const char *bytes = "";
    char *text = NULL;
    size_t size = 0, used = 0, capacity = 0;
    if (tokenizer != NULL && sinq_open_text_stream(tokenizer, false, &stream, &error) == SINQ_OK &&
        sinq_text_stream_add(stream, id, &bytes, &size, &error) == SINQ_OK) {
        sinq_reserve(&text, &capacity, size, 1);
        if (size > 0) memcpy(text, bytes, size);
        used = size;
        size = 0;
        if (sinq_text_stream_end(stream, &bytes, &size, &error) == SINQ_OK && size > 0) {
            sinq_reserve(&text, &capacity, used + size, 1);
            memcpy(text + used, bytes, size);
            used += size;
        }
    }
    write(user, text, used);
    free(text);
    sinq_text_stream_free(stream);
}
