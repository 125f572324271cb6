#if defined(__x86_64__)
#include "kernels/lanes_sse2.h"
#define KERNELS sinq_byte_level_kernels_sse2
#include "kernels/byte_levels_template.h"
#else
typedef int no_byte_levels_sse2_here; /* ISO C wants something in every file */
#endif
