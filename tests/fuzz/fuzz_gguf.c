/* A whole GGUF file: header, tensors as a Hugging Face checkpoint has them, configuration, tokenizer, and reading what it holds. */
#include <cjson/cJSON.h>

#include "fuzz.h"
#include "gguf_source.h"
#include "tensor/dtype.h"

#define MAX_ROW_VALUES    ((uint64_t)1 << 16)
#define MAX_MATRIX_VALUES ((uint64_t)1 << 18)

/* Whether the reader let pass what its promises exclude. */
static void check_tensor(const struct sinq_source *source, size_t i, uint64_t size) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    require(sinq_is_utf8(tensor->name, strlen(tensor->name)));
    require(sinq_source_find(source, tensor->name) == (int64_t)i);
    require(tensor->rank >= 1 && tensor->rank <= SINQ_MAX_RANK && tensor->offset <= size);
    require(shape.count != 0 && shape.rows != 0 && shape.cols != 0);
    require(tensor->dtype == SINQ_DUAL_SCALE ||
            shape.count * shape.rows * shape.cols * sinq_dtype_size(tensor->dtype) == tensor->bytes);
}

/* The first and the last row, the first and the last byte, and a matrix. */
static void read_tensor(const struct sinq_source *source, size_t i) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
    const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
    const uint64_t rows = shape.count * shape.rows;
    struct sinq_error error = {0};
    struct sinq_matrix_info info;
    struct sinq_matrix_bytes matrix;
    uint8_t byte;
    if (shape.cols > MAX_ROW_VALUES) return;
    float *const row = malloc((size_t)shape.cols * sizeof *row);
    require(row != NULL);
    require(sinq_read_rows(source, i, 0, 1, row, &error) == SINQ_OK);
    require(sinq_read_rows(source, i, rows - 1, 1, row, &error) == SINQ_OK);
    require(sinq_read_bytes(source, i, 0, 1, &byte, &error) == SINQ_OK);
    require(sinq_read_bytes(source, i, tensor->bytes - 1, 1, &byte, &error) == SINQ_OK);
    free(row);
    if (tensor->dtype != SINQ_DUAL_SCALE) return;
    require(sinq_source_matrix_info(source, i, shape.count - 1, &info, &error) == SINQ_OK);
    if (shape.rows * shape.cols > MAX_MATRIX_VALUES) return;
    require(sinq_fetch_matrix(source, i, shape.count - 1, NULL, &matrix, &error) == SINQ_OK);
    require(matrix.bytes == NULL || matrix.size == info.native_bytes);
    free(matrix.owned);
}

static void read_sidecars(const struct sinq_source *source) {
    for (size_t i = 0; i < sinq_source_sidecar_count(source); i++) {
        struct sinq_error error = {0};
        char *data = NULL;
        size_t size = 0;
        const int status = sinq_source_read_sidecar(source, i, &data, &size, &error);
        require_status(status, &error);
        require(status != SINQ_OK || strlen(data) == size);
        cJSON *const json = status == SINQ_OK ? cJSON_ParseWithLength(data, size) : NULL;
        require(status != SINQ_OK || json != NULL);
        cJSON_Delete(json);
        free(data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct sinq_error error = {0};
    struct sinq_source *source = NULL;
    const int status = sinq_open_gguf_memory("fuzz", data, size, &source, &error);
    require_status(status, &error);
    require((status == SINQ_OK) == (source != NULL));
    for (size_t i = 0; source != NULL && i < sinq_source_tensor_count(source); i++) {
        check_tensor(source, i, size);
        read_tensor(source, i);
    }
    if (source != NULL) read_sidecars(source);
    sinq_source_close(source);
    return 0;
}
