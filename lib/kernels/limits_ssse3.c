#if defined(__x86_64__)
#include "kernels/lanes_sse2.h"
#define LIMIT_KERNELS sinq_limit_kernels_ssse3
#define LINES_AT_ONCE 1
#define QUADS         2
#define SUMS          2
#include "kernels/limits_template.h"
#else
typedef int no_limits_ssse3_here; /* ISO C wants something in every file */
#endif
