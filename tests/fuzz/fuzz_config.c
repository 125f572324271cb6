/* config.json. What is accepted must be JSON to a second parser too, so that all later readers can rely on it. */
#include <cjson/cJSON.h>

#include "config.h"
#include "fuzz.h"

/* cJSON has no NaN and no infinities, and takes what is nested deeper. */
static void require_json(const char *text, size_t size) {
    if (strstr(text, "NaN") != NULL || strstr(text, "Infinity") != NULL) return;
    const char *end = NULL;
    cJSON *const json = cJSON_ParseWithLengthOpts(text, size, &end, false);
    require(cJSON_IsObject(json));
    while (end < text + size && strchr(" \t\r\n", *end) != NULL) end++;
    require(end == text + size);
    cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sinq_config config;
    struct sinq_error error = {0};
    char *const text = malloc(size + 1);
    require(text != NULL);
    if (size > 0) memcpy(text, data, size);
    text[size] = '\0';
    const int status = sinq_read_config("fuzz", text, size, &config, &error);
    require_status(status, &error);
    if (status == SINQ_OK) {
        require(strlen(text) == size);
        require_json(text, size);
        if (config.quantization != NULL) require_json(config.quantization, strlen(config.quantization));
        require((config.scale_block[0] == 0) == (config.scale_block[1] == 0));
    }
    sinq_config_free(&config);
    free(text);
    return 0;
}
