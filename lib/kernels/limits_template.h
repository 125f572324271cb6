/*
 * limits_template.h: the bodies of limits.h, written once over the lanes that kernels have. An instruction set's file includes
 * its lanes, defines LIMIT_KERNELS, the name of its table, how many sums fill its registers and its pipelines (LINES_AT_ONCE *
 * QUADS of int8, SUMS of f32), and includes this. HOLD(sum), where it is defined, keeps a sum in its register.
 */
#include "kernels/limits.h"

/* As wide as a cache line: the compiler makes of it what registers there are. */
typedef uint64_t wide __attribute__((vector_size(64)));

#define READ_STREAMS (SINQ_LIMIT_READ_BYTES / 64 / 2)

static inline __attribute__((always_inline)) uint64_t read_ahead(const uint8_t *data, const size_t bytes,
                                                                 const uintptr_t distance, const bool is_second) {
    const wide *at = (const wide *)(const void *)data;
    const wide *const end = at + bytes / sizeof *at;
    wide sums[READ_STREAMS] = {{0}};
    uint64_t total = 0;
    for (; at < end; at += READ_STREAMS) {
        for (unsigned i = 0; distance != 0 && i < READ_STREAMS; i++) {
            const void *const next = (const void *)((uintptr_t)(at + i) + distance);
            if (is_second) {
                __builtin_prefetch(next, 0, 2);
            } else {
                __builtin_prefetch(next, 0, 3);
            }
        }
        for (unsigned i = 0; i < READ_STREAMS; i++) sums[i] ^= at[i];
    }
    for (unsigned i = 0; i < READ_STREAMS; i++) {
        for (unsigned k = 0; k < 8; k++) total ^= sums[i][k];
    }
    return total;
}

static uint64_t read_memory(const uint8_t *data, size_t bytes, size_t ahead, bool is_second) {
    if (ahead == 0) return read_ahead(data, bytes, 0, false);
    return is_second ? read_ahead(data, bytes, ahead, true) : read_ahead(data, bytes, ahead, false);
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
