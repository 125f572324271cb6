#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "tensor/dual_scale.h"

/* Reads matrix `wanted` of a stack whole; *blob is malloc'ed. */
static int read_blob(const struct sinq_source *source, size_t index, uint64_t wanted, struct sinq_dual_scale *matrix,
                     struct sinq_dual_scale_sizes *sizes, uint8_t **blob, struct sinq_error *error) {
    const struct sinq_tensor *const tensor = sinq_source_tensor(source, index);
    uint64_t offset = 0;
    for (uint64_t i = 0; i <= wanted; i++) {
        uint8_t header[SINQ_DUAL_SCALE_HEADER_BYTES];
        if (i > 0) offset += sizes->bytes;
        int status = sinq_read_bytes(source, index, offset, sizeof header, header, error);
        if (status == SINQ_OK)
            status = sinq_dual_scale_parse(header, tensor->bytes - offset, tensor->name, matrix, sizes, error);
        if (status != SINQ_OK) return status;
    }
    *blob = malloc((size_t)sizes->bytes);
    if (*blob == NULL) return sinq_fail_memory(error, tensor->name, sizes->bytes);
    return sinq_read_bytes(source, index, offset, sizes->bytes, *blob, error);
}

int sinq_read_scales(const struct sinq_source *source, size_t tensor, uint64_t index, float *scales, float *zeros,
                     struct sinq_error *error) {
    const struct sinq_tensor *const t = sinq_source_tensor(source, tensor);
    if (t == NULL || t->dtype != SINQ_DUAL_SCALE || index >= sinq_tensor_matrix_shape(t).count)
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %.300s has no quantized matrix %llu", sinq_source_path(source),
                         t == NULL ? "?" : t->name, (unsigned long long)index);
    struct sinq_dual_scale matrix;
    struct sinq_dual_scale_sizes sizes;
    uint8_t *blob = NULL;
    const int status = read_blob(source, tensor, index, &matrix, &sizes, &blob, error);
    if (status == SINQ_OK) {
        const uint64_t groups = matrix.group_size == 0 ? 1 : sinq_divide_up(matrix.cols, matrix.group_size);
        for (uint64_t i = 0; i < matrix.rows * groups; i++) {
            const uint64_t row = i / groups, group = i % groups;
            if (scales != NULL) scales[i] = matrix.factor * sinq_dual_scale_scale(&matrix, &sizes, blob, row, group);
            if (zeros != NULL) zeros[i] = sinq_dual_scale_zero(&matrix, &sizes, blob, row, group);
        }
    }
    free(blob);
    return status;
}
