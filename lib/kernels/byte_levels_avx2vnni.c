#if defined(__x86_64__)
#include "kernels/lanes_avx2.h"
#define KERNELS sinq_byte_level_kernels_avx2vnni
#include "kernels/byte_levels_template.h"
#else
typedef int no_byte_levels_avx2vnni_here; /* ISO C wants something in every file */
#endif
