/* math_template.h: exp and tanh over sixteen lanes; a part of compute_template.h. */
#ifndef SINQ_KERNELS_MATH_TEMPLATE_H
#define SINQ_KERNELS_MATH_TEMPLATE_H

#include "kernels/template_basics.h"

/*
 * e^x = 2^n e^r with |r| <= ln 2 / 2, and e^r = 1 + r + r^2 q(r); q is a minimax polynomial (Remez), which is off by 8e-9 of
 * e^r. With rounding the whole is within 1.5e-7 of e^x, relatively. Above 88.72 it is infinite, below -87.33 it is 0 (results that
 * f32 holds only as subnormals are left out); NaN stays NaN.
 */
ALWAYS_INLINE v16 v_exp_reduced(v16 within, v16 *power) {
    const v16 shifter = v_set(12582912.0f); /* 1.5 * 2^23 */
    const v16 shifted = v_fma(within, v_set(1.44269504f), shifter), n = v_sub(shifted, shifter);
    /* ln 2 in two parts: the first has few bits, so that its product with n is exact. */
    const v16 r = v_fnma(n, v_set(-2.12194440e-4f), v_fnma(n, v_set(0.693359375f), within));
    v16 q = v_set(0.0013941165525466204f);
    q = v_fma(q, r, v_set(0.008363205008208752f));
    q = v_fma(q, r, v_set(0.04166637361049652f));
    q = v_fma(q, r, v_set(0.16666576266288757f));
    q = v_fma(q, r, v_set(0.5f));
    *power = shifted;
    return v_add(v_fma(v_mul(r, r), q, r), v_set(1.0f));
}

ALWAYS_INLINE v16 v_exp(v16 x) {
    const v16 highest = v_set(88.72f), lowest = v_set(-87.33f);
    v16 power;
    const v16 fraction = v_exp_reduced(v_max(lowest, v_min(highest, x)), &power); /* NaN is kept */
    /* 2^128 does not fit: half of it twice. */
    const v16 half = v_power_of_two(v_sub(power, v_set(1.0f)));
    const v16 result = v_mul(v_mul(fraction, half), v_set(2.0f));
    return v_where_greater(x, highest, v_set(INFINITY), v_where_greater(lowest, x, v_set(0.0f), result));
}

/* The same where x is not above 88. */
ALWAYS_INLINE v16 v_exp_bounded(v16 x) {
    const v16 lowest = v_set(-87.33f);
    v16 power;
    const v16 fraction = v_exp_reduced(v_max(lowest, x), &power);
    return v_where_greater(lowest, x, v_set(0.0f), v_mul(fraction, v_power_of_two(power)));
}

/* Within 3e-7 of tanh x, relatively: a polynomial below 0.625, 1 - 2 / (e^2x + 1) above. */
ALWAYS_INLINE v16 v_tanh(v16 x) {
    const v16 zero = v_set(0.0f), negated = v_sub(zero, x), magnitude = v_max(negated, x);
    const v16 square = v_mul(x, x);
    v16 p = v_set(-0.0061131929978728294f);
    p = v_fma(p, square, v_set(0.021010082215070724f));
    p = v_fma(p, square, v_set(-0.053854070603847504f));
    p = v_fma(p, square, v_set(0.13332794606685638f));
    p = v_fma(p, square, v_set(-0.333333283662796f));
    const v16 small = v_fma(v_mul(p, square), x, x);
    const v16 power = v_add(v_exp(v_add(magnitude, magnitude)), v_set(1.0f));
    const v16 large = v_sub(v_set(1.0f), v_div(v_set(2.0f), power));
    const v16 with_sign = v_where_greater(zero, x, v_sub(zero, large), large);
    return v_where_greater(magnitude, v_set(0.625f), with_sign, small);
}

#endif
