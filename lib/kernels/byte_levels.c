#include "kernels/byte_levels.h"

#include "kernels/cpu.h"

const struct sinq_byte_level_kernels *sinq_get_byte_level_kernels(void) {
    switch (sinq_cpu_level()) {
#if defined(__x86_64__)
    case SINQ_CPU_SSE2:
        return sinq_cpu_has_extension() ? &sinq_byte_level_kernels_ssse3 : &sinq_byte_level_kernels_sse2;
    case SINQ_CPU_AVX2:
        return &sinq_byte_level_kernels_avx2;
    case SINQ_CPU_AVX2_VNNI:
        return &sinq_byte_level_kernels_avx2vnni;
    case SINQ_CPU_AVX512_VNNI:
        return sinq_cpu_has_extension() ? &sinq_byte_level_kernels_avx512vbmi : &sinq_byte_level_kernels_avx512;
#elif defined(__aarch64__)
    case SINQ_CPU_NEON:
        return sinq_cpu_has_extension() ? &sinq_byte_level_kernels_neondot : &sinq_byte_level_kernels_neon;
#endif
    default:
        return &sinq_byte_level_kernels_c;
    }
}
