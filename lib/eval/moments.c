#include "eval/moments.h"

#include <math.h>

void sinq_merge_moments(struct sinq_moments *moments, const struct sinq_moments *other) {
    struct sinq_moments *const a = moments;
    const struct sinq_moments *const b = other;
    const uint64_t nonfinite = a->nonfinite + b->nonfinite;
    if (b->count == 0) {
        a->nonfinite = nonfinite;
        return;
    }
    if (a->count == 0) {
        *a = *b;
        a->nonfinite = nonfinite;
        return;
    }
    const double na = (double)a->count, nb = (double)b->count, n = na + nb;
    const double d = b->mean - a->mean, wa = na / n, wb = nb / n, d2 = d * d;
    const double m2 = a->m2 + b->m2 + d2 * na * wb;
    const double m3 = a->m3 + b->m3 + d2 * d * na * wb * (wa - wb) + 3 * d * (wa * b->m2 - wb * a->m2);
    const double m4 = a->m4 + b->m4 + d2 * d2 * na * wb * (wa * wa - wa * wb + wb * wb) +
                      6 * d2 * (wa * wa * b->m2 + wb * wb * a->m2) + 4 * d * (wa * b->m3 - wb * a->m3);
    *a = (struct sinq_moments){
        .count = a->count + b->count,
        .nonfinite = nonfinite,
        .minimum = fmin(a->minimum, b->minimum),
        .maximum = fmax(a->maximum, b->maximum),
        .mean = a->mean + d * wb,
        .m2 = m2,
        .m3 = m3,
        .m4 = m4,
    };
}

/* Moves the finite values to the front. */
static size_t drop_nonfinite(double *values, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const double value = values[i];
        values[kept] = value;
        kept += isfinite(value) != 0;
    }
    return kept;
}

#define LANES 4u /* sums that run side by side */

void sinq_add_values(struct sinq_moments *moments, double *values, size_t count) {
    const size_t kept = drop_nonfinite(values, count);
    struct sinq_moments piece = {.count = kept, .nonfinite = count - kept};
    if (kept == 0) {
        sinq_merge_moments(moments, &piece);
        return;
    }
    double sum[LANES] = {0}, lowest[LANES], highest[LANES];
    for (size_t l = 0; l < LANES; l++) lowest[l] = highest[l] = values[0];
    for (size_t i = 0; i < kept; i++) {
        const size_t l = i % LANES;
        sum[l] += values[i];
        lowest[l] = values[i] < lowest[l] ? values[i] : lowest[l];
        highest[l] = values[i] > highest[l] ? values[i] : highest[l];
    }
    piece.minimum = fmin(fmin(lowest[0], lowest[1]), fmin(lowest[2], lowest[3]));
    piece.maximum = fmax(fmax(highest[0], highest[1]), fmax(highest[2], highest[3]));
    piece.mean = (sum[0] + sum[1] + sum[2] + sum[3]) / (double)kept;
    /* A constant's mean is the constant, whatever the sum was rounded to. */
    if (piece.minimum >= piece.maximum) piece.mean = piece.minimum;

    double m1[LANES] = {0}, m2[LANES] = {0}, m3[LANES] = {0}, m4[LANES] = {0};
    for (size_t i = 0; i < kept; i++) {
        const double d = values[i] - piece.mean, d2 = d * d;
        const size_t l = i % LANES;
        m1[l] += d;
        m2[l] += d2;
        m3[l] += d2 * d;
        m4[l] += d2 * d2;
    }
    /* The mean was rounded, and the values are off it by `shift` on average: the sums are moved to where it should be. */
    const double n = (double)kept, shift = ((m1[0] + m1[1]) + (m1[2] + m1[3])) / n, shift2 = shift * shift;
    const double raw2 = (m2[0] + m2[1]) + (m2[2] + m2[3]), raw3 = (m3[0] + m3[1]) + (m3[2] + m3[3]);
    const double raw4 = (m4[0] + m4[1]) + (m4[2] + m4[3]);
    piece.m2 = raw2;
    piece.m3 = raw3;
    piece.m4 = raw4;
    if (isfinite(raw4)) { /* else the values are near the end of f64 and a rounded mean is the least of it */
        piece.mean += shift;
        piece.m2 = fmax(0.0, raw2 - n * shift2);
        piece.m3 = raw3 - 3 * shift * raw2 + 2 * n * shift2 * shift;
        piece.m4 = fmax(0.0, raw4 - 4 * shift * raw3 + 6 * shift2 * raw2 - 3 * n * shift2 * shift2);
    }
    sinq_merge_moments(moments, &piece);
}

double sinq_find_deviation(const struct sinq_moments *moments) {
    return moments->count < 2 ? 0.0 : sqrt(moments->m2 / (double)(moments->count - 1));
}

double sinq_find_kurtosis(const struct sinq_moments *moments) {
    const double variance = moments->count == 0 ? 0.0 : moments->m2 / (double)moments->count;
    const double square = variance * variance;
    /* F64 values beyond 1e75 or below 1e-75: their fourth powers are no numbers. */
    if (!(square > 0.0) || !isfinite(square) || !isfinite(moments->m4)) return 0.0;
    return moments->m4 / (double)moments->count / square;
}
