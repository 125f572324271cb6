#include "text/jinja.h"

#include <string.h>

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Behind the blanks from `at` on. */
static const char *skip_space(const char *at) {
    while (is_space(*at)) at++;
    return at;
}

/* Bytes that stand for something else in flattened text and in forms are not let in. */
static void add_byte(struct sinq_text *flat, char c) {
    if ((unsigned char)c < 0x20 && !is_space(c)) return;
    sinq_text_add_bytes(flat, &c, 1);
}

/* One escape, as Python reads it; `at` is behind the backslash. */
static const char *add_escape(const char *at, struct sinq_text *flat) {
    switch (*at) {
    case '\0':
        return at;
    case 'n':
        add_byte(flat, '\n');
        break;
    case 't':
        add_byte(flat, '\t');
        break;
    case 'r':
        add_byte(flat, '\r');
        break;
    case '\n':
        break; /* a line that goes on */
    case '\\':
    case '\'':
    case '"':
        add_byte(flat, *at);
        break;
    default: /* left as it stands */
        add_byte(flat, '\\');
        add_byte(flat, *at);
    }
    return at + 1;
}

/* Where the string that begins behind `+` and blanks has its first byte, or NULL. */
static const char *find_joined(const char *at) {
    const char *next = skip_space(at);
    if (*next != '+') return NULL;
    next = skip_space(next + 1);
    return *next == '\'' || *next == '"' ? next : NULL;
}

/* A string and those joined to it; `at` is its opening quote. */
static const char *add_string(const char *at, struct sinq_text *flat) {
    const char edge = SINQ_JINJA_QUOTE;
    sinq_text_add_bytes(flat, &edge, 1);
    for (const char *next = at; next != NULL; next = find_joined(at)) {
        const char quote = *next;
        for (at = next + 1; *at != quote && *at != '\0';) {
            if (*at == '\\') {
                at = add_escape(at + 1, flat);
            } else {
                add_byte(flat, *at++);
            }
        }
        if (*at == '\0') break;
        at++;
    }
    sinq_text_add_bytes(flat, &edge, 1);
    return at;
}

/* An expression or statement; `at` is behind its opening braces. */
static const char *add_code(const char *at, struct sinq_text *flat) {
    while (*at != '\0' && !((at[0] == '}' || at[0] == '%') && at[1] == '}')) {
        if (*at == '\'' || *at == '"') {
            at = add_string(at, flat);
        } else {
            add_byte(flat, *at++);
        }
    }
    return at;
}

void sinq_flatten_jinja(const char *source, struct sinq_text *flat) {
    sinq_text_add(flat, "");
    for (const char *at = source; *at != '\0';) {
        if (at[0] == '{' && at[1] == '#') { /* a comment */
            const char *const end = strstr(at, "#}");
            if (end == NULL) break;
            at = end + 2;
        } else if (at[0] == '{' && (at[1] == '{' || at[1] == '%')) {
            sinq_text_add_bytes(flat, at, 2);
            at = add_code(at + 2, flat);
        } else {
            add_byte(flat, *at++);
        }
    }
}

/* ---- the default system message ---- */

/* A string at `at` is appended to *message. Returns the place behind it, NULL where there is none. */
static const char *read_string(const char *at, struct sinq_text *message) {
    if (*at != SINQ_JINJA_QUOTE) return NULL;
    const char *const end = strchr(at + 1, SINQ_JINJA_QUOTE);
    if (end == NULL) return NULL;
    sinq_text_add_bytes(message, at + 1, (size_t)(end - at - 1));
    return end + 1;
}

/* Strings and `today`, joined by +, up to the end of the statement. */
static bool read_sum(const char *at, const char *date, struct sinq_text *message) {
    for (;;) {
        at = skip_space(at);
        if (date != NULL && strncmp(at, "today", 5) == 0) {
            sinq_text_add(message, date);
            at += 5;
        } else {
            at = read_string(at, message);
            if (at == NULL) return false;
        }
        at = skip_space(at);
        if (*at != '+') break;
        at++;
    }
    return *at == '%' || (at[0] == '-' && at[1] == '%');
}

/* Whether the statement at `at` stands behind a condition that never holds: `elif false == true`. */
static bool is_dead(const char *flat, const char *at) {
    const char *const dead = strstr(flat, "if false == true");
    if (dead == NULL || dead > at) return false;
    const char *const otherwise = strstr(dead, "else %}");
    return otherwise == NULL || otherwise > at;
}

/* A string that the template itself writes between the edges of a system turn. */
static int find_in_turn(const char *flat, const char *before, const char *after, struct sinq_text *message) {
    for (const char *at = strstr(flat, before); at != NULL; at = strstr(at + 1, before)) {
        const char *const text = at + strlen(before), *const end = strpbrk(text, "\1<{");
        if (end == NULL || end == text || *end == SINQ_JINJA_QUOTE || *end == '{') continue;
        if (strncmp(end, after, strlen(after)) != 0) return -1;
        sinq_text_add_bytes(message, text, (size_t)(end - text));
        return 1;
    }
    return 0;
}

int sinq_find_default_system(const char *flat, const char *before, const char *after, const char *date,
                             struct sinq_text *message) {
    static const char assignment[] = "system_message = ", today[] = "set today = strftime_now(\1%Y-%m-%d\1)";
    const int found = before[0] != '\0' ? find_in_turn(flat, before, after, message) : 0;
    if (found != 0) return found;
    for (const char *at = strstr(flat, assignment); at != NULL; at = strstr(at + 1, assignment)) {
        const char *const value = skip_space(at + strlen(assignment));
        if (*value != SINQ_JINJA_QUOTE || is_dead(flat, at)) continue;
        const char *const known_date = strstr(flat, today) != NULL ? date : NULL;
        return read_sum(value, known_date, message) ? 1 : -1;
    }
    return 0;
}
