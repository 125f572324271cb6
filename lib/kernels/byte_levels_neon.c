#if defined(__aarch64__)
#include "kernels/lanes_neon.h"
#define KERNELS sinq_byte_level_kernels_neon
#include "kernels/byte_levels_template.h"
#else
typedef int no_byte_levels_neon_here; /* ISO C wants something in every file */
#endif
