#if defined(__x86_64__)
#include "kernels/simd_avx512.h"
#define KERNELS sinq_quantize_kernels_avx512vbmi
#include "kernels/quantize_template.h"
#else
typedef int no_avx512vbmi_here; /* ISO C wants something in every file */
#endif
