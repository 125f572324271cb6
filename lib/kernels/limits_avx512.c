#if defined(__x86_64__)
#include "kernels/lanes_avx512.h"
#define LIMIT_KERNELS sinq_limit_kernels_avx512
#include "kernels/limits_template.h"
#else
typedef int no_limits_avx512_here; /* ISO C wants something in every file */
#endif
