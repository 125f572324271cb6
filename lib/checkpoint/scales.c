#include <stdlib.h>

#include "base/checked.h"
#include "base/error.h"
#include "checkpoint/source.h"
#include "tensor/dual_scale.h"

int sinq_read_scales(const struct sinq_source *source, size_t tensor, uint64_t index, float *scales, float *zeros,
                     struct sinq_error *error) {
    const struct sinq_tensor *const t = sinq_source_tensor(source, tensor);
    if (t == NULL || t->dtype != SINQ_DUAL_SCALE || index >= sinq_tensor_matrix_shape(t).count)
        return sinq_fail(error, SINQ_USAGE, "%s: tensor %.300s has no quantized matrix %llu", sinq_source_path(source),
                         t == NULL ? "?" : t->name, (unsigned long long)index);
    struct sinq_matrix_bytes m;
    const int status = sinq_fetch_matrix(source, tensor, index, NULL, &m, error);
    if (status != SINQ_OK) return status;
    if (m.bytes == NULL)
        return sinq_fail(error, SINQ_FAILED,
                         "%s: tensor %.300s is in blocks that have no scales as our layout has them",
                         sinq_source_path(source), t->name);
    const uint64_t groups = m.matrix.group_size == 0 ? 1 : sinq_divide_up(m.matrix.cols, m.matrix.group_size);
    for (uint64_t i = 0; i < m.matrix.rows * groups; i++) {
        const uint64_t row = i / groups, group = i % groups;
        if (scales != NULL)
            scales[i] = m.matrix.factor * sinq_dual_scale_scale(&m.matrix, &m.sizes, m.bytes, row, group);
        if (zeros != NULL) zeros[i] = sinq_dual_scale_zero(&m.matrix, &m.sizes, m.bytes, row, group);
    }
    free(m.owned);
    return SINQ_OK;
}
