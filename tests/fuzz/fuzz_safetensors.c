/* A whole safetensors file: header, quantized matrices, block scales, and reading what it holds. */
#include "fuzz.h"
#include "tensor/dtype.h"
#include "weights.h"

#define MAX_ROW_VALUES ((uint64_t)1 << 16)

/* Whether the reader let pass what its promises exclude. */
static void check_tensors(const struct sinq_source *source, uint64_t size) {
    uint64_t end = 0;
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        require(sinq_is_utf8(tensor->name, strlen(tensor->name)));
        require(sinq_source_find(source, tensor->name) == (int64_t)i);
        require(tensor->rank <= SINQ_MAX_RANK && tensor->offset <= size && tensor->bytes <= size - tensor->offset);
        require(i == 0 || tensor->offset == end);
        end = tensor->offset + tensor->bytes;
        const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
        require(tensor->dtype == SINQ_DUAL_SCALE ||
                shape.count * shape.rows * shape.cols * sinq_dtype_size(tensor->dtype) == tensor->bytes);
        require(tensor->scale_tensor < (int64_t)sinq_source_tensor_count(source));
    }
    require(sinq_source_tensor_count(source) == 0 || end == size);
}

/* The first and the last row of every tensor, and what describes it. */
static void read_tensors(const struct sinq_source *source) {
    for (size_t i = 0; i < sinq_source_tensor_count(source); i++) {
        const struct sinq_tensor *const tensor = sinq_source_tensor(source, i);
        const struct sinq_matrix_shape shape = sinq_tensor_matrix_shape(tensor);
        const uint64_t rows = shape.count * shape.rows;
        struct sinq_error error = {0};
        struct sinq_matrix_info info;
        if (rows == 0 || shape.cols > MAX_ROW_VALUES) continue;
        float *const row = malloc((size_t)shape.cols * sizeof *row + 1);
        require(row != NULL);
        require(sinq_read_rows(source, i, 0, 1, row, &error) == SINQ_OK);
        require(sinq_read_rows(source, i, rows - 1, 1, row, &error) == SINQ_OK);
        require(sinq_read_rows(source, i, rows - 1, 2, row, &error) != SINQ_OK);
        if (tensor->dtype == SINQ_DUAL_SCALE) {
            require(sinq_source_matrix_info(source, i, shape.count - 1, &info, &error) == SINQ_OK);
        }
        free(row);
    }
}

static void open_file(const uint8_t *data, size_t size) {
    static const uint64_t small_block[2] = {2, 3};
    struct sinq_error error = {0};
    struct sinq_weights *const weights = sinq_weights_create("fuzz", "safetensors file", false);
    require(weights != NULL);
    if (size % 2 == 1) memcpy(weights->scale_block, small_block, sizeof small_block);
    int status = sinq_weights_add_memory(weights, "fuzz", data, size, &error);
    if (status == SINQ_OK) status = sinq_weights_finish(weights, &error);
    require_status(status, &error);
    if (status == SINQ_OK) {
        check_tensors(&weights->base, size);
        read_tensors(&weights->base);
    }
    sinq_source_close(&weights->base);
}

/* As it is, and with a length field that ends the header at the last '}', which mutation alone would seldom hit. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    open_file(data, size);
    size_t end = size;
    while (end > 8 && data[end - 1] != '}') end--;
    if (end <= 8) return 0;
    uint8_t *const copy = malloc(size);
    require(copy != NULL);
    memcpy(copy, data, size);
    for (int i = 0; i < 8; i++) copy[i] = (uint8_t)((uint64_t)(end - 8) >> 8 * i);
    open_file(copy, size);
    free(copy);
    return 0;
}
