/*
 * x86_features.h: which levels follow from what the CPUID instruction and the system say. Registers are kept as they are read, so
 * that tests can make up machines.
 */
#ifndef SINQ_KERNELS_X86_FEATURES_H
#define SINQ_KERNELS_X86_FEATURES_H

#include "kernels/cpu.h"

struct sinq_x86_features {
    uint32_t leaf1_ecx;
    uint32_t leaf7_ebx, leaf7_ecx; /* subleaf 0; 0 where there is no leaf 7 */
    uint32_t leaf7_1_eax;          /* subleaf 1; likewise */
    uint64_t enabled_states;       /* XCR0: registers that the system keeps; 0 where it lets nobody ask */
};

/* Of this machine. */
struct sinq_x86_features sinq_read_x86_features(void);

bool sinq_x86_offers(const struct sinq_x86_features *features, enum sinq_cpu_level level);
bool sinq_x86_has_ssse3(const struct sinq_x86_features *features);
bool sinq_x86_has_avx512_vbmi(const struct sinq_x86_features *features);

#endif
