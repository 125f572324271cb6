#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/error.h"
#include "base/utf8.h"

#define WINDOW_BYTES ((size_t)1 << 16)

/* ---- the window ---- */

void sinq_json_open_text(struct sinq_json *json, const char *what, const char *text, size_t size,
                         struct sinq_error *error) {
    *json = (struct sinq_json){.at = text, .start = text, .end = text + size, .what = what, .error = error};
}

bool sinq_json_open_input(struct sinq_json *json, const char *what, const struct sinq_input *input, uint64_t offset,
                          uint64_t size, struct sinq_error *error) {
    *json = (struct sinq_json){.input = input, .next = offset, .left = size, .what = what, .error = error};
    json->window = malloc(WINDOW_BYTES);
    if (json->window == NULL) {
        json->has_failed = true;
        sinq_fail_memory(error, what, WINDOW_BYTES);
        return false;
    }
    json->at = json->start = json->end = json->window;
    return true;
}

void sinq_json_close(struct sinq_json *json) {
    free(json->window);
    sinq_text_free(&json->skipped);
    *json = (struct sinq_json){.has_failed = true};
}

bool sinq_json_fail(struct sinq_json *json, const char *expected) {
    if (json->has_failed) return false;
    json->has_failed = true;
    sinq_fail(json->error, SINQ_FAILED, "%s%s%.300s: invalid JSON at byte %llu: expected %s", json->what,
              json->item == NULL ? "" : ": tensor ", json->item == NULL ? "" : json->item,
              (unsigned long long)(json->start_offset + (uint64_t)(json->at - json->start)), expected);
    return false;
}

static bool fail_memory(struct sinq_json *json, uint64_t bytes) {
    if (!json->has_failed) sinq_fail_memory(json->error, json->what, bytes);
    json->has_failed = true;
    return false;
}

/* Whether there is a byte at json->at; fetches the next window when this one is used up. */
static bool has_byte(struct sinq_json *json) {
    if (json->at < json->end) return true;
    if (json->left == 0 || json->has_failed) return false;
    const size_t size = (size_t)sinq_min_u64(json->left, WINDOW_BYTES);
    if (sinq_input_read(json->input, json->next, size, json->window, json->error) != SINQ_OK) {
        json->has_failed = true;
        return false;
    }
    if (json->hasher != NULL) sinq_hasher_update(json->hasher, json->window, size);
    json->start_offset += (uint64_t)(json->end - json->start);
    json->next += size;
    json->left -= size;
    json->at = json->start = json->window;
    json->end = json->window + size;
    return true;
}

static bool accept(struct sinq_json *json, char wanted) {
    if (!has_byte(json) || *json->at != wanted) return false;
    json->at++;
    return true;
}

static void skip_space(struct sinq_json *json) {
    while (has_byte(json) && (*json->at == ' ' || *json->at == '\n' || *json->at == '\r' || *json->at == '\t')) {
        json->at++;
    }
}

char sinq_json_peek(struct sinq_json *json) {
    skip_space(json);
    return has_byte(json) ? *json->at : '\0';
}

/* ---- objects and arrays ---- */

bool sinq_json_begin_object(struct sinq_json *json) {
    skip_space(json);
    return accept(json, '{') || sinq_json_fail(json, "'{', the beginning of an object");
}

bool sinq_json_begin_array(struct sinq_json *json) {
    skip_space(json);
    return accept(json, '[') || sinq_json_fail(json, "'[', the beginning of an array");
}

/* Steps over the comma, or the closing bracket: then returns false. */
static bool next_member(struct sinq_json *json, bool *first, char close) {
    if (json->has_failed) return false;
    skip_space(json);
    if (accept(json, close)) return false;
    if (!*first && !accept(json, ',')) return sinq_json_fail(json, close == '}' ? "',' or '}'" : "',' or ']'");
    *first = false;
    skip_space(json);
    return true;
}

bool sinq_json_next_key(struct sinq_json *json, bool *first, size_t limit, struct sinq_text *key) {
    if (!next_member(json, first, '}') || !sinq_json_read_string(json, limit, key)) return false;
    skip_space(json);
    return accept(json, ':') || sinq_json_fail(json, "':' behind a key");
}

bool sinq_json_next_element(struct sinq_json *json, bool *first) { return next_member(json, first, ']'); }

bool sinq_json_end(struct sinq_json *json) {
    if (json->has_failed) return false;
    skip_space(json);
    return (!has_byte(json) && !json->has_failed) || sinq_json_fail(json, "nothing more");
}

/* ---- strings ---- */

/* Where decoded bytes go. Those of a skipped string are only checked, piece by piece. */
struct string_target {
    struct sinq_text *text;
    size_t limit;
    bool is_skipped;
};

#define SKIPPED_PIECE ((size_t)4096)

/* Checks and drops all of the text but its last `keep` bytes, which may begin a sequence that goes on. */
static bool drop_checked(struct sinq_json *json, struct sinq_text *text) {
    size_t cut = text->size;
    while (cut > 0 && text->size - cut < 4 && ((unsigned char)text->data[cut - 1] & 0x80) != 0) {
        cut--;
        if (((unsigned char)text->data[cut] & 0xc0) == 0xc0) break;
    }
    if (!sinq_is_utf8(text->data, cut)) return sinq_json_fail(json, "valid UTF-8");
    memmove(text->data, text->data + cut, text->size - cut);
    text->size -= cut;
    return true;
}

static bool add_decoded(struct sinq_json *json, const struct string_target *target, const char *bytes, size_t size) {
    struct sinq_text *const text = target->text;
    if (!target->is_skipped && size > target->limit - text->size) return sinq_json_fail(json, "a shorter string");
    sinq_text_add_bytes(text, bytes, size);
    if (text->failed) return fail_memory(json, size);
    return !target->is_skipped || text->size < SKIPPED_PIECE || drop_checked(json, text);
}

static bool read_hex4(struct sinq_json *json, uint32_t *value) {
    *value = 0;
    for (int i = 0; i < 4; i++) {
        const char c = has_byte(json) ? *json->at : '\0';
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return sinq_json_fail(json, "four hexadecimal digits");
        *value = *value << 4 | (uint32_t)digit;
        json->at++;
    }
    return true;
}

/* Behind "\u". */
static bool read_unicode_escape(struct sinq_json *json, const struct string_target *target) {
    uint32_t point, low;
    if (!read_hex4(json, &point)) return false;
    if (point == 0 && !json->allow_nul) return sinq_json_fail(json, "a string without \\u0000");
    if (point >= 0xdc00 && point < 0xe000) return sinq_json_fail(json, "no lone surrogate");
    if (point >= 0xd800 && point < 0xdc00) {
        if (!accept(json, '\\') || !accept(json, 'u')) return sinq_json_fail(json, "the second half of a surrogate");
        if (!read_hex4(json, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return sinq_json_fail(json, "the second half of a surrogate");
        point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    char bytes[4];
    return add_decoded(json, target, bytes, sinq_encode_utf8(point, bytes));
}

/* Behind a backslash. */
static bool read_escape(struct sinq_json *json, const struct string_target *target) {
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (!has_byte(json)) return sinq_json_fail(json, "an escape sequence");
    if (accept(json, 'u')) return read_unicode_escape(json, target);
    const char *const name = *json->at == '\0' ? NULL : strchr(names, *json->at);
    if (name == NULL) return sinq_json_fail(json, "an escape sequence");
    json->at++;
    return add_decoded(json, target, values + (name - names), 1);
}

static bool read_string(struct sinq_json *json, const struct string_target *target) {
    if (json->has_failed) return false;
    skip_space(json);
    target->text->size = 0;
    if (!accept(json, '"')) return sinq_json_fail(json, "'\"', the beginning of a string");
    while (has_byte(json)) {
        const char *const run = json->at;
        while (json->at < json->end && *json->at != '"' && *json->at != '\\' && (unsigned char)*json->at >= 0x20) {
            json->at++;
        }
        if (json->at > run && !add_decoded(json, target, run, (size_t)(json->at - run))) return false;
        if (json->at == json->end) continue;
        if (accept(json, '"')) return true;
        if (!accept(json, '\\')) return sinq_json_fail(json, "no control character in a string");
        if (!read_escape(json, target)) return false;
    }
    return sinq_json_fail(json, "the end of a string");
}

bool sinq_json_read_string(struct sinq_json *json, size_t limit, struct sinq_text *text) {
    const struct string_target target = {text, limit, false};
    if (!read_string(json, &target)) return false;
    sinq_text_add_bytes(text, "", 0); /* an empty string too is NUL-terminated */
    if (text->failed) return fail_memory(json, 1);
    return sinq_is_utf8(text->data, text->size) || sinq_json_fail(json, "valid UTF-8");
}

static bool skip_string(struct sinq_json *json) {
    const struct string_target target = {&json->skipped, 0, true};
    if (!read_string(json, &target)) return false;
    return sinq_is_utf8(json->skipped.data, json->skipped.size) || sinq_json_fail(json, "valid UTF-8");
}

/* ---- numbers and the rest ---- */

static bool is_digit(struct sinq_json *json) { return has_byte(json) && *json->at >= '0' && *json->at <= '9'; }

bool sinq_json_read_u64(struct sinq_json *json, uint64_t *value) {
    static const char expected[] = "a non-negative integer";
    if (json->has_failed) return false;
    skip_space(json);
    if (!is_digit(json)) return sinq_json_fail(json, expected);
    const bool is_zero = *json->at == '0';
    *value = 0;
    do {
        const uint64_t digit = (uint64_t)(*json->at - '0');
        if (!sinq_multiply_u64(*value, 10, value) || !sinq_add_u64(*value, digit, value)) {
            return sinq_json_fail(json, "an integer below 2^64");
        }
        json->at++;
    } while (!is_zero && is_digit(json));
    const char next = has_byte(json) ? *json->at : '\0';
    const bool goes_on = (next >= '0' && next <= '9') || next == '.' || next == 'e' || next == 'E';
    return (!goes_on && !json->has_failed) || sinq_json_fail(json, expected);
}

static bool skip_word(struct sinq_json *json, const char *word) {
    for (const char *c = word; *c != '\0'; c++) {
        if (!accept(json, *c)) return sinq_json_fail(json, "a value");
    }
    return true;
}

static bool skip_digits(struct sinq_json *json) {
    if (!is_digit(json)) return sinq_json_fail(json, "a digit");
    while (is_digit(json)) json->at++;
    return true;
}

static bool skip_number(struct sinq_json *json) {
    const bool is_negative = accept(json, '-');
    if (is_negative && json->allow_nonfinite && has_byte(json) && *json->at == 'I') return skip_word(json, "Infinity");
    if (!accept(json, '0') && !skip_digits(json)) return false;
    if (accept(json, '.') && !skip_digits(json)) return false;
    if (accept(json, 'e') || accept(json, 'E')) {
        if (!accept(json, '+')) (void)accept(json, '-');
        return skip_digits(json);
    }
    return true;
}

static bool skip_value(struct sinq_json *json, int depth);

static bool skip_members(struct sinq_json *json, char close, int depth) {
    if (depth >= SINQ_JSON_DEPTH) return sinq_json_fail(json, "fewer nested values");
    json->at++;
    for (bool first = true; next_member(json, &first, close);) {
        if (close == '}') {
            if (!skip_string(json)) return false;
            skip_space(json);
            if (!accept(json, ':')) return sinq_json_fail(json, "':' behind a key");
        }
        if (!skip_value(json, depth + 1)) return false;
    }
    return !json->has_failed;
}

static bool skip_value(struct sinq_json *json, int depth) {
    const char first = sinq_json_peek(json);
    switch (first) {
    case '{':
        return skip_members(json, '}', depth);
    case '[':
        return skip_members(json, ']', depth);
    case '"':
        return skip_string(json);
    case 't':
        return skip_word(json, "true");
    case 'f':
        return skip_word(json, "false");
    case 'n':
        return skip_word(json, "null");
    case 'N':
        return json->allow_nonfinite ? skip_word(json, "NaN") : sinq_json_fail(json, "a value");
    case 'I':
        return json->allow_nonfinite ? skip_word(json, "Infinity") : sinq_json_fail(json, "a value");
    default:
        if (first == '-' || (first >= '0' && first <= '9')) return skip_number(json);
        return sinq_json_fail(json, "a value");
    }
}

bool sinq_json_skip(struct sinq_json *json) { return !json->has_failed && skip_value(json, 0); }
