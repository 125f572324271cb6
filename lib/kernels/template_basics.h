/* template_basics.h: what the parts of compute_template.h share. */
#ifndef SINQ_KERNELS_TEMPLATE_BASICS_H
#define SINQ_KERNELS_TEMPLATE_BASICS_H

#include <math.h>
#include <string.h>

#include "kernels/compute.h"

/* Not where sanitizers' checks or lanes of many small operations make the code so large that compiling it takes minutes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(LANES_ARE_NARROW)
#define ALWAYS_INLINE static inline
#else
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

/* Calls FUNCTION(width, ...) with a constant width, so that its sums stay in registers. */
#define CALL_WITH_WIDTH(MOST, FUNCTION, WIDTH, ...)                                                                    \
    switch (WIDTH) {                                                                                                   \
        WIDTH_CASE(1, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(2, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(3, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(4, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(5, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(6, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(7, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(8, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(9, MOST, FUNCTION, __VA_ARGS__)                                                                     \
        WIDTH_CASE(10, MOST, FUNCTION, __VA_ARGS__)                                                                    \
        WIDTH_CASE(11, MOST, FUNCTION, __VA_ARGS__)                                                                    \
        WIDTH_CASE(12, MOST, FUNCTION, __VA_ARGS__)                                                                    \
    default:                                                                                                           \
        break;                                                                                                         \
    }
/* Wider ones than an instruction set's tile are left out: the condition is constant. */
#define WIDTH_CASE(N, MOST, FUNCTION, ...)                                                                             \
    case N:                                                                                                            \
        if (N <= (MOST)) FUNCTION(N, __VA_ARGS__);                                                                     \
        break;

/* The first `count` of 16 values; the others are 0. */
ALWAYS_INLINE v16 load_some(const float *from, size_t count) {
    if (count == 16) return v_load(from);
    float values[16] = {0};
    memcpy(values, from, count * sizeof *values);
    return v_load(values);
}

ALWAYS_INLINE void store_some(float *to, size_t count, v16 v) {
    if (count == 16) {
        v_store(to, v);
        return;
    }
    float values[16];
    v_store(values, v);
    memcpy(to, values, count * sizeof *values);
}

/* How many of 16 values from `at` on there are. */
ALWAYS_INLINE size_t count_some(size_t at, size_t count) { return count - at < 16 ? count - at : 16; }

/* Sixteen entries, a byte each. */
typedef uint8_t sixteen_bytes __attribute__((vector_size(16)));

ALWAYS_INLINE sixteen_bytes load_bytes(const uint8_t *from) {
    sixteen_bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return bytes;
}

#endif
