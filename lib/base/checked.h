/* checked.h: arithmetic on numbers from outside. Each returns false when the result does not fit. */
#ifndef SINQ_BASE_CHECKED_H
#define SINQ_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool sinq_add_u64(uint64_t a, uint64_t b, uint64_t *sum) { return !__builtin_add_overflow(a, b, sum); }
static inline bool sinq_multiply_u64(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

/* For numbers known to be small enough. */
static inline uint64_t sinq_divide_up(uint64_t a, uint64_t b) { return a / b + (a % b != 0); }
static inline uint64_t sinq_round_up(uint64_t a, uint64_t multiple) { return sinq_divide_up(a, multiple) * multiple; }
static inline uint64_t sinq_min_u64(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t sinq_max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

#endif
