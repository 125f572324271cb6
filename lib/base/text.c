#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct sinq_text *text, size_t more) {
    if (text->failed) return false;
    if (more < text->capacity - text->size) return true;
    const size_t wanted = text->size + more + 1;
    const size_t capacity = wanted < 2 * text->capacity ? 2 * text->capacity : wanted < 64 ? 64 : wanted;
    char *const data = wanted < more ? NULL : realloc(text->data, capacity);
    if (data == NULL) {
        sinq_text_free(text);
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void sinq_text_add_bytes(struct sinq_text *text, const char *bytes, size_t size) {
    if (!reserve(text, size)) return;
    memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = '\0';
}

void sinq_text_add(struct sinq_text *text, const char *string) { sinq_text_add_bytes(text, string, strlen(string)); }

void sinq_text_print(struct sinq_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    const int size = vsnprintf(NULL, 0, format, arguments);
    if (size >= 0 && reserve(text, (size_t)size)) {
        (void)vsnprintf(text->data + text->size, (size_t)size + 1, format, again);
        text->size += (size_t)size;
    }
    va_end(again);
    va_end(arguments);
}

void sinq_text_add_json(struct sinq_text *text, const char *string) {
    sinq_text_add(text, "\"");
    for (const char *c = string; *c != '\0'; c++) {
        if (*c == '"' || *c == '\\') {
            sinq_text_print(text, "\\%c", *c);
        } else if ((unsigned char)*c < 0x20) {
            sinq_text_print(text, "\\u%04x", (unsigned)(unsigned char)*c);
        } else {
            sinq_text_add_bytes(text, c, 1);
        }
    }
    sinq_text_add(text, "\"");
}

void sinq_text_free(struct sinq_text *text) {
    free(text->data);
    *text = (struct sinq_text){0};
}

bool sinq_is_listed(const char *list, const char *word) {
    if (word == NULL || word[0] == '\0' || strchr(word, ' ') != NULL) return false;
    const size_t size = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ' ')) {
        if (*at == ' ') at++;
        if (strncmp(at, word, size) == 0 && (at[size] == ' ' || at[size] == '\0')) return true;
    }
    return false;
}
