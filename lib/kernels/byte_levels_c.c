#include "kernels/lanes_c.h"
#define KERNELS sinq_byte_level_kernels_c
#include "kernels/byte_levels_template.h"
