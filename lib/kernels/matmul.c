#include "kernels/matmul.h"

#include "kernels/product.h"

static size_t panel_scratch(const struct sinq_product *p) {
    return p->kind == SINQ_PRODUCT_INT8 ? sinq_int8_scratch(p) : sinq_f32_scratch(p);
}

size_t sinq_multiply_scratch(const struct sinq_weight *weight, uint32_t tokens, bool exact) {
    const struct sinq_product p = sinq_plan_product(weight, tokens, exact);
    return panel_scratch(&p) + SINQ_PANELS_AT_ONCE * sinq_panel_sums(&p) * sizeof(float);
}

/* Where products go. */
struct output {
    const float *bias;
    bool accumulate;
    float *y;
    size_t stride;
};

static void write_rows(const struct output *output, const float *sums, uint32_t tokens, uint64_t row, unsigned rows) {
    for (uint32_t t = 0; t < tokens; t++) {
        float *const y = output->y + t * output->stride + row;
        for (unsigned r = 0; r < rows; r++) {
            const float value = sums[t * SINQ_PANEL_ROWS + r] + (output->bias == NULL ? 0.0f : output->bias[row + r]);
            y[r] = output->accumulate ? y[r] + value : value;
        }
    }
}

void sinq_multiply_panels(const struct sinq_weight *weight, const void *prepared, uint32_t tokens, uint64_t first_panel,
                          uint64_t panels, const float *bias, bool accumulate, bool exact, float *y, size_t stride,
                          void *scratch) {
    const struct sinq_product p = sinq_plan_product(weight, tokens, exact);
    const struct output output = {bias, accumulate, y, stride};
    float *const sums = (float *)(void *)((uint8_t *)scratch + panel_scratch(&p));
    const uint64_t end = first_panel + panels;
    for (uint64_t panel = first_panel; panel < end; panel += SINQ_PANELS_AT_ONCE) {
        const uint64_t some = sinq_min_u64(SINQ_PANELS_AT_ONCE, end - panel);
        if (p.kind == SINQ_PRODUCT_INT8) {
            sinq_multiply_int8(&p, prepared, panel, some, scratch, sums);
        } else {
            sinq_multiply_f32(&p, prepared, panel, some, scratch, sums);
        }
        for (uint64_t i = 0; i < some; i++) {
            const uint64_t row = (panel + i) * SINQ_PANEL_ROWS;
            write_rows(&output, sums + i * sinq_panel_sums(&p), tokens, row,
                       (unsigned)sinq_min_u64(SINQ_PANEL_ROWS, weight->rows - row));
        }
    }
}
