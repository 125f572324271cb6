#include "quant/statistics/gram.h"

#include <stdint.h>
#include <string.h>

#include "base/checked.h"
#include "base/parallel.h"
#include "kernels/quantize.h"

struct gram {
    const float *x;
    size_t stride, rows, width, padded;
    float *panels, *sums;
};

static void fill_panel(void *context, uint64_t panel, unsigned worker) {
    const struct gram *const gram = context;
    const size_t first = SINQ_LANES * (size_t)panel;
    const size_t count = gram->width - first < SINQ_LANES ? gram->width - first : SINQ_LANES;
    float *const to = gram->panels + first * gram->rows;
    (void)worker;
    for (size_t r = 0; r < gram->rows; r++) {
        memcpy(to + SINQ_LANES * r, gram->x + r * gram->stride + first, count * sizeof *to);
        memset(to + SINQ_LANES * r + count, 0, (SINQ_LANES - count) * sizeof *to);
    }
}

static void multiply_panel(void *context, uint64_t panel, unsigned worker) {
    const struct gram *const gram = context;
    const size_t first = SINQ_LANES * (size_t)panel;
    (void)worker;
    for (size_t j = first; j < gram->padded; j += SINQ_LANES) {
        sinq_get_quantize_kernels()->add_panel_products(gram->panels + first * gram->rows,
                                                        gram->panels + j * gram->rows, gram->rows,
                                                        gram->sums + first * gram->padded + j, gram->padded);
    }
}

void sinq_add_gram(const float *x, size_t stride, size_t rows, size_t width, float *panels, float *sums,
                   unsigned threads) {
    const size_t padded = (size_t)sinq_round_up(width, SINQ_LANES);
    struct gram gram = {x, stride, rows, width, padded, panels, sums};
    sinq_parallel_for(threads, padded / SINQ_LANES, fill_panel, &gram);
    sinq_parallel_for(threads, padded / SINQ_LANES, multiply_panel, &gram);
}
