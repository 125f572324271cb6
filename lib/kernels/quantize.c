#include "kernels/quantize.h"

#include "kernels/cpu.h"

const struct sinq_quantize_kernels *sinq_get_quantize_kernels(void) {
    switch (sinq_cpu_level()) {
#if defined(__x86_64__)
    case SINQ_CPU_SSE2:
        return &sinq_quantize_kernels_sse2;
    case SINQ_CPU_AVX2:
    case SINQ_CPU_AVX2_VNNI:
        return &sinq_quantize_kernels_avx2;
    case SINQ_CPU_AVX512_VNNI:
        return sinq_cpu_has_extension() ? &sinq_quantize_kernels_avx512vbmi : &sinq_quantize_kernels_avx512;
#elif defined(__aarch64__)
    case SINQ_CPU_NEON:
        return &sinq_quantize_kernels_neon;
#endif
    default:
        return &sinq_quantize_kernels_c;
    }
}
