#if defined(__aarch64__)
#include "kernels/lanes_neon.h"
#define KERNELS sinq_compute_kernels_neondot
#include "kernels/compute_template.h"
#else
typedef int no_compute_neondot_here; /* ISO C wants something in every file */
#endif
