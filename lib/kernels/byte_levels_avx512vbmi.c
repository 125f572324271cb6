#if defined(__x86_64__)
#include "kernels/lanes_avx512.h"
#define KERNELS sinq_byte_level_kernels_avx512vbmi
#include "kernels/byte_levels_template.h"
#else
typedef int no_byte_levels_avx512vbmi_here; /* ISO C wants something in every file */
#endif
