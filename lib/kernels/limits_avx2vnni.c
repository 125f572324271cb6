#if defined(__x86_64__)
#include "kernels/lanes_avx2.h"
#define LIMIT_KERNELS sinq_limit_kernels_avx2vnni
#define LINES_AT_ONCE 1
#define QUADS         6
#define SUMS          6
#include "kernels/limits_template.h"
#else
typedef int no_limits_avx2vnni_here; /* ISO C wants something in every file */
#endif
