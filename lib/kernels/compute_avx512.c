#if defined(__x86_64__)
#include "kernels/full_tile_avx512.h"
#include "kernels/lanes_avx512.h"
#define KERNELS sinq_compute_kernels_avx512
#include "kernels/compute_template.h"
#else
typedef int no_compute_avx512_here; /* ISO C wants something in every file */
#endif
