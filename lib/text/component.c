#include "text/component.h"

#include <string.h>

#include "base/error.h"

int sinq_fail_type(const struct sinq_place *place, const char *type, struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%.300s: %s: type %.100s is not supported", place->path, place->section, type);
}

int sinq_fail_component(const struct sinq_place *place, const char *type, const char *expected,
                        struct sinq_error *error) {
    return sinq_fail(error, SINQ_FAILED, "%.300s: %s: %.100s: %s was expected", place->path, place->section, type,
                     expected);
}

const char *sinq_component_type(const struct sinq_place *place, const cJSON *json, struct sinq_error *error) {
    const char *const type = sinq_component_string(json, "type");
    if (type != NULL) return type;
    sinq_fail(error, SINQ_FAILED, "%.300s: %s: an object with a \"type\" was expected", place->path, place->section);
    return NULL;
}

bool sinq_component_flag(const cJSON *json, const char *name, bool absent) {
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsBool(value) ? cJSON_IsTrue(value) : absent;
}

const char *sinq_component_string(const cJSON *json, const char *name) {
    const cJSON *const value = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

int sinq_read_components(const struct sinq_place *place, const cJSON *json, const char *parts, sinq_component_fn *read,
                         void *user, struct sinq_error *error) {
    if (json == NULL || cJSON_IsNull(json)) return SINQ_OK;
    const char *const type = sinq_component_type(place, json, error);
    if (type == NULL) return SINQ_FAILED;
    if (strcmp(type, "Sequence") != 0) return read(user, place, type, json, error);
    const cJSON *const array = cJSON_GetObjectItemCaseSensitive(json, parts);
    if (!cJSON_IsArray(array)) return sinq_fail_component(place, type, parts, error);
    int status = SINQ_OK;
    const cJSON *part;
    cJSON_ArrayForEach(part, array) {
        if (status == SINQ_OK) status = sinq_read_components(place, part, parts, read, user, error);
    }
    return status;
}
