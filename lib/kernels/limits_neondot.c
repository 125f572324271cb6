#if defined(__aarch64__)
#include "kernels/lanes_neon.h"
#define LIMIT_KERNELS sinq_limit_kernels_neondot
#define LINES_AT_ONCE 1
#define QUADS         4
#define SUMS          5
#include "kernels/limits_template.h"
#else
typedef int no_limits_neondot_here; /* ISO C wants something in every file */
#endif
