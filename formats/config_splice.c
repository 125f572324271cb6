#include "config_splice.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

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
static bool is_key(const char *key, const char *end, const char *name) {
    cJSON *const parsed = cJSON_ParseWithLength(key, (size_t)(end - key));
    const char *const text = cJSON_GetStringValue(parsed);
    const bool equal = text != NULL && strcmp(text, name) == 0;
    cJSON_Delete(parsed);
    return equal;
}

struct members {
    const char *value, *value_end; /* of the member, or NULL */
    const char *cut, *cut_end;     /* what goes where it is taken out, a comma included */
    const char *last_end;          /* of the last member, or NULL */
    const char *first;             /* what follows the opening brace */
    size_t found;
};

static struct members find_member(const char *object, const char *name) {
    struct members members = {.first = object + 1};
    const char *at = skip_space(members.first);
    while (*at == '"') {
        const char *const key = at, *const key_end = skip_string(at);
        const char *const colon = skip_space(key_end);
        if (*colon != ':') break;
        const char *const value = skip_space(colon + 1);
        const char *const value_end = skip_value(value);
        const bool is_last = *skip_space(value_end) != ',';
        at = is_last ? skip_space(value_end) : skip_space(skip_space(value_end) + 1);
        if (is_key(key, key_end, name)) {
            members.value = value;
            members.value_end = value_end;
            members.cut = !is_last || members.last_end == NULL ? key : members.last_end;
            members.cut_end = is_last ? value_end : at;
            members.found++;
        }
        members.last_end = value_end;
        if (is_last) break;
    }
    return members;
}

static bool is_json(const char *text, bool is_object) {
    cJSON *const parsed = cJSON_ParseWithOpts(text, NULL, 1);
    const bool found = is_object ? cJSON_IsObject(parsed) : parsed != NULL;
    cJSON_Delete(parsed);
    return found;
}

/* `value` NULL: what takes the member out. */
static void print_spliced(const char *config, const struct members *members, const char *name, const char *value,
                          struct sinq_text *text) {
    const char *cut = members->value, *rest = members->value_end;
    const bool is_added = value != NULL && cut == NULL;
    if (value == NULL) cut = members->cut, rest = members->cut_end;
    if (cut == NULL) cut = rest = members->last_end != NULL && is_added ? members->last_end : members->first;
    sinq_text_add_bytes(text, config, (size_t)(cut - config));
    if (is_added) {
        sinq_text_add(text, members->last_end != NULL ? ",\n  " : "\n  ");
        sinq_text_add_json(text, name);
        sinq_text_add(text, ": ");
    }
    if (value != NULL) sinq_text_add(text, value);
    if (is_added && members->last_end == NULL) sinq_text_add(text, "\n");
    sinq_text_add(text, rest);
}

int sinq_splice_member(const char *config, const char *name, const char *value, const char *path,
                       struct sinq_text *text, struct sinq_error *error) {
    if (config == NULL) config = "{}\n";
    if (!is_json(config, true)) return sinq_fail(error, SINQ_FAILED, "%s: is not a JSON object", path);
    if (value != NULL && !is_json(value, false)) {
        return sinq_fail(error, SINQ_FAILED, "%s: the new %s is not JSON", path, name);
    }
    const struct members members = find_member(strchr(config, '{'), name);
    if (members.found > 1) return sinq_fail(error, SINQ_FAILED, "%s: has %s more than once", path, name);
    print_spliced(config, &members, name, value, text);
    /* The walk is simple; what it made is held against a real parser. */
    if (!text->failed && !is_json(text->data, true)) {
        return sinq_fail(error, SINQ_FAILED, "%s: %s cannot be put into it", path, name);
    }
    return text->failed ? sinq_fail_memory(error, path, strlen(config)) : SINQ_OK;
}

static bool has_member(const char *config, const char *name) {
    cJSON *const parsed = cJSON_Parse(config);
    const bool found = cJSON_HasObjectItem(parsed, name);
    cJSON_Delete(parsed);
    return found;
}

int sinq_splice_plain(const char *config, const char *dtype, const char *path, struct sinq_text *text,
                      struct sinq_error *error) {
    static const char *const names[] = {"dtype", "torch_dtype"};
    struct sinq_text value = {0}, made[3] = {{0}};
    sinq_text_add_json(&value, dtype);
    int status = value.failed ? sinq_fail_memory(error, path, 16) : SINQ_OK;
    if (status == SINQ_OK) status = sinq_splice_member(config, "quantization_config", NULL, path, &made[0], error);
    const bool has_new = status == SINQ_OK && has_member(made[0].data, names[0]);
    for (int i = 0; i < 2 && status == SINQ_OK; i++) {
        const bool is_set = i == 0 ? has_new : !has_new || has_member(made[i].data, names[i]);
        if (is_set) {
            status = sinq_splice_member(made[i].data, names[i], value.data, path, &made[i + 1], error);
        } else {
            sinq_text_add(&made[i + 1], made[i].data);
        }
    }
    if (status == SINQ_OK) sinq_text_add(text, made[2].data);
    if (status == SINQ_OK && (text->failed || made[1].failed)) status = sinq_fail_memory(error, path, made[0].size);
    for (int i = 0; i < 3; i++) sinq_text_free(&made[i]);
    sinq_text_free(&value);
    return status;
}
