#include "model/config_reader.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define SMALLEST_NUMBER 1e-9
#define LARGEST_NUMBER  1e9
#define LARGEST_WHOLE   9007199254740992.0 /* 2^53: below it every whole number is exact */

/* Python takes the last of several members of the same name. */
static const cJSON *find_member(const struct sinq_config_reader *reader, const char *key) {
    const cJSON *found = NULL;
    const cJSON *const first = reader->object == NULL ? NULL : reader->object->child;
    for (const cJSON *member = first; member != NULL; member = member->next) {
        if (member->string != NULL && strcmp(member->string, key) == 0) found = member;
    }
    return found;
}

const struct cJSON *sinq_config_member(const struct sinq_config_reader *reader, const char *key) {
    const cJSON *const found = find_member(reader, key);
    return cJSON_IsNull(found) ? NULL : found;
}

bool sinq_config_is_null(const struct sinq_config_reader *reader, const char *key) {
    return cJSON_IsNull(find_member(reader, key));
}

void sinq_config_fail(struct sinq_config_reader *reader, const char *format, ...) {
    char message[800];
    if (reader->status != SINQ_OK) return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    reader->status = sinq_fail(reader->error, SINQ_FAILED, "%s: %s", reader->path, message);
}

/* The value as it stands there, for messages. */
static void print_value(const cJSON *value, char out[64]) {
    char *const text = cJSON_PrintUnformatted(value);
    (void)snprintf(out, 64, "%.60s%s", text == NULL ? "?" : text, text != NULL && strlen(text) > 60 ? "..." : "");
    cJSON_free(text);
}

static void fail_value(struct sinq_config_reader *reader, const char *key, const cJSON *value, const char *expected) {
    char text[64];
    print_value(value, text);
    sinq_config_fail(reader, "%s%s is %s, expected %s", reader->inside, key, text, expected);
}

static void fail_absent(struct sinq_config_reader *reader, const char *key, const char *expected) {
    sinq_config_fail(reader, "%s%s is missing, expected %s", reader->inside, key, expected);
}

uint64_t sinq_config_count(struct sinq_config_reader *reader, const char *key, uint64_t least, uint64_t most,
                           uint64_t fallback) {
    char expected[96];
    const uint64_t otherwise = fallback == SINQ_CONFIG_NEEDED ? least : fallback;
    if (reader->status != SINQ_OK) return otherwise;
    (void)snprintf(expected, sizeof expected, "a whole number from %llu to %llu", (unsigned long long)least,
                   (unsigned long long)most);
    const cJSON *const member = sinq_config_member(reader, key);
    if (member == NULL) {
        if (fallback == SINQ_CONFIG_NEEDED) fail_absent(reader, key, expected);
        return otherwise;
    }
    const double value = member->valuedouble;
    const bool is_whole = cJSON_IsNumber(member) && value >= 0.0 && value < LARGEST_WHOLE && floor(value) == value;
    if (is_whole && (uint64_t)value >= least && (uint64_t)value <= most) return (uint64_t)value;
    fail_value(reader, key, member, expected);
    return otherwise;
}

double sinq_config_number(struct sinq_config_reader *reader, const char *key, double least, double most,
                          double fallback) {
    char expected[96];
    if (reader->status != SINQ_OK) return fallback;
    const cJSON *const member = sinq_config_member(reader, key);
    if (member == NULL) return fallback;
    if (cJSON_IsNumber(member) && member->valuedouble >= least && member->valuedouble <= most) {
        return member->valuedouble;
    }
    (void)snprintf(expected, sizeof expected, "a number from %g to %g", least, most);
    fail_value(reader, key, member, expected);
    return fallback;
}

bool sinq_config_flag(struct sinq_config_reader *reader, const char *key, bool fallback) {
    if (reader->status != SINQ_OK) return fallback;
    const cJSON *const member = sinq_config_member(reader, key);
    if (member == NULL) return fallback;
    if (!cJSON_IsBool(member)) fail_value(reader, key, member, "true or false");
    return cJSON_IsTrue(member);
}

const char *sinq_config_word(struct sinq_config_reader *reader, const char *key, const char *fallback) {
    if (reader->status != SINQ_OK) return fallback;
    const cJSON *const member = sinq_config_member(reader, key);
    if (member == NULL) return fallback;
    if (cJSON_IsString(member)) return member->valuestring;
    fail_value(reader, key, member, "a string");
    return fallback;
}

double *sinq_config_numbers(struct sinq_config_reader *reader, const char *key, uint32_t count) {
    char expected[96];
    if (reader->status != SINQ_OK) return NULL;
    (void)snprintf(expected, sizeof expected, "an array of %u numbers from %g to %g", count, SMALLEST_NUMBER,
                   LARGEST_NUMBER);
    const cJSON *const member = sinq_config_member(reader, key);
    if (member == NULL) fail_absent(reader, key, expected);
    if (member == NULL) return NULL;
    double *const numbers = malloc((count + 1u) * sizeof *numbers);
    uint32_t found = 0;
    bool is_good = cJSON_IsArray(member);
    if (numbers == NULL) reader->status = sinq_fail_memory(reader->error, key, count * sizeof *numbers);
    if (numbers == NULL) return NULL;
    for (const cJSON *item = is_good ? member->child : NULL; item != NULL && is_good; item = item->next) {
        is_good = found < count && cJSON_IsNumber(item) && item->valuedouble >= SMALLEST_NUMBER &&
                  item->valuedouble <= LARGEST_NUMBER;
        if (is_good) numbers[found++] = item->valuedouble;
    }
    if (is_good && found == count) return numbers;
    fail_value(reader, key, member, expected);
    free(numbers);
    return NULL;
}
