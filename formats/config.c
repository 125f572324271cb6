#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"

#define MAX_KEY_BYTES  ((size_t)1 << 16)
#define MAX_BLOCK_SIDE 65536u

struct reader {
    struct sinq_json json;
    const char *path;
    struct sinq_text key, value;
    struct sinq_config *config;
    bool has_text_model_type, has_block;
    struct sinq_error *error;
};

void sinq_config_free(struct sinq_config *config) {
    free(config->model_type);
    free(config->quantization);
    *config = (struct sinq_config){0};
}

/* A string or null. The outer model_type gives way to that of text_config, whichever comes first. */
static bool read_model_type(struct reader *r, bool is_text) {
    if (sinq_json_peek(&r->json) == 'n') return sinq_json_skip(&r->json);
    if (!sinq_json_read_string(&r->json, MAX_KEY_BYTES, &r->value)) return false;
    if (r->has_text_model_type && !is_text) return true;
    r->has_text_model_type = is_text;
    free(r->config->model_type);
    r->config->model_type = r->value.data;
    r->value = (struct sinq_text){0};
    return true;
}

static bool read_text_config(struct reader *r) {
    if (sinq_json_peek(&r->json) != '{') return sinq_json_skip(&r->json);
    if (!sinq_json_begin_object(&r->json)) return false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, MAX_KEY_BYTES, &r->key);) {
        const bool is_type = strcmp(r->key.data, "model_type") == 0;
        if (is_type ? !read_model_type(r, true) : !sinq_json_skip(&r->json)) return false;
    }
    return !r->json.has_failed;
}

static bool read_block_size(struct reader *r) {
    if (sinq_json_peek(&r->json) != '[') return sinq_json_skip(&r->json);
    size_t count = 0;
    if (!sinq_json_begin_array(&r->json)) return false;
    for (bool first = true; sinq_json_next_element(&r->json, &first); count++) {
        uint64_t side;
        if (!sinq_json_read_u64(&r->json, &side)) return false;
        if (count == 2 || side == 0 || side > MAX_BLOCK_SIDE) {
            return sinq_json_fail(&r->json, "a weight_block_size of two sides from 1 to 65536");
        }
        r->config->scale_block[count] = side;
    }
    return !r->json.has_failed && (count == 2 || sinq_json_fail(&r->json, "two sides in weight_block_size"));
}

static bool read_quantization(struct reader *r) {
    if (sinq_json_peek(&r->json) == 'n') return sinq_json_skip(&r->json);
    if (r->config->quantization != NULL) return sinq_json_fail(&r->json, "only one quantization_config");
    const char *const begin = r->json.at;
    if (!sinq_json_begin_object(&r->json)) return false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, MAX_KEY_BYTES, &r->key);) {
        const bool is_block = strcmp(r->key.data, "weight_block_size") == 0;
        if (is_block ? !read_block_size(r) : !sinq_json_skip(&r->json)) return false;
    }
    if (r->json.has_failed) return false;
    struct sinq_text copy = {0};
    sinq_text_add_bytes(&copy, begin, (size_t)(r->json.at - begin));
    r->config->quantization = copy.data;
    return !copy.failed || sinq_json_fail(&r->json, "enough memory for quantization_config");
}

static bool read_config(struct reader *r) {
    if (!sinq_json_begin_object(&r->json)) return false;
    for (bool first = true; sinq_json_next_key(&r->json, &first, MAX_KEY_BYTES, &r->key);) {
        const char *const key = r->key.data;
        const bool is_read = strcmp(key, "model_type") == 0            ? read_model_type(r, false)
                             : strcmp(key, "text_config") == 0         ? read_text_config(r)
                             : strcmp(key, "quantization_config") == 0 ? read_quantization(r)
                                                                       : sinq_json_skip(&r->json);
        if (!is_read) return false;
    }
    return sinq_json_end(&r->json);
}

int sinq_read_config(const char *path, const char *text, size_t size, struct sinq_config *config,
                     struct sinq_error *error) {
    struct reader reader = {.path = path, .config = config, .error = error};
    *config = (struct sinq_config){0};
    sinq_json_open_text(&reader.json, path, text, size, error);
    reader.json.allow_nonfinite = true;
    const bool is_read = read_config(&reader);
    sinq_json_close(&reader.json);
    sinq_text_free(&reader.key);
    sinq_text_free(&reader.value);
    if (!is_read) sinq_config_free(config);
    return is_read ? SINQ_OK : SINQ_FAILED;
}
