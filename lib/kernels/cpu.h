/* cpu.h: which instruction set is used. The only mutable global state of the library: sinq_select_cpu writes it. */
#ifndef SINQ_KERNELS_CPU_H
#define SINQ_KERNELS_CPU_H

#include "sinq.h"

/* From the plainest to the best. A level stands for everything its name usually comes with. */
enum sinq_cpu_level {
    SINQ_CPU_C,
    SINQ_CPU_SSE2, /* and SSSE3, where the machine has it */
    SINQ_CPU_AVX2, /* with FMA and F16C */
    SINQ_CPU_AVX2_VNNI,
    SINQ_CPU_AVX512_VNNI, /* F, BW, DQ, VL and VNNI; and VBMI, where the machine has it */
    SINQ_CPU_NEON,        /* and the dot product of ARMv8.2, where the machine has it */
    SINQ_CPU_LEVEL_COUNT
};

/* The level in use. */
enum sinq_cpu_level sinq_cpu_level(void);

/* Whether this machine and its system offer a level (CPUID and XGETBV both). */
bool sinq_cpu_offers(enum sinq_cpu_level level);

/* Whether the level in use has its extension here: SSSE3 with sse2, VBMI with avx512-vnni, the dot product with neon. */
bool sinq_cpu_has_extension(void);

/* For tests: from now on it has none. */
void sinq_leave_out_extensions(bool leave_out);

#endif
