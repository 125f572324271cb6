#if defined(__x86_64__)
#include "kernels/lanes_sse2.h"
#define KERNELS sinq_compute_kernels_ssse3
#include "kernels/compute_template.h"
#else
typedef int no_compute_ssse3_here; /* ISO C wants something in every file */
#endif
