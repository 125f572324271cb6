#if defined(__x86_64__)
#include "kernels/lanes_avx2.h"
#define KERNELS sinq_compute_kernels_avx2vnni
#include "kernels/compute_template.h"
#else
typedef int no_compute_avx2vnni_here; /* ISO C wants something in every file */
#endif
