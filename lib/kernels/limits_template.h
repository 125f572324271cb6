/*
 * limits_template.h: the bodies of limits.h, written once over the lanes that kernels have. An instruction set's file includes
 * its lanes, defines LIMIT_KERNELS, the name of its table, how many sums fill its registers and its pipelines (LINES_AT_ONCE *
 * QUADS of int8, SUMS of f32), and includes this. HOLD(sum), where it is defined, keeps a sum in its register.
 */
#include "kernels/limits.h"

/* As wide as a cache line: the compiler makes of it what registers there are. */
typedef uint64_t wide __attribute__((vector_size(64)));

#define READ_LINES (SINQ_LIMIT_READ_BYTES / 64 / 2) /* at once */

static inline __attribute__((always_inline)) void read_lines(const wide *at, const unsigned count,
                                                             const struct sinq_read_way way, wide *sums) {
    for (unsigned i = 0; way.ahead != 0 && i < count; i++) {
        const void *const next = (const void *)((uintptr_t)(at + i) + way.ahead);
        if (way.is_second) {
            __builtin_prefetch(next, 0, 2);
        } else {
            __builtin_prefetch(next, 0, 3);
        }
    }
    for (unsigned i = 0; i < count; i++) sums[i] ^= at[i];
}

static inline __attribute__((always_inline)) uint64_t
read_streams(const uint8_t *data, const size_t bytes, const unsigned streams, const struct sinq_read_way way) {
    const unsigned each = READ_LINES / streams;
    const size_t lines = bytes / sizeof(wide) / streams;
    wide sums[READ_LINES] = {{0}};
    uint64_t total = 0;
    for (size_t at = 0; at < lines; at += each) {
        for (unsigned s = 0; s < streams; s++) {
            read_lines((const wide *)(const void *)data + s * lines + at, each, way, sums + s * each);
        }
    }
    for (unsigned i = 0; i < READ_LINES; i++) {
        for (unsigned k = 0; k < 8; k++) total ^= sums[i][k];
    }
    return total;
}

static uint64_t read_memory(const uint8_t *data, size_t bytes, struct sinq_read_way way) {
    const struct sinq_read_way second = {way.ahead, true, false}, first = {way.ahead, false, false};
    const struct sinq_read_way none = {0, false, false};
    if (way.ahead == 0) return way.is_halved ? read_streams(data, bytes, 2, none) : read_streams(data, bytes, 1, none);
    if (way.is_halved) {
        return way.is_second ? read_streams(data, bytes, 2, second) : read_streams(data, bytes, 2, first);
    }
    return way.is_second ? read_streams(data, bytes, 1, second) : read_streams(data, bytes, 1, first);
}

#ifndef HOLD
#define HOLD(sum) (void)(sum)
#endif

static uint32_t fold_sums(const v16i *sums, unsigned count) {
    uint32_t total = 0;
    for (unsigned i = 0; i < count; i++) {
        float results[16];
        v_store(results, i_to_float(sums[i]));
        for (unsigned l = 0; l < 16; l++) total += (uint32_t)(int32_t)results[l];
    }
    return total;
}

/* Some lines times some quads at once, as a kernel's tile is of panels and tokens. */
static uint32_t multiply_int8(const uint8_t *data, size_t rounds) {
    v16i sums[LINES_AT_ONCE * QUADS];
    int8_t quads[QUADS][4];
    for (unsigned i = 0; i < LINES_AT_ONCE * QUADS; i++) sums[i] = i_zero();
    for (unsigned i = 0; i < QUADS; i++) {
        for (unsigned c = 0; c < 4; c++) quads[i][c] = (int8_t)(data[4 * i + c] - 64);
    }
    while (rounds-- > 0) {
        for (unsigned k = 0; k < SINQ_LIMIT_LINES; k += LINES_AT_ONCE) {
            for (unsigned l = 0; l < LINES_AT_ONCE; l++) {
                const line codes = l_load(data + (size_t)(k + l) * 64);
                for (unsigned i = 0; i < QUADS; i++) {
                    v16i sum = i_dot_narrow(sums[l * QUADS + i], codes, quads[i]);
                    HOLD(sum);
                    sums[l * QUADS + i] = sum;
                }
            }
        }
    }
    return fold_sums(sums, LINES_AT_ONCE * QUADS);
}

static float multiply_f32(const float *data, size_t rounds) {
    v16 sums[SUMS], factors[SUMS];
    float total = 0;
    for (unsigned i = 0; i < SUMS; i++) {
        sums[i] = v_set(0.0f);
        factors[i] = v_set(data[i]);
    }
    while (rounds-- > 0) {
        for (unsigned k = 0; k < SINQ_LIMIT_LINES; k++) {
            const v16 values = v_load(data + (size_t)k * 16);
            for (unsigned i = 0; i < SUMS; i++) sums[i] = v_fma(values, factors[i], sums[i]);
        }
    }
    for (unsigned i = 0; i < SUMS; i++) total += v_sum(sums[i]);
    return total;
}

const struct sinq_limit_kernels LIMIT_KERNELS = {
    .read = read_memory,
    .multiply_int8 = multiply_int8,
    .multiply_f32 = multiply_f32,
    .int8_operations = 2.0 * SINQ_LIMIT_LINES * 64 * QUADS,
    .f32_operations = 2.0 * SINQ_LIMIT_LINES * 16 * SUMS,
};
