#include "text/postprocessor.h"

#include <string.h>

#include "base/error.h"
#include "text/tokens.h"
#include "text/vocabulary.h"

static int add_id(const struct sinq_place *place, const char *type, const cJSON *id, struct sinq_tokens *ids,
                  struct sinq_error *error) {
    const bool is_id = cJSON_IsNumber(id) && id->valuedouble >= 0 && id->valuedouble < (double)SINQ_TOKEN_LIMIT;
    if (!is_id || ids->count >= SINQ_MAX_STAGES) return sinq_fail_component(place, type, "a token id", error);
    return sinq_tokens_add(ids, (int32_t)id->valuedouble, error);
}

/* ---- TemplateProcessing ---- */

static int add_special(const struct sinq_place *place, const cJSON *json, const cJSON *special, struct sinq_tokens *ids,
                       struct sinq_error *error) {
    const char *const name = sinq_component_string(special, "id");
    const cJSON *const all = cJSON_GetObjectItemCaseSensitive(json, "special_tokens");
    const cJSON *const entry = name == NULL ? NULL : cJSON_GetObjectItemCaseSensitive(all, name);
    const cJSON *const array = cJSON_GetObjectItemCaseSensitive(entry, "ids");
    if (!cJSON_IsArray(array)) {
        return sinq_fail_component(place, "TemplateProcessing", "an entry with ids for each special token", error);
    }
    int status = SINQ_OK;
    const cJSON *id;
    cJSON_ArrayForEach(id, array) {
        if (status == SINQ_OK) status = add_id(place, "TemplateProcessing", id, ids, error);
    }
    return status;
}

static int read_template(struct sinq_postprocessor *p, const struct sinq_place *place, const cJSON *json,
                         struct sinq_error *error) {
    const cJSON *const single = cJSON_GetObjectItemCaseSensitive(json, "single");
    int status = SINQ_OK, texts = 0;
    const cJSON *part;
    cJSON_ArrayForEach(part, single) {
        const cJSON *const special = cJSON_GetObjectItemCaseSensitive(part, "SpecialToken");
        if (special == NULL) {
            const cJSON *const sequence = cJSON_GetObjectItemCaseSensitive(part, "Sequence");
            const char *const id = sinq_component_string(sequence, "id");
            texts += id != NULL && strcmp(id, "A") == 0 ? 1 : 2;
        } else if (status == SINQ_OK) {
            status = add_special(place, json, special, texts == 0 ? &p->before : &p->after, error);
        }
    }
    if (status != SINQ_OK || texts == 1) return status;
    return sinq_fail_component(place, "TemplateProcessing", "a template \"single\" with one Sequence, A,", error);
}

/* ---- all ---- */

/* BertProcessing and RobertaProcessing: ["</s>", 2]. */
static int read_pair(const struct sinq_place *place, const char *type, const cJSON *json, const char *name,
                     struct sinq_tokens *ids, struct sinq_error *error) {
    return add_id(place, type, cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, name), 1), ids, error);
}

static int read_processor(void *user, const struct sinq_place *place, const char *type, const cJSON *json,
                          struct sinq_error *error) {
    struct sinq_postprocessor *const p = user;
    if (strcmp(type, "ByteLevel") == 0) return SINQ_OK; /* only moves offsets */
    if (p->before.count + p->after.count > 0) {
        return sinq_fail_component(place, type, "only one processor that adds tokens", error);
    }
    if (strcmp(type, "TemplateProcessing") == 0) return read_template(p, place, json, error);
    if (strcmp(type, "BertProcessing") != 0 && strcmp(type, "RobertaProcessing") != 0) {
        return sinq_fail_type(place, type, error);
    }
    const int status = read_pair(place, type, json, "cls", &p->before, error);
    return status == SINQ_OK ? read_pair(place, type, json, "sep", &p->after, error) : status;
}

int sinq_read_postprocessor(const char *path, const cJSON *json, struct sinq_postprocessor *postprocessor,
                            struct sinq_error *error) {
    const struct sinq_place place = {path, "post_processor"};
    return sinq_read_components(&place, json, "processors", read_processor, postprocessor, error);
}

void sinq_postprocessor_free(struct sinq_postprocessor *postprocessor) {
    sinq_tokens_free(&postprocessor->before);
    sinq_tokens_free(&postprocessor->after);
}
