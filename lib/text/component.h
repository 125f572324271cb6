/* component.h: reading the small parts of tokenizer.json: objects with a "type" and a few settings. */
#ifndef SINQ_TEXT_COMPONENT_H
#define SINQ_TEXT_COMPONENT_H

#include <cjson/cJSON.h>

#include "sinq.h"

#define SINQ_MAX_STAGES 64u /* of a normalizer, a pre-tokenizer, a decoder, sequences taken apart */

/* Where a component stands, for messages. */
struct sinq_place {
    const char *path;    /* of tokenizer.json */
    const char *section; /* "normalizer", ... */
};

/* The component's type; NULL, with an error, where it has none. */
const char *sinq_component_type(const struct sinq_place *place, const cJSON *json, struct sinq_error *error);

/* "PATH: SECTION: type X is not supported". */
int sinq_fail_type(const struct sinq_place *place, const char *type, struct sinq_error *error);

/* "PATH: SECTION: TYPE: EXPECTED was expected". */
int sinq_fail_component(const struct sinq_place *place, const char *type, const char *expected,
                        struct sinq_error *error);

/* A setting that is true or false; `absent` where it is not there or is something else. */
bool sinq_component_flag(const cJSON *json, const char *name, bool absent);

/* A setting that is a string, or NULL. */
const char *sinq_component_string(const cJSON *json, const char *name);

/*
 * Calls `read` for each component of a tree of sequences (whose parts are the array `parts`: "normalizers", ...), in order. JSON null is
 * no component.
 */
typedef int sinq_component_fn(void *user, const struct sinq_place *place, const char *type, const cJSON *json,
                              struct sinq_error *error);
int sinq_read_components(const struct sinq_place *place, const cJSON *json, const char *parts, sinq_component_fn *read,
                         void *user, struct sinq_error *error);

#endif
