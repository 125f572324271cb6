/*
 * limits.h: loops that do nothing but what bounds a model's speed, one version an instruction set: reading memory, multiplying
 * int8, multiplying f32. What they reach is the machine's limit (eval/limits.c).
 *
 * Everything they compute goes into what they return, so that no compiler can leave it out.
 */
#ifndef SINQ_KERNELS_LIMITS_H
#define SINQ_KERNELS_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SINQ_LIMIT_LINES      64u /* of 64 bytes, that the multiplying loops go through: a part of the first cache */
#define SINQ_LIMIT_DATA_BYTES ((size_t)SINQ_LIMIT_LINES * 64)
#define SINQ_LIMIT_READ_BYTES 1024u /* reading takes multiples of it */

/* How a loop reads: what lies `ahead` bytes further on is called for (0: the processor is left to it). */
struct sinq_read_way {
    size_t ahead;
    bool is_second; /* into the second cache, not the first */
    bool is_halved; /* both halves at once, by turns: more may be on its way */
};

struct sinq_limit_kernels {
    /* Reads data[bytes], aligned to 64: all words joined by exclusive or. */
    uint64_t (*read)(const uint8_t *data, size_t bytes, struct sinq_read_way way);
    /* data[SINQ_LIMIT_DATA_BYTES], aligned to 64; a round goes through all of it. Codes are below 128.
     * The sum of all products, modulo 2^32; of more than a few rounds just a number. */
    uint32_t (*multiply_int8)(const uint8_t *data, size_t rounds);
    /* The same of floats, small ones. */
    float (*multiply_f32)(const float *data, size_t rounds);
    double int8_operations, f32_operations; /* of a round: two for each multiplication */
};

/* The table of the level in use (kernels/cpu.h). */
const struct sinq_limit_kernels *sinq_get_limit_kernels(void);

extern const struct sinq_limit_kernels sinq_limit_kernels_c;
#if defined(__x86_64__)
extern const struct sinq_limit_kernels sinq_limit_kernels_sse2;
extern const struct sinq_limit_kernels sinq_limit_kernels_ssse3;
extern const struct sinq_limit_kernels sinq_limit_kernels_avx2;
extern const struct sinq_limit_kernels sinq_limit_kernels_avx2vnni;
extern const struct sinq_limit_kernels sinq_limit_kernels_avx512;
#elif defined(__aarch64__)
extern const struct sinq_limit_kernels sinq_limit_kernels_neon;
extern const struct sinq_limit_kernels sinq_limit_kernels_neondot;
#endif

#endif
