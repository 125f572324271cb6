#include "kernels/lanes_c.h"
#define KERNELS sinq_compute_kernels_c
#include "kernels/compute_template.h"
