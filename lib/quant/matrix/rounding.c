#include "quant/matrix/rounding.h"

#include <math.h>
#include <string.h>

#include "quant/matrix/matrix.h"

/* Real-valued zeros are held this close to the levels, so that storing them in 11 bits costs little. */
#define LARGEST_REAL_ZERO 32.0f

#define HQQ_STEPS 20

bool sinq_method_is_searched(enum sinq_method method) {
    return method == SINQ_METHOD_SINQ_SEARCH || method == SINQ_METHOD_SEARCH;
}

bool sinq_method_can_feed_back(enum sinq_method method) {
    return sinq_method_is_searched(method) || sinq_method_has_byte_levels(method);
}

/* Scale and zero point from the lowest and the highest value alone. */
static bool is_min_max(enum sinq_method method) { return method == SINQ_METHOD_SINQ || method == SINQ_METHOD_RTN; }

bool sinq_method_has_integer_zeros(enum sinq_method method) {
    return is_min_max(method) || sinq_method_is_symmetric(method);
}

enum sinq_method sinq_drop_normalization(enum sinq_method method) {
    if (sinq_method_is_symmetric(method)) return SINQ_METHOD_NOZ;
    if (sinq_method_has_byte_levels(method)) return SINQ_METHOD_LEVELS;
    return sinq_method_is_searched(method) ? SINQ_METHOD_SEARCH : SINQ_METHOD_RTN;
}

float sinq_symmetric_zero(unsigned bits) { return (float)(((1u << bits) - 1u) / 2u); }

/* To nearest, ties to even, whatever the size. */
static float round_even(float value) {
    /* From 2^23 on every float is an integer; below, adding and taking away 2^23 leaves no fraction. */
    const float magnitude = fabsf(value);
    if (!(magnitude < 8388608.0f)) return value;
    return copysignf((magnitude + 8388608.0f) - 8388608.0f, value);
}

float sinq_place_zero(float lowest, float scale) {
    const float zero = -round_even(lowest / scale);
    /* + 0 turns -0 into 0. */
    return fminf(fmaxf(zero, -SINQ_LARGEST_ZERO), SINQ_LARGEST_ZERO) + 0.0f;
}

/* A group of equal values c: code - zero = +-2^(bits-1), so that the scale is c but for its exponent, and exact. */
static void choose_constant(float value, unsigned bits, float *scale, float *zero) {
    const float half = (float)(1u << (bits - 1));
    *scale = fabsf(value) / half;
    *zero = value > 0 ? 0.0f : half;
}

/* Min-max rounding: dossier 3.3 "uniform". The reference's floor of the range is not taken over: it loses small groups. */
static void choose_uniform(float lowest, float highest, unsigned bits, float *scale, float *zero, bool *is_constant) {
    const float range = highest - lowest;
    *is_constant = range == 0 && lowest != 0;
    *scale = range / (float)((1u << bits) - 1u);
    if (*scale == 0) {
        *zero = 0;
        /* A range that underflows is as good as none. */
        if (lowest != 0) choose_constant(lowest, bits, scale, zero);
        return;
    }
    /* Far from zero a group gets a coarser step rather than an unbounded zero. */
    const float farthest = fabsf(lowest) / SINQ_LARGEST_ZERO;
    if (farthest > *scale) *scale = farthest;
    *zero = sinq_place_zero(lowest, *scale);
}

/* Dossier 3.3 "noz": levels -(m/2 - 1) .. m/2 - 1, m/2 rounded down, of m + 1 codes: 3 of 16 stay unused. */
static void choose_symmetric(float lowest, float highest, unsigned bits, float *scale, float *zero, bool *is_constant) {
    const float largest = fmaxf(highest, -lowest);
    *zero = sinq_symmetric_zero(bits);
    *is_constant = lowest == highest && lowest != 0;
    /* Equal values are exact by a power of two, which is within those levels. */
    *scale = largest / (*is_constant ? (float)(1u << (bits - 2)) : *zero - 1.0f);
}

/* Mean shift: dossier 3.3 "nf4/nf3". */
static void choose_levels(const float *x, size_t cols, float lowest, float highest, float *scale, float *zero,
                          bool *is_constant) {
    double sum = 0;
    for (size_t j = 0; j < cols; j++) sum += (double)x[j];
    const float mean = (float)(sum / (double)cols);
    float widest = fmaxf(highest - mean, mean - lowest);
    *is_constant = highest == lowest && lowest != 0;
    if (highest == lowest) {
        *scale = fabsf(lowest);
        *zero = 0; /* the outermost levels are -1 and 1 */
        return;
    }
    widest = fmaxf(widest, fabsf(mean) / LARGEST_REAL_ZERO);
    *scale = widest;
    *zero = -mean / widest + 0.0f;
}

/* ---- half-quadratic zero points ---- */

/* d^-0.3 for d > 0, by a fifth root and a square root so that every machine agrees. */
static double raise_to_minus_three_tenths(double d) {
    int exponent;
    double mantissa = frexp(d * d * d, &exponent);
    const int fifths = (exponent >= 0 ? exponent : exponent - 4) / 5;
    mantissa = ldexp(mantissa, exponent - 5 * fifths);
    double root = 1.5;
    for (int i = 0; i < 8; i++) root = (4 * root + mantissa / (root * root * root * root)) / 5;
    return 1.0 / sqrt(ldexp(root, fifths));
}

/* The proximal operator of |d|^0.7 with weight 10 that HQQ uses. Zero below 0.1^(1/1.3). */
static float shrink(float d) {
    const float magnitude = fabsf(d);
    if (magnitude < 0.17f) return 0.0f;
    const double shrunk = (double)magnitude - raise_to_minus_three_tenths((double)fminf(magnitude, 1e5f)) / 10.0;
    return shrunk > 0 ? copysignf((float)shrunk, d) : 0.0f;
}

/* One step: codes for `zero`, their squared error, and the zero that follows from them. */
static double step_hqq(const float *x, size_t cols, float top, float scale, float zero, float *next) {
    double error = 0, sum = 0;
    for (size_t j = 0; j < cols; j++) {
        const float place = fminf(fmaxf(x[j] / scale + zero, 0.0f), top);
        const float code = (place + 8388608.0f) - 8388608.0f;
        const float difference = x[j] - (code - zero) * scale;
        error += (double)difference * (double)difference;
        sum += (double)(code - (x[j] - shrink(difference)) / scale);
    }
    *next = (float)(sum / (double)cols);
    return error;
}

/* Follows the steps from one starting point; *zero and *least improve where a better zero point is met. */
static void follow_hqq(const float *x, size_t cols, float top, float scale, float start, float *zero, double *least) {
    float candidate = start;
    for (int step = 0; step <= HQQ_STEPS; step++) {
        float next;
        const float bounded = fminf(fmaxf(candidate, -LARGEST_REAL_ZERO - top), LARGEST_REAL_ZERO + 2 * top);
        const double error = step_hqq(x, cols, top, scale, bounded, &next);
        if (error < *least) {
            *least = error;
            *zero = bounded + 0.0f;
        }
        if (next == candidate) break;
        candidate = next;
    }
}

/*
 * Dossier 3.3 "hqq". The reference keeps one step for a whole tile and the codes of the last; here each group keeps its own
 * best zero, and codes are those of the zero that is kept. The steps end in the nearest of many minima, so they are also
 * followed from a quarter of a step to either side.
 */
static void choose_hqq(const float *x, size_t cols, unsigned bits, float lowest, float highest, float *scale,
                       float *zero, bool *is_constant) {
    choose_uniform(lowest, highest, bits, scale, zero, is_constant);
    if (highest - lowest == 0 || *scale == 0) return;
    const float top = (float)((1u << bits) - 1u), start = -lowest / *scale;
    double least = INFINITY;
    follow_hqq(x, cols, top, *scale, start, zero, &least);
    follow_hqq(x, cols, top, *scale, start - 0.25f, zero, &least);
    follow_hqq(x, cols, top, *scale, start + 0.25f, zero, &least);
}

/* Sixteen groups at a time where nothing is unusual about them. */
static void choose_ranges(unsigned bits, const struct sinq_group_block *block, struct sinq_group_parameters *p) {
    const struct sinq_quantize_kernels *const kernels = sinq_get_quantize_kernels();
    const float top = (float)((1u << bits) - 1u);
    for (size_t first = 0; first < block->rows; first += SINQ_LANES) {
        const size_t end = block->rows - first < SINQ_LANES ? block->rows : first + SINQ_LANES;
        memset(p->is_constant + first, 0, (end - first) * sizeof *p->is_constant);
        if (end - first == SINQ_LANES && kernels->choose_ranges(block->lowest + first, block->highest + first, top,
                                                                SINQ_LARGEST_ZERO, p->scale + first, p->zero + first)) {
            continue;
        }
        for (size_t r = first; r < end; r++) {
            choose_uniform(block->lowest[r], block->highest[r], bits, &p->scale[r], &p->zero[r], &p->is_constant[r]);
        }
    }
}

void sinq_choose_parameters(enum sinq_method method, unsigned bits, const struct sinq_group_block *block,
                            struct sinq_group_parameters *parameters) {
    if (is_min_max(method) || sinq_method_is_searched(method)) { /* what is searched begins with these */
        choose_ranges(bits, block, parameters);
        return;
    }
    for (size_t r = 0; r < block->rows; r++) {
        const float *const x = block->x + r * block->stride;
        const float lowest = block->lowest[r], highest = block->highest[r];
        float *const scale = &parameters->scale[r], *const zero = &parameters->zero[r];
        bool *const is_constant = &parameters->is_constant[r];
        switch (method) {
        case SINQ_METHOD_NF4:
        case SINQ_METHOD_NF3:
        case SINQ_METHOD_SINQ_NF4:
        case SINQ_METHOD_SINQ_NF3:
            choose_levels(x, block->cols, lowest, highest, scale, zero, is_constant);
            break;
        case SINQ_METHOD_HQQ:
        case SINQ_METHOD_SINQ_HQQ:
            choose_hqq(x, block->cols, bits, lowest, highest, scale, zero, is_constant);
            break;
        default:
            choose_symmetric(lowest, highest, bits, scale, zero, is_constant);
            break;
        }
    }
}
