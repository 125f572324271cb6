/* cpu_levels.h: running a test at every instruction set that this machine offers. */
#ifndef SINQ_TESTS_CPU_LEVELS_H
#define SINQ_TESTS_CPU_LEVELS_H

#include "kernels/cpu.h"
#include "unit.h"

static const char *const cpu_level_names[] = {"c", "sse2", "avx2", "avx512-vnni", "neon"};
#define CPU_LEVEL_NAMES (sizeof cpu_level_names / sizeof cpu_level_names[0])

/* False, with a loud line, where the machine has no such level. */
static inline bool select_cpu_level(size_t i) {
    if (sinq_select_cpu(cpu_level_names[i], NULL) == SINQ_OK) return true;
    fprintf(stderr, "SKIPPED: this machine has no %s\n", cpu_level_names[i]);
    return false;
}

#endif
