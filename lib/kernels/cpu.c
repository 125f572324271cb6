#include "kernels/cpu.h"

#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "kernels/x86_features.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

static const char *const level_names[SINQ_CPU_LEVEL_COUNT] = {
    [SINQ_CPU_C] = "c",
    [SINQ_CPU_SSE2] = "sse2",
    [SINQ_CPU_AVX2] = "avx2",
    [SINQ_CPU_AVX2_VNNI] = "avx2-vnni",
    [SINQ_CPU_AVX512_VNNI] = "avx512-vnni",
    [SINQ_CPU_NEON] = "neon",
};

#if defined(__x86_64__)
bool sinq_cpu_offers(enum sinq_cpu_level level) {
    const struct sinq_x86_features features = sinq_read_x86_features();
    return sinq_x86_offers(&features, level);
}

static bool find_extension(enum sinq_cpu_level level) {
    const struct sinq_x86_features features = sinq_read_x86_features();
    if (level == SINQ_CPU_AVX512_VNNI) return sinq_x86_has_avx512_vbmi(&features);
    return level == SINQ_CPU_SSE2 && sinq_x86_has_ssse3(&features);
}
#elif defined(__aarch64__)
bool sinq_cpu_offers(enum sinq_cpu_level level) { return level == SINQ_CPU_C || level == SINQ_CPU_NEON; }

static bool find_extension(enum sinq_cpu_level level) {
    return level == SINQ_CPU_NEON && (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
}
#else
bool sinq_cpu_offers(enum sinq_cpu_level level) { return level == SINQ_CPU_C; }

static bool find_extension(enum sinq_cpu_level level) {
    (void)level;
    return false;
}
#endif

/* -1 until chosen. Two threads that choose at once choose the same. */
static atomic_int chosen_level = -1;
/* CPUID is slow in virtual machines, and kernels ask often: it is asked once a choice. */
static atomic_bool has_extension, leaves_out_extensions;

static void choose(int level) {
    atomic_store(&has_extension, find_extension((enum sinq_cpu_level)level));
    atomic_store(&chosen_level, level);
}

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
        choose(find_best_level());
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
    choose(best);
    return SINQ_OK;
}

enum sinq_cpu_level sinq_cpu_level(void) {
    int level = atomic_load(&chosen_level);
    if (level < 0) {
        level = find_best_level();
        choose(level);
    }
    return (enum sinq_cpu_level)level;
}

bool sinq_cpu_has_extension(void) {
    (void)sinq_cpu_level(); /* chooses */
    return atomic_load(&has_extension) && !atomic_load(&leaves_out_extensions);
}

void sinq_leave_out_extensions(bool leave_out) { atomic_store(&leaves_out_extensions, leave_out); }

const char *sinq_cpu_name(void) { return level_names[sinq_cpu_level()]; }
