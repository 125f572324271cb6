#include "kernels/cpu.h"

#include <stdatomic.h>
#include <string.h>

#include "base/error.h"

static const char *const level_names[SINQ_CPU_LEVEL_COUNT] = {
    [SINQ_CPU_C] = "c",
    [SINQ_CPU_SSE2] = "sse2",
    [SINQ_CPU_AVX2] = "avx2",
    [SINQ_CPU_AVX2_VNNI] = "avx2-vnni",
    [SINQ_CPU_AVX512_VNNI] = "avx512-vnni",
    [SINQ_CPU_NEON] = "neon",
};

#if defined(__x86_64__)
#include <cpuid.h>

/* __builtin_cpu_supports checks CPUID and XCR0; gcc 12 has no name for AVX-VNNI: leaf 7, subleaf 1, EAX bit 4. */
static bool has_avx_vnni(void) {
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1u) != 0;
}

bool sinq_cpu_offers(enum sinq_cpu_level level) {
    __builtin_cpu_init();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    switch (level) {
    case SINQ_CPU_C:
    case SINQ_CPU_SSE2:
        return true;
    case SINQ_CPU_AVX2:
        return avx2;
    case SINQ_CPU_AVX2_VNNI:
        return avx2 && has_avx_vnni();
    case SINQ_CPU_AVX512_VNNI:
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512vnni");
    default:
        return false;
    }
}
#elif defined(__aarch64__)
bool sinq_cpu_offers(enum sinq_cpu_level level) { return level == SINQ_CPU_C || level == SINQ_CPU_NEON; }
#else
bool sinq_cpu_offers(enum sinq_cpu_level level) { return level == SINQ_CPU_C; }
#endif

/* -1 until chosen. Two threads that choose at once choose the same. */
static atomic_int chosen_level = -1;

static int find_level(const char *name, size_t length) {
    for (int level = 0; level < SINQ_CPU_LEVEL_COUNT; level++) {
        if (strlen(level_names[level]) == length && strncmp(level_names[level], name, length) == 0) return level;
    }
    return -1;
}

static int find_best_level(void) {
    int best = SINQ_CPU_C;
    for (int level = 0; level < SINQ_CPU_LEVEL_COUNT; level++) {
        if (sinq_cpu_offers((enum sinq_cpu_level)level)) best = level;
    }
    return best;
}

int sinq_select_cpu(const char *names, struct sinq_error *error) {
    if (names == NULL || names[0] == '\0') {
        atomic_store(&chosen_level, find_best_level());
        return SINQ_OK;
    }
    int best = -1;
    for (const char *name = names;; name++) {
        const size_t length = strcspn(name, ",");
        const int level = find_level(name, length);
        if (level < 0) {
            return sinq_fail(
                error, SINQ_USAGE,
                "unknown instruction set \"%.*s\", expected some of c, sse2, avx2, avx2-vnni, avx512-vnni, neon",
                (int)length, name);
        }
        if (level > best && sinq_cpu_offers((enum sinq_cpu_level)level)) best = level;
        name += length;
        if (*name == '\0') break;
    }
    if (best < 0) return sinq_fail(error, SINQ_USAGE, "this machine has none of the instruction sets \"%s\"", names);
    atomic_store(&chosen_level, best);
    return SINQ_OK;
}

enum sinq_cpu_level sinq_cpu_level(void) {
    int level = atomic_load(&chosen_level);
    if (level < 0) {
        level = find_best_level();
        atomic_store(&chosen_level, level);
    }
    return (enum sinq_cpu_level)level;
}

const char *sinq_cpu_name(void) { return level_names[sinq_cpu_level()]; }
