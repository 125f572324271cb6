#if defined(__aarch64__)
#include "kernels/lanes_neon.h"
#define KERNELS sinq_compute_kernels_neon
#include "kernels/compute_template.h"
#else
typedef int no_compute_neon_here; /* ISO C wants something in every file */
#endif
