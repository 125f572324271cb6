/* checked.h: arithmetic on numbers from outside. Those of two numbers and a place return false when the result does not fit. */
#ifndef SINQ_BASE_CHECKED_H
#define SINQ_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool sinq_add_u64(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }
static inline bool sinq_multiply_u64(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* UINT64_MAX where the result does not fit: for estimates. */
static inline uint64_t sinq_add_saturating(uint64_t a, uint64_t b) {
    uint64_t sum;
    return sinq_add_u64(a, b, &sum) ? sum : UINT64_MAX;
}
static inline uint64_t sinq_multiply_saturating(uint64_t a, uint64_t b) {
    uint64_t product;
    return sinq_multiply_u64(a, b, &product) ? product : UINT64_MAX;
}

/* For numbers known to be small enough. */
static inline uint64_t sinq_divide_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }
static inline uint64_t sinq_round_up(uint64_t a, uint64_t multiple) { return sinq_divide_up(a, multiple) * multiple; }
static inline uint64_t sinq_min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t sinq_max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
