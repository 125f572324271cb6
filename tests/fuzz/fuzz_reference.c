/*
 * A directory of the reference implementation: its sidecar, up to the first NUL, and behind it a safetensors file; then reading what
 * it holds. Where there is no NUL the sidecar speaks of layers that are there and right.
 */
#include "fuzz.h"
#include "reference_source.h"

#define MAX_ROW_VALUES    ((uint64_t)1 << 16)
#define MAX_MATRIX_VALUES ((uint64_t)1 << 18)

static const char usual_header[] =
    "{\"l.W_q\":{\"dtype\":\"U8\",\"shape\":[64,16],\"data_offsets\":[0,1024]},"
    "\"l.meta.scale.x\":{\"dtype\":\"U8\",\"shape\":[32,4],\"data_offsets\":[1024,1152]},"
    "\"l.meta.scale.s\":{\"dtype\":\"F16\",\"shape\":[1,4],\"data_offsets\":[1152,1160]},"
    "\"l.meta.scale.m\":{\"dtype\":\"F16\",\"shape\":[1,4],\"data_offsets\":[1160,1168]},"
    "\"l.meta.zero\":{\"dtype\":\"F16\",\"shape\":[128,1],\"data_offsets\":[1168,1424]},"
    "\"l.meta.scale2\":{\"dtype\":\"F16\",\"shape\":[1,32],\"data_offsets\":[1424,1488]},"
    "\"m.W_q\":{\"dtype\":\"I32\",\"shape\":[2,16],\"data_offsets\":[1488,1616]},"
    "\"m.meta.scale\":{\"dtype\":\"F16\",\"shape\":[1,16,1],\"data_offsets\":[1616,1648]},"
    "\"m.meta.zero\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[1648,1650]},"
    "\"m.meta.scale2\":{\"dtype\":\"F16\",\"shape\":[1,1,16],\"data_offsets\":[1650,1682]}}";
#define USUAL_DATA 1682u

/* A file of its own, for sidecars alone. */
static uint8_t *make_usual_file(size_t *size) {
    const uint64_t header = sizeof usual_header - 1;
    *size = sizeof header + (size_t)header + USUAL_DATA;
    uint8_t *const file = calloc(1, *size);
    require(file != NULL);
    memcpy(file, &header, sizeof header);
    memcpy(file + sizeof header, usual_header, (size_t)header);
    for (size_t i = 0; i < USUAL_DATA; i++) file[sizeof header + header + i] = (uint8_t)(i * 37 & 0x3b);
    return file;
}

/* Whether the reader let pass what its promises exclude. */
static void check_layer(const struct sinq_source *source, size_t i) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    struct sinq_error error = {0};
    struct sinq_matrix_info info;
    struct sinq_matrix_bytes matrix;
    uint8_t byte;
    require(tensor->rank == 2 && shape.rows != 0 && shape.cols != 0 && tensor->bytes > 0);
    require(sinq_read_bytes(source, i, 0, 1, &byte, &error) == SINQ_OK);
    require(sinq_read_bytes(source, i, tensor->bytes - 1, 1, &byte, &error) == SINQ_OK);
    if (shape.cols > MAX_ROW_VALUES) return;
    float *const row = malloc((size_t)shape.cols * sizeof *row);
    require(row != NULL);
    require(sinq_read_rows(source, i, 0, 1, row, &error) == SINQ_OK);
    require(sinq_read_rows(source, i, shape.rows - 1, 1, row, &error) == SINQ_OK);
    free(row);
    require(sinq_source_matrix_info(source, i, 0, &info, &error) == SINQ_OK);
    require(info.rows == shape.rows && info.cols == shape.cols);
    if (shape.rows * shape.cols > MAX_MATRIX_VALUES) return;
    require(sinq_fetch_matrix(source, i, 0, NULL, &matrix, &error) == SINQ_OK);
    require(matrix.bytes == NULL || matrix.size == info.native_bytes);
    free(matrix.owned);
}

static void check_source(const struct sinq_source *source) {
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        require(sinq_is_utf8(tensor->name, strlen(tensor->name)));
        require(sinq_source_find(source, tensor->name) == (int64_t)i);
        if (sinq_is_in_blocks(source, tensor)) check_layer(source, i);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sinq_error error = {0};
    struct sinq_source *source = NULL;
    const uint8_t *const middle = size == 0 ? NULL : memchr(data, '\0', size);
    const size_t text = middle == NULL ? size : (size_t)(middle - data);
    size_t file_size = middle == NULL ? 0 : size - text - 1;
    uint8_t *const usual = middle == NULL ? make_usual_file(&file_size) : NULL;
    const struct sinq_input sidecar = {.path = "fuzz", .bytes = text, .memory = data};
    struct sinq_weights *const weights = sinq_weights_create("fuzz", "fuzz", true);
    require(weights != NULL);
    int status = sinq_weights_add_memory(weights, "fuzz", usual != NULL ? usual : middle + 1, file_size, &error);
    if (status == SINQ_OK) status = sinq_weights_finish(weights, &error);
    if (status == SINQ_OK && text > 0) {
        status = sinq_open_reference(weights, &sidecar, &source, &error);
    } else {
        sinq_source_close(&weights->base);
    }
    require_status(status, &error);
    if (source != NULL) check_source(source);
    sinq_source_close(source);
    free(usual);
    return 0;
}
