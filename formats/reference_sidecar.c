#include "reference_sidecar.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "safetensors.h"

#define MAX_WORD_BYTES   ((size_t)4096)
#define LARGEST_EXPONENT 400

struct reader {
    struct sinq_json json;
    struct sinq_text layer, key, value;
    struct sinq_reference_meta *meta; /* of the layer in hand, or NULL */
};

/* ---- words ---- */

static bool has_word(const char *method, const char *word) { return strstr(method, word) != NULL; }

/* The reference looks for words in the method's name, in lower case. */
static enum sinq_method find_method(char *method) {
    for (char *c = method; *c != '\0'; c++) *c = (char)tolower((unsigned char)*c);
    const bool normalizes = has_word(method, "sinq");
    if (has_word(method, "nf4")) return normalizes ? SINQ_METHOD_SINQ_NF4 : SINQ_METHOD_NF4;
    if (has_word(method, "nf3")) return normalizes ? SINQ_METHOD_SINQ_NF3 : SINQ_METHOD_NF3;
    if (has_word(method, "hqq")) return normalizes ? SINQ_METHOD_SINQ_HQQ : SINQ_METHOD_HQQ;
    if (has_word(method, "noz")) return normalizes ? SINQ_METHOD_SINQ_NOZ : SINQ_METHOD_NOZ;
    return normalizes ? SINQ_METHOD_SINQ : SINQ_METHOD_RTN;
}

static bool read_method(struct reader *r) {
    if (!sinq_json_read_string(&r->json, MAX_WORD_BYTES, &r->value)) return false;
    r->meta->method = find_method(r->value.data);
    return true;
}

static bool read_packing(struct reader *r) {
    if (sinq_json_peek(&r->json) == 'n') return sinq_json_skip(&r->json);
    if (!sinq_json_read_string(&r->json, MAX_WORD_BYTES, &r->value)) return false;
    r->meta->packing = sinq_find_reference_packing_named(r->value.data);
    return r->meta->packing != NULL ||
           sinq_json_fail(&r->json, "a packing out of 2bit_u8 3bit_32 4bit_u8 5bit_32 6bit_32 8bit_u8");
}

static bool read_shape(struct reader *r) {
    uint64_t *const sides[2] = {&r->meta->rows, &r->meta->cols};
    size_t count = 0;
    if (!sinq_json_begin_array(&r->json)) return false;
    for (bool first = true; sinq_json_next_element(&r->json, &first); count++) {
        if (count == 2) return sinq_json_fail(&r->json, "a shape of two sides");
        if (!sinq_json_read_u64(&r->json, sides[count])) return false;
    }
    return !r->json.has_failed && (count == 2 || sinq_json_fail(&r->json, "a shape of two sides"));
}

/* "-19 0" */
static bool read_exponents(struct reader *r) {
    static const char expected[] = "two exponents from -400 to 400";
    if (!sinq_json_read_string(&r->json, MAX_WORD_BYTES, &r->value)) return false;
    char *end = r->value.data;
    const char *const middle = strchr(end, ' ');
    if (middle == NULL) return sinq_json_fail(&r->json, expected);
    const long factor = strtol(r->value.data, &end, 10);
    if (end != middle) return sinq_json_fail(&r->json, expected);
    const long shift = strtol(middle + 1, &end, 10);
    if (*end != '\0' || labs(factor) > LARGEST_EXPONENT || labs(shift) > LARGEST_EXPONENT) {
        return sinq_json_fail(&r->json, expected);
    }
    r->meta->has_exponents = true;
    r->meta->factor_exponent = (int)factor;
    r->meta->shift = (int)shift;
    return true;
}

/* ---- the text ---- */

static bool read_member(struct reader *r) {
    const char *const key = r->key.data;
    if (strcmp(key, "shape") == 0) return read_shape(r);
    if (strcmp(key, "nbits") == 0) return sinq_json_read_u64(&r->json, &r->meta->bits);
    if (strcmp(key, "axis") == 0) return sinq_json_read_u64(&r->json, &r->meta->axis);
    if (strcmp(key, "packing") == 0) return read_packing(r);
    if (strcmp(key, "method") == 0) return read_method(r);
    if (strcmp(key, SINQ_REFERENCE_EXPONENTS) == 0) return read_exponents(r);
    if (strcmp(key, "view_as_float") == 0) r->meta->is_float_view = sinq_json_peek(&r->json) == 't';
    return sinq_json_skip(&r->json);
}

static bool read_meta(struct reader *r) {
    if (r->meta == NULL) return sinq_json_skip(&r->json);
    if (r->meta->is_there) return sinq_json_fail(&r->json, "each layer once");
    r->meta->is_there = true;
    if (!sinq_json_begin_object(&r->json)) return false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, MAX_WORD_BYTES, &r->key);) {
        if (!read_member(r)) return false;
    }
    return !r->json.has_failed;
}

static bool read_layer(struct reader *r) {
    if (!sinq_json_begin_object(&r->json)) return false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, MAX_WORD_BYTES, &r->key);) {
        if (!(strcmp(r->key.data, "meta") == 0 ? read_meta(r) : sinq_json_skip(&r->json))) return false;
    }
    return !r->json.has_failed;
}

static bool read_layers(struct reader *r, const struct sinq_name_index *layers, struct sinq_reference_meta *metas) {
    if (!sinq_json_begin_object(&r->json)) return false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, SINQ_MAX_NAME_BYTES, &r->layer);) {
        const int64_t found = sinq_name_index_find(layers, r->layer.data);
        r->meta = found < 0 ? NULL : &metas[found];
        r->json.item = r->layer.data;
        if (!read_layer(r)) return false;
        r->json.item = NULL;
    }
    return sinq_json_end(&r->json);
}

int sinq_read_reference_sidecar(const struct sinq_input *input, const struct sinq_name_index *layers,
                                struct sinq_reference_meta *metas, struct sinq_hash *hash, struct sinq_error *error) {
    struct reader reader = {.meta = NULL};
    struct sinq_hasher *const hasher = sinq_hasher_create();
    if (hasher == NULL) return sinq_fail_memory(error, input->path, 1);
    bool is_read = sinq_json_open_input(&reader.json, input->path, input, 0, input->bytes, error);
    if (is_read) {
        reader.json.hasher = hasher;
        reader.json.allow_nonfinite = true;
        is_read = read_layers(&reader, layers, metas);
    }
    sinq_json_close(&reader.json);
    sinq_text_free(&reader.layer);
    sinq_text_free(&reader.key);
    sinq_text_free(&reader.value);
    *hash = sinq_hasher_finish(hasher);
    return is_read ? SINQ_OK : SINQ_FAILED;
}
