#if defined(__x86_64__)
#include "kernels/simd_avx2.h"
#define KERNELS sinq_quantize_kernels_avx2
#include "kernels/quantize_template.h"
#else
typedef int no_avx2_here; /* ISO C wants something in every file */
#endif
