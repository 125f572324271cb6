#if defined(__aarch64__)
#include "kernels/simd_neon.h"
#define KERNELS sinq_quantize_kernels_neon
#include "kernels/quantize_template.h"
#else
typedef int no_neon_here; /* ISO C wants something in every file */
#endif
