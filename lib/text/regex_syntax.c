#include "text/regex_syntax.h"

#include <string.h>

/*
 * As the body of a class. White_Space: PCRE2's own \s has U+180E too. Words: letters, marks, decimal and letter numbers, connectors and
 * enclosed letters; outside of classes Oniguruma asks another table for Latin-1, which has superscripts and fractions as well.
 */
#define SPACE "\\t-\\r\\x{85}\\p{Z}"
#define WORD                                                                                                           \
    "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{"    \
    "1f189}"
#define LATIN_WORD WORD "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
#define HEX        "0-9a-fA-F"

#define MAX_CLASSES 8u /* one in the other */

struct translation {
    const char *at, *end;
    struct sinq_text *out;
    bool in_class;
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

static void add_class(struct translation *t, const char *body, bool is_negated) {
    if (t->in_class) {
        sinq_text_add(t->out, body);
    } else {
        sinq_text_print(t->out, "[%s%s]", is_negated ? "^" : "", body);
    }
}

/* Behind "\p" or "\P": {Name} or {^Name}. Names of scripts mean the script, not its extensions. */
static const char *translate_property(struct translation *t, char kind) {
    const char *const open = t->at, *const close = memchr(open, '}', (size_t)(t->end - open));
    if (open == t->end || *open != '{' || close == NULL) return "\\p without {...}";
    const char *name = open + 1;
    bool is_negated = kind == 'P';
    if (name < close && *name == '^') {
        is_negated = !is_negated;
        name++;
    }
    const bool is_category = close - name <= 2;
    for (const char *c = name; c < close; c++) {
        if (!is_letter(*c) && *c != '_' && *c != '&') return "a property of this name";
    }
    sinq_text_print(t->out, "\\%c{%s%.*s}", is_negated ? 'P' : 'p', is_category ? "" : "sc:", (int)(close - name),
                    name);
    t->at = close + 1;
    return NULL;
}

static const char *translate_unicode_escape(struct translation *t) {
    if (t->end - t->at < 4) return "\\u without four digits";
    for (int i = 0; i < 4; i++) {
        if (!is_hex(t->at[i])) return "\\u without four digits";
    }
    sinq_text_print(t->out, "\\x{%.4s}", t->at);
    t->at += 4;
    return NULL;
}

/* Behind a backslash. */
static const char *translate_escape(struct translation *t) {
    if (t->at == t->end) return "a backslash at the end";
    const char c = *t->at++;
    switch (c) {
    case 's':
        return add_class(t, SPACE, false), NULL;
    case 'w':
        return add_class(t, t->in_class ? WORD : LATIN_WORD, false), NULL;
    case 'h':
        return add_class(t, HEX, false), NULL;
    case 'S':
        if (t->in_class) return sinq_text_add(t->out, "\\S\\x{180e}"), NULL;
        return add_class(t, SPACE, true), NULL;
    case 'W':
    case 'H':
        if (t->in_class) return "\\W or \\H in a class";
        return add_class(t, c == 'W' ? LATIN_WORD : HEX, true), NULL;
    case 'v':
        return sinq_text_add(t->out, "\\x0b"), NULL;
    case 'u':
        return translate_unicode_escape(t);
    case 'p':
    case 'P':
        return translate_property(t, c);
    default:
        if (is_letter(c) && strchr("nrtfeaxdDbBAzZGRXk", c) == NULL) return "this escape sequence";
        sinq_text_add(t->out, "\\");
        sinq_text_add_bytes(t->out, &c, 1);
        return NULL;
    }
}

/* At "[:" in a class, as in [[:alpha:]]. */
static bool translate_posix_class(struct translation *t) {
    static const struct {
        const char *name, *body;
    } classes[] = {
        {"[:space:]", SPACE},
        {"[:word:]", WORD},
        {"[:punct:]", "\\p{P}\\p{S}"},
        {"[:alpha:]", "\\p{Alphabetic}"},
        {"[:digit:]", "\\p{Nd}"},
        {"[:alnum:]", "\\p{Alphabetic}\\p{Nd}"},
        {"[:xdigit:]", HEX},
        {"[:upper:]", "\\p{Uppercase}"},
        {"[:lower:]", "\\p{Lowercase}"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        const size_t size = strlen(classes[i].name);
        if ((size_t)(t->end - t->at) < size || memcmp(t->at, classes[i].name, size) != 0) continue;
        sinq_text_add(t->out, classes[i].body);
        t->at += size;
        return true;
    }
    return false;
}

/*
 * Behind "[" and "^", up to and with "]". A class in the class adds its characters: it is written out without its brackets, and a hyphen
 * beside one of them, which means itself, must not become a range then.
 */
static const char *translate_class_body(struct translation *t, unsigned depth) {
    const char *wrong = NULL;
    if (t->at < t->end && *t->at == ']') return "an empty class";
    for (const char *begin = t->at; wrong == NULL && t->at < t->end && *t->at != ']';) {
        const char *const c = t->at;
        const char next = c + 1 < t->end ? c[1] : '\0';
        if (*c == '[') {
            if (translate_posix_class(t)) continue;
            if (next == '^' || next == ':' || depth >= MAX_CLASSES) return "this class in a class";
            t->at++;
            wrong = translate_class_body(t, depth + 1);
        } else if (*c == '&' && next == '&') {
            wrong = "&& in a class";
        } else if (*c == '-' && next == '[' && c > begin) {
            wrong = "a hyphen before a class";
        } else if (*c == '-' && (c == begin || next == ']')) {
            sinq_text_add(t->out, "\\-");
            t->at++;
        } else if (t->at++, *c == '\\') {
            wrong = translate_escape(t);
        } else {
            sinq_text_add_bytes(t->out, c, 1);
        }
    }
    if (wrong != NULL) return wrong;
    if (t->at == t->end) return "a class without an end";
    t->at++;
    return NULL;
}

/* Behind "[". */
static const char *translate_class(struct translation *t) {
    t->in_class = true;
    sinq_text_add(t->out, "[");
    if (t->at < t->end && *t->at == '^') {
        sinq_text_add(t->out, "^");
        t->at++;
    }
    const char *const wrong = translate_class_body(t, 0);
    t->in_class = false;
    sinq_text_add(t->out, "]");
    return wrong;
}

/* Behind "(": options, of which Ruby's m is what others call s. */
static const char *translate_group(struct translation *t) {
    sinq_text_add(t->out, "(");
    if (t->at < t->end && *t->at == '*') return "(*";
    if (t->at == t->end || *t->at != '?') return NULL;
    const char *end = t->at + 1;
    while (end < t->end && strchr("imx-", *end) != NULL && *end != '\0') end++;
    if (end == t->at + 1 || end == t->end || (*end != ':' && *end != ')')) {
        static const char *const known[] = {"?:", "?=", "?!", "?>", "?<", "?#"};
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (t->end - t->at >= 2 && memcmp(t->at, known[i], 2) == 0) return NULL;
        }
        return "this kind of group";
    }
    for (; t->at < end; t->at++) sinq_text_add_bytes(t->out, *t->at == 'm' ? "s" : t->at, 1);
    return NULL;
}

/* Behind "{", where it counts repetitions. */
static const char *translate_count(struct translation *t) {
    const char *c = t->at;
    while (c < t->end && is_digit(*c)) c++;
    const bool has_comma = c < t->end && *c == ',';
    if (has_comma) {
        for (c++; c < t->end && is_digit(*c); c++) continue;
    }
    if (c == t->at || c == t->end || *c != '}' || (has_comma && c == t->at + 1)) {
        return sinq_text_add(t->out, "\\{"), NULL; /* it means itself */
    }
    if (c + 1 < t->end && c[1] == '+') return "{...}+";
    sinq_text_print(t->out, "{%s%.*s}", *t->at == ',' ? "0" : "", (int)(c - t->at), t->at);
    t->at = c + 1;
    return NULL;
}

const char *sinq_translate_regex(const char *pattern, size_t size, struct sinq_text *out) {
    struct translation t = {.at = pattern, .end = pattern + size, .out = out};
    const char *wrong = NULL;
    while (wrong == NULL && t.at < t.end) {
        const char *const c = t.at++;
        if (*c == '\\') {
            wrong = translate_escape(&t);
        } else if (*c == '[') {
            wrong = translate_class(&t);
        } else if (*c == '(') {
            wrong = translate_group(&t);
        } else if (*c == '{') {
            wrong = translate_count(&t);
        } else {
            sinq_text_add_bytes(out, c, 1);
        }
    }
    return wrong;
}
