#include "kernels/x86_features.h"

/* Intel's manual, volume 2, CPUID; volume 1, 13.3 (XCR0) and 14.3 and 15.2 to 15.4 (how to detect AVX, AVX2 and AVX-512). */
#define LEAF1_ECX_SSSE3      (1u << 9)
#define LEAF1_ECX_FMA        (1u << 12)
#define LEAF1_ECX_OSXSAVE    (1u << 27)
#define LEAF1_ECX_AVX        (1u << 28)
#define LEAF1_ECX_F16C       (1u << 29)
#define LEAF7_EBX_AVX2       (1u << 5)
#define LEAF7_EBX_AVX512F    (1u << 16)
#define LEAF7_EBX_AVX512DQ   (1u << 17)
#define LEAF7_EBX_AVX512BW   (1u << 30)
#define LEAF7_EBX_AVX512VL   (1u << 31)
#define LEAF7_ECX_AVX512VBMI (1u << 1)
#define LEAF7_ECX_AVX512VNNI (1u << 11)
#define LEAF7_1_EAX_AVXVNNI  (1u << 4)

#define STATES_AVX    0x6u  /* XMM and the upper halves of YMM */
#define STATES_AVX512 0xe6u /* besides masks, the upper halves of ZMM and ZMM16 to 31 */

static bool has_all(uint64_t word, uint64_t bits) { return (word & bits) == bits; }

static bool has_avx2(const struct sinq_x86_features *f) {
    return has_all(f->leaf1_ecx, LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_FMA | LEAF1_ECX_F16C) &&
           has_all(f->leaf7_ebx, LEAF7_EBX_AVX2) && has_all(f->enabled_states, STATES_AVX);
}

static bool has_avx512_vnni(const struct sinq_x86_features *f) {
    return has_avx2(f) &&
           has_all(f->leaf7_ebx, LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL) &&
           has_all(f->leaf7_ecx, LEAF7_ECX_AVX512VNNI) && has_all(f->enabled_states, STATES_AVX512);
}

static bool has_avx2_vnni(const struct sinq_x86_features *f) {
#if defined(SINQ_AVX2_VNNI_BY_AVX512) /* a build for tests, on machines without AVX-VNNI */
    return has_avx512_vnni(f);
#else
    return has_avx2(f) && has_all(f->leaf7_1_eax, LEAF7_1_EAX_AVXVNNI);
#endif
}

bool sinq_x86_offers(const struct sinq_x86_features *features, enum sinq_cpu_level level) {
    switch (level) {
    case SINQ_CPU_C:
    case SINQ_CPU_SSE2: /* a part of x86-64 */
        return true;
    case SINQ_CPU_AVX2:
        return has_avx2(features);
    case SINQ_CPU_AVX2_VNNI:
        return has_avx2_vnni(features);
    case SINQ_CPU_AVX512_VNNI:
        return has_avx512_vnni(features);
    default:
        return false;
    }
}

bool sinq_x86_has_ssse3(const struct sinq_x86_features *features) {
    return has_all(features->leaf1_ecx, LEAF1_ECX_SSSE3);
}

bool sinq_x86_has_avx512_vbmi(const struct sinq_x86_features *features) {
    return has_avx512_vnni(features) && has_all(features->leaf7_ecx, LEAF7_ECX_AVX512VBMI);
}

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t read_enabled_states(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

struct sinq_x86_features sinq_read_x86_features(void) {
    struct sinq_x86_features f = {0};
    uint32_t a, b, c, d;
    if (__get_cpuid(1, &a, &b, &c, &d) != 0) f.leaf1_ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) != 0) {
        f.leaf7_ebx = b;
        f.leaf7_ecx = c;
        const uint32_t last_subleaf = a;
        if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0) f.leaf7_1_eax = a;
    }
    if (has_all(f.leaf1_ecx, LEAF1_ECX_OSXSAVE)) f.enabled_states = read_enabled_states();
    return f;
}
#else
struct sinq_x86_features sinq_read_x86_features(void) {
    return (struct sinq_x86_features){0};
}
#endif
