/* quantized.c: a tensor of bytes in a safetensors file that is a quantized matrix or a stack of them. */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "safetensors.h"
#include "tensor/dual_scale.h"

/* Parses the header at `offset` of the tensor. */
static int read_header(const struct sinq_input *input, const struct sinq_tensor *tensor, uint64_t offset,
                       struct sinq_dual_scale *matrix, struct sinq_dual_scale_sizes *sizes, struct sinq_error *error) {
    char where[600];
    (void)snprintf(where, sizeof where, "%.200s: tensor %.300s", input->path, tensor->name);
    const uint64_t available = tensor->bytes - offset;
    if (available < SINQ_DUAL_SCALE_HEADER_BYTES) {
        return sinq_fail(error, SINQ_FAILED, "%s: %llu bytes at its end, expected a quantized matrix of at least %u",
                         where, (unsigned long long)available, SINQ_DUAL_SCALE_HEADER_BYTES);
    }
    uint8_t header[SINQ_DUAL_SCALE_HEADER_BYTES];
    const int status = sinq_input_read(input, tensor->offset + offset, sizeof header, header, error);
    return status != SINQ_OK ? status : sinq_dual_scale_parse(header, available, where, matrix, sizes, error);
}

static bool is_next_of_stack(const struct sinq_dual_scale *first, const struct sinq_dual_scale *matrix,
                             uint64_t index) {
    return matrix->rows == first->rows && matrix->cols == first->cols && matrix->transposed == first->transposed &&
           matrix->stack_count == first->stack_count && matrix->stack_index == index;
}

/* Walks over all matrices of the tensor, which must be one plain matrix or 0, 1, ... of one stack, and fill it exactly. */
static int check_matrices(const struct sinq_input *input, const struct sinq_tensor *tensor,
                          struct sinq_dual_scale *first, struct sinq_error *error) {
    uint64_t offset = 0, index = 0, expected = 1;
    while (index < expected || offset < tensor->bytes) {
        struct sinq_dual_scale matrix = {0};
        struct sinq_dual_scale_sizes sizes;
        const int status = read_header(input, tensor, offset, &matrix, &sizes, error);
        if (status != SINQ_OK) return status;
        if (index == 0) {
            *first = matrix;
            expected = matrix.stack_count == 0 ? 1 : matrix.stack_count;
        }
        if (index >= expected || !is_next_of_stack(first, &matrix, index)) {
            return sinq_fail(error, SINQ_FAILED,
                             "%s: tensor %.300s: matrix %llu does not fit its stack of %llu of %llu x %llu",
                             input->path, tensor->name, (unsigned long long)index, (unsigned long long)expected,
                             (unsigned long long)first->rows, (unsigned long long)first->cols);
        }
        offset += sizes.bytes;
        index++;
    }
    return SINQ_OK;
}

int sinq_expose_quantized(const struct sinq_input *input, struct sinq_arena *names, struct sinq_tensor *tensor,
                          struct sinq_error *error) {
    const size_t suffix = strlen(SINQ_DUAL_SCALE_SUFFIX), length = strlen(tensor->name);
    if (length <= suffix || strcmp(tensor->name + length - suffix, SINQ_DUAL_SCALE_SUFFIX) != 0) return SINQ_OK;
    if (tensor->dtype != SINQ_U8 || tensor->rank != 1) {
        return sinq_fail(error, SINQ_FAILED,
                         "%s: tensor %.300s: %s of %u dimensions, expected U8 of 1 dimension for a quantized matrix",
                         input->path, tensor->name, sinq_dtype_name(tensor->dtype), tensor->rank);
    }
    struct sinq_dual_scale first = {0};
    const int status = check_matrices(input, tensor, &first, error);
    if (status != SINQ_OK) return status;

    tensor->name = sinq_arena_add(names, tensor->name, length - suffix);
    if (tensor->name == NULL) return sinq_fail_memory(error, input->path, length);
    tensor->dtype = SINQ_DUAL_SCALE;
    tensor->rank = first.stack_count == 0 ? 2 : 3;
    uint64_t *const matrix_shape = tensor->shape + (first.stack_count == 0 ? 0 : 1);
    tensor->shape[0] = first.stack_count;
    matrix_shape[0] = first.transposed ? first.cols : first.rows;
    matrix_shape[1] = first.transposed ? first.rows : first.cols;
    return SINQ_OK;
}
