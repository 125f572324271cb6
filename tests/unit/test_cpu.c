/* Which levels follow from CPUID and XCR0, on made-up machines; and how lists of names choose. */
#include <string.h>

#include "kernels/x86_features.h"
#include "unit.h"

/* Bits by their numbers in Intel's manual. */
enum { SSSE3 = 1 << 9, FMA = 1 << 12, OSXSAVE = 1 << 27, AVX = 1 << 28, F16C = 1 << 29 };
enum { AVX2 = 1 << 5, AVX512F = 1 << 16, AVX512DQ = 1 << 17, AVX512BW = 1 << 30 };
#define AVX512VL   0x80000000u
#define HASWELL    (SSSE3 | FMA | OSXSAVE | AVX | F16C)
#define SKYLAKE    ((uint32_t)(AVX2 | AVX512F | AVX512DQ | AVX512BW) | AVX512VL)
#define AVX512VNNI (1u << 11)
#define AVX512VBMI (1u << 1)
#define AVXVNNI    (1u << 4)

enum { SSE_STATE = 2, AVX_STATE = 4, AVX512_STATE = 0xe0 };

static const struct {
    const char *name;
    struct sinq_x86_features features;
    bool ssse3, avx2, avx2_vnni, avx512_vnni, avx512_vbmi;
} machines[] = {
    {"nothing but x86-64", {0, 0, 0, 0, 0}, false, false, false, false, false},
    {"Core 2", {SSSE3, 0, 0, 0, 0}, true, false, false, false, false},
    {"Sandy Bridge: AVX without AVX2", {SSSE3 | OSXSAVE | AVX, 0, 0, 0, 7}, true, false, false, false, false},
    {"Haswell", {HASWELL, AVX2, 0, 0, 7}, true, true, false, false, false},
    {"Haswell, system without XSAVE", {HASWELL & ~OSXSAVE, AVX2, 0, 0, 0}, true, false, false, false, false},
    {"Haswell, system that keeps SSE registers only", {HASWELL, AVX2, 0, 0, 3}, true, false, false, false, false},
    {"AVX2 without FMA", {HASWELL & ~FMA, AVX2, 0, 0, 7}, true, false, false, false, false},
    {"AVX2 without F16C", {HASWELL & ~F16C, AVX2, 0, 0, 7}, true, false, false, false, false},
    {"Skylake server: AVX-512 without VNNI", {HASWELL, SKYLAKE, 0, 0, 0xe7}, true, true, false, false, false},
    {"Cascade Lake", {HASWELL, SKYLAKE, AVX512VNNI, 0, 0xe7}, true, true, false, true, false},
    {"Cascade Lake, system without AVX-512", {HASWELL, SKYLAKE, AVX512VNNI, 0, 7}, true, true, false, false, false},
    {"Cascade Lake, masks but no ZMM16", {HASWELL, SKYLAKE, AVX512VNNI, 0, 0x67}, true, true, false, false, false},
    {"AVX-512 VNNI without VL", {HASWELL, SKYLAKE & ~AVX512VL, AVX512VNNI, 0, 0xe7}, true, true, false, false, false},
    {"Alder Lake", {HASWELL, AVX2, 0, AVXVNNI, 7}, true, true, true, false, false},
    {"Alder Lake, system that keeps SSE registers only",
     {HASWELL, AVX2, 0, AVXVNNI, 3},
     true,
     false,
     false,
     false,
     false},
    {"AVX-VNNI without AVX2", {HASWELL, 0, 0, AVXVNNI, 7}, true, false, false, false, false},
    {"Sapphire Rapids", {HASWELL, SKYLAKE, AVX512VNNI | AVX512VBMI, AVXVNNI, 0xe7}, true, true, true, true, true},
    {"AVX-512 VBMI without VNNI", {HASWELL, SKYLAKE, AVX512VBMI, 0, 0xe7}, true, true, false, false, false},
    {"Sapphire Rapids, system without AVX-512",
     {HASWELL, SKYLAKE, AVX512VNNI | AVX512VBMI, AVXVNNI, 7},
     true,
     true,
     true,
     false,
     false},
};

START_TEST(levels_need_the_processor_and_the_system) {
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        const struct sinq_x86_features *const f = &machines[i].features;
        const char *const name = machines[i].name;
        ck_assert_msg(sinq_x86_offers(f, SINQ_CPU_C) && sinq_x86_offers(f, SINQ_CPU_SSE2), "%s: c, sse2", name);
        ck_assert_msg(!sinq_x86_offers(f, SINQ_CPU_NEON), "%s: neon", name);
        ck_assert_msg(sinq_x86_has_ssse3(f) == machines[i].ssse3, "%s: SSSE3", name);
        ck_assert_msg(sinq_x86_offers(f, SINQ_CPU_AVX2) == machines[i].avx2, "%s: avx2", name);
        ck_assert_msg(sinq_x86_offers(f, SINQ_CPU_AVX512_VNNI) == machines[i].avx512_vnni, "%s: avx512-vnni", name);
        ck_assert_msg(sinq_x86_has_avx512_vbmi(f) == machines[i].avx512_vbmi, "%s: VBMI", name);
#ifndef SINQ_AVX2_VNNI_BY_AVX512
        ck_assert_msg(sinq_x86_offers(f, SINQ_CPU_AVX2_VNNI) == machines[i].avx2_vnni, "%s: avx2-vnni", name);
#endif
    }
}
END_TEST

#if defined(__x86_64__)
/* The compiler's own reading; gcc 12 has no name for AVX-VNNI. */
START_TEST(this_machine_is_read_as_the_compiler_reads_it) {
    __builtin_cpu_init();
    const struct sinq_x86_features f = sinq_read_x86_features();
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    ck_assert(sinq_x86_has_ssse3(&f) == (__builtin_cpu_supports("ssse3") != 0));
    ck_assert(sinq_cpu_offers(SINQ_CPU_AVX2) == avx2);
    const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                        __builtin_cpu_supports("avx512vnni");
    ck_assert(sinq_cpu_offers(SINQ_CPU_AVX512_VNNI) == avx512);
    ck_assert(sinq_x86_has_avx512_vbmi(&f) == (avx512 && __builtin_cpu_supports("avx512vbmi")));
}
END_TEST
#else
START_TEST(this_machine_is_read_as_the_compiler_reads_it) {
    ck_assert(sinq_cpu_offers(SINQ_CPU_C) && !sinq_cpu_offers(SINQ_CPU_SSE2) && !sinq_cpu_offers(SINQ_CPU_AVX2));
}
END_TEST
#endif

START_TEST(the_best_of_a_list_is_chosen) {
    struct sinq_error error = {0};
    ck_assert_int_eq(sinq_select_cpu("c", &error), SINQ_OK);
    ck_assert_str_eq(sinq_cpu_name(), "c");
    ck_assert(!sinq_cpu_has_extension());
    ck_assert_int_eq(sinq_select_cpu("sse2,c,neon", &error), SINQ_OK);
    ck_assert(strcmp(sinq_cpu_name(), "c") != 0 || !(sinq_cpu_offers(SINQ_CPU_SSE2) || sinq_cpu_offers(SINQ_CPU_NEON)));
    ck_assert_int_eq(sinq_select_cpu("sse", &error), SINQ_USAGE);
    ck_assert_int_eq(sinq_select_cpu("c,", &error), SINQ_USAGE);
    const char *const foreign = sinq_cpu_offers(SINQ_CPU_NEON) ? "sse2" : "neon";
    ck_assert_int_eq(sinq_select_cpu(foreign, &error), SINQ_USAGE);
    ck_assert(strstr(error.message, foreign) != NULL);
    sinq_leave_out_extensions(true);
    ck_assert_int_eq(sinq_select_cpu("sse2,neon", NULL),
                     sinq_cpu_offers(SINQ_CPU_SSE2) || sinq_cpu_offers(SINQ_CPU_NEON) ? SINQ_OK : SINQ_USAGE);
    ck_assert(!sinq_cpu_has_extension());
    sinq_leave_out_extensions(false);
    ck_assert_int_eq(sinq_select_cpu(NULL, &error), SINQ_OK);
}
END_TEST

UNIT_MAIN("instruction sets", levels_need_the_processor_and_the_system, this_machine_is_read_as_the_compiler_reads_it,
          the_best_of_a_list_is_chosen)
