#include "kernels/lanes_c.h"
#define LIMIT_KERNELS sinq_limit_kernels_c
#include "kernels/limits_template.h"
