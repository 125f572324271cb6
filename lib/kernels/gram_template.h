/*
 * gram_template.h: products of panels of sixteen columns, a part of quantize_template.h. Each lane sums in the order of the rows, so
 * all versions give the same bits.
 */
#ifndef SINQ_KERNELS_GRAM_TEMPLATE_H
#define SINQ_KERNELS_GRAM_TEMPLATE_H

/* Rows of the result whose sums are in registers at once. */
#define GRAM_ROWS 4u

static void add_panel_products(const float *a, const float *b, size_t rows, float *sums, size_t stride) {
    for (unsigned first = 0; first < SINQ_LANES; first += GRAM_ROWS) {
        v16 sum[GRAM_ROWS];
        for (unsigned i = 0; i < GRAM_ROWS; i++) sum[i] = v_set(0.0f);
        for (size_t r = 0; r < rows; r++) {
            const v16 right = v_load(b + SINQ_LANES * r);
            const float *const left = a + SINQ_LANES * r + first;
            _Pragma("GCC unroll 4") for (unsigned i = 0; i < GRAM_ROWS; i++) {
                sum[i] = v_add(sum[i], v_mul(v_set(left[i]), right));
            }
        }
        for (unsigned i = 0; i < GRAM_ROWS; i++) {
            float *const to = sums + (first + i) * stride;
            v_store(to, v_add(v_load(to), sum[i]));
        }
    }
}

static void subtract_products(const float *errors, const float *factors, size_t stride, size_t terms, size_t cols,
                              float *values) {
    for (size_t k = 0; k < cols; k++) {
        float *const to = values + 2 * SINQ_LANES * k;
        v16 low = v_load(to), high = v_load(to + SINQ_LANES);
        for (size_t i = 0; i < terms; i++) {
            const v16 factor = v_set(factors[i * stride + k]);
            low = v_sub(low, v_mul(v_load(errors + 2 * SINQ_LANES * i), factor));
            high = v_sub(high, v_mul(v_load(errors + 2 * SINQ_LANES * i + SINQ_LANES), factor));
        }
        v_store(to, low);
        v_store(to + SINQ_LANES, high);
    }
}

#endif
