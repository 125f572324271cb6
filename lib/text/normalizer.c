#include "text/normalizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/error.h"

/* ---- reading ---- */

static int copy_content(const struct sinq_place *place, const char *type, const char *content,
                        struct sinq_normalizer_stage *stage, struct sinq_error *error) {
    if (content == NULL) return sinq_fail_component(place, type, "a string", error);
    stage->content_size = strlen(content);
    stage->content = strdup(content);
    return stage->content != NULL ? SINQ_OK : sinq_fail_memory(error, "a normalizer", stage->content_size);
}

static int read_replace(const struct sinq_place *place, const cJSON *json, struct sinq_normalizer_stage *stage,
                        struct sinq_error *error) {
    stage->kind = SINQ_REPLACE;
    const int status = sinq_read_pattern(place->path, place->section, cJSON_GetObjectItemCaseSensitive(json, "pattern"),
                                         &stage->pattern, error);
    if (status != SINQ_OK) return status;
    return copy_content(place, "Replace", sinq_component_string(json, "content"), stage, error);
}

static bool is_normal_form(const char *type) {
    return strcmp(type, "NFC") == 0 || strcmp(type, "NFD") == 0 || strcmp(type, "NFKC") == 0 ||
           strcmp(type, "NFKD") == 0;
}

static int read_stage(const struct sinq_place *place, const char *type, const cJSON *json,
                      struct sinq_normalizer_stage *stage, struct sinq_error *error) {
    if (is_normal_form(type)) {
        stage->kind = SINQ_NORMAL_FORM;
        stage->form = sinq_name_normal_form(type);
        return SINQ_OK;
    }
    if (strcmp(type, "Prepend") == 0) {
        stage->kind = SINQ_PREPEND;
        return copy_content(place, type, sinq_component_string(json, "prepend"), stage, error);
    }
    if (strcmp(type, "Replace") == 0) return read_replace(place, json, stage, error);
    if (strcmp(type, "Lowercase") == 0) {
        stage->kind = SINQ_LOWERCASE;
    } else if (strcmp(type, "StripAccents") == 0) {
        stage->kind = SINQ_STRIP_ACCENTS;
    } else if (strcmp(type, "Strip") == 0) {
        stage->kind = SINQ_STRIP;
        stage->strip_left = sinq_component_flag(json, "strip_left", true);
        stage->strip_right = sinq_component_flag(json, "strip_right", true);
    } else {
        return sinq_fail_type(place, type, error);
    }
    return SINQ_OK;
}

static int add_stage(void *user, const struct sinq_place *place, const char *type, const cJSON *json,
                     struct sinq_error *error) {
    struct sinq_normalizer *const normalizer = user;
    if (normalizer->count == SINQ_MAX_STAGES) return sinq_fail_component(place, type, "a shorter sequence", error);
    struct sinq_normalizer_stage *const stage = &normalizer->stages[normalizer->count++];
    return read_stage(place, type, json, stage, error);
}

int sinq_read_normalizer(const char *path, const cJSON *json, struct sinq_normalizer *normalizer,
                         struct sinq_error *error) {
    const struct sinq_place place = {path, "normalizer"};
    normalizer->stages = calloc(SINQ_MAX_STAGES, sizeof *normalizer->stages);
    if (normalizer->stages == NULL) return sinq_fail_memory(error, "a normalizer", SINQ_MAX_STAGES);
    return sinq_read_components(&place, json, "normalizers", add_stage, normalizer, error);
}

void sinq_normalizer_free(struct sinq_normalizer *normalizer) {
    for (size_t i = 0; i < normalizer->count; i++) {
        sinq_pattern_free(&normalizer->stages[i].pattern);
        free(normalizer->stages[i].content);
    }
    free(normalizer->stages);
    *normalizer = (struct sinq_normalizer){0};
}

/* ---- running ---- */

/* A hostile file could have a few characters become gigabytes. */
#define LONGER_BYTES ((size_t)1 << 20)
#define LONGER_TIMES ((size_t)32)

static void lower_case(const char *text, size_t size, struct sinq_text *out) {
    for (size_t i = 0, length; i < size; i += length) {
        const uint32_t point = sinq_decode_utf8(text + i, &length);
        char bytes[4];
        if (point == 0x130) { /* the only one that becomes two characters */
            sinq_text_add(out, "i\xcc\x87");
            continue;
        }
        const uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)point);
        sinq_text_add_bytes(out, bytes, sinq_encode_utf8(lower, bytes));
    }
}

static void strip_accents(const char *text, size_t size, struct sinq_text *out) {
    for (size_t i = 0, length; i < size; i += length) {
        const uint32_t point = sinq_decode_utf8(text + i, &length);
        const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)point);
        if (category >= UTF8PROC_CATEGORY_MN && category <= UTF8PROC_CATEGORY_ME) continue;
        sinq_text_add_bytes(out, text + i, length);
    }
}

/* Narrows text[0..*size); returns where it begins then. */
static const char *strip(const struct sinq_normalizer_stage *stage, const char *text, size_t *size) {
    const size_t left = stage->strip_left ? sinq_skip_space(text, *size) : 0;
    const size_t end = stage->strip_right ? sinq_find_trailing_space(text + left, *size - left) : *size - left;
    *size = end;
    return text + left;
}

/* What the stage makes of the text goes to *out; false where the text stays as it is. */
static bool run_stage(const struct sinq_normalizer *normalizer, struct sinq_normalizer_work *work, size_t index,
                      const char *text, size_t size, struct sinq_text *out, int *status, struct sinq_error *error) {
    const struct sinq_normalizer_stage *const stage = &normalizer->stages[index];
    switch (stage->kind) {
    case SINQ_NORMAL_FORM:
        return sinq_normalize(&stage->form, &work->inert[index], text, size, out);
    case SINQ_PREPEND:
        if (size == 0) return false;
        sinq_text_add_bytes(out, stage->content, stage->content_size);
        sinq_text_add_bytes(out, text, size);
        return true;
    case SINQ_REPLACE:
        *status = sinq_replace(&stage->pattern, stage->content, stage->content_size, &work->scratches[index], text,
                               size, work->limit, out, error);
        return true;
    case SINQ_LOWERCASE:
        return lower_case(text, size, out), true;
    case SINQ_STRIP_ACCENTS:
        return strip_accents(text, size, out), true;
    case SINQ_STRIP:
        return false;
    }
    return false;
}

static bool make_scratch(const struct sinq_normalizer *normalizer, struct sinq_normalizer_work *work) {
    if (work->scratches != NULL || normalizer->count == 0) return true;
    work->scratches = calloc(normalizer->count, sizeof *work->scratches);
    work->inert = calloc(normalizer->count, sizeof *work->inert);
    return work->scratches != NULL && work->inert != NULL;
}

int sinq_run_normalizer(const struct sinq_normalizer *normalizer, struct sinq_normalizer_work *work, const char *text,
                        size_t size, const char **result, size_t *result_size, struct sinq_error *error) {
    if (!make_scratch(normalizer, work)) return sinq_fail_memory(error, "a text", normalizer->count);
    work->limit = size < SIZE_MAX / 64 ? LONGER_BYTES + LONGER_TIMES * size : SIZE_MAX;
    int status = SINQ_OK;
    unsigned side = 0;
    work->has_lost_start = false;
    for (size_t i = 0; i < normalizer->count && status == SINQ_OK; i++) {
        const struct sinq_normalizer_stage *const stage = &normalizer->stages[i];
        struct sinq_text *const out = &work->texts[side];
        if (stage->kind == SINQ_STRIP) {
            const char *const begin = text;
            text = strip(stage, text, &size);
            work->has_lost_start |= text != begin;
        }
        out->size = 0;
        if (!run_stage(normalizer, work, i, text, size, out, &status, error)) continue;
        if (out->failed) return sinq_fail_memory(error, "a text", size);
        if (out->size > work->limit)
            return sinq_fail(error, SINQ_FAILED, "a tokenizer's normalizer makes the text far longer");
        text = out->data == NULL ? "" : out->data;
        size = out->size;
        side ^= 1;
    }
    *result = text;
    *result_size = size;
    return status;
}

void sinq_normalizer_work_free(const struct sinq_normalizer *normalizer, struct sinq_normalizer_work *work) {
    for (size_t i = 0; work->scratches != NULL && i < normalizer->count; i++) {
        sinq_regex_scratch_free(&work->scratches[i]);
        if (work->inert != NULL) free(work->inert[i].known);
    }
    free(work->scratches);
    free(work->inert);
    sinq_text_free(&work->texts[0]);
    sinq_text_free(&work->texts[1]);
}
