#include "quant/matrix/feedback_sweeps.h"

#include <string.h>

#include "kernels/quantize.h"

#define ROWS SINQ_SCALE_BLOCK_ROWS

static size_t find_end(const struct sinq_sweep *s, size_t first) {
    return first + SINQ_SWEEP_COLUMNS < s->cols ? first + SINQ_SWEEP_COLUMNS : s->cols;
}

/* slopes of columns [from, to), of steps that columns [first, end) have made. */
static void add_steps(const struct sinq_sweep *s, size_t first, size_t end, size_t from, size_t to) {
    sinq_get_quantize_kernels()->subtract_products(s->steps, s->gram + first * s->cols + from, s->cols, end - first,
                                                   to - from, s->slopes + ROWS * from);
}

static void find_slopes(const struct sinq_sweep *s) {
    memset(s->slopes, 0, ROWS * s->cols * sizeof *s->slopes);
    for (size_t first = 0, end; first < s->cols; first = end) {
        end = find_end(s, first);
        for (size_t j = first; j < end; j++) {
            for (size_t r = 0; r < ROWS; r++) {
                s->steps[ROWS * (j - first) + r] = (s->wished[ROWS * j + r] - s->values[ROWS * j + r]) * s->column[j];
            }
        }
        add_steps(s, first, end, 0, s->cols);
    }
}

/* Whether any row's code has changed. steps[32] are the changes of Q diag(t), negative. */
static bool move_column(const struct sinq_sweep *s, size_t j, float *steps) {
    const float t = s->column[j], by_mean = t / s->mean;
    const float by_curve = 1.0f / (s->gram[j * s->cols + j] * t * by_mean + s->damping);
    float *const values = s->values + ROWS * j, place[ROWS], rounded[ROWS];
    const float *const wished = s->wished + ROWS * j, *const slopes = s->slopes + ROWS * j;
    uint8_t codes[ROWS];
    bool is_moved = false;
    for (size_t r = 0; r < ROWS; r++) {
        const float slope = slopes[r] * by_mean + s->damping * (values[r] - wished[r]);
        place[r] = values[r] - slope * by_curve;
    }
    sinq_round_feedback_column(s->job, &s->lines[j / s->group], place, codes, rounded);
    for (size_t r = 0; r < ROWS; r++) {
        steps[r] = (values[r] - rounded[r]) * t;
        is_moved |= steps[r] != 0.0f;
        values[r] = rounded[r];
        s->codes[r * s->cols + j] = codes[r];
    }
    return is_moved;
}

static void sweep_once(const struct sinq_sweep *s) {
    for (size_t first = 0, end; first < s->cols; first = end) {
        end = find_end(s, first);
        for (size_t j = first; j < end; j++) {
            float *const steps = s->steps + ROWS * (j - first);
            if (!move_column(s, j, steps)) continue;
            sinq_get_quantize_kernels()->subtract_products(steps, s->gram + j * s->cols + first, s->cols, 1,
                                                           end - first, s->slopes + ROWS * first);
        }
        add_steps(s, first, end, 0, first);
        add_steps(s, first, end, end, s->cols);
    }
}

void sinq_sweep_codes(const struct sinq_sweep *sweep, unsigned count) {
    if (count > 0) find_slopes(sweep);
    for (unsigned i = 0; i < count; i++) sweep_once(sweep);
}
