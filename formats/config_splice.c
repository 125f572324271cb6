#include "config_splice.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MEMBER "quantization_config"

/*
 * What follows walks text that cJSON has found to be one JSON object, so that it only needs to know where things end; it
 * stops at the text's end whatever it holds.
 */
static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* From an opening quote to behind the closing one. */
static const char *skip_string(const char *at) {
    for (at++; *at != '\0' && *at != '"'; at++) {
        if (*at == '\\' && at[1] != '\0') at++;
    }
    return *at == '\0' ? at : at + 1;
}

static const char *skip_value(const char *at) {
    size_t depth = 0;
    do {
        if (*at == '"') {
            at = skip_string(at);
        } else {
            if (*at == '{' || *at == '[') depth++;
            if (*at == '}' || *at == ']') depth--;
            if (*at != '\0') at++;
        }
        /* A number or a word ends before what cannot be part of one. */
        if (depth == 0) return at[-1] == '"' || at[-1] == '}' || at[-1] == ']' ? at : at + strcspn(at, ",}] \t\r\n");
    } while (*at != '\0');
    return at;
}

/* Keys may be written with escapes. */
static bool is_member(const char *key, const char *end) {
    cJSON *const name = cJSON_ParseWithLength(key, (size_t)(end - key));
    const char *const text = cJSON_GetStringValue(name);
    const bool equal = text != NULL && strcmp(text, MEMBER) == 0;
    cJSON_Delete(name);
    return equal;
}

struct members {
    const char *value, *value_end; /* of quantization_config, or NULL */
    const char *last_end;          /* of the last member, or NULL */
    const char *first;             /* what follows the opening brace */
    size_t found;
};

static struct members find_member(const char *object) {
    struct members members = {.first = object + 1};
    const char *at = skip_space(members.first);
    while (*at == '"') {
        const char *const key_end = skip_string(at);
        const char *const colon = skip_space(key_end);
        if (*colon != ':') break;
        const char *const value = skip_space(colon + 1);
        const char *const value_end = skip_value(value);
        if (is_member(at, key_end)) {
            members.value = value;
            members.value_end = value_end;
            members.found++;
        }
        members.last_end = value_end;
        at = skip_space(value_end);
        if (*at != ',') break;
        at = skip_space(at + 1);
    }
    return members;
}

static bool is_object(const char *text) {
    cJSON *const parsed = cJSON_ParseWithOpts(text, NULL, 1);
    const bool found = cJSON_IsObject(parsed);
    cJSON_Delete(parsed);
    return found;
}

int sinq_splice_quantization(const char *config, const char *value, const char *path, struct sinq_text *text,
                             struct sinq_error *error) {
    if (config == NULL) config = "{}\n";
    if (!is_object(config)) return sinq_fail(error, SINQ_FAILED, "%s: is not a JSON object", path);
    if (!is_object(value)) {
        return sinq_fail(error, SINQ_FAILED, "%s: the new " MEMBER " is not a JSON object", path);
    }
    const char *const object = strchr(config, '{');
    const struct members members = find_member(object);
    if (members.found > 1) return sinq_fail(error, SINQ_FAILED, "%s: has " MEMBER " more than once", path);
    const char *const cut = members.value != NULL      ? members.value
                            : members.last_end != NULL ? members.last_end
                                                       : members.first;
    const char *const rest = members.value != NULL ? members.value_end : cut;
    sinq_text_add_bytes(text, config, (size_t)(cut - config));
    if (members.value == NULL) sinq_text_add(text, members.last_end != NULL ? ",\n  " : "\n  ");
    if (members.value == NULL) sinq_text_add(text, "\"" MEMBER "\": ");
    sinq_text_add(text, value);
    if (members.value == NULL && members.last_end == NULL) sinq_text_add(text, "\n");
    sinq_text_add(text, rest);
    /* The walk is simple; what it made is held against a real parser. */
    if (!text->failed && !is_object(text->data)) {
        return sinq_fail(error, SINQ_FAILED, "%s: " MEMBER " cannot be put into it", path);
    }
    return text->failed ? sinq_fail_memory(error, path, strlen(config)) : SINQ_OK;
}
