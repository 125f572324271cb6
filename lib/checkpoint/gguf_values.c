#include "checkpoint/gguf_values.h"

#include <stdlib.h>
#include <string.h>

static const uint8_t type_sizes[SINQ_GGUF_TYPE_COUNT] = {
    [SINQ_GGUF_U8] = 1,  [SINQ_GGUF_I8] = 1,  [SINQ_GGUF_U16] = 2, [SINQ_GGUF_I16] = 2,
    [SINQ_GGUF_U32] = 4, [SINQ_GGUF_I32] = 4, [SINQ_GGUF_F32] = 4, [SINQ_GGUF_BOOL] = 1,
    [SINQ_GGUF_U64] = 8, [SINQ_GGUF_I64] = 8, [SINQ_GGUF_F64] = 8,
};

size_t sinq_gguf_type_size(enum sinq_gguf_type type) {
    return (unsigned)type < SINQ_GGUF_TYPE_COUNT ? type_sizes[type] : 0;
}

void sinq_gguf_values_free(struct sinq_gguf_values *values) {
    for (size_t i = 0; i < values->owned_count; i++) free(values->owned[i]);
    free(values->owned);
    free(values->values);
    *values = (struct sinq_gguf_values){0};
}

/* ---- writing ---- */

/* Room for one more item. */
static bool make_room(struct sinq_gguf_values *values, void **items, size_t item_bytes, size_t count,
                      size_t *capacity) {
    if (values->failed) return false;
    if (count < *capacity) return true;
    const size_t wanted = *capacity == 0 ? 64 : 2 * *capacity;
    void *const grown = realloc(*items, wanted * item_bytes);
    values->failed = grown == NULL;
    if (grown == NULL) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

void sinq_gguf_add_value(struct sinq_gguf_values *values, const struct sinq_gguf_value *value) {
    void *items = values->values;
    if (!make_room(values, &items, sizeof *values->values, values->count, &values->capacity)) return;
    values->values = items;
    values->values[values->count++] = *value;
}

/* Memory that lives as long as the values; NULL when out of memory. */
static void *own(struct sinq_gguf_values *values, size_t bytes) {
    void *items = values->owned;
    if (!make_room(values, &items, sizeof *values->owned, values->owned_count, &values->owned_capacity)) return NULL;
    values->owned = items;
    void *const memory = malloc(bytes + 1);
    values->failed = memory == NULL;
    if (memory != NULL) values->owned[values->owned_count++] = memory;
    return memory;
}

/* Adds a value whose bytes are to be filled in; NULL when out of memory. */
static uint8_t *add(struct sinq_gguf_values *values, const char *key, enum sinq_gguf_type type, bool is_array,
                    uint64_t count, size_t size) {
    const size_t length = strlen(key) + 1;
    char *const memory = own(values, length + size);
    if (memory == NULL) return NULL;
    memcpy(memory, key, length);
    uint8_t *const bytes = (uint8_t *)memory + length;
    const struct sinq_gguf_value value = {
        .key = memory, .type = type, .is_array = is_array, .count = count, .bytes = bytes, .size = size};
    sinq_gguf_add_value(values, &value);
    return bytes;
}

static void store(uint8_t *bytes, uint64_t number, size_t size) {
    for (size_t i = 0; bytes != NULL && i < size; i++) bytes[i] = (uint8_t)(number >> 8 * i);
}

void sinq_gguf_add_u32(struct sinq_gguf_values *values, const char *key, uint32_t number) {
    store(add(values, key, SINQ_GGUF_U32, false, 1, sizeof number), number, sizeof number);
}

void sinq_gguf_add_f32(struct sinq_gguf_values *values, const char *key, float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    store(add(values, key, SINQ_GGUF_F32, false, 1, sizeof bits), bits, sizeof bits);
}

void sinq_gguf_add_bool(struct sinq_gguf_values *values, const char *key, bool flag) {
    store(add(values, key, SINQ_GGUF_BOOL, false, 1, 1), flag, 1);
}

static void store_string(uint8_t *bytes, const char *string, size_t size) {
    store(bytes, size, sizeof(uint64_t));
    if (size > 0) memcpy(bytes + sizeof(uint64_t), string, size);
}

void sinq_gguf_add_string(struct sinq_gguf_values *values, const char *key, const char *bytes, size_t size) {
    uint8_t *const value = add(values, key, SINQ_GGUF_STRING, false, 1, sizeof(uint64_t) + size);
    if (value != NULL) store_string(value, bytes, size);
}

void sinq_gguf_add_numbers(struct sinq_gguf_values *values, const char *key, enum sinq_gguf_type type,
                           const void *numbers, uint64_t count) {
    const size_t element = sinq_gguf_type_size(type);
    uint8_t *const bytes = add(values, key, type, true, count, (size_t)count * element);
    for (uint64_t i = 0; bytes != NULL && i < count; i++) {
        const uint8_t *const from = (const uint8_t *)numbers + i * element;
        uint16_t two;
        uint32_t four;
        uint64_t number = *from;
        if (element == sizeof two) memcpy(&two, from, sizeof two), number = two;
        if (element == sizeof four) memcpy(&four, from, sizeof four), number = four;
        if (element == sizeof number) memcpy(&number, from, sizeof number);
        store(bytes + i * element, number, element);
    }
}

void sinq_gguf_add_strings(struct sinq_gguf_values *values, const char *key, uint64_t count, sinq_gguf_string_fn *next,
                           const void *user) {
    size_t total = 0, size = 0;
    for (uint64_t i = 0; i < count; i++, total += sizeof(uint64_t) + size) (void)next(user, i, &size);
    uint8_t *bytes = add(values, key, SINQ_GGUF_STRING, true, count, total);
    for (uint64_t i = 0; bytes != NULL && i < count; i++, bytes += sizeof(uint64_t) + size) {
        const char *const string = next(user, i, &size);
        store_string(bytes, string, size);
    }
}

/* ---- reading ---- */

const struct sinq_gguf_value *sinq_gguf_find(const struct sinq_gguf_values *values, const char *key) {
    for (size_t i = 0; i < values->count; i++) {
        if (strcmp(values->values[i].key, key) == 0) return &values->values[i];
    }
    return NULL;
}

static uint64_t load(const uint8_t *bytes, size_t size) {
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++) number |= (uint64_t)bytes[i] << 8 * i;
    return number;
}

/* A whole number of `size` bytes with its sign. */
static int64_t load_signed(const uint8_t *bytes, size_t size) {
    const unsigned unused = (unsigned)(64 - 8 * size);
    const uint64_t shifted = load(bytes, size) << unused;
    int64_t number;
    memcpy(&number, &shifted, sizeof number);
    return number >> unused;
}

static bool is_signed(enum sinq_gguf_type type) {
    return type == SINQ_GGUF_I8 || type == SINQ_GGUF_I16 || type == SINQ_GGUF_I32 || type == SINQ_GGUF_I64;
}

static bool is_unsigned(enum sinq_gguf_type type) {
    return type == SINQ_GGUF_U8 || type == SINQ_GGUF_U16 || type == SINQ_GGUF_U32 || type == SINQ_GGUF_U64;
}

bool sinq_gguf_get_u64(const struct sinq_gguf_value *value, uint64_t *out) {
    if (value == NULL || value->is_array) return false;
    const size_t size = sinq_gguf_type_size(value->type);
    if (is_unsigned(value->type)) {
        *out = load(value->bytes, size);
        return true;
    }
    if (!is_signed(value->type) || load_signed(value->bytes, size) < 0) return false;
    *out = (uint64_t)load_signed(value->bytes, size);
    return true;
}

bool sinq_gguf_get_element(const struct sinq_gguf_value *value, uint64_t index, double *out) {
    if (value == NULL || index >= value->count) return false;
    const size_t size = sinq_gguf_type_size(value->type);
    const uint8_t *const bytes = value->bytes + index * size;
    if (value->type == SINQ_GGUF_F32) {
        const uint32_t bits = (uint32_t)load(bytes, size);
        float number;
        memcpy(&number, &bits, sizeof number);
        *out = number;
    } else if (value->type == SINQ_GGUF_F64) {
        const uint64_t bits = load(bytes, size);
        memcpy(out, &bits, sizeof *out);
    } else if (is_signed(value->type)) {
        *out = (double)load_signed(bytes, size);
    } else if (is_unsigned(value->type) || value->type == SINQ_GGUF_BOOL) {
        *out = (double)load(bytes, size);
    } else {
        return false;
    }
    return true;
}

bool sinq_gguf_get_f64(const struct sinq_gguf_value *value, double *out) {
    return value != NULL && !value->is_array && value->type != SINQ_GGUF_BOOL && sinq_gguf_get_element(value, 0, out);
}

bool sinq_gguf_get_bool(const struct sinq_gguf_value *value, bool *out) {
    if (value == NULL || value->is_array || value->type != SINQ_GGUF_BOOL) return false;
    *out = value->bytes[0] != 0;
    return true;
}

bool sinq_gguf_get_string(const struct sinq_gguf_value *value, const char **bytes, size_t *size) {
    uint64_t at = 0;
    return value != NULL && !value->is_array && sinq_gguf_next_string(value, &at, bytes, size);
}

bool sinq_gguf_next_string(const struct sinq_gguf_value *value, uint64_t *at, const char **bytes, size_t *size) {
    if (value == NULL || value->type != SINQ_GGUF_STRING || value->size - *at < sizeof(uint64_t)) return false;
    *size = (size_t)load(value->bytes + *at, sizeof(uint64_t));
    *bytes = (const char *)value->bytes + *at + sizeof(uint64_t);
    *at += sizeof(uint64_t) + *size;
    return true;
}
