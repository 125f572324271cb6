#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "quant/job_state.h"

int sinq_job_report(const struct sinq_quantize_job *job, const char *activity, size_t position) {
    if (job->progress == NULL) return SINQ_OK;
    const bool is_tensor = position < job->count;
    const struct sinq_progress progress = {
        .activity = activity,
        .name = is_tensor ? job->planned[position].name : NULL,
        .item = position,
        .items = job->count,
        .bytes = job->bytes_done,
        .bytes_total = job->bytes_total,
    };
    if (job->progress(job->user, &progress) == 0) return SINQ_OK;
    return sinq_fail(job->error, SINQ_INTERRUPTED, "interrupted after %zu of %zu tensors", position, job->count);
}

/* ---- notes ---- */

static char *print_note(const struct sinq_tensor_note *note) {
    struct sinq_text text = {0};
    char hex[33];
    sinq_hash_to_text(note->source_hash, hex);
    sinq_text_print(&text,
                    "{\"source\":\"%s\",\"modified\":\"%lld\",\"error\":%.17g,\"norm\":%.17g,\"bytes\":%llu,"
                    "\"nonfinite\":%llu,\"gated\":%llu,\"widened\":%llu",
                    hex, (long long)note->source_modified_ns, note->error_square, note->norm_square,
                    (unsigned long long)note->bytes, (unsigned long long)note->nonfinite,
                    (unsigned long long)note->gated, (unsigned long long)note->widened);
    if (note->has_exponents) {
        sinq_text_print(&text, ",\"factor_exponent\":%d,\"shift\":%d", note->factor_exponent, note->shift);
    }
    sinq_text_add(&text, "}");
    return text.data;
}

static double get_number(const cJSON *object, const char *name) {
    const cJSON *const item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : -1.0;
}

static bool parse_hash(const char *hex, struct sinq_hash *hash) {
    if (hex == NULL || strlen(hex) != 32) return false;
    for (size_t i = 0; i < sizeof hash->bytes; i++) {
        const char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        char *end;
        hash->bytes[i] = (uint8_t)strtoul(pair, &end, 16);
        if (end != pair + 2) return false;
    }
    return true;
}

bool sinq_parse_note(const char *text, struct sinq_tensor_note *note) {
    cJSON *const object = text == NULL ? NULL : cJSON_Parse(text);
    const char *const modified = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "modified"));
    const double numbers[6] = {get_number(object, "error"), get_number(object, "norm"),
                               get_number(object, "bytes"), get_number(object, "nonfinite"),
                               get_number(object, "gated"), get_number(object, "widened")};
    bool is_valid =
        parse_hash(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, "source")), &note->source_hash) &&
        modified != NULL;
    for (size_t i = 0; i < 6; i++) is_valid = is_valid && numbers[i] >= 0 && (i < 2 || numbers[i] < 9e15);
    if (is_valid) {
        note->source_modified_ns = strtoll(modified, NULL, 10);
        note->error_square = numbers[0];
        note->norm_square = numbers[1];
        note->bytes = (uint64_t)numbers[2];
        note->nonfinite = (uint64_t)numbers[3];
        note->gated = (uint64_t)numbers[4];
        note->widened = (uint64_t)numbers[5];
        const cJSON *const factor = cJSON_GetObjectItemCaseSensitive(object, "factor_exponent");
        const cJSON *const shift = cJSON_GetObjectItemCaseSensitive(object, "shift");
        note->has_exponents = cJSON_IsNumber(factor) && cJSON_IsNumber(shift);
        note->factor_exponent = note->has_exponents ? factor->valueint : 0;
        note->shift = note->has_exponents ? shift->valueint : 0;
    }
    cJSON_Delete(object);
    return is_valid;
}

int sinq_job_end_tensor(struct sinq_quantize_job *job, size_t position, struct sinq_error *error) {
    struct sinq_tensor_note *const note = &job->notes[position];
    note->source_modified_ns = job->source->shards[sinq_job_tensor(job, position)->shard].modified_ns;
    char *const text = print_note(note);
    if (text == NULL) return sinq_fail_memory(error, "a note", 256);
    const int status = job->sink->ops->end_tensor(job->sink, text, error);
    free(text);
    return status;
}
