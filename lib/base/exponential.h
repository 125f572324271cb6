/*
 * exponential.h: an exp that is the same to the last bit on every machine with IEEE doubles; libm's is not. For what a seed
 * must reproduce.
 */
#ifndef SINQ_BASE_EXPONENTIAL_H
#define SINQ_BASE_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/*
 * exp(x) of x <= 0, within 2 units in the last place; 0 below -708, where doubles become subnormal, and of NaN.
 *
 * x = k ln 2 + r with |r| <= ln 2 / 2 (+ rounding), ln 2 in two parts so that k times the first is exact; exp(r) is its Taylor
 * series up to r^13 / 13!, whose remainder is below 1e-17.
 */
static inline double sinq_exp_negative(double x) {
    static const double factors[] = {1.0 / 479001600.0,
                                     1.0 / 39916800.0,
                                     1.0 / 3628800.0,
                                     1.0 / 362880.0,
                                     1.0 / 40320.0,
                                     1.0 / 5040.0,
                                     1.0 / 720.0,
                                     1.0 / 120.0,
                                     1.0 / 24.0,
                                     1.0 / 6.0,
                                     0.5,
                                     1.0,
                                     1.0};
    if (!(x >= -708.0)) return 0.0;
    const int k = (int)(x * 0x1.71547652b82fep+0 - 0.5);
    const double r = (x - k * 0x1.62e42fee00000p-1) - k * 0x1.a39ef35793c76p-33;
    double sum = 1.0 / 6227020800.0;
    for (unsigned i = 0; i < sizeof factors / sizeof factors[0]; i++) sum = sum * r + factors[i];
    const uint64_t bits = (uint64_t)(1023 + k) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

#endif
