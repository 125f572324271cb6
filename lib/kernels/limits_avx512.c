#if defined(__x86_64__)
#include "kernels/lanes_avx512.h"
#define LIMIT_KERNELS sinq_limit_kernels_avx512
#define LINES_AT_ONCE 2
#define QUADS         8
#define SUMS          12
/* gcc 12 copies each sum of vpdpbusd once more where it is left to itself. */
#define HOLD(sum) __asm__("" : "+v"(sum))
#include "kernels/limits_template.h"
#else
typedef int no_limits_avx512_here; /* ISO C wants something in every file */
#endif
