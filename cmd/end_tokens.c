#include "end_tokens.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

bool sinq_is_end_token(const struct sinq_end_tokens *ends, int32_t id) {
    for (size_t i = 0; i < ends->count; i++)
        if (ends->ids[i] == id) return true;
    return false;
}

static void add_number(struct sinq_end_tokens *ends, const cJSON *item) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= INT32_MAX)) return;
    const int32_t id = (int32_t)item->valuedouble;
    if (ends->count < SINQ_MOST_END_TOKENS && !sinq_is_end_token(ends, id)) ends->ids[ends->count++] = id;
}

void sinq_add_end_tokens(struct sinq_end_tokens *ends, const char *json) {
    cJSON *const root = cJSON_Parse(json);
    const cJSON *const field = cJSON_GetObjectItemCaseSensitive(root, "eos_token_id");
    if (cJSON_IsArray(field)) {
        const cJSON *item;
        cJSON_ArrayForEach(item, field) add_number(ends, item);
    } else {
        add_number(ends, field);
    }
    cJSON_Delete(root);
}

void sinq_find_end_tokens(const struct sinq_source *source, struct sinq_end_tokens *ends) {
    ends->count = 0;
    for (size_t i = 0; i < sinq_source_sidecar_count(source); i++) {
        struct sinq_error error;
        char *text = NULL;
        size_t size;
        if (strcmp(sinq_source_sidecar_name(source, i), "generation_config.json") != 0) continue;
        if (sinq_source_read_sidecar(source, i, &text, &size, &error) == SINQ_OK) sinq_add_end_tokens(ends, text);
        free(text);
    }
    const char *const config = sinq_source_config(source);
    if (config != NULL) sinq_add_end_tokens(ends, config);
}
