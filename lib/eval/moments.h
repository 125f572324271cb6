/*
 * moments.h: mean and central moments of many values in one pass, piece by piece.
 *
 * Each piece is measured about its own mean and merged by the formulas of Chan and Pebay, so that neither a large mean nor
 * large values cost digits.
 */
#ifndef SINQ_EVAL_MOMENTS_H
#define SINQ_EVAL_MOMENTS_H

#include <stddef.h>
#include <stdint.h>

struct sinq_moments {
    uint64_t count;          /* finite values */
    uint64_t nonfinite;      /* left out */
    double minimum, maximum; /* undefined where count is 0 */
    double mean, m2, m3, m4; /* sums of powers of (value - mean) */
};

/* Adds `count` values, which are overwritten. */
void sinq_add_values(struct sinq_moments *moments, double *values, size_t count);

/* Adds what another pass over other values found. */
void sinq_merge_moments(struct sinq_moments *moments, const struct sinq_moments *other);

/* Standard deviation with count - 1; 0 of fewer than two values. */
double sinq_find_deviation(const struct sinq_moments *moments);

/* count * m4 / m2^2, 3 for a Gaussian; 0 where all values are equal. */
double sinq_find_kurtosis(const struct sinq_moments *moments);

#endif
