#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "printable.h"

/* One sequence of a NUL-terminated text, or the byte there; returns its length. */
static size_t write_sequence(FILE *out, const char *text) {
    uint32_t point = 0;
    const size_t length = sinq_decode_utf8(text, &point);
    if (length == 0) {
        fputs(*text == '\0' ? "\\u0000" : "\\ufffd", out);
    } else if (point == '"' || point == '\\') {
        fprintf(out, "\\%c", (char)point);
    } else if (point < 0x20 || point == 0x7f) {
        fprintf(out, "\\u%04x", (unsigned)point);
    } else {
        fwrite(text, 1, length, out);
    }
    return length > 0 ? length : 1;
}

static void write_text(FILE *out, const char *text, size_t size) {
    putc('"', out);
    for (size_t i = 0; i < size;) i += write_sequence(out, text + i);
    putc('"', out);
}

static bool is_inline(const struct sinq_json_writer *json) {
    return json->inline_depth > 0 && json->depth >= json->inline_depth;
}

static void break_line(const struct sinq_json_writer *json) {
    putc('\n', json->out);
    for (int i = 0; i < json->depth; i++) fputs("  ", json->out);
}

/* What stands before a value: the comma, the line's indent, the key. */
static void begin_value(struct sinq_json_writer *json, const char *key) {
    if (json->depth > 0) {
        if (json->filled[json->depth - 1]) putc(',', json->out);
        if (!is_inline(json)) {
            break_line(json);
        } else if (json->filled[json->depth - 1]) {
            putc(' ', json->out);
        }
        json->filled[json->depth - 1] = true;
    }
    if (key != NULL) {
        write_text(json->out, key, strlen(key));
        fputs(": ", json->out);
    }
}

void sinq_write_open(struct sinq_json_writer *json, const char *key, char bracket) {
    begin_value(json, key);
    putc(bracket, json->out);
    if (json->depth >= SINQ_JSON_DEPTH) abort();
    json->filled[json->depth++] = false;
}

void sinq_write_open_inline(struct sinq_json_writer *json, const char *key, char bracket) {
    sinq_write_open(json, key, bracket);
    if (json->inline_depth == 0) json->inline_depth = json->depth;
}

void sinq_write_close(struct sinq_json_writer *json, char bracket) {
    const bool was_inline = is_inline(json);
    const bool filled = json->filled[json->depth - 1];
    if (json->inline_depth == json->depth) json->inline_depth = 0;
    json->depth--;
    if (filled && !was_inline) break_line(json);
    putc(bracket, json->out);
    if (json->depth == 0) putc('\n', json->out);
}

void sinq_write_text(struct sinq_json_writer *json, const char *key, const char *text) {
    if (text == NULL) {
        sinq_write_null(json, key);
        return;
    }
    begin_value(json, key);
    write_text(json->out, text, strlen(text));
}

void sinq_write_sized_text(struct sinq_json_writer *json, const char *key, const char *text, size_t size) {
    char *const copy = sinq_allocate(size + 1, 1); /* decoding stops at a NUL */
    if (size > 0) memcpy(copy, text, size);
    begin_value(json, key);
    write_text(json->out, copy, size);
    free(copy);
}

void sinq_write_count(struct sinq_json_writer *json, const char *key, uint64_t count) {
    begin_value(json, key);
    fprintf(json->out, "%" PRIu64, count);
}

void sinq_write_real(struct sinq_json_writer *json, const char *key, double value) {
    if (!isfinite(value)) {
        sinq_write_null(json, key);
        return;
    }
    char text[40];
    /* The shortest of the usual precisions that reads back as the same number. */
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    begin_value(json, key);
    fputs(text, json->out);
}

void sinq_write_flag(struct sinq_json_writer *json, const char *key, bool value) {
    begin_value(json, key);
    fputs(value ? "true" : "false", json->out);
}

void sinq_write_null(struct sinq_json_writer *json, const char *key) {
    begin_value(json, key);
    fputs("null", json->out);
}
