#include "tensor/weight.h"

#include "tensor/dtype.h"

static void apply_block_scales(const struct sinq_weight *weight, uint64_t row, float *out) {
    const float *const scales = weight->block_scales + row / weight->block_rows * weight->scale_cols;
    for (uint64_t c = 0; c < weight->cols; c++) out[c] *= scales[c / weight->block_cols];
}

void sinq_weight_decode(const struct sinq_weight *weight, uint64_t first, uint64_t count, float *out) {
    if (weight->dtype == SINQ_DUAL_SCALE) {
        sinq_dual_scale_decode(&weight->matrix, &weight->sizes, weight->bytes, first, count, out);
        return;
    }
    const uint64_t row_bytes = weight->cols * sinq_dtype_size(weight->dtype);
    for (uint64_t r = 0; r < count; r++) {
        sinq_convert_to_float(weight->dtype, weight->bytes + (first + r) * row_bytes, (size_t)weight->cols,
                              out + r * weight->cols);
        if (weight->block_scales != NULL) apply_block_scales(weight, first + r, out + r * weight->cols);
    }
}
