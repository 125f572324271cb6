/*
 * limits_template.h: the bodies of limits.h, written once over the lanes that kernels have. An instruction set's file includes
 * its lanes, defines LIMIT_KERNELS, the name of its table, and includes this.
 */
#include "kernels/limits.h"

/* As wide as a cache line: the compiler makes of it what registers there are. */
typedef uint64_t wide __attribute__((vector_size(64)));

#define READ_STREAMS (SINQ_LIMIT_READ_BYTES / 64 / 2)

static uint64_t read_memory(const uint8_t *data, size_t bytes, size_t ahead) {
    const wide *at = (const wide *)(const void *)data;
    const wide *const end = at + bytes / sizeof *at;
    const uintptr_t distance = ahead;
    wide sums[READ_STREAMS] = {{0}};
    uint64_t total = 0;
    for (; at < end; at += READ_STREAMS) {
        if (distance != 0) {
            for (unsigned i = 0; i < READ_STREAMS; i++) {
                __builtin_prefetch((const void *)((uintptr_t)(at + i) + distance), 0, 3);
            }
        }
        for (unsigned i = 0; i < READ_STREAMS; i++) sums[i] ^= at[i];
    }
    for (unsigned i = 0; i < READ_STREAMS; i++) {
        for (unsigned k = 0; k < 8; k++) total ^= sums[i][k];
    }
    return total;
}

/* A line of each round serves as many sums as a kernel's tile has tokens, each with a quad of its own. */
static int32_t multiply_int8(const uint8_t *data, size_t rounds) {
    v16i sums[INT8_TILE];
    int8_t quads[INT8_TILE][4];
    float results[16];
    int32_t total = 0;
    for (unsigned i = 0; i < INT8_TILE; i++) {
        sums[i] = i_zero();
        for (unsigned c = 0; c < 4; c++) quads[i][c] = (int8_t)(data[4 * i + c] - 64);
    }
    while (rounds-- > 0) {
        for (unsigned k = 0; k < SINQ_LIMIT_LINES; k++) {
            const line codes = l_load(data + (size_t)k * 64);
            for (unsigned i = 0; i < INT8_TILE; i++) sums[i] = i_dot_narrow(sums[i], codes, quads[i]);
        }
    }
    for (unsigned i = 0; i < INT8_TILE; i++) {
        v_store(results, i_to_float(sums[i]));
        for (unsigned l = 0; l < 16; l++) total ^= (int32_t)results[l];
    }
    return total;
}

static float multiply_f32(const float *data, size_t rounds) {
    v16 sums[F32_TILE], factors[F32_TILE];
    float total = 0;
    for (unsigned i = 0; i < F32_TILE; i++) {
        sums[i] = v_set(0.0f);
        factors[i] = v_set(data[i]);
    }
    while (rounds-- > 0) {
        for (unsigned k = 0; k < SINQ_LIMIT_LINES; k++) {
            const v16 values = v_load(data + (size_t)k * 16);
            for (unsigned i = 0; i < F32_TILE; i++) sums[i] = v_fma(values, factors[i], sums[i]);
        }
    }
    for (unsigned i = 0; i < F32_TILE; i++) total += v_sum(sums[i]);
    return total;
}

const struct sinq_limit_kernels LIMIT_KERNELS = {
    .read = read_memory,
    .multiply_int8 = multiply_int8,
    .multiply_f32 = multiply_f32,
    .int8_operations = 2.0 * SINQ_LIMIT_LINES * 64 * INT8_TILE,
    .f32_operations = 2.0 * SINQ_LIMIT_LINES * 16 * F32_TILE,
};
