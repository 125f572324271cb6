#include "kernels/matmul.h"

#include "kernels/product.h"

size_t sinq_multiply_scratch(const struct sinq_weight *weight, uint32_t tokens, bool exact) {
    const struct sinq_product p = sinq_plan_product(weight, tokens, exact);
    return p.kind == SINQ_PRODUCT_INT8 ? sinq_int8_scratch(&p) : sinq_f32_scratch(&p);
}

void sinq_multiply_panels(const struct sinq_weight *weight, const void *prepared, uint32_t tokens, uint64_t first_panel,
                          uint64_t panels, const float *bias, bool accumulate, bool exact, float *y, size_t stride,
                          void *scratch) {
    const struct sinq_product p = sinq_plan_product(weight, tokens, exact);
    const struct sinq_output output = {bias, accumulate, y, stride};
    if (p.kind == SINQ_PRODUCT_INT8) {
        sinq_multiply_int8(&p, prepared, first_panel, panels, scratch, &output);
    } else {
        sinq_multiply_f32(&p, prepared, first_panel, panels, scratch, &output);
    }
}
