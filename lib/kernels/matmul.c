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

/* Tokens ahead whose rows are called for before they are written. */
#define TOKENS_AHEAD 8u

/* Token by token, so that rows of neighbouring panels are written together. */
static void write_rows(const struct sinq_product *p, const struct output *output, const float *sums, float factor,
                       uint64_t first_panel, uint64_t panels) {
    for (uint32_t t = 0; t < p->tokens; t++) {
        for (uint64_t i = 0; i < panels; i++) {
            const uint64_t row = (first_panel + i) * SINQ_PANEL_ROWS;
            if (t + TOKENS_AHEAD < p->tokens) {
                __builtin_prefetch(output->y + (t + TOKENS_AHEAD) * output->stride + row, 1);
            }
            const unsigned rows = (unsigned)sinq_min_u64(SINQ_PANEL_ROWS, p->weight->rows - row);
            p->kernels->write_sums(sums + i * sinq_panel_sums(p) + t * SINQ_PANEL_ROWS, factor,
                                   output->bias == NULL ? NULL : output->bias + row, output->accumulate, rows,
                                   output->y + t * output->stride + row);
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
        const float factor = p.kind == SINQ_PRODUCT_INT8 ? sinq_multiply_int8(&p, prepared, panel, some, scratch, sums)
                                                         : sinq_multiply_f32(&p, prepared, panel, some, scratch, sums);
        write_rows(&p, &output, sums, factor, panel, some);
    }
}
