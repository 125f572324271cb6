/* cpu_levels.h: running a test at every instruction set that this machine offers. */
#ifndef SINQ_TESTS_CPU_LEVELS_H
#define SINQ_TESTS_CPU_LEVELS_H

#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "unit.h"

static const struct {
    const char *name;
    bool has_extension; /* or does without: kernels/cpu.h */
} cpu_levels[] = {{"c", false},           {"sse2", false},       {"sse2", true},  {"avx2", false}, {"avx2-vnni", false},
                  {"avx512-vnni", false}, {"avx512-vnni", true}, {"neon", false}, {"neon", true}};
static const char *const cpu_level_names[] = {"c",
                                              "sse2",
                                              "sse2 with SSSE3",
                                              "avx2",
                                              "avx2-vnni",
                                              "avx512-vnni",
                                              "avx512-vnni with VBMI",
                                              "neon",
                                              "neon with dot product"};
#define CPU_LEVEL_NAMES (sizeof cpu_level_names / sizeof cpu_level_names[0])

/* False, with a loud line, where the machine has no such level; and where SINQ_CPU names another, for slow emulators. */
static inline bool select_cpu_level(size_t i) {
    const char *const only = getenv("SINQ_CPU");
    if (only != NULL && only[0] != '\0' && strcmp(only, cpu_levels[i].name) != 0) return false;
    sinq_leave_out_extensions(!cpu_levels[i].has_extension);
    if (sinq_select_cpu(cpu_levels[i].name, NULL) == SINQ_OK &&
        sinq_cpu_has_extension() == cpu_levels[i].has_extension) {
        return true;
    }
    sinq_leave_out_extensions(false);
    fprintf(stderr, "SKIPPED: this machine has no %s\n", cpu_level_names[i]);
    return false;
}

#endif
