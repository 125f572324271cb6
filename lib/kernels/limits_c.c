#include "kernels/lanes_c.h"
#define LIMIT_KERNELS sinq_limit_kernels_c
#define LINES_AT_ONCE 1
#define QUADS         2
#define SUMS          2
#include "kernels/limits_template.h"
